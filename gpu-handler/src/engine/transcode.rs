//! Runs FFmpeg on a plan to its end: progress goes to the tracker, sound becomes waveforms.

use std::{ffi::OsString, path::Path, time::Duration};

use reelmill_shared::{
    job::{Failure, FailureCode},
    plan::{Pcm, Plan},
    waveform::{Reducer, Waveform, ZOOMS},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::watch,
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Engine, Notes, source};
use crate::{
    ffmpeg::{Pulse, Run, Tick},
    sandbox::{Limits, Profile},
    tracker::Tracker,
};

/// Largest single file that FFmpeg may write: a segment is a few megabytes, a WebVTT file less.
const MAX_FILE: u64 = 512 << 20;

impl Engine {
    /// Runs FFmpeg to its end and makes the waveforms of what it says on the side.
    pub(super) async fn transcode(
        &self,
        plan: &Plan,
        run: Run<'_>,
        tracker: &Tracker,
        notes: &mut Notes,
    ) -> Result<Vec<Waveform>, Failure> {
        let args: Vec<OsString> = plan.args.iter().map(OsString::from).collect();
        let mut encoding = self.runner.start(&args, run)?;
        let pcm = encoding.take_pcm();
        let waveforms = AbortOnDropHandle::new(tokio::spawn(reduce(pcm, plan.pcm)));
        let progress = relay(encoding.progress(), plan.duration, tracker);
        let finished = tokio::select! {
            finished = encoding.finish(run.wall, self.config.limits.stall) => finished,
            () = progress => unreachable!("the relay of progress does not end"),
        };
        // All takes together.
        notes.metrics.cpu_seconds += finished.cpu.as_secs_f64();
        notes.peak_memory = notes.peak_memory.max(finished.peak_memory);
        notes.log = finished.log;
        finished.result?;
        waveforms
            .await
            .map_err(|_| Failure::new(FailureCode::Internal, "the waveform could not be made"))
    }

    /// What FFmpeg may reach: it reads the source and writes its own directory.
    pub(super) fn profile(&self, work: &Path, out: &Path, gpu: bool) -> Profile {
        let limits = self.config.limits;
        Profile {
            gpu,
            read: vec![work.join(source::NAME)],
            write: vec![out.to_owned()],
            limits: Limits {
                cpu_seconds: limits.cpu_seconds,
                // CUDA maps more than it uses.
                memory_bytes: (!gpu).then_some(limits.memory_bytes),
                file_bytes: MAX_FILE,
                open_files: 1024,
            },
        }
    }
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
