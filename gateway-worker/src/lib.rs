//! Reelmill gateway.
