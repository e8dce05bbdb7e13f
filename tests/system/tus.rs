//! Resumable uploads: every clause of the tus 1.0 protocol text, quoted where it is tested, and
//! what can go wrong beyond it.

mod checksum;
mod client;
mod concatenation;
mod core;
mod creation;
mod expiration;
mod refusals;
mod survival;
mod termination;

use anyhow::{Context, Result};
use e2e::{stack::Stack, stand_in::StandIn};

pub(crate) use client::Tus;

use crate::with_stand_in;

const MIB: usize = 1024 * 1024;

/// A gateway and a client of it.
async fn start() -> Result<(Stack, StandIn, Tus)> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let tus = Tus::new(&stack);
    Ok((stack, handler, tus))
}

/// Checks one clause, named by its words.
async fn clause(words: &str, check: impl Future<Output = Result<()>>) -> Result<()> {
    check.await.with_context(|| format!("tus 1.0: “{words}”"))
}

/// Bytes that differ from place to place, so that a wrong offset shows.
fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at ^ (at >> 8).wrapping_mul(31) ^ (at >> 16).wrapping_mul(7)) as u8)
        .collect()
}
