//! `run job.json`: one job by hand, from the command line.

use std::{path::Path, sync::Arc};

use reelmill_shared::job::{JobReport, JobSpec, Outcome, Progress};
use tokio::sync::watch;

use crate::{
    engine::{Done, Engine},
    reporter::Reporter,
    stop::Stop,
    tracker::Tracker,
};

/// Why there is no job to run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file cannot be read.
    #[error("the job cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The file holds no job.
    #[error("the job is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Reads a job from a file.
///
/// # Errors
/// [`RunError`].
pub fn read(path: &Path) -> Result<JobSpec, RunError> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Runs a job to its end, telling its progress on stderr, and to its callback where it has one.
pub async fn run(engine: &Engine, spec: &JobSpec, stop: &Stop) -> JobReport {
    let tracker = Arc::new(Tracker::new(spec.media_id, spec.attempt));
    let reporter = engine.reporter(spec.callback.as_ref());
    let work = async {
        let Done { report, log, .. } = engine.run(spec, &tracker, stop).await;
        if let Outcome::Failed { .. } = report.outcome {
            eprint!("{log}");
        }
        report
    };
    let report = tokio::select! {
        biased;
        report = work => report,
        () = print(tracker.subscribe()) => unreachable!("progress is printed for ever"),
        () = beat(reporter.as_ref(), &tracker, stop) => unreachable!("heartbeats do not end"),
    };
    if let Some(reporter) = reporter {
        reporter.report(&report, reporter.patience()).await;
    }
    report
}

async fn beat(reporter: Option<&Reporter>, tracker: &Tracker, stop: &Stop) {
    if let Some(reporter) = reporter {
        reporter.heartbeat(tracker.subscribe(), stop).await;
    }
    // A stale attempt stops the work, which then ends by itself.
    std::future::pending().await
}

async fn print(mut progress: watch::Receiver<Progress>) {
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(500));
    loop {
        ticks.tick().await;
        if progress.has_changed().unwrap_or(false) {
            let now = progress.borrow_and_update().clone();
            let speed = now.speed.map(|speed| format!(" {speed:.2}x")).unwrap_or_default();
            let eta = now.eta_seconds.map(|eta| format!(" {eta:.0} s left")).unwrap_or_default();
            let playable = if now.playable { " playable" } else { "" };
            eprintln!("{:?} {:.1} %{speed}{eta}{playable}", now.stage, now.percent);
        }
    }
}
