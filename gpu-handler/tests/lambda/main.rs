//! The binary as a function of Lambda's, in an emulator that enforces the platform's limits.

mod bench;
mod cargo_lambda;
mod deadline;
mod direct;
mod ledger;
mod life;
mod queue;
