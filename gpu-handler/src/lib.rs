//! Reelmill's handler, as a library under its one binary. A guided tour, in the order of a job:
//!
//! * [`storage`]: where outputs go, as one small trait.

pub mod storage;
