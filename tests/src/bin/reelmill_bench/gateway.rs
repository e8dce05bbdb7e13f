//! The gateway's comparison: a signed segment, and the same object from a plain Worker, in turn.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use e2e::{
    plain_worker::PlainWorker,
    stack::Stack,
    stand_in::{Signing, StandIn},
};
use reelmill_shared::job::OutputRole;
use reqwest::Client;

/// Four seconds of the 720p rendition at its cap.
pub(crate) const SEGMENT: usize = 1_250_000;
const WARM_UP: usize = 50;

/// Milliseconds of every request, in the order of their making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    /// Reelmill's gateway, signed.
    pub(crate) gateway: Vec<f64>,
    /// The plain Worker, unsigned.
    pub(crate) plain: Vec<f64>,
}

/// Fetches one object from both, in turn.
pub(crate) async fn compare(requests: usize) -> Result<Latencies> {
    let bytes: Vec<u8> = (0..SEGMENT).map(|at| (at * 31 + at / 253) as u8).collect();
    let handler = StandIn::start().await?;
    let stack = Stack::temporary(|options| options.stand_in(&handler.url)).await?;
    let signed = publish(&stack, &handler, &bytes).await?;

    let data = tempfile::Builder::new().prefix("reelmill-plain-").tempdir()?;
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/reelmill_bench/plain/wrangler.toml");
    let plain = PlainWorker::start(&config, data.path(), &[]).await?;
    let client = Client::new();
    let unsigned = format!("{}/segment.m4s", plain.url);
    let stored = client.put(&unsigned).body(bytes).send().await?;
    ensure!(stored.status().is_success(), "the plain Worker stores nothing: {}", stored.status());

    let mut latencies = Latencies::default();
    for number in 0..WARM_UP + requests {
        let pair = [fetch(&client, &signed).await?, fetch(&client, &unsigned).await?];
        if number >= WARM_UP {
            latencies.gateway.push(pair[0]);
            latencies.plain.push(pair[1]);
        }
    }
    Ok(latencies)
}

async fn fetch(client: &Client, url: &str) -> Result<f64> {
    let start = Instant::now();
    let response = client.get(url).send().await?.error_for_status()?;
    let length = response.bytes().await?.len();
    ensure!(length == SEGMENT, "{length} bytes of {SEGMENT}");
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

async fn publish(stack: &Stack, handler: &StandIn, bytes: &[u8]) -> Result<String> {
    let api = stack.api();
    let id = api.upload("bench.mp4", "a source").await?;
    let job = handler.job(1).await?;
    job.put("hls/main.m3u8", "#EXTM3U\n").await?.expect(200)?;
    job.put("hls/v720/000000.m4s", bytes.to_vec()).await?.expect(200)?;
    let report = job.completed(&[(OutputRole::Hls, "hls/main.m3u8")]);
    let signing = Signing::now(&stack.secrets.webhook_secret);
    job.send_report(&report, &signing).await?.expect(200)?;
    let playback = api.playback(&id).await?;
    let token = playback["token"].as_str().context("a token")?;
    Ok(format!("{}/play/{token}/hls/v720/000000.m4s", stack.url()))
}
