//! How Reelmill compares: its pipeline with plain FFmpeg, its gateway with a plain Worker.
//!
//! What is compared alternates within one run, so that a busy machine slows all of it. Quotients
//! are the medians of each round's quotient; the table says how far the rounds were apart.

mod gateway;
mod measure;
mod pipeline;
mod reference;
mod report;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::Parser;
use e2e::{benchmark, clips, settings};

/// Compares the whole pipeline with plain FFmpeg, and signed playback with an unsigned JavaScript
/// Worker. Run scripts/build first.
#[derive(Parser)]
struct Arguments {
    /// A real clip to measure besides the generated one; by default a trailer in ../shared/media.
    clip: Option<PathBuf>,
    /// Rounds of the pipeline's comparison.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of the generated source.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Requests of each side of the gateway's comparison.
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Only the gateway.
    #[arg(long, conflicts_with = "no_gateway")]
    no_pipeline: bool,
    /// Only the pipeline.
    #[arg(long)]
    no_gateway: bool,
    /// Where to write the tables too.
    #[arg(long)]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    benchmark::run(bench(&Arguments::parse()))
}

async fn bench(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.rounds > 0 && arguments.requests > 0, "nothing to measure");
    let mut text = report::heading()?;
    if !arguments.no_pipeline {
        let generated = clips::footage(arguments.seconds)?;
        let real = match &arguments.clip {
            Some(clip) => Some(clip.clone()),
            None => settings::test_media().map(|media| media.join("video/sintel_trailer-720p.mp4")),
        };
        let real = real.filter(|clip| clip.is_file());
        if real.is_none() {
            eprintln!("no real clip is measured: none was given");
        }
        for source in [Some(generated), real].into_iter().flatten() {
            let source = fs::canonicalize(source)?;
            text += &report::pipeline(&source, &pipeline::compare(&source, arguments.rounds)?);
        }
    }
    if !arguments.no_gateway {
        text += &report::gateway(&gateway::compare(arguments.requests).await?);
    }
    benchmark::publish(text, arguments.output.as_deref())
}
