//! AWS Lambda on one machine, for tests of a function's binary.
//!
//! * [`Lambda`]: a function. It is invoked, has environments started as it needs them, and freezes
//!   them in between.
//! * `environment`: one of them: a process, and the state that its runtime and its extensions are in;
//!   `api`: how these two speak; `process`: signals.
//! * [`queue`]: an SQS queue with its dead letters. Pure.
//! * [`Mapping`]: hands the queue's messages to the function, as Lambda's event source mapping does.
//!
//! What is enforced: one event at a time in an environment, 6 MB of payload either way, the deadline
//! (then the process is killed), 10 s to initialise, SIGTERM only for those who have registered an
//! extension and 500 ms of grace, `SIGSTOP` between invocations, and that no process is left running
//! then. What AWS's documentation does not settle is marked with "chosen here".

mod api;
mod environment;
mod lambda;
mod mapping;
mod process;
pub mod queue;

pub use lambda::{End, Invoked, Lambda, Options, Refused};
pub use mapping::{Mapping, SharedQueue, event};
