//! Progress and reports against a gateway that checks signatures and is sometimes away.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use gpu_handler::{
    client::client,
    reporter::{Delivery, Reporter},
    stop::{Reason, Stop},
    tracker::Tracker,
};
use handler_harness::Server;
use jiff::Timestamp;
use reelmill_shared::{
    job::{Callback, Failure, FailureCode, JobReport, Metrics, Outcome, Stage},
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecrets},
};
use rstest::rstest;
use tokio::sync::mpsc;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[derive(Clone)]
struct Gateway {
    /// The statuses to answer with, then 200 for ever.
    script: Arc<Mutex<Vec<u16>>>,
    received: mpsc::UnboundedSender<(String, serde_json::Value)>,
}

async fn take(State(gateway): State<Gateway>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name| headers[name].to_str().expect("ascii");
    WebhookSecrets::parse(SECRET)
        .expect("a secret")
        .verify(
            header(ID_HEADER),
            header(TIMESTAMP_HEADER),
            header(SIGNATURE_HEADER),
            &body,
            Timestamp::now(),
        )
        .expect("a good signature");
    let json = serde_json::from_slice(&body).expect("json");
    gateway.received.send((header(ID_HEADER).to_owned(), json)).expect("the test listens");
    let mut script = gateway.script.lock().expect("a lock");
    let status = if script.is_empty() { 200 } else { script.remove(0) };
    StatusCode::from_u16(status).expect("a status")
}

type Received = mpsc::UnboundedReceiver<(String, serde_json::Value)>;

async fn gateway(script: &[u16]) -> (Server, Reporter, Received) {
    let (received, receiver) = mpsc::unbounded_channel();
    let state = Gateway { script: Arc::new(Mutex::new(script.to_vec())), received };
    let server = Server::start(Router::new().route("/", post(take)).with_state(state)).await;
    let callback =
        Callback { report_url: server.url("/"), progress_url: server.url("/"), lease_seconds: 60 };
    let secrets = WebhookSecrets::parse(SECRET).expect("a secret");
    let reporter = Reporter::new(client().expect("a client"), secrets, callback)
        .with_pace(Duration::from_millis(5));
    (server, reporter, receiver)
}

fn tracker() -> Tracker {
    Tracker::new("med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id"), 1)
}

fn report() -> JobReport {
    JobReport {
        media_id: "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id"),
        attempt: 1,
        outcome: Outcome::Failed { error: Failure::new(FailureCode::CorruptMedia, "damaged") },
        source_sha256: None,
        metrics: Metrics::default(),
    }
}

#[tokio::test]
async fn a_report_is_repeated_as_the_same_message_until_it_is_taken() {
    let (_server, reporter, mut received) = gateway(&[500, 401, 503]).await;
    let delivery = reporter.report(&report(), Duration::from_secs(60)).await;
    assert_eq!(delivery, Delivery::Taken);
    let (first, body) = received.recv().await.expect("a message");
    assert_eq!(body["error"]["code"], "corrupt_media");
    for _ in 0..3 {
        assert_eq!(received.recv().await.expect("a message").0, first);
    }
    assert!(received.try_recv().is_err());
}

#[rstest]
#[case(409, Delivery::Stale)]
#[case(404, Delivery::Refused(404))]
#[tokio::test]
async fn a_report_that_nobody_wants_is_not_repeated(
    #[case] status: u16,
    #[case] delivery: Delivery,
) {
    let (_server, reporter, mut received) = gateway(&[status]).await;
    assert_eq!(reporter.report(&report(), Duration::from_secs(60)).await, delivery);
    received.recv().await.expect("a message");
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn a_report_is_given_up_in_the_end() {
    let (server, reporter, _received) = gateway(&[]).await;
    drop(server);
    assert_eq!(reporter.report(&report(), Duration::ZERO).await, Delivery::Failed);
}

#[tokio::test]
async fn progress_goes_out_at_once_and_when_it_changes_and_survives_errors() {
    let (_server, reporter, mut received) = gateway(&[500]).await;
    let (tracker, stop) = (tracker(), Stop::default());
    let heartbeat = reporter.heartbeat(tracker.subscribe(), &stop);
    let test = async {
        let (first, body) = received.recv().await.expect("a message");
        assert_eq!(body["stage"], "queued");
        // The refused one is said again, as a message of its own.
        let (second, body) = received.recv().await.expect("a message");
        assert_eq!(body["stage"], "queued");
        assert_ne!(first, second);
        tracker.enter(Stage::Encoding);
        tracker.playable();
        loop {
            let (_, body) = received.recv().await.expect("a message");
            if body["playable"] == true {
                assert_eq!(body["stage"], "encoding");
                break;
            }
        }
    };
    tokio::select! {
        () = heartbeat => panic!("the heartbeat ended"),
        () = test => {}
    }
    assert_eq!(stop.reason(), None);
}

#[tokio::test]
async fn a_stale_attempt_stops_the_job() {
    let (_server, reporter, _received) = gateway(&[409]).await;
    let stop = Stop::default();
    reporter.heartbeat(tracker().subscribe(), &stop).await;
    assert_eq!(stop.reason(), Some(Reason::Stale));
}
