//! Brings a source from its own URL to the gateway.
//!
//! What the [`origin`] sends goes on as a tus [`upload`], one piece at a time: while a piece is being
//! stored the next one is being fetched, and a piece is kept until it is stored. So memory is two
//! pieces whatever the size, nothing touches the disk, and either side may break off. The origin is a
//! stranger: see [`guard`] for where it may have us connect to, and [`nature`] for what is let through.

pub mod guard;
mod nature;
pub mod origin;
mod upload;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backon::ExponentialBuilder;
use bytes::BytesMut;
use jiff::Timestamp;
use reelmill_shared::{
    job::{
        Failure, FailureCode, IngestSpec, JOB_VERSION, JobReport, Metrics, Outcome, Stage, Summary,
    },
    sniff::SNIFFED_BYTES,
};
use reqwest::Client;
use tokio::time::Instant;

use crate::{config::Config, engine::Done, stop::Stop, tracker::Tracker};

use guard::Guard;
use origin::{Expected, Origin};
use upload::Upload;

/// How a source is brought, and how patient with whom.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of one piece. The gateway stores parts of 8 MiB, so that a piece is a part.
    pub piece: usize,
    /// How long it may take in all.
    pub wall: Duration,
    /// Within this time a little has to arrive ([`origin::LEAST`]).
    pub idle: Duration,
    /// Waits after failures of one side; they begin anew when there was progress.
    pub backoff: ExponentialBuilder,
    /// Largest source that the handler could work on, in bytes.
    pub most: u64,
}

impl Options {
    /// What a configuration asks for.
    pub fn new(config: &Config) -> Self {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(8))
            .with_max_times(6)
            .with_jitter();
        Self {
            piece: 8 << 20,
            wall: config.limits.ingest,
            idle: Duration::from_secs(30),
            backoff,
            most: config.limits.source_bytes,
        }
    }
}

/// Brings sources.
#[derive(Debug, Clone)]
pub struct Ingester {
    client: Client,
    guard: Arc<Guard>,
    options: Options,
}

impl Ingester {
    /// Uploads with `client`, and fetches from where `guard` lets it.
    pub fn new(client: Client, guard: Guard, options: Options) -> Self {
        Self { client, guard: Arc::new(guard), options }
    }

    /// Whether the job is one that can be worked on.
    ///
    /// # Errors
    /// `unsupported_job`, and why.
    pub fn check(spec: &IngestSpec) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::new(FailureCode::UnsupportedJob, message));
        if spec.version != JOB_VERSION {
            return refuse(format!("version {}, known is {JOB_VERSION}", spec.version));
        }
        match spec.upload_url.scheme() {
            "http" | "https" => Ok(()),
            _ => refuse("uploadUrl must be an http(s) URL".to_owned()),
        }
    }

    /// Brings a source, until it is there, cannot be had or the job is stopped.
    pub async fn run(&self, spec: &IngestSpec, tracker: &Tracker, stop: &Stop) -> Done {
        let (started, began) = (Instant::now(), Timestamp::now());
        tracker.enter(Stage::Downloading);
        let work = async {
            let limited = tokio::time::timeout(self.options.wall, self.bring(spec, tracker));
            limited.await.unwrap_or_else(|_| Err(too_slow()))
        };
        let (outcome, source_sha256, input_bytes) = match stop.or(work).await {
            Ok((sha256, bytes)) => {
                let (outputs, summary) = (BTreeMap::new(), Summary::default());
                (Outcome::Completed { outputs, summary }, Some(sha256), bytes)
            }
            Err(error) => (Outcome::Failed { error }, None, 0),
        };
        let seconds = started.elapsed().as_secs_f64();
        let metrics = Metrics {
            started_at: Some(began),
            total_seconds: seconds,
            fetch_seconds: seconds,
            input_bytes,
            ..Metrics::default()
        };
        let (media_id, attempt) = (spec.media_id, spec.attempt);
        let report = JobReport { media_id, attempt, outcome, source_sha256, metrics };
        Done { report, log: String::new(), peak_memory: 0 }
    }

    /// Gives the SHA-256 of the source and its size.
    async fn bring(&self, spec: &IngestSpec, tracker: &Tracker) -> Result<(String, u64), Failure> {
        let expected = Expected { size: spec.size, most: spec.max_bytes.min(self.options.most) };
        let mut origin =
            Origin::new(self.guard.clone(), spec.source_url.clone(), expected, self.options);
        let mut piece = BytesMut::new();
        // Before anything is stored it has to look like media.
        fill(&mut origin, &mut piece, SNIFFED_BYTES, tracker).await?;
        nature::check(&piece[..piece.len().min(SNIFFED_BYTES)])?;
        let (length, backoff) = (origin.total(), self.options.backoff);
        let mut upload = Upload::create(&self.client, &spec.upload_url, length, backoff).await?;
        fill(&mut origin, &mut piece, self.options.piece, tracker).await?;
        // Less than a piece is there only when the origin has ended.
        while piece.len() >= self.options.piece {
            let ready = piece.split_to(self.options.piece).freeze();
            let fetching = fill(&mut origin, &mut piece, self.options.piece, tracker);
            tokio::try_join!(upload.send(ready, None), fetching)?;
        }
        // Now, if not before, it is known how much that is.
        tracker.downloaded(origin.reached(), origin.total());
        upload.send(piece.freeze(), Some(origin.reached())).await?;
        Ok((origin.sha256(), origin.reached()))
    }
}

/// Fetches until `piece` has `length` bytes or a little more, or the origin has ended.
async fn fill(
    origin: &mut Origin,
    piece: &mut BytesMut,
    length: usize,
    tracker: &Tracker,
) -> Result<(), Failure> {
    while piece.len() < length
        && let Some(chunk) = origin.next().await?
    {
        piece.extend_from_slice(&chunk);
        tracker.downloaded(origin.reached(), origin.total());
    }
    Ok(())
}

fn too_slow() -> Failure {
    Failure::new(FailureCode::SourceTimedOut, "the source did not arrive within the time for it")
}
