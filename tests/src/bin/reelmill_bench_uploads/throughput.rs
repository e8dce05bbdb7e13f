//! The gateway's tus route beside @tus/server and beside the least that a Worker can do.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use e2e::{
    api::Api,
    plain_worker::PlainWorker,
    process::{Process, command},
    settings,
    stack::Stack,
    stand_in::StandIn,
    wait::until,
};
use reqwest::{Client, StatusCode, header::CONTENT_LENGTH};
use serde_json::{Value, json};

use crate::{
    processes::Workerd,
    source::Source,
    tus::{Server, expect},
};

const MIB: u64 = 1 << 20;
/// As the Worker of `plain/` cuts them.
const PLAIN_PART: u64 = 8 * MIB;

/// How the bytes come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Bytes a request.
    pub(crate) chunk: u64,
    /// Bytes a second, if the network is slow.
    pub(crate) pace: Option<u64>,
}

/// All of them.
pub(crate) const MANNERS: [Manner; 4] = [
    Manner { name: "8 MiB a PATCH", chunk: 8 * MIB, pace: None },
    Manner { name: "64 MiB a PATCH", chunk: 64 * MIB, pace: None },
    Manner { name: "one PATCH", chunk: u64::MAX, pace: None },
    Manner { name: "one PATCH over 200 Mbit/s", chunk: u64::MAX, pace: Some(25_000_000) },
];

/// Seconds that one upload took, each way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Round {
    /// @tus/server with its file store.
    pub(crate) file_store: f64,
    /// The gateway under `wrangler dev`.
    pub(crate) ours: f64,
    /// The same, past wrangler's proxy.
    pub(crate) direct: f64,
    /// The plain Worker under `wrangler dev`.
    pub(crate) plain: f64,
}

/// The simulator of R2: as wrangler brings it, or with the loop of `simulator.cjs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Simulator {
    /// As wrangler brings it.
    Own,
    /// With a quicker loop over the bytes.
    Quick,
}

/// The systems that are compared, running.
pub(crate) struct Systems {
    client: Client,
    api: Api,
    ours: Server,
    direct: Server,
    plain: PlainWorker,
    file_store: Server,
    _stack: Stack,
    _handler: StandIn,
    _tus_server: Process,
    _data: tempfile::TempDir,
}

impl Systems {
    /// Starts all of them.
    pub(crate) async fn start(simulator: Simulator) -> Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/reelmill_bench_uploads");
        let preload = format!("--require {}", sources.join("simulator.cjs").display());
        let environment: &[_] = match simulator {
            Simulator::Own => &[],
            Simulator::Quick => &[("NODE_OPTIONS", preload.as_str())],
        };
        let handler = StandIn::start().await?;
        let stack = Stack::temporary(|options| {
            let options = options.stand_in(&handler.url);
            environment.iter().fold(options, |options, (name, value)| options.wrangler(name, value))
        })
        .await?;
        let workerd = Workerd::find(stack.gateway_id(), stack.port()).await?;
        let server = |url: &str| Server {
            url: format!("{url}/api/uploads"),
            key: Some(stack.secrets.api_key.clone()),
        };
        let data = tempfile::Builder::new().prefix("reelmill-plain-").tempdir()?;
        let config = sources.join("plain/wrangler.toml");
        let plain = PlainWorker::start(&config, data.path(), environment).await?;
        let (tus_server, url) = start_tus_server(data.path()).await?;
        Ok(Self {
            client: Client::new(),
            api: stack.api(),
            ours: server(&stack.url()),
            direct: server(&workerd.url),
            plain,
            file_store: Server { url, key: None },
            _stack: stack,
            _handler: handler,
            _tus_server: tus_server,
            _data: data,
        })
    }

    /// Uploads a source each way; each round begins with another one.
    pub(crate) async fn round(
        &self,
        number: usize,
        source: Source,
        manner: Manner,
    ) -> Result<Round> {
        let mut round = Round::default();
        for turn in 0..4 {
            match (number + turn) % 4 {
                0 => round.file_store = self.file_store(source, manner).await?,
                1 => round.ours = self.gateway(&self.ours, source, manner).await?,
                2 => round.direct = self.gateway(&self.direct, source, manner).await?,
                _ => round.plain = self.plain(source, manner).await?,
            }
        }
        Ok(round)
    }

    async fn file_store(&self, source: Source, manner: Manner) -> Result<f64> {
        let start = Instant::now();
        let server = &self.file_store;
        let uploaded = server.upload(&self.client, source, manner.chunk, manner.pace).await?;
        let taken = start.elapsed().as_secs_f64();
        let delete = self.client.delete(uploaded.url).header("tus-resumable", "1.0.0");
        expect(delete.send().await?, StatusCode::NO_CONTENT).await?;
        Ok(taken)
    }

    async fn gateway(&self, server: &Server, source: Source, manner: Manner) -> Result<f64> {
        let start = Instant::now();
        let uploaded = server.upload(&self.client, source, manner.chunk, manner.pace).await?;
        let taken = start.elapsed().as_secs_f64();
        let media = uploaded.media.context("no media")?;
        self.api.delete(&format!("/api/media/{media}")).await?.expect(204)?;
        Ok(taken)
    }

    async fn plain(&self, source: Source, manner: Manner) -> Result<f64> {
        let start = Instant::now();
        let (client, url) = (&self.client, &self.plain.url);
        let id = client.post(url).send().await?.error_for_status()?.text().await?;
        let (mut at, mut parts) = (0, Vec::<Value>::new());
        while at < source.size {
            let first = at / PLAIN_PART + 1;
            let size = manner.chunk.min(source.size - at);
            let patch = client
                .patch(format!("{url}/?id={id}&part={first}"))
                .header(CONTENT_LENGTH, size)
                .body(source.body(at, size, manner.pace));
            let sent: Vec<Value> = patch.send().await?.error_for_status()?.json().await?;
            parts.extend(sent);
            at += size;
        }
        let put = client.put(format!("{url}/?id={id}")).json(&json!(parts));
        expect(put.send().await?, StatusCode::NO_CONTENT).await?;
        Ok(start.elapsed().as_secs_f64())
    }
}

async fn start_tus_server(data: &Path) -> Result<(Process, String)> {
    let files = data.join("files");
    std::fs::create_dir_all(&files)?;
    let mut node = command(settings::root().join("gateway-worker/node_modules/.bin/node"));
    node.arg(settings::root().join("tests/uploads/tus-server.mjs")).arg(files);
    let process = Process::start(node, data.join("tus-server.log"))?;
    let url = until("@tus/server listens", Duration::from_secs(30), async || {
        let output = process.output();
        let line = output.lines().find_map(|line| line.strip_prefix("listening on "));
        Ok(line.map(str::to_owned))
    })
    .await
    .with_context(|| process.output())?;
    Ok((process, url))
}
