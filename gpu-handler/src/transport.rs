//! How jobs come in.

pub mod run;
pub mod serve;
