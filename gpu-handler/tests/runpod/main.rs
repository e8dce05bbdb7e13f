//! A worker of RunPod's against a platform that enforces its protocol, and fails as it may.

mod bench;
mod binary;
mod contract;
mod duplicates;
mod ending;
mod faults;
mod gateway;
mod heartbeat;
mod official_sdk;
