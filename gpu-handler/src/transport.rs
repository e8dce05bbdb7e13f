//! How jobs come in.

pub mod desk;
pub mod run;
pub mod runpod;
pub mod serve;
