//! The gateway that jobs come from in the end: it has sources, takes outputs, checks and keeps reports.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post, put},
};
use jiff::Timestamp;
use reelmill_shared::webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecrets};
use runpod_simulator::{Simulator, traffic::Route};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::Server;

pub(crate) const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A report as it came.
#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) body: Value,
    /// How many results the platform had by then.
    pub(crate) results: usize,
}

/// What the routes share.
#[derive(Clone)]
struct Desk {
    platform: Arc<Simulator>,
    reports: watch::Sender<Vec<Report>>,
    /// How often a source was asked for.
    fetched: Arc<AtomicUsize>,
    /// What progress is answered with.
    progress: Arc<AtomicU16>,
    /// Whether held sources come.
    released: watch::Sender<bool>,
    clip: Bytes,
}

/// The gateway.
pub(crate) struct Gateway {
    server: Server,
    desk: Desk,
}

impl Gateway {
    /// One that looks at `platform` whenever a report comes, and whose sources are `clip`.
    pub(crate) async fn start(platform: Arc<Simulator>, clip: Bytes) -> Self {
        let desk = Desk {
            platform,
            reports: watch::Sender::default(),
            fetched: Arc::default(),
            progress: Arc::new(AtomicU16::new(200)),
            released: watch::Sender::default(),
            clip,
        };
        let app = Router::new()
            .route("/source", get(source))
            .route("/held", get(held))
            .route("/outputs/{*path}", put(|_: Bytes| async { StatusCode::OK }))
            .route("/report", post(report))
            .route("/progress", post(progress))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(desk.clone());
        Self { server: Server::start(app).await, desk }
    }

    /// A job whose source is there.
    pub(crate) fn job(&self, attempt: u8) -> Value {
        self.job_of("/source", attempt, self.desk.clip.len())
    }

    /// A job whose source is held back until [`release`](Self::release).
    pub(crate) fn held_job(&self, attempt: u8) -> Value {
        self.job_of("/held", attempt, self.desk.clip.len().max(1))
    }

    /// A job of any source.
    pub(crate) fn job_of(&self, path: &str, attempt: u8, size: usize) -> Value {
        json!({"version": 1, "mediaId": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "attempt": attempt,
            "input": {"url": self.server.url(path), "size": size},
            "output": {"baseUrl": self.server.url("/outputs/")},
            "callback": {"reportUrl": self.server.url("/report"),
                "progressUrl": self.server.url("/progress"), "leaseSeconds": 60}})
    }

    /// Lets held sources come.
    pub(crate) fn release(&self) {
        self.desk.released.send_replace(true);
    }

    /// Answers progress with this status from now on.
    pub(crate) fn answer_progress(&self, status: u16) {
        self.desk.progress.store(status, Ordering::Relaxed);
    }

    /// How often a source was asked for.
    pub(crate) fn fetched(&self) -> usize {
        self.desk.fetched.load(Ordering::Relaxed)
    }

    /// The reports, once there are so many.
    pub(crate) async fn reports(&self, count: usize) -> Vec<Report> {
        let mut reports = self.desk.reports.subscribe();
        let enough = reports.wait_for(|reports| reports.len() >= count);
        enough.await.expect("the gateway is there").clone()
    }
}

async fn source(State(desk): State<Desk>) -> Bytes {
    desk.fetched.fetch_add(1, Ordering::Relaxed);
    desk.clip
}

async fn held(State(desk): State<Desk>) -> Bytes {
    desk.fetched.fetch_add(1, Ordering::Relaxed);
    let mut released = desk.released.subscribe();
    released.wait_for(|released| *released).await.expect("the gateway is there");
    desk.clip
}

async fn progress(State(desk): State<Desk>) -> StatusCode {
    StatusCode::from_u16(desk.progress.load(Ordering::Relaxed)).expect("a status")
}

async fn report(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name| headers[name].to_str().expect("ascii");
    let secrets = WebhookSecrets::parse(SECRET).expect("a secret");
    let (id, timestamp) = (header(ID_HEADER), header(TIMESTAMP_HEADER));
    let signature = header(SIGNATURE_HEADER);
    secrets.verify(id, timestamp, signature, &body, Timestamp::now()).expect("a good signature");
    let body = serde_json::from_slice(&body).expect("json");
    let results = desk.platform.look(|record| record.of(Route::Result).count());
    desk.reports.send_modify(|reports| reports.push(Report { body, results }));
    StatusCode::OK
}

/// Has FFmpeg make a second of video.
#[expect(clippy::disallowed_methods, reason = "a test makes its own clip")]
pub(crate) fn clip(directory: &Path) -> Bytes {
    let path = directory.join("clip.mp4");
    let args = "-v error -nostdin -f lavfi -i testsrc2=size=160x120:rate=25 -t 1 -preset ultrafast";
    let mut command = Command::new("ffmpeg");
    command.args(args.split_whitespace()).arg(&path);
    assert!(command.status().expect("ffmpeg is installed").success());
    std::fs::read(path).expect("made").into()
}
