//! The pipeline's comparison: four runs, one hand-written run, ours.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use e2e::{process::command, settings};
use reelmill_shared::job::{Input, JOB_VERSION, JobSpec, OutputTarget, Pipeline};
use url::Url;

use crate::{
    measure::{Cost, run},
    reference,
};

/// The preset of all three.
pub(crate) const PRESET: &str = "veryfast";

/// One round: the three ways, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Round {
    /// Sequential runs, one a rendition.
    pub(crate) sequential: Cost,
    /// The best single command.
    pub(crate) single: Cost,
    /// Reelmill's handler.
    pub(crate) ours: Cost,
}

/// Measures `rounds` rounds over a source; each begins with another of the three.
pub(crate) fn compare(source: &Path, rounds: usize) -> Result<Vec<Round>> {
    let height = height(source)?;
    let work = tempfile::Builder::new().prefix("reelmill-bench-").tempdir()?;
    let mut results = Vec::new();
    for number in 0..rounds {
        eprintln!("{}: round {} of {rounds}", source.display(), number + 1);
        let mut round = Round::default();
        for turn in 0..3 {
            let into = work.path().join("out");
            fs::create_dir_all(&into)?;
            match (number + turn) % 3 {
                0 => round.sequential = sequential(source, height, &into)?,
                1 => {
                    let (command, playlists) = reference::single(source, height, PRESET, &into);
                    round.single = run(command, &playlists)?;
                }
                _ => round.ours = ours(source, work.path(), &into)?,
            }
            fs::remove_dir_all(&into)?;
        }
        results.push(round);
    }
    Ok(results)
}

fn sequential(source: &Path, height: u32, into: &Path) -> Result<Cost> {
    let mut sum = Cost::default();
    for command in reference::sequential(source, height, PRESET, into) {
        let cost = run(command, &[])?;
        sum = Cost { wall: sum.wall + cost.wall, cpu: sum.cpu + cost.cpu, first: None, peak: 0 };
    }
    Ok(sum)
}

fn ours(source: &Path, work: &Path, into: &Path) -> Result<Cost> {
    let file = |path: &Path| Url::from_file_path(path).ok().context("an absolute path");
    let spec = JobSpec {
        version: JOB_VERSION,
        media_id: "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse()?,
        attempt: 1,
        pipeline: Pipeline::default(),
        input: Input {
            url: file(source)?,
            size: fs::metadata(source)?.len(),
            etag: None,
            sha256: None,
        },
        output: OutputTarget {
            base_url: Url::from_directory_path(into).ok().context("an absolute path")?,
        },
        callback: None,
    };
    let job: PathBuf = work.join("job.json");
    fs::write(&job, serde_json::to_vec(&spec)?)?;
    let mut handler = command(settings::handler_binary());
    handler
        .arg("run")
        .arg(&job)
        .env("REELMILL_X264_PRESET", PRESET)
        .env("REELMILL_WORK_DIR", work)
        .env("RUST_LOG", "warn");
    run(handler, &[into.join("hls/main.m3u8")])
}

/// Height of the first video stream.
fn height(source: &Path) -> Result<u32> {
    let output = command("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "stream=height",
            "-of",
            "csv=p=0",
        ])
        .arg(source)
        .output()
        .context("cannot start ffprobe")?;
    ensure!(output.status.success(), "ffprobe: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().trim_end_matches(',').parse().with_context(|| format!("a height: {text:?}"))
}
