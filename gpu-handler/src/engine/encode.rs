//! Encodes a source in one FFmpeg, and publishes what comes out while it comes.

use std::{
    ffi::OsString,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reelmill_shared::{
    job::{Failure, FailureCode, JobSpec, Outcome, Stage},
    plan::{Encoder, Pcm, Plan, Request},
    probe::{Limits as MediaLimits, SourceInfo},
    waveform::{Reducer, Waveform, ZOOMS},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Engine, Notes, source};
use crate::{
    ffmpeg::{Pulse, Run, Tick},
    publish::{Finale, Published, Publisher},
    sandbox::{Limits, Profile},
    storage::MeteredStorage,
    tracker::Tracker,
};

/// Where FFmpeg runs and writes, below the job's directory.
const OUT: &str = "out";
/// Largest single file that FFmpeg may write: a segment is a few megabytes, a WebVTT file less.
const MAX_FILE: u64 = 512 << 20;

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
        let encoder = self.encoder();
        let plan = Plan::new(&Request {
            source: &job.info,
            pipeline: &job.spec.pipeline,
            encoder: &encoder,
            nvdec: self.host.gpu,
            input: &format!("file:../{}", source::NAME),
            max_seconds: MediaLimits::default().seconds,
        });
        let out = job.work.join(OUT);
        make_directories(&out, &plan).await?;
        tracker.enter(Stage::Encoding);
        let mut publisher = Publisher::new(plan.clone(), out.clone(), job.storage.clone());
        let playable_at = OnceLock::new();
        let playable = || {
            let _ = playable_at.set(job.started.elapsed().as_secs_f64());
            tracker.playable();
        };
        let (end, ended) = oneshot::channel();
        // Whichever fails first takes the other with it: dropped, FFmpeg is killed.
        let transcode = async {
            let waveforms = self.transcode(&plan, job.work, &out, tracker, notes).await?;
            tracker.enter(Stage::Publishing);
            let _ = end.send(());
            Ok(waveforms)
        };
        let over = async {
            if ended.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let (waveforms, ()) = tokio::try_join!(transcode, publisher.watch(over, playable))?;
        notes.metrics.encode_seconds = began.elapsed().as_secs_f64();
        notes.metrics.playable_seconds = playable_at.into_inner();
        notes.metrics.output_bytes = job.storage.bytes();
        // So far: `metadata.json` is written before the end, the report has the rest.
        notes.metrics.total_seconds = job.started.elapsed().as_secs_f64();
        if notes.log.tells_of_damage() {
            job.info.warnings.push("parts of the source are damaged".to_owned());
        }
        let finale = Finale {
            source: &job.info,
            encoder: encoder.name(),
            waveforms: &waveforms,
            metrics: &notes.metrics,
        };
        let Published { outputs, summary } = publisher.finish(finale).await?;
        notes.metrics.output_bytes = job.storage.bytes();
        Ok(Outcome::Completed { outputs, summary })
    }

    /// Runs FFmpeg to its end and makes the waveforms of what it says on the side.
    async fn transcode(
        &self,
        plan: &Plan,
        work: &Path,
        out: &Path,
        tracker: &Tracker,
        notes: &mut Notes,
    ) -> Result<Vec<Waveform>, Failure> {
        let limits = self.config.limits;
        let profile = self.profile(work, out);
        let run = Run { dir: out, profile: &profile, wall: limits.wall, max_output: 0 };
        let args: Vec<OsString> = plan.args.iter().map(OsString::from).collect();
        let mut encoding = self.runner.start(&args, run)?;
        let pcm = encoding.take_pcm();
        let waveforms = AbortOnDropHandle::new(tokio::spawn(reduce(pcm, plan.pcm)));
        let progress = relay(encoding.progress(), plan.duration, tracker);
        let finished = tokio::select! {
            finished = encoding.finish(limits.wall, limits.stall) => finished,
            () = progress => unreachable!("the relay of progress does not end"),
        };
        notes.metrics.cpu_seconds = finished.cpu.as_secs_f64();
        notes.peak_memory = finished.peak_memory;
        notes.log = finished.log;
        finished.result?;
        waveforms
            .await
            .map_err(|_| Failure::new(FailureCode::Internal, "the waveform could not be made"))
    }

    /// What FFmpeg may reach: it reads the source and writes its own directory.
    fn profile(&self, work: &Path, out: &Path) -> Profile {
        let limits = self.config.limits;
        Profile {
            required: false,
            gpu: self.host.gpu,
            read: vec![work.join(source::NAME)],
            write: vec![out.to_owned()],
            limits: Limits {
                cpu_seconds: limits.cpu_seconds,
                // CUDA maps more than it uses.
                memory_bytes: (!self.host.gpu).then_some(limits.memory_bytes),
                file_bytes: MAX_FILE,
                open_files: 1024,
            },
        }
    }

    fn encoder(&self) -> Encoder {
        if self.host.gpu { Encoder::Nvenc } else { Encoder::X264(self.config.x264_preset.clone()) }
    }
}

async fn make_directories(out: &Path, plan: &Plan) -> Result<(), Failure> {
    for directory in &plan.directories {
        tokio::fs::create_dir_all(out.join(directory)).await.map_err(|error| {
            let message = format!("no directory for the outputs could be made ({})", error.kind());
            Failure::new(FailureCode::Internal, message)
        })?;
    }
    Ok(())
}

/// Tells the tracker what FFmpeg tells, for ever.
async fn relay(mut ticks: watch::Receiver<Tick>, duration: Option<f64>, tracker: &Tracker) {
    let began = Instant::now();
    while ticks.changed().await.is_ok() {
        let tick = *ticks.borrow_and_update();
        let made = tick.out_time.as_secs_f64();
        // Without a known duration there is no share, but life all the same.
        let share = duration.filter(|seconds| *seconds > 0.0).map_or(0.0, |all| made / all);
        let speed = tick.speed.unwrap_or((made / began.elapsed().as_secs_f64().max(0.1)) as f32);
        tracker.encoded(share as f32, Some(speed));
    }
    std::future::pending().await
}

/// Reads PCM as it comes and keeps nothing of it but the waveforms.
async fn reduce(
    source: Option<(impl AsyncRead + Unpin, Pulse)>,
    pcm: Option<Pcm>,
) -> Vec<Waveform> {
    let (Some((mut source, pulse)), Some(pcm)) = (source, pcm) else { return Vec::new() };
    let bytes_per_second = f64::from(pcm.sample_rate) * f64::from(pcm.channels) * 2.0;
    let mut bytes = 0.0;
    let mut reducer = Reducer::new(pcm.sample_rate, pcm.channels as usize, &ZOOMS);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = source.read(&mut buffer).await {
        reducer.push(&buffer[..count]);
        bytes += count as f64;
        pulse.reached(Duration::from_secs_f64(bytes / bytes_per_second.max(1.0)));
    }
    reducer.finish()
}
