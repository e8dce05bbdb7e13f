//! One take at a job: FFmpeg and the publisher side by side.

use std::{path::Path, sync::OnceLock, time::Duration};

use reelmill_shared::{
    job::{Failure, Stage},
    plan::Plan,
    waveform::Waveform,
};
use tokio::sync::oneshot;

use super::{Engine, Notes, encode::Job};
use crate::{ffmpeg::Run, publish::Publisher, tracker::Tracker, workplace};

/// Where FFmpeg runs and writes, below the job's directory.
const OUT: &str = "out";

/// What a take that went well leaves to be finished.
pub(super) struct Made {
    pub publisher: Publisher,
    pub waveforms: Vec<Waveform>,
}

/// Why a take did not go well.
pub(super) enum Stopped {
    /// FFmpeg failed, or made nothing; the publisher may have stored some of it.
    Tool { failure: Failure, publisher: Box<Publisher> },
    /// Something else did, against which other gear is of no use.
    Other(Failure),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Tool { failure, .. } | Stopped::Other(failure) => failure,
        }
    }
}

/// Which of the two failed that work side by side.
enum Side {
    Tool(Failure),
    Publisher(Failure),
}

impl Engine {
    /// Encodes all of the job by `plan`, in at most `wall`.
    pub(super) async fn take(
        &self,
        job: &Job<'_>,
        plan: &Plan,
        wall: Duration,
        tracker: &Tracker,
        notes: &mut Notes,
    ) -> Result<Made, Stopped> {
        let out = job.work.join(OUT);
        make_directories(&out, plan).await.map_err(Stopped::Other)?;
        tracker.enter(Stage::Encoding);
        let mut publisher = Publisher::new(plan.clone(), out.clone(), job.storage.clone());
        let playable_at = OnceLock::new();
        let playable = || {
            let _ = playable_at.set(job.started.elapsed().as_secs_f64());
            tracker.playable();
        };
        let profile = self.profile(job.work, &out, plan.uses_gpu());
        let (end, ended) = oneshot::channel();
        // Whichever fails first takes the other with it: dropped, FFmpeg is killed.
        let transcode = async {
            let run = Run { dir: &out, profile: &profile, wall, max_output: 0 };
            let waveforms = self.transcode(plan, run, tracker, notes).await.map_err(Side::Tool)?;
            tracker.enter(Stage::Publishing);
            let _ = end.send(());
            Ok(waveforms)
        };
        let over = async {
            if ended.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let watch = async { publisher.watch(over, playable).await.map_err(Side::Publisher) };
        let result = tokio::try_join!(transcode, watch);
        let result = result.and_then(|(waveforms, ())| {
            publisher.check().map_err(Side::Tool)?;
            Ok(waveforms)
        });
        notes.metrics.playable_seconds =
            notes.metrics.playable_seconds.or_else(|| playable_at.into_inner());
        match result {
            Ok(waveforms) => Ok(Made { publisher, waveforms }),
            Err(Side::Publisher(failure)) => Err(Stopped::Other(failure)),
            Err(Side::Tool(failure)) => {
                Err(Stopped::Tool { failure, publisher: Box::new(publisher) })
            }
        }
    }
}

/// An empty `out` with the plan's directories in it.
async fn make_directories(out: &Path, plan: &Plan) -> Result<(), Failure> {
    let make = async {
        // A take before this one may have left something.
        match tokio::fs::remove_dir_all(out).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for directory in &plan.directories {
            tokio::fs::create_dir_all(out.join(directory)).await?;
        }
        Ok(())
    };
    make.await
        .map_err(|error| workplace::failure("no directory for the outputs could be made", &error))
}
