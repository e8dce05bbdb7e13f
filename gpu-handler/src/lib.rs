//! Reelmill's handler, as a library under its one binary. A guided tour, in the order of a job:
//!
//! * [`config`]: the environment, read once.
//! * [`storage`]: where outputs go, as one small trait.
//! * [`ffmpeg`]: the only module that starts processes, each in a [`sandbox`].

pub mod config;
pub mod ffmpeg;
pub mod sandbox;
pub mod storage;
