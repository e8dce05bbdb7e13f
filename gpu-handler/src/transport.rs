//! How jobs come in.

pub mod delivery;
pub mod desk;
pub mod health;
pub mod lambda;
pub mod run;
pub mod runpod;
pub mod serve;
pub mod sqs;
