//! Workers at a queue of SQS's, with a ledger in DynamoDB: the binary itself against moto.

mod cloud;
mod contract;
mod crash;
mod duplicates;
mod faults;
mod ledger;
mod longest;
mod model;
mod shutdown;
mod start;
mod wire;
