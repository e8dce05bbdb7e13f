//! The whole system: the real gateway in workerd, the real handler, real FFmpeg.
//!
//! Each test starts a system of its own over an empty directory. Where a test has to decide what
//! the handler does and when, a stand-in plays it.

mod accounts;
mod bad_input;
mod cli;
mod crashes;
mod direct;
mod dispatch;
mod ingest;
mod inline;
mod interrupted;
mod limits;
mod main_job;
mod playback;
mod real_media;
mod reports;
mod runpod;
mod start;
mod tus;
mod uploads;
mod webhooks;

use std::time::Duration;

use anyhow::Result;
use e2e::{
    stack::{Options, Stack},
    stand_in::{Job, Signing, StandIn},
};
use reelmill_shared::job::OutputRole;

/// Longer than any of the clips takes to encode on a busy machine.
const ENCODE: Duration = Duration::from_secs(120);
/// Longer than the gateway takes for anything that needs no FFmpeg.
const SOON: Duration = Duration::from_secs(20);

/// A gateway whose handler is played by the test.
async fn with_stand_in(configure: impl FnOnce(Options) -> Options) -> Result<(Stack, StandIn)> {
    let stand_in = StandIn::start().await?;
    let stack = Stack::temporary(|options| configure(options.stand_in(&stand_in.url))).await?;
    Ok((stack, stand_in))
}

/// What [`publish`] stores, and how long `hls/v360/000000.m4s` is.
const SEGMENT: usize = 100_000;

/// Bytes that differ from place to place, so that a wrong range shows.
fn segment() -> Vec<u8> {
    (0..SEGMENT).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Plays a handler that makes a small set of outputs and reports it.
async fn publish(stack: &Stack, job: &Job) -> Result<()> {
    let signing = Signing::now(&stack.secrets.webhook_secret);
    job.send_progress(&job.progress(1.0, false), &signing).await?.expect(200)?;
    job.put("hls/main.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv360/index.m3u8\n")
        .await?
        .expect(200)?;
    job.put("hls/v360/index.m3u8", "#EXTM3U\n").await?.expect(200)?;
    job.put("hls/v360/000000.m4s", segment()).await?.expect(200)?;
    job.put("poster.jpg", "not really a picture").await?.expect(200)?;
    let report =
        job.completed(&[(OutputRole::Hls, "hls/main.m3u8"), (OutputRole::Poster, "poster.jpg")]);
    job.send_report(&report, &signing).await?.expect(200)?;
    Ok(())
}
