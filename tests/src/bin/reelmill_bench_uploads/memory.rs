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
use e2e::{
    process::{Process, command},
    settings,
    stack::Stack,
    stand_in::StandIn,
    wait::until,
};
use futures_util::{StreamExt, future::try_join_all};
use reqwest::Client;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    processes::Workerd,
    source::{Source, hex},
    tus::Server,
};

const MIB: u64 = 1 << 20;
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long workerd's inspector may take to answer.
const INSPECTOR: Duration = Duration::from_secs(20);

/// Memory in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident set of the process just before.
    pub(crate) before: u64,
    /// The most of it in the first half of the time.
    pub(crate) first_half: u64,
    /// The most of it in the second half.
    pub(crate) second_half: u64,
    /// The most that the gateway's isolate had in JavaScript's heap, garbage included.
    pub(crate) heap: u64,
    /// The most that it had in buffers, its WebAssembly memory included.
    pub(crate) buffers: u64,
    /// Bytes uploaded.
    pub(crate) bytes: u64,
    /// Seconds.
    pub(crate) taken: f64,
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

    /// Creates uploads, then sends the bytes of all of them at once, each in one request, and checks
    /// what is stored. Returns the memory of both steps.
    pub(crate) async fn all(&self, sources: &[Source]) -> Result<[Memory; 2]> {
        let created = sources.iter().map(|source| self.server.create(&self.client, *source));
        let (uploads, created) = self.watch(0, try_join_all(created)).await?;
        let sent = uploads.iter().zip(sources);
        let sent = sent.map(|(upload, source)| upload.send(&self.client, *source, u64::MAX, None));
        let bytes = sources.iter().map(|source| source.size).sum();
        let (_, sent) = self.watch(bytes, try_join_all(sent)).await?;
        for (source, upload) in sources.iter().zip(uploads) {
            self.check(*source, &upload.media.context("no media")?).await?;
        }
        Ok([created, sent])
    }

    /// Watches the memory while something is done that takes in so many bytes.
    async fn watch<T>(
        &self,
        bytes: u64,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(T, Memory)> {
        let mut node = command(settings::root().join("gateway-worker/node_modules/.bin/node"));
        node.arg(settings::root().join("tests/uploads/heap.mjs")).arg(&self.workerd.inspector);
        let isolate = Process::start(node, self.stack.data().join("logs/heap.log"))?;
        let health = format!("{}/health", self.stack.url());
        until("the isolate tells its memory", INSPECTOR, async || {
            // An idle isolate answers to nobody.
            self.client.get(&health).send().await?;
            Ok(isolate.output().contains('\n').then_some(()))
        })
        .await?;
        let before = self.workerd.resident()?;
        let done = Arc::new(AtomicBool::new(false));
        let watching = {
            let (done, workerd) = (Arc::clone(&done), self.workerd.clone());
            thread::spawn(move || watch(&workerd, &done))
        };
        let start = Instant::now();
        let outcome = work.await;
        let taken = start.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        let samples = watching.join().expect("watching does not panic")?;
        let most = |samples: &[u64]| samples.iter().copied().max().unwrap_or(before);
        let (first, second) = samples.split_at(samples.len() / 2);
        let lines = isolate.output();
        let lines: Vec<Value> =
            lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let peak = |what| lines.iter().filter_map(|line| line[what].as_u64()).max();
        let memory = Memory {
            before,
            first_half: most(first),
            second_half: most(second),
            heap: peak("heap").context("no heap")?,
            buffers: peak("buffers").context("no buffers")?,
            bytes,
            taken,
        };
        Ok((outcome?, memory))
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
