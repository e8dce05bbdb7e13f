//! What a process and all its descendants cost.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

/// What a run cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Wall-clock seconds.
    pub(crate) wall: f64,
    /// User and system seconds of the whole process tree.
    pub(crate) cpu: f64,
    /// Seconds until everything that was watched for was there.
    pub(crate) first: Option<f64>,
    /// Largest resident set of the started process itself, in bytes.
    pub(crate) peak: u64,
}

/// Runs a command to its end. `watched` are the files that make the result playable.
pub(crate) fn run(mut command: Command, watched: &[PathBuf]) -> Result<Cost> {
    let before = children_cpu()?;
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the command")?;
    let errors = child.stderr.take().context("its standard error")?;
    let errors = std::thread::spawn(move || std::io::read_to_string(errors).unwrap_or_default());
    let (mut first, mut peak) = (None, 0);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if first.is_none() && !watched.is_empty() && watched.iter().all(|path| path.exists()) {
            first = Some(start.elapsed().as_secs_f64());
        }
        peak = peak.max(peak_memory(child.id()));
        std::thread::sleep(Duration::from_millis(10));
    };
    let wall = start.elapsed().as_secs_f64();
    let errors = errors.join().unwrap_or_default();
    ensure!(status.success(), "a command failed with {status}:\n{errors}");
    Ok(Cost { wall, cpu: children_cpu()? - before, first, peak })
}

/// CPU seconds of all descendants that have ended and were waited for.
fn children_cpu() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(microseconds as f64 / 1e6)
}

/// The largest resident set that a process has had so far (`VmHWM`, proc(5)).
fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split(' ').rev().nth(1));
    kibibytes.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or_default() * 1024
}
