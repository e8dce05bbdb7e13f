//! One job from its source to its report: fetch → probe → plan → FFmpeg → publish.
//!
//! The engine knows no transport: it is given a job, a place to tell its progress and a way to be
//! stopped, and gives a report whatever happens. Each job has a directory of its own, which is gone
//! when the job is over.

mod encode;
mod gear;
mod probe;
mod source;
mod take;
mod transcode;

use std::{path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use reelmill_shared::job::{
    Callback, Failure, FailureCode, JOB_VERSION, JobReport, JobSpec, Metrics, Outcome, Stage,
};
use reqwest::Client;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    config::Config,
    ffmpeg::{Log, Runner},
    host::Host,
    reporter::Reporter,
    s3::{self, S3},
    stop::Stop,
    storage::{self, MeteredStorage, Storage},
    tracker::Tracker,
    workplace,
};

/// How long a job that is over waits for uploads that it has given up.
const SETTLING: Duration = Duration::from_secs(10);

/// Works on jobs.
#[derive(Debug)]
pub struct Engine {
    config: Arc<Config>,
    host: Host,
    sessions: gear::Sessions,
    runner: Runner,
    client: Client,
    s3: Option<S3>,
    local_files: bool,
}

/// A job that is over.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub report: JobReport,
    /// What FFmpeg wrote to stderr.
    pub log: String,
    /// FFmpeg's largest resident memory, in bytes; 0 if it was not started.
    pub peak_memory: u64,
}

/// What is known of a job even when it is stopped half-way.
#[derive(Debug, Default)]
struct Notes {
    metrics: Metrics,
    /// Of the source, where the job does not know it.
    source_sha256: Option<String>,
    log: Log,
    peak_memory: u64,
}

impl Engine {
    /// An engine for this machine. With `local_files`, jobs may name `file:` URLs: only for jobs
    /// that the machine's own user hands in.
    pub fn new(config: Config, host: Host, client: Client, local_files: bool) -> Self {
        let runner = Runner::new(config.tools.clone());
        let sessions = gear::Sessions::new(host.hardware.sessions);
        Self { config: Arc::new(config), host, sessions, runner, client, s3: None, local_files }
    }

    /// The same, taking jobs that name the buckets of `s3`.
    #[must_use]
    pub fn with_s3(self, s3: Option<S3>) -> Self {
        Self { s3, ..self }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it speaks to gateways with.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// What its machine can do.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Who a job reports to, if it says so and there are secrets to sign with.
    pub fn reporter(&self, callback: Option<&Callback>) -> Option<Reporter> {
        let callback = callback?.clone();
        let secrets = self.config.webhook_secrets.clone()?;
        Some(Reporter::new(self.client.clone(), secrets, callback))
    }

    /// Whether the job is one that this engine takes.
    ///
    /// # Errors
    /// `unsupported_job`, and why.
    pub fn check(&self, spec: &JobSpec) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::new(FailureCode::UnsupportedJob, message));
        if spec.version != JOB_VERSION {
            return refuse(format!("version {}, known is {JOB_VERSION}", spec.version));
        }
        match spec.input.url.scheme() {
            "http" | "https" => {}
            "file" if self.local_files => {}
            "s3" => drop(s3::access(self.s3.as_ref())?.object(&spec.input.url)?),
            _ => return refuse("input.url must be an http(s) or s3: URL".to_owned()),
        }
        self.check_callback(spec.callback.as_ref())?;
        self.storage(spec).map(drop)
    }

    /// Whether a job's callback can be served.
    ///
    /// # Errors
    /// `unsupported_job`, where there is nothing to sign reports with.
    pub fn check_callback(&self, callback: Option<&Callback>) -> Result<(), Failure> {
        if callback.is_some() && self.config.webhook_secrets.is_none() {
            let message = "the job asks for reports, but HANDLER_WEBHOOK_SECRET is not set";
            return Err(Failure::new(FailureCode::UnsupportedJob, message));
        }
        Ok(())
    }

    /// Works on a job until it is done, has failed or is stopped.
    pub async fn run(&self, spec: &JobSpec, tracker: &Tracker, stop: &Stop) -> Done {
        let started = Instant::now();
        let mut notes = Notes::default();
        notes.metrics.started_at = Some(Timestamp::now());
        notes.metrics.input_bytes = spec.input.size;
        let outcome = match self.prepare(spec) {
            Ok((work, storage)) => {
                let place = (work.path(), storage.clone());
                let attempt = self.attempt(spec, place, started, tracker, &mut notes);
                let outcome = stop.or(attempt).await;
                if tokio::time::timeout(SETTLING, storage.settle()).await.is_err() {
                    tracing::warn!("uploads that are not wanted any more still go on");
                }
                workplace::clear(work).await;
                outcome
            }
            Err(failure) => Err(failure),
        };
        notes.metrics.total_seconds = started.elapsed().as_secs_f64();
        let report = JobReport {
            media_id: spec.media_id,
            attempt: spec.attempt,
            outcome: outcome.unwrap_or_else(|error| Outcome::Failed { error }),
            source_sha256: notes.source_sha256,
            metrics: notes.metrics,
        };
        Done { report, log: notes.log.text(), peak_memory: notes.peak_memory }
    }

    /// The directory that a job works in, and the place that its outputs go to.
    fn prepare(&self, spec: &JobSpec) -> Result<(TempDir, Arc<MeteredStorage>), Failure> {
        self.check(spec)?;
        let most = self.config.limits.output_bytes;
        let storage = Arc::new(MeteredStorage::new(self.storage(spec)?, most));
        Ok((workplace::make(&self.config.work_dir)?, storage))
    }

    fn storage(&self, spec: &JobSpec) -> Result<Box<dyn Storage>, Failure> {
        let s3 = self.s3.as_ref();
        storage::open(&spec.output.base_url, self.local_files, &self.client, s3)
    }

    async fn attempt(
        &self,
        spec: &JobSpec,
        (work, storage): (&Path, Arc<MeteredStorage>),
        started: Instant,
        tracker: &Tracker,
        notes: &mut Notes,
    ) -> Result<Outcome, Failure> {
        tracker.enter(Stage::Fetching);
        let sha256 = self.bring_source(&spec.input, work, tracker).await?;
        notes.source_sha256 = sha256.filter(|_| spec.input.sha256.is_none());
        notes.metrics.fetch_seconds = started.elapsed().as_secs_f64();
        tracker.enter(Stage::Probing);
        let info = self.probe(work).await?;
        let job = encode::Job { spec, info, work, storage, started };
        self.encode(job, tracker, notes).await
    }
}
