//! Reelmill's handler, as a library under its one binary. A guided tour, in the order of a job:
//!
//! * [`config`]: the environment, read once.
//! * [`stop`], [`tracker`]: how a job is told to stop, and what it tells of itself.
//! * [`fetch`]: the source comes in.
//! * [`ffmpeg`]: the only module that starts processes, each in a [`sandbox`].
//! * [`storage`]: where outputs go, as one small trait.
//! * [`reporter`]: progress and the one report go back to the gateway.

pub mod config;
pub mod fetch;
pub mod ffmpeg;
pub mod reporter;
pub mod sandbox;
pub mod stop;
pub mod storage;
pub mod tracker;
