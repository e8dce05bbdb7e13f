//! What memory the gateway's workerd takes while bytes come in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{stack::Stack, stand_in::StandIn};
use futures_util::{StreamExt, future::try_join_all};
use reqwest::Client;
use sha2::{Digest, Sha256};

use crate::{
    processes::Workerd,
    source::{Source, hex},
    tus::Server,
};

const MIB: u64 = 1 << 20;
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Resident set sizes in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Just before.
    pub(crate) before: u64,
    /// The most in the first half of the time.
    pub(crate) first_half: u64,
    /// The most in the second half.
    pub(crate) second_half: u64,
    /// Bytes uploaded.
    pub(crate) bytes: u64,
    /// Seconds.
    pub(crate) taken: f64,
}

impl Memory {
    /// How much more it was than before, at most.
    pub(crate) fn growth(&self) -> u64 {
        self.first_half.max(self.second_half).saturating_sub(self.before)
    }
}

/// A gateway whose memory is watched.
pub(crate) struct Watched {
    client: Client,
    server: Server,
    workerd: Workerd,
    stack: Stack,
    handler: StandIn,
}

impl Watched {
    /// Starts it, and lets one upload through so that what is needed once is there.
    pub(crate) async fn start() -> Result<Self> {
        let handler = StandIn::start().await?;
        let stack = Stack::temporary(|options| options.stand_in(&handler.url)).await?;
        let workerd = Workerd::find(stack.gateway_id(), stack.port()).await?;
        let url = format!("{}/api/uploads", stack.url());
        let server = Server { url, key: Some(stack.secrets.api_key.clone()) };
        // Two hundred at once take turns: a connection may stand still for longer than the default.
        let client = Client::builder().tcp_user_timeout(None).build()?;
        let watched = Self { client, server, workerd, stack, handler };
        watched.all(&[Source { seed: 1, size: 64 * MIB }]).await?;
        Ok(watched)
    }

    /// Uploads all sources at once, each in one request, and checks what is stored of them.
    pub(crate) async fn all(&self, sources: &[Source]) -> Result<Memory> {
        let before = self.workerd.resident()?;
        let done = Arc::new(AtomicBool::new(false));
        let watching = {
            let (done, workerd) = (Arc::clone(&done), self.workerd.clone());
            thread::spawn(move || watch(&workerd, &done))
        };
        let start = Instant::now();
        let uploads =
            sources.iter().map(|source| self.server.upload(&self.client, *source, u64::MAX, None));
        let uploaded = try_join_all(uploads).await;
        let taken = start.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        let samples = watching.join().expect("watching does not panic")?;
        for (source, uploaded) in sources.iter().zip(uploaded?) {
            self.check(*source, &uploaded.media.context("no media")?).await?;
        }
        let most = |samples: &[u64]| samples.iter().copied().max().unwrap_or(before);
        let (first, second) = samples.split_at(samples.len() / 2);
        Ok(Memory {
            before,
            first_half: most(first),
            second_half: most(second),
            bytes: sources.iter().map(|source| source.size).sum(),
            taken,
        })
    }

    /// What the handler reads is what was sent. The media is deleted.
    async fn check(&self, source: Source, media: &str) -> Result<()> {
        let input = self.handler.job_of(media.parse()?).await?.input;
        let mut hash = Sha256::new();
        let mut size = 0;
        let answer = self.client.get(input.url).send().await?.error_for_status()?;
        let mut stream = answer.bytes_stream();
        while let Some(bytes) = stream.next().await.transpose()? {
            size += bytes.len() as u64;
            hash.update(bytes);
        }
        let expected = source.sha256();
        ensure!(size == source.size && hex(hash) == expected, "{media} is not what was sent");
        ensure!(input.sha256.as_ref() == Some(&expected), "{media}: SHA-256 {:?}", input.sha256);
        self.stack.api().delete(&format!("/api/media/{media}")).await?.expect(204)?;
        Ok(())
    }
}

fn watch(workerd: &Workerd, done: &AtomicBool) -> Result<Vec<u64>> {
    let mut samples = Vec::new();
    while !done.load(Ordering::Relaxed) {
        samples.push(workerd.resident()?);
        thread::sleep(INTERVAL);
    }
    Ok(samples)
}
