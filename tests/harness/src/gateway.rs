//! The gateway that jobs come from in the end: it has sources, takes outputs, checks and keeps reports.

mod rules;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    routing::{get, post, put},
};
use jiff::Timestamp;
use reelmill_shared::webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecrets};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{PATIENCE, Server};
use rules::Rules;

/// What handlers sign their reports with.
pub const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// The media of all jobs.
const MEDIA: &str = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";

/// A report as it came, well signed.
#[derive(Debug, Clone)]
pub struct Report {
    /// What it says.
    pub body: Value,
    /// What the platform had of results by then, if anybody counts.
    pub results: usize,
}

/// All that has come.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Messages of progress.
    pub progress: Vec<Value>,
    /// Reports that were taken.
    pub reports: Vec<Report>,
    /// How many reports were refused, as [`Gateway::answer`] had it.
    pub refused: usize,
    /// How often a source was asked for.
    pub fetched: usize,
    /// Outputs that were stored, in order: `{attempt}/{path}`.
    pub stored: Vec<String>,
}

impl Record {
    /// Whether a job has told that it is in a stage.
    pub fn is_in(&self, stage: &str) -> bool {
        self.progress.last().is_some_and(|progress| progress["stage"] == stage)
    }

    /// How often an output was stored, of whichever attempt.
    pub fn stored(&self, path: &str) -> usize {
        self.stored
            .iter()
            .filter(|stored| stored.split_once('/').is_some_and(|s| s.1 == path))
            .count()
    }
}

/// Counts what the platform has of results.
type Counter = Arc<dyn Fn() -> usize + Send + Sync>;

/// What the routes share.
#[derive(Clone)]
struct Desk {
    record: watch::Sender<Record>,
    rules: watch::Sender<Rules>,
    results: Counter,
    source: Bytes,
}

/// The gateway.
pub struct Gateway {
    server: Server,
    desk: Desk,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gateway").field(&*self.desk.record.borrow()).finish()
    }
}

impl Gateway {
    /// One whose sources are all `source`.
    pub async fn start(source: Bytes) -> Self {
        Self::counting(source, || 0).await
    }

    /// One that also notes with each report how many `results` the platform has by then.
    pub async fn counting(
        source: Bytes,
        results: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Self {
        let desk = Desk {
            record: watch::Sender::default(),
            rules: watch::Sender::default(),
            results: Arc::new(results),
            source,
        };
        let app = Router::new()
            .route("/source", get(give))
            .route("/held", get(give))
            .route("/outputs/{*path}", put(store))
            .route("/report", post(report))
            .route("/progress", post(progress))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(desk.clone());
        Self { server: Server::start(app).await, desk }
    }

    /// A job whose source is there.
    pub fn job(&self, attempt: u8) -> Value {
        self.job_of("/source", attempt, self.desk.source.len())
    }

    /// A job whose source is held back until [`release`](Self::release).
    pub fn held_job(&self, attempt: u8) -> Value {
        self.job_of("/held", attempt, self.desk.source.len().max(1))
    }

    /// A job of any source.
    pub fn job_of(&self, path: &str, attempt: u8, size: usize) -> Value {
        json!({"version": 1, "mediaId": MEDIA, "attempt": attempt,
            "input": {"url": self.server.url(path), "size": size},
            "output": {"baseUrl": self.server.url(&format!("/outputs/{attempt}/"))},
            "callback": {"reportUrl": self.server.url("/report"),
                "progressUrl": self.server.url("/progress"), "leaseSeconds": 60}})
    }

    /// Holds requests back whose path ends like this, until [`release`](Self::release).
    pub fn hold(&self, path: &'static str) {
        self.desk.rules.send_modify(|rules| rules.hold(path));
    }

    /// Lets everything go on that is held back, and holds nothing back any more.
    pub fn release(&self) {
        self.desk.rules.send_modify(Rules::release);
    }

    /// Answers requests whose path begins like this with a status, and does nothing else of them;
    /// 200 lets them be again.
    pub fn answer(&self, path: &'static str, status: u16) {
        let status = StatusCode::from_u16(status).expect("a status");
        self.desk.rules.send_modify(|rules| rules.answer(path, status));
    }

    /// Answers progress with this status from now on.
    pub fn answer_progress(&self, status: u16) {
        self.answer("/progress", status);
    }

    /// How often a source was asked for.
    pub fn fetched(&self) -> usize {
        self.desk.record.borrow().fetched
    }

    /// All that has come so far.
    pub fn record(&self) -> Record {
        self.desk.record.borrow().clone()
    }

    /// Waits until something has happened.
    ///
    /// # Panics
    /// When it has not within a minute; with all that has come instead.
    pub async fn until(&self, what: &str, happened: impl Fn(&Record) -> bool) -> Record {
        let mut record = self.desk.record.subscribe();
        let found =
            tokio::time::timeout(PATIENCE, record.wait_for(|record| happened(record))).await;
        match found {
            Ok(record) => record.expect("the gateway is there").clone(),
            Err(_) => panic!("never {what}: {self:#?}"),
        }
    }

    /// The reports, once there are so many.
    pub async fn reports(&self, count: usize) -> Vec<Report> {
        let record = self.until("reported", |record| record.reports.len() >= count).await;
        record.reports
    }
}

impl Desk {
    /// Holds a request back for as long as it has to be; then, what it is to be answered.
    async fn pass(&self, uri: &Uri) -> Result<(), StatusCode> {
        let mut rules = self.rules.subscribe();
        let rules = rules.wait_for(|rules| !rules.holds(uri.path())).await;
        rules.expect("the gateway is there").verdict(uri.path())
    }

    fn note(&self, note: impl FnOnce(&mut Record)) {
        self.record.send_modify(note);
    }
}

async fn give(State(desk): State<Desk>, uri: Uri) -> Result<Bytes, StatusCode> {
    desk.note(|record| record.fetched += 1);
    desk.pass(&uri).await?;
    Ok(desk.source)
}

/// The body is read first, as of an upload that has arrived and of which nobody has heard yet.
async fn store(
    State(desk): State<Desk>,
    uri: Uri,
    Path(path): Path<String>,
    _: Bytes,
) -> Result<(), StatusCode> {
    desk.pass(&uri).await?;
    desk.note(|record| record.stored.push(path));
    Ok(())
}

async fn progress(State(desk): State<Desk>, uri: Uri, body: Bytes) -> Result<(), StatusCode> {
    let body = serde_json::from_slice(&body).expect("json");
    desk.note(|record| record.progress.push(body));
    desk.pass(&uri).await
}

async fn report(
    State(desk): State<Desk>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(), StatusCode> {
    let header = |name| headers[name].to_str().expect("ascii");
    let secrets = WebhookSecrets::parse(SECRET).expect("a secret");
    let (id, timestamp) = (header(ID_HEADER), header(TIMESTAMP_HEADER));
    let signature = header(SIGNATURE_HEADER);
    secrets.verify(id, timestamp, signature, &body, Timestamp::now()).expect("a good signature");
    if let Err(status) = desk.pass(&uri).await {
        desk.note(|record| record.refused += 1);
        return Err(status);
    }
    let body = serde_json::from_slice(&body).expect("json");
    let results = (desk.results)();
    desk.note(|record| record.reports.push(Report { body, results }));
    Ok(())
}
