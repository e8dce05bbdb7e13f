//! How the gateway's tus route compares: its throughput with @tus/server's file store and with a bare
//! Worker, its memory with itself.
//!
//! What is compared alternates within one run, so that a busy machine slows all of it. Quotients are
//! the medians of each round's quotient; the table says how far the rounds were apart.

mod memory;
mod processes;
mod report;
mod source;
mod throughput;
mod tus;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::Parser;
use e2e::benchmark;

use self::{
    memory::{Memory, Watched},
    source::Source,
    throughput::{MANNERS, Simulator, Systems},
};

const MIB: u64 = 1 << 20;
/// What the isolate may have in buffers, in bytes. It has 128 MB for everything, and its heap wants
/// its own part of that.
const MOST_BUFFERS: u64 = 96 * MIB;
/// How much higher it may be in the second half of a long upload than in the first.
const MOST_DRIFT: u64 = 32 * MIB;

/// Measures the throughput of tus uploads, and the memory of many at once and of a long one. Fails
/// if memory is not flat. Run scripts/build and `scripts/setup test` first.
#[derive(Parser)]
struct Arguments {
    /// Rounds of each comparison.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// MiB that are uploaded in the comparison.
    #[arg(long, default_value_t = 256)]
    size: u64,
    /// Uploads at once.
    #[arg(long, default_value_t = 200)]
    uploads: u64,
    /// MiB of the long upload.
    #[arg(long, default_value_t = 3072)]
    long: u64,
    /// Only memory.
    #[arg(long, conflicts_with = "no_memory")]
    no_throughput: bool,
    /// Only throughput.
    #[arg(long)]
    no_memory: bool,
    /// Where to write the tables too.
    #[arg(long)]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    benchmark::run(bench(&Arguments::parse()))
}

async fn bench(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.rounds > 0 && arguments.size > 0, "nothing to measure");
    let mut text = report::heading()?;
    if !arguments.no_throughput {
        for simulator in [Simulator::Own, Simulator::Quick] {
            text += &throughput(arguments, simulator).await?;
        }
    }
    let mut memories = Vec::new();
    if !arguments.no_memory {
        memories = memory(arguments).await?;
        text += &report::memory(&memories);
    }
    benchmark::publish(text, arguments.output.as_deref())?;
    for (what, memory) in &memories {
        let buffers = memory.buffers / MIB;
        ensure!(memory.buffers <= MOST_BUFFERS, "{what}: {buffers} MiB in buffers");
    }
    // Many uploads end one by one; one that goes on for long must not creep.
    if let Some((what, memory)) = memories.last() {
        let drift = memory.second_half.saturating_sub(memory.first_half);
        ensure!(drift <= MOST_DRIFT, "{what}: {} MiB more in the second half", drift / MIB);
    }
    Ok(())
}

async fn throughput(arguments: &Arguments, simulator: Simulator) -> Result<String> {
    let systems = Systems::start(simulator).await?;
    let mut table = Vec::new();
    for manner in MANNERS {
        // As long in time, about, where the network is what takes it.
        let size = arguments.size * MIB / if manner.pace.is_some() { 4 } else { 1 };
        let source = Source { seed: 2, size };
        systems.round(0, Source { size: 16 * MIB, ..source }, manner).await?;
        let mut rounds = Vec::new();
        for number in 0..arguments.rounds {
            eprintln!("{}: round {} of {}", manner.name, number + 1, arguments.rounds);
            rounds.push(systems.round(number, source, manner).await?);
        }
        table.push((manner, size, rounds));
    }
    Ok(report::throughput(simulator, &table))
}

async fn memory(arguments: &Arguments) -> Result<Vec<(String, Memory)>> {
    let watched = Watched::start().await?;
    let many: Vec<Source> = (0..arguments.uploads)
        .map(|seed| match seed % 25 {
            0 => Source { seed, size: 40 * MIB },
            _ => Source { seed, size: (2 + seed % 3) * MIB + seed },
        })
        .collect();
    let large = many.iter().filter(|source| source.size > 5 * MIB).count();
    eprintln!("{} uploads at once", many.len());
    let [created, sent] = watched.all(&many).await?;
    eprintln!("one upload of {} MiB", arguments.long);
    let [_, long] = watched.all(&[Source { seed: 3, size: arguments.long * MIB }]).await?;
    Ok(vec![
        (format!("{} uploads created at once, without bytes", many.len()), created),
        (format!("their bytes at once: {large} times 40 MiB, the others 2–4"), sent),
        (format!("one upload of {} MiB, one PATCH", arguments.long), long),
    ])
}
