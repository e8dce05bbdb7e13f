//! Plays the handler where a test wants to decide what it does and when.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use jiff::Timestamp;
use reelmill_shared::{
    id::MediaId,
    job::{Failure, JobReport, JobSpec, Metrics, Outcome, OutputRole, Progress, Stage, Summary},
    webhook::{self, WebhookSecrets},
};
use reqwest::header::CONTENT_LENGTH;
use serde_json::{Value, json};
use tokio::{sync::Notify, time::timeout};

use crate::{api::Answer, wait::until};

#[derive(Default)]
struct Desk {
    jobs: Vec<JobSpec>,
    cancelled: Vec<String>,
    refusing: bool,
    state: &'static str,
}

/// The desk, and the news that a job was put on it.
type Shared = (Arc<Mutex<Desk>>, Arc<Notify>);

/// A server that takes jobs and does nothing with them. It stops listening when it is dropped.
pub struct StandIn {
    /// Its base URL.
    pub url: String,
    desk: Arc<Mutex<Desk>>,
    given: Arc<Notify>,
    server: tokio::task::JoinHandle<()>,
}

impl StandIn {
    /// Listens on a free port.
    pub async fn start() -> Result<Self> {
        let desk = Arc::new(Mutex::new(Desk { state: "IN_PROGRESS", ..Desk::default() }));
        let given = Arc::new(Notify::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new()
            .route("/v2/{endpoint}/run", post(take))
            .route("/v2/{endpoint}/status/{id}", get(status))
            .route("/v2/{endpoint}/cancel/{id}", post(cancel))
            .route("/v2/{endpoint}/health", get(health))
            .with_state((desk.clone(), given.clone()));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("axum serves until it is dropped");
        });
        Ok(Self { url, desk, given, server })
    }

    /// Waits for the `count`-th job, from 1.
    pub async fn job(&self, count: usize) -> Result<Job> {
        let spec = until("the handler is given a job", Duration::from_secs(20), async || {
            Ok(lock(&self.desk).jobs.get(count - 1).cloned())
        })
        .await?;
        Ok(Job::new(spec))
    }

    /// Waits for the first job of a media.
    pub async fn job_of(&self, media: MediaId) -> Result<JobSpec> {
        let found = async {
            loop {
                let given = self.given.notified();
                let job = lock(&self.desk).jobs.iter().find(|job| job.media_id == media).cloned();
                match job {
                    Some(job) => return job,
                    None => given.await,
                }
            }
        };
        timeout(Duration::from_secs(60), found).await.context("the media's job did not come")
    }

    /// How many jobs were given so far.
    pub fn jobs(&self) -> usize {
        lock(&self.desk).jobs.len()
    }

    /// The jobs that were cancelled.
    pub fn cancelled(&self) -> Vec<String> {
        lock(&self.desk).cancelled.clone()
    }

    /// From now on jobs are refused for good (400), or taken again.
    pub fn refuse(&self, refusing: bool) {
        lock(&self.desk).refusing = refusing;
    }

    /// What is said of every job from now on: `IN_QUEUE`, `IN_PROGRESS`, `FAILED`…
    pub fn say(&self, state: &'static str) {
        lock(&self.desk).state = state;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State((desk, given)): State<Shared>,
    Json(mut body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut desk = lock(&desk);
    let spec = serde_json::from_value::<JobSpec>(body["input"].take());
    match spec {
        Ok(spec) if !desk.refusing => {
            let id = format!("job-{}-{}", spec.media_id, spec.attempt);
            // A gateway that did not hear our answer asks again: the same job, once.
            if !desk.jobs.contains(&spec) {
                desk.jobs.push(spec);
                given.notify_waiters();
            }
            (StatusCode::OK, Json(json!({ "id": id, "status": "IN_QUEUE" })))
        }
        _ => (StatusCode::BAD_REQUEST, Json(json!({ "error": "refused" }))),
    }
}

async fn status(
    State((desk, _)): State<Shared>,
    Path((_, id)): Path<(String, String)>,
) -> Json<Value> {
    Json(json!({ "id": id, "status": lock(&desk).state }))
}

async fn cancel(
    State((desk, _)): State<Shared>,
    Path((_, id)): Path<(String, String)>,
) -> Json<Value> {
    lock(&desk).cancelled.push(id.clone());
    Json(json!({ "id": id, "status": "CANCELLED" }))
}

async fn health() -> Json<Value> {
    Json(json!({ "jobs": {}, "workers": { "idle": 1 } }))
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().expect("nothing panics while it holds the lock")
}

/// A job that the gateway gave, and everything its handler may do.
#[derive(Debug, Clone)]
pub struct Job {
    /// The job itself.
    pub spec: JobSpec,
    http: reqwest::Client,
}

/// How a message to the gateway is signed.
#[derive(Debug, Clone)]
pub struct Signing<'a> {
    /// `whsec_…`.
    pub secret: &'a str,
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub at: Timestamp,
}

impl<'a> Signing<'a> {
    /// Properly, now.
    pub fn now(secret: &'a str) -> Self {
        Self { secret, id: "msg_e2e", at: Timestamp::now() }
    }
}

impl Job {
    /// A job that came another way than to a [`StandIn`].
    pub fn new(spec: JobSpec) -> Self {
        Self { spec, http: reqwest::Client::new() }
    }

    /// Stores one output.
    pub async fn put(&self, path: &str, body: impl Into<bytes::Bytes>) -> Result<Answer> {
        let body = body.into();
        let url = self.spec.output.base_url.join(path)?;
        let request = self.http.put(url).header(CONTENT_LENGTH, body.len()).body(body);
        Answer::of(request.send().await?).await
    }

    /// A sign of life at `percent`.
    pub fn progress(&self, percent: f32, playable: bool) -> Progress {
        Progress {
            media_id: self.spec.media_id,
            attempt: self.spec.attempt,
            stage: Stage::Encoding,
            percent,
            speed: Some(2.0),
            eta_seconds: Some(10.0),
            bytes: None,
            playable,
        }
    }

    /// The report of a job that made these outputs.
    pub fn completed(&self, outputs: &[(OutputRole, &str)]) -> JobReport {
        let outputs = outputs
            .iter()
            .map(|(role, path)| (*role, path.parse().expect("tests name valid outputs")))
            .collect();
        self.report(Outcome::Completed { outputs, summary: Summary::default() })
    }

    /// The report of a job that failed.
    pub fn failed(&self, error: Failure) -> JobReport {
        self.report(Outcome::Failed { error })
    }

    fn report(&self, outcome: Outcome) -> JobReport {
        JobReport {
            media_id: self.spec.media_id,
            attempt: self.spec.attempt,
            outcome,
            source_sha256: None,
            metrics: Metrics::default(),
        }
    }

    /// Sends a sign of life.
    pub async fn send_progress(
        &self,
        progress: &Progress,
        signing: &Signing<'_>,
    ) -> Result<Answer> {
        let callback = self.spec.callback.as_ref().context("the job has no callback")?;
        self.send(callback.progress_url.as_str(), &serde_json::to_vec(progress)?, signing).await
    }

    /// Sends a report.
    pub async fn send_report(&self, report: &JobReport, signing: &Signing<'_>) -> Result<Answer> {
        let callback = self.spec.callback.as_ref().context("the job has no callback")?;
        self.send(callback.report_url.as_str(), &serde_json::to_vec(report)?, signing).await
    }

    /// Sends a body, signed.
    pub async fn send(&self, url: &str, body: &[u8], signing: &Signing<'_>) -> Result<Answer> {
        let secrets = WebhookSecrets::parse(signing.secret)?;
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header(webhook::ID_HEADER, signing.id)
            .header(webhook::TIMESTAMP_HEADER, signing.at.as_second())
            .header(webhook::SIGNATURE_HEADER, secrets.sign(signing.id, signing.at, body))
            .body(body.to_vec());
        Answer::of(request.send().await?).await
    }
}
