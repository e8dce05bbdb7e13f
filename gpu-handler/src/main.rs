//! Reelmill's handler.
fn main() {}
