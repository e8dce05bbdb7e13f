//! Reelmill handler.
fn main() {}
