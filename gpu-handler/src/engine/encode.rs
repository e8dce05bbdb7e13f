//! Makes all outputs of a job: on the GPU if there is one, and with less of it if it gives up.
//!
//! What a GPU takes is known only by trying: decoders lack profiles, drivers limit sessions, memory
//! is shared with others. So whatever FFmpeg fails of on the GPU is tried once again without the
//! engine that failed, and then in software, within the same attempt and its time; a source that is
//! damaged fails there once more, soon.

use std::{path::Path, sync::Arc};

use reelmill_shared::{
    job::{Failure, FailureCode, FellBack, JobSpec, Metrics, Outcome},
    plan::{Class, Decoder, Plan, Request},
    probe::{Limits, SourceInfo},
};
use tokio::time::Instant;

use super::{
    Engine, Notes,
    gear::Gear,
    source,
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

impl Engine {
    /// Makes all outputs of the job.
    pub(super) async fn encode(
        &self,
        mut job: Job<'_>,
        tracker: &Tracker,
        notes: &mut Notes,
    ) -> Result<Outcome, Failure> {
        let began = Instant::now();
        let wall = self.config.limits.wall;
        let mut gear = Gear::best(&self.host.hardware, &self.sessions, &job.info);
        let made = loop {
            let plan = self.plan(&job, &gear);
            self.describe(&plan, &gear, &mut notes.metrics);
            if self.config.gpu.required && !plan.video.is_empty() && !plan.uses_gpu() {
                return Err(Self::no_gpu(gear.fell_back));
            }
            let left = wall.saturating_sub(began.elapsed());
            match self.take(&job, &plan, left, tracker, notes).await {
                Err(Stopped::Tool { failure, publisher })
                    if plan.uses_gpu() && began.elapsed() < wall =>
                {
                    let trouble = notes.log.gpu_trouble();
                    if self.config.gpu.required && trouble.is_none() {
                        return Err(failure);
                    }
                    let reason = trouble.unwrap_or(FellBack::GpuFailed);
                    let said = notes.log.first_error();
                    tracing::warn!(%failure, ?reason, ?said, "the GPU gave up: again without it");
                    gear = gear.without(reason);
                    gear.take += u8::from(publisher.abandon().await);
                }
                made => break made,
            }
        };
        let Made { publisher, waveforms } = made?;
        self.check_decoder(&gear, notes);
        notes.metrics.encode_seconds = began.elapsed().as_secs_f64();
        notes.metrics.output_bytes = job.storage.bytes();
        // So far: `metadata.json` is written before the end, the report has the rest.
        notes.metrics.total_seconds = job.started.elapsed().as_secs_f64();
        Self::warn(&mut job.info, &gear, notes);
        // Its sessions are free for another job while this one's last outputs are stored.
        drop(gear);
        let finale = Finale { source: &job.info, waveforms: &waveforms, metrics: &notes.metrics };
        let Published { outputs, summary } = publisher.finish(finale).await?;
        notes.metrics.output_bytes = job.storage.bytes();
        Ok(Outcome::Completed { outputs, summary })
    }

    fn plan(&self, job: &Job<'_>, gear: &Gear) -> Plan {
        Plan::new(&Request {
            source: &job.info,
            pipeline: &job.spec.pipeline,
            hardware: &gear.hardware,
            preset: &self.config.x264_preset,
            input: &format!("file:../{}", source::NAME),
            max_seconds: Limits::default().seconds,
            take: gear.take,
        })
    }

    /// Notes what does the work, known even of a job that fails.
    fn describe(&self, plan: &Plan, gear: &Gear, metrics: &mut Metrics) {
        let device = if plan.uses_gpu() { &self.host.device } else { &self.host.cpu };
        metrics.device = Some(device.clone());
        metrics.decoder = plan.decoder.map(|decoder| decoder.name().to_owned());
        metrics.encoder = plan.encoder();
        metrics.fell_back = gear.fell_back;
    }

    /// Where frames come down at once, FFmpeg goes on by itself in software when NVDEC refuses.
    fn check_decoder(&self, gear: &Gear, notes: &mut Notes) {
        let nvdec = notes.metrics.decoder.as_deref() == Some(Decoder::Nvdec.name());
        if nvdec && notes.log.gpu_trouble() == Some(FellBack::DecoderRefused) {
            tracing::warn!(said = ?notes.log.first_error(), "NVDEC refused: decoded in software");
            notes.metrics.decoder = Some(Decoder::Software.name().to_owned());
            notes.metrics.fell_back = gear.fell_back.or(Some(FellBack::DecoderRefused));
            if notes.metrics.encoder.as_deref().is_some_and(|name| !name.contains("nvenc")) {
                notes.metrics.device = Some(self.host.cpu.clone());
            }
        }
    }

    fn no_gpu(fell_back: Option<FellBack>) -> Failure {
        let message = match fell_back {
            Some(FellBack::EncoderSessions) => "a GPU is demanded, but NVENC has no session free",
            Some(_) => "a GPU is demanded, but it gave up",
            None => "a GPU is demanded, but it can do nothing for this source",
        };
        Failure::new(FailureCode::NoGpu, message)
    }

    /// Adds what is imperfect about the result, or was not to be expected.
    fn warn(info: &mut SourceInfo, gear: &Gear, notes: &Notes) {
        let gave_up = gear.gave_up.then(|| match gear.hardware.class() {
            Class::None => "the GPU gave up: encoded in software",
            Class::Nvdec => "the GPU gave up in part: encoded in software",
            Class::Nvenc | Class::Full => "the GPU gave up in part: decoded in software",
        });
        let damaged = notes.log.tells_of_damage().then_some("parts of the source are damaged");
        // In CAF a length that is unknown, which is in order, looks no different.
        let incomplete = (notes.log.tells_of_missing_data() && info.format != "caf")
            .then_some("the source is incomplete: it lacks data that it announces");
        let warnings = [gave_up, damaged, incomplete].into_iter().flatten();
        info.warnings.extend(warnings.map(str::to_owned));
    }
}
