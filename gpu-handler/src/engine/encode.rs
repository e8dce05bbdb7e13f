//! Makes all outputs of a job: on the GPU if there is one, and in software if the GPU gives up.
//!
//! What a GPU takes is known only by trying: decoders lack profiles, drivers limit sessions, memory
//! is shared with others. So whatever FFmpeg fails of on the GPU is tried once again without it,
//! within the same attempt and its time; a source that is damaged fails there once more, soon.

use std::{path::Path, sync::Arc};

use reelmill_shared::{
    job::{Failure, JobSpec, Outcome},
    plan::Encoder,
    probe::SourceInfo,
};
use tokio::time::Instant;

use super::{
    Engine, Notes,
    take::{Made, Stopped},
};
use crate::{
    publish::{Finale, Published},
    storage::MeteredStorage,
    tracker::Tracker,
};

/// What is known when encoding begins.
pub(super) struct Job<'a> {
    pub spec: &'a JobSpec,
    pub info: SourceInfo,
    pub work: &'a Path,
    pub storage: Arc<MeteredStorage>,
    pub started: Instant,
}

/// What the work is done with.
pub(super) struct Gear {
    pub encoder: Encoder,
    /// Whether the GPU decodes and encodes.
    pub gpu: bool,
    /// Whether segments of other gear are published already.
    pub anew: bool,
}

impl Engine {
    /// Makes all outputs of the job.
    pub(super) async fn encode(
        &self,
        mut job: Job<'_>,
        tracker: &Tracker,
        notes: &mut Notes,
    ) -> Result<Outcome, Failure> {
        let began = Instant::now();
        let mut gear = self.gear(&job.info);
        let wall = self.config.limits.wall;
        let made = match self.take(&job, &gear, wall, tracker, notes).await {
            Err(Stopped::Tool { failure, publisher }) if gear.gpu && began.elapsed() < wall => {
                let said = notes.log.first_error();
                tracing::warn!(%failure, ?said, "the GPU gave up: once again in software");
                job.info.warnings.push("the GPU gave up: encoded in software".to_owned());
                gear = self.software(publisher.abandon().await);
                self.take(&job, &gear, wall.saturating_sub(began.elapsed()), tracker, notes).await
            }
            made => made,
        };
        let Made { publisher, waveforms } = made?;
        notes.metrics.encode_seconds = began.elapsed().as_secs_f64();
        notes.metrics.output_bytes = job.storage.bytes();
        // So far: `metadata.json` is written before the end, the report has the rest.
        notes.metrics.total_seconds = job.started.elapsed().as_secs_f64();
        if notes.log.tells_of_damage() {
            job.info.warnings.push("parts of the source are damaged".to_owned());
        }
        // In CAF a length that is unknown, which is in order, looks no different.
        if notes.log.tells_of_missing_data() && job.info.format != "caf" {
            let warning = "the source is incomplete: it lacks data that it announces";
            job.info.warnings.push(warning.to_owned());
        }
        let finale = Finale {
            source: &job.info,
            encoder: gear.encoder.name(),
            waveforms: &waveforms,
            metrics: &notes.metrics,
        };
        let Published { outputs, summary } = publisher.finish(finale).await?;
        notes.metrics.output_bytes = job.storage.bytes();
        Ok(Outcome::Completed { outputs, summary })
    }

    /// The best gear for a source. Without pictures there is nothing for a GPU to do.
    fn gear(&self, info: &SourceInfo) -> Gear {
        if self.host.gpu && info.video.is_some() {
            Gear { encoder: Encoder::Nvenc, gpu: true, anew: false }
        } else {
            self.software(false)
        }
    }

    fn software(&self, anew: bool) -> Gear {
        Gear { encoder: Encoder::X264(self.config.x264_preset.clone()), gpu: false, anew }
    }
}
