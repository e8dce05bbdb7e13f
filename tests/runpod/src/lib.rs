//! RunPod's serverless platform on one machine, for tests of either side of its queue.
//!
//! * [`Simulator`]: starts it, drives it, tells what it saw.
//! * [`ledger`]: the jobs and their states. Pure.
//! * [`rules`]: what a worker's requests have to look like. Pure; whatever breaks one is noted.
//! * [`faults`]: what goes wrong, on demand.
//! * [`traffic`]: the requests, for comparing workers.
//! * `worker_side`, `client_side`: the two HTTP APIs; `webhook`: the third, by which it calls.
//!
//! What RunPod's documentation and the public SDK do not settle is marked with "chosen here".

mod client_side;
pub mod faults;
pub mod ledger;
pub mod rules;
mod server;
mod simulator;
pub mod traffic;
mod webhook;
mod worker_side;

pub use simulator::{Options, Record, Simulator, Templates};
