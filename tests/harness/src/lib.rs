//! What tests of the handler share that have it run for real.
//!
//! * [`Gateway`]: where sources come from and outputs, progress and reports go; it keeps them all, and
//!   answers as it is told.
//! * [`Worker`]: the binary as a process, which does not outlive its test.
//! * [`Moto`]: AWS on this machine.
//! * [`clips`]: sources, made by FFmpeg; [`stuck_tool`]: a tool that never ends.

pub mod clips;
mod gateway;
mod moto;
mod server;
mod tools;
mod worker;

pub use gateway::{Gateway, Record, Report, SECRET};
pub use moto::Moto;
pub use server::Server;
pub use tools::stuck_tool;
pub use worker::{Worker, until_nothing_runs_in};

use std::time::Duration;

/// How long anything that a test waits for may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
