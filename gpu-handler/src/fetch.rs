//! Downloads a source: several ranges at a time, each resumed where it broke off, in constant memory.
//!
//! All ranges carry `If-Match`, so that they are of one object. The checksum is computed while the
//! download goes on, over what lies gapless at the front.

mod checksum;
mod http;
mod s3;
mod source;
mod window;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backon::ExponentialBuilder;
use futures::{StreamExt, TryStreamExt, stream};
use reelmill_shared::job::{Failure, FailureCode, Input};
use tokio_util::task::AbortOnDropHandle;

use crate::workplace;
use checksum::Checksum;
use source::Origin;
use window::Window;

/// Where a source is taken from.
pub struct Source(Arc<dyn Origin>);

impl Source {
    fn origin(origin: impl Origin + 'static) -> Self {
        Self(Arc::new(origin))
    }
}

/// How a download is divided and how patient it is.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of one request.
    pub window: u64,
    /// Requests at the same time.
    pub parallel: usize,
    /// Waits after failures of one range; they begin anew when the range got further.
    pub backoff: ExponentialBuilder,
}

impl Default for Options {
    fn default() -> Self {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(8))
            .with_max_times(6)
            .with_jitter();
        Self { window: 8 << 20, parallel: 4, backoff }
    }
}

/// Downloads `input` from `source` into a new file at `target` and gives its SHA-256, lower-case
/// hexadecimal; `progress` is told the share that is there.
///
/// # Errors
/// `fetch_failed` when the source cannot be had in spite of retries, `source_mismatch` when it is
/// gone or not the one that `input` describes, `cancelled` when nobody waits for the attempt,
/// `no_space` or `internal` when it cannot be written.
pub async fn fetch(
    source: Source,
    input: &Input,
    target: &Path,
    options: Options,
    progress: &(dyn Fn(f32) + Sync),
) -> Result<String, Failure> {
    let file = tokio::fs::File::create_new(target).await.map_err(|error| unwritable(&error))?;
    workplace::reserve(file, input.size).await.map_err(|error| unwritable(&error))?;
    let done = Arc::new(AtomicU64::new(0));
    let checksum = Checksum::start(target);
    let starts = (0..input.size).step_by(usize::try_from(options.window).unwrap_or(usize::MAX));
    let mut windows = stream::iter(starts)
        .map(|start| {
            let window = Window {
                origin: source.0.clone(),
                start,
                end: input.size.min(start + options.window),
                done: done.clone(),
            };
            let path = target.to_owned();
            // A task each, so that none stands still while the one before it is written.
            let task = tokio::spawn(async move { window.fetch(&path, options.backoff).await });
            let mut task = AbortOnDropHandle::new(task);
            async move { (&mut task).await.unwrap_or_else(|_| Err(crashed())) }
        })
        .buffered(options.parallel);
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            window = windows.try_next() => match window? {
                Some(end) => checksum.reached(end),
                None => break,
            },
            _ = ticks.tick() => {
                progress(done.load(Ordering::Relaxed) as f32 / input.size.max(1) as f32);
            }
        }
    }
    checksum.finish(input.sha256.as_deref()).await
}

fn unwritable(error: &std::io::Error) -> Failure {
    workplace::failure("the source could not be kept on the handler's disk", error)
}

fn crashed() -> Failure {
    Failure::new(FailureCode::Internal, "the download ended unexpectedly")
}
