//! A job begins once the gateway has said that it is still wanted, and not before.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post, put},
};
use gpu_handler::{
    client::client,
    config::Config,
    engine::Engine,
    ffmpeg::Runner,
    host::Host,
    jobs::Admission,
    stop::Stop,
    tracker::Tracker,
    transport::desk::{Desk, Told},
};
use handler_harness::Server;
use reelmill_shared::job::{JobReport, Outcome};
use rstest::rstest;
use serde_json::{Value, json};

/// What progress is answered with, and everything that was asked for, in order.
type Shared = Arc<Mutex<(Vec<u16>, Vec<&'static str>)>>;

struct Gateway {
    server: Server,
    shared: Shared,
}

impl Gateway {
    /// Answers claims with `script`, then with its last status for ever.
    async fn start(script: &[u16]) -> Self {
        let shared = Arc::new(Mutex::new((script.to_vec(), Vec::new())));
        let note = |what: &'static str| {
            move |State(shared): State<Shared>| async move {
                shared.lock().expect("a lock").1.push(what);
            }
        };
        let app = Router::new()
            .route("/progress", post(progress))
            .route("/source", get(note("source")))
            .route("/outputs/{*path}", put(note("output")))
            .route("/report", post(note("report")))
            .with_state(shared.clone());
        Self { server: Server::start(app).await, shared }
    }

    fn job(&self, dispatch: u8, lease_seconds: u32) -> Value {
        let callback = |path: &str| self.server.url(&format!("{path}?dispatch={dispatch}"));
        json!({"version": 1, "mediaId": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "attempt": 1,
            "input": {"url": self.server.url("/source"), "size": 10},
            "output": {"baseUrl": self.server.url("/outputs/")},
            "callback": {"reportUrl": callback("/report"), "progressUrl": callback("/progress"),
                "leaseSeconds": lease_seconds}})
    }

    fn seen(&self) -> Vec<&'static str> {
        self.shared.lock().expect("a lock").1.clone()
    }
}

/// A heartbeat of a job that waits is taken, whatever is said to claims.
async fn progress(State(shared): State<Shared>, Json(progress): Json<Value>) -> StatusCode {
    let (script, seen) = &mut *shared.lock().expect("a lock");
    if progress["stage"] == "queued" {
        return StatusCode::OK;
    }
    let status = if script.len() > 1 { script.remove(0) } else { script[0] };
    seen.push(if status == 200 { "claimed" } else { "denied" });
    StatusCode::from_u16(status).expect("a status")
}

async fn desk() -> Desk {
    let lookup = |name: &str| {
        (name == "HANDLER_WEBHOOK_SECRET")
            .then(|| "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned())
    };
    let launcher = env!("CARGO_BIN_EXE_gpu-handler").into();
    let config = Config::read(&lookup, launcher).expect("a configuration");
    let host = Host::detect(&config, &Runner::new(config.tools.clone())).await;
    let client = client().expect("a client");
    Desk::new(Engine::new(config, host.expect("a working FFmpeg"), client, false))
}

async fn work(desk: &Desk, job: Value) -> (JobReport, Told) {
    let job = desk.read(job).expect("a job");
    let (media, attempt) = job.attempt();
    let id = format!("job-{}", job.dispatch());
    let (admission, _, stop): (_, _, Stop) = desk.admit(&id, &job, 1);
    assert_eq!(admission, Admission::New);
    desk.work(&id, &job, &stop, &Arc::new(Tracker::new(media, attempt))).await
}

fn failure(report: &JobReport) -> (&str, bool) {
    let Outcome::Failed { error } = &report.outcome else { panic!("{report:?}") };
    (error.code.as_str(), error.transient)
}

#[tokio::test]
async fn a_wanted_job_begins_after_its_claim_is_answered() {
    let gateway = Gateway::start(&[503, 401, 200]).await;
    let (report, told) = work(&desk().await, gateway.job(0, 60)).await;
    // The source has not the length that was promised: how it ends is not the point here.
    assert_eq!((failure(&report).0, told.taken()), ("source_mismatch", true));
    let seen = gateway.seen();
    let begun = seen.iter().position(|what| *what == "source").expect("it began");
    assert!(seen[..begun].contains(&"claimed"), "begun unasked: {seen:?}");
    assert_eq!(seen.last(), Some(&"report"));
}

#[tokio::test]
async fn a_job_that_nobody_wants_any_more_is_not_begun_and_not_reported() {
    let gateway = Gateway::start(&[409]).await;
    let desk = desk().await;
    let (report, told) = work(&desk, gateway.job(0, 60)).await;
    assert_eq!((failure(&report), told), (("cancelled", false), Told::Nobody));
    assert!(gateway.seen().iter().all(|what| *what == "denied"), "{:?}", gateway.seen());
    // Offered anew, the same attempt is another job here.
    let anew = Gateway::start(&[200]).await;
    work(&desk, anew.job(1, 60)).await;
    assert!(anew.seen().contains(&"source"));
}

#[rstest]
#[case::never_answered(503, 1)]
#[case::refused(404, 60)]
#[tokio::test]
async fn a_job_whose_claim_stays_open_fails_unbegun(#[case] status: u16, #[case] lease: u32) {
    let gateway = Gateway::start(&[status]).await;
    let (report, told) = work(&desk().await, gateway.job(0, lease)).await;
    assert_eq!((failure(&report), told.taken()), (("dispatch_failed", true), true));
    let seen = gateway.seen();
    assert!(!seen.contains(&"source") && !seen.contains(&"output"), "{seen:?}");
    assert_eq!(seen.last(), Some(&"report"));
}
