//! The simulator itself, at the wire: what it promises to enforce, it enforces.

use std::{collections::BTreeMap, time::Duration};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use reqwest::{Client, Method};
use rstest::rstest;
use runpod_simulator::{Options, Simulator, faults::Fault, ledger::State, traffic::Route};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

struct Bench {
    platform: Simulator,
    client: Client,
}

impl Bench {
    async fn new() -> Self {
        let options = Options {
            hold: Duration::from_millis(50),
            webhook_waits: [Duration::from_millis(1); 2],
            // However slow the machine is.
            window: Duration::from_secs(3600),
            ..Options::default()
        };
        let platform = Simulator::start(options).await.expect("a free port");
        Self { platform, client: Client::builder().no_proxy().build().expect("a client") }
    }

    /// A client's request.
    async fn client(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.call(method, path, "Bearer the-clients-key", &body.to_string(), &[]).await
    }

    /// A worker's request.
    async fn worker(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, "the-workers-key", "", &[]).await
    }

    /// A worker's result.
    async fn done(&self, id: &str, body: &str) -> u16 {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("charset", "utf-8"),
            ("x-request-id", id),
        ];
        let path = format!("/job-done/w/{id}?isStream=false");
        self.call(Method::POST, &path, "the-workers-key", body, &headers).await.0
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.platform.api());
        let mut request = self.client.request(method, url).header("authorization", key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body.to_owned()).send().await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn run(&self, body: Value) -> String {
        let (status, body) = self.client(Method::POST, "/run", body).await;
        assert_eq!((status, &body["status"]), (200, &json!("IN_QUEUE")));
        body["id"].as_str().expect("an id").to_owned()
    }

    async fn state(&self, id: &str) -> Value {
        self.client(Method::GET, &format!("/status/{id}"), Value::Null).await.1["status"].clone()
    }
}

#[tokio::test]
async fn a_job_goes_from_client_to_worker_and_back() {
    let bench = Bench::new().await;
    let id = bench.run(json!({"input": {"a": 1}, "webhook": "http://127.0.0.1:1/"})).await;
    let (status, job) = bench.worker("/job-take/w?job_in_progress=0").await;
    assert_eq!((status, &job["id"], &job["input"]), (200, &json!(id), &json!({"a": 1})));
    assert_eq!(job["webhook"], "http://127.0.0.1:1/");
    assert_eq!(bench.state(&id).await, "IN_PROGRESS");
    let (_, health) = bench.client(Method::GET, "/health", Value::Null).await;
    assert_eq!((&health["jobs"]["inProgress"], &health["jobs"]["inQueue"]), (&json!(1), &json!(0)));
    assert_eq!(bench.done(&id, r#"{"status": "IN_PROGRESS", "output": 5}"#).await, 200);
    assert_eq!(bench.done(&id, r#"{"output": {"b": 2}}"#).await, 200);
    let (_, status) = bench.client(Method::GET, &format!("/status/{id}"), Value::Null).await;
    assert_eq!((&status["status"], &status["output"]), (&json!("COMPLETED"), &json!({"b": 2})));
    assert!(status["delayTime"].is_u64() && status["executionTime"].is_u64());
    bench.platform.check();
}

#[tokio::test]
async fn what_is_taken_back_is_told_and_wants_no_result() {
    let bench = Bench::new().await;
    let id = bench.run(json!({"input": {}})).await;
    bench.worker("/job-take/w?job_in_progress=0").await;
    assert_eq!(bench.worker("/job-stop/w").await.0, 204);
    let (_, body) = bench.client(Method::POST, &format!("/cancel/{id}"), Value::Null).await;
    assert_eq!(body["status"], "CANCELLED");
    assert_eq!(bench.worker("/job-stop/w").await, (200, json!({"jobsToStop": [id]})));
    bench.platform.check();
    bench.done(&id, r#"{"output": 1}"#).await;
    assert_eq!(bench.platform.look(|record| record.violations.len()), 1);
    assert_eq!(bench.state(&id).await, "CANCELLED");
}

#[tokio::test]
async fn an_error_that_is_no_text_completes_a_job() {
    let bench = Bench::new().await;
    let id = bench.run(json!({"input": {}})).await;
    bench.worker("/job-take/w?job_in_progress=0").await;
    bench.done(&id, r#"{"error": {"code": "no"}, "output": null}"#).await;
    assert_eq!(bench.state(&id).await, "COMPLETED");
    assert_eq!(bench.platform.look(|record| record.violations.len()), 1);
}

#[tokio::test]
async fn a_failed_job_can_be_retried_and_a_completed_one_cannot() {
    let bench = Bench::new().await;
    let id = bench.run(json!({"input": {}})).await;
    let retry = format!("/retry/{id}");
    for (body, again) in [(r#"{"error": "no"}"#, 200), (r#"{"output": 1}"#, 400)] {
        assert_eq!(bench.worker("/job-take/w?job_in_progress=0").await.0, 200);
        bench.done(&id, body).await;
        assert_eq!(bench.client(Method::POST, &retry, Value::Null).await.0, again);
    }
    let (_, health) = bench.client(Method::GET, "/health", Value::Null).await;
    assert_eq!(health["jobs"]["retried"], 1);
    assert_eq!(bench.client(Method::POST, "/retry/x", Value::Null).await.0, 404);
}

/// By the clock: the one deletes the job, the other takes it back.
#[tokio::test]
async fn times_are_kept() {
    let bench = Bench::new().await;
    let soon =
        runpod_simulator::ledger::Policy { ttl: Duration::from_millis(1), ..Default::default() };
    let gone = bench.platform.run_with(json!({}), soon);
    bench.platform.until("gone", |record| record.ledger.get(&gone).is_none()).await;
    let (status, _) = bench.client(Method::GET, &format!("/status/{gone}"), Value::Null).await;
    assert_eq!(status, 404);
    assert_eq!(bench.done(&gone, r#"{"output": 1}"#).await, 404);
    let late = bench.platform.run_with(
        json!({}),
        runpod_simulator::ledger::Policy {
            execution: Duration::from_millis(1),
            ..Default::default()
        },
    );
    bench.worker("/job-take/w?job_in_progress=0").await;
    bench.platform.until("late", |record| record.is(&late, State::TimedOut)).await;
    assert_eq!(bench.worker("/job-stop/w").await, (200, json!({"jobsToStop": [late]})));
}

#[rstest]
#[case::no_input(json!({}), 400)]
#[case::a_text(json!({"input": "x"}), 400)]
#[case::too_hasty(json!({"input": {}, "policy": {"executionTimeout": 5000}}), 400)]
#[case::too_patient(json!({"input": {}, "policy": {"executionTimeout": 604_800_001}}), 400)]
#[case::forgotten_at_once(json!({"input": {}, "policy": {"ttl": 9999}}), 400)]
#[case::never_forgotten(json!({"input": {}, "policy": {"ttl": 604_800_001}}), 400)]
#[case::half_a_priority(json!({"input": {}, "policy": {"lowPriority": 0.5}}), 400)]
#[case::no_webhook(json!({"input": {}, "webhook": "nowhere"}), 400)]
#[case::too_large(json!({"input": {"x": "x".repeat(10 << 20)}}), 413)]
#[tokio::test]
async fn a_request_out_of_bounds_is_refused(#[case] body: Value, #[case] status: u16) {
    let bench = Bench::new().await;
    assert_eq!(bench.client(Method::POST, "/run", body).await.0, status);
    assert_eq!(bench.platform.look(|record| record.ledger.jobs().count()), 0);
}

/// A job of low priority waits for a worker that another one has started.
#[tokio::test]
async fn a_job_has_a_worker_started_unless_it_is_of_low_priority() {
    let bench = Bench::new().await;
    let wakes = || bench.platform.look(|record| (record.wakes, record.is_starting()));
    bench.run(json!({"input": {}, "policy": {"lowPriority": true}})).await;
    assert_eq!(wakes(), (0, false));
    bench.run(json!({"input": {}})).await;
    bench.run(json!({"input": {}})).await;
    assert_eq!(wakes(), (1, true), "one is enough to begin with");
    let (_, health) = bench.client(Method::GET, "/health", Value::Null).await;
    assert_eq!(health["workers"]["initializing"], 1);
    bench.worker("/job-take/w?job_in_progress=0").await;
    assert_eq!(wakes(), (1, false));
}

#[tokio::test]
async fn a_hundred_cancellations_within_ten_seconds_are_enough() {
    let bench = Bench::new().await;
    for _ in 0..100 {
        assert_eq!(bench.client(Method::POST, "/cancel/x", Value::Null).await.0, 404);
    }
    assert_eq!(bench.client(Method::POST, "/cancel/x", Value::Null).await.0, 429);
}

#[tokio::test]
async fn a_thousand_jobs_within_ten_seconds_are_enough() {
    let bench = Bench::new().await;
    for _ in 0..1000 {
        bench.run(json!({"input": {}})).await;
    }
    assert_eq!(bench.client(Method::POST, "/run", json!({"input": {}})).await.0, 429);
}

#[rstest]
#[case("/run", "the-clients-key")]
#[case("/status/x", "Bearer the-workers-key")]
#[case("/job-take/w?job_in_progress=0", "Bearer the-workers-key")]
#[case("/job-stop/w", "the-clients-key")]
#[case("/ping/w?runpod_version=1", "")]
#[tokio::test]
async fn a_wrong_key_is_refused(#[case] path: &str, #[case] key: &str) {
    let bench = Bench::new().await;
    let method = if path == "/run" { Method::POST } else { Method::GET };
    assert_eq!(bench.call(method, path, key, "{}", &[]).await.0, 401);
}

/// What a worker must not do is noted, each with its reason.
#[tokio::test]
async fn violations_are_noted() {
    let bench = Bench::new().await;
    bench.worker("/job-take/w").await;
    bench.worker("/job-stop/w?job_in_progress=0").await;
    bench.worker("/ping/w").await;
    let (path, headers) = ("/job-done/w/x?isStream=false", [("content-type", "application/json")]);
    bench.call(Method::POST, path, "the-workers-key", r#"{"output": 1}"#, &headers).await;
    let (one, two) = tokio::join!(
        bench.worker("/job-take/w?job_in_progress=0"),
        bench.worker("/job-take/w?job_in_progress=0")
    );
    assert_eq!((one.0, two.0), (204, 204));
    let mut noted: BTreeMap<&str, usize> = BTreeMap::new();
    let violations = bench.platform.look(|record| record.violations.clone());
    for violation in &violations {
        *noted.entry(violation.split(' ').next().expect("a word")).or_default() += 1;
    }
    let expected = BTreeMap::from([("Ping", 1), ("Result", 3), ("Stop", 1), ("Take", 2)]);
    assert_eq!(noted, expected, "{violations:#?}");
}

/// An answer that is lost was given; a request that is lost was not.
#[rstest]
#[case(Fault::LostAnswer, 1)]
#[case(Fault::LostRequest, 0)]
#[tokio::test]
async fn connections_break(#[case] fault: Fault, #[case] jobs: usize) {
    let bench = Bench::new().await;
    bench.platform.fail(Route::Run, [fault]);
    let url = format!("{}/run", bench.platform.api());
    let request = bench.client.post(url).header("authorization", "Bearer the-clients-key");
    let error = request.body(r#"{"input": {}}"#).send().await.expect_err("no answer");
    assert!(!error.is_connect());
    assert_eq!(bench.platform.look(|record| record.ledger.jobs().count()), jobs);
}

#[tokio::test]
async fn the_webhook_is_tried_three_times_and_unsigned() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let hook = post(move |headers: axum::http::HeaderMap, body: Bytes| {
        let sender = sender.clone();
        async move {
            let names: Vec<String> = headers.keys().map(ToString::to_string).collect();
            let body: Value = serde_json::from_slice(&body).expect("json");
            sender.send((names, body)).expect("the test listens");
            StatusCode::SERVICE_UNAVAILABLE
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let app = Router::new().route("/hook", hook);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let bench = Bench::new().await;
    let id = bench.run(json!({"input": {}, "webhook": url})).await;
    bench.worker("/job-take/w?job_in_progress=0").await;
    bench.done(&id, r#"{"error": "no"}"#).await;
    for _ in 0..3 {
        let (names, body) = received.recv().await.expect("a call");
        assert_eq!((&body["id"], &body["status"]), (&json!(id), &json!("FAILED")));
        assert!(!names.iter().any(|name| name.contains("signature") || name == "authorization"));
    }
}
