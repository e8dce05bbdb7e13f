//! `serve` at the wire: RunPod's client API, and what becomes of jobs.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use gpu_handler::{
    client::client, config::Config, engine::Engine, ffmpeg::Runner, host::Host, transport::serve,
};
use handler_harness::Server;
use reqwest::{Client, Method};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

const KEY: &str = "the-handler-key";

/// A handler, and a gateway that it works for: its sources never come, its reports are kept.
struct Bench {
    handler: String,
    gateway: Server,
    reports: mpsc::UnboundedReceiver<Value>,
    shutdown: Option<oneshot::Sender<()>>,
    serving: AbortOnDropHandle<()>,
    client: Client,
}

async fn host(config: &Config) -> Host {
    static HOST: OnceCell<Host> = OnceCell::const_new();
    let detect = || async {
        Host::detect(config, &Runner::new(config.tools.clone())).await.expect("a working FFmpeg")
    };
    HOST.get_or_init(detect).await.clone()
}

async fn report(State(sender): State<mpsc::UnboundedSender<Value>>, body: Bytes) -> StatusCode {
    let _ = sender.send(serde_json::from_slice(&body).expect("json"));
    StatusCode::OK
}

impl Bench {
    async fn new() -> Self {
        let lookup = |name: &str| {
            let value = match name {
                "HANDLER_WEBHOOK_SECRET" => "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "REELMILL_QUEUE" => "1",
                "REELMILL_GRACE_SECONDS" => "0",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let launcher = env!("CARGO_BIN_EXE_gpu-handler").into();
        let config = Config::read(&lookup, launcher).expect("a configuration");
        let host = host(&config).await;
        let client = client().expect("a client");
        let engine = Engine::new(config, host, client.clone(), false);
        let (sender, reports) = mpsc::unbounded_channel();
        let app = Router::new()
            .route("/source", get(std::future::pending::<()>))
            .route("/report", post(report))
            .route("/progress", post(|| async { StatusCode::OK }))
            .with_state(sender);
        let gateway = Server::start(app).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let handler = format!("http://{}", listener.local_addr().expect("an address"));
        let server = serve::Server::new(engine, reelmill_shared::secret::Secret::new(KEY));
        let (shutdown, signal) = oneshot::channel();
        let signal = async { signal.await.unwrap_or_default() };
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            server.serve(listener, signal).await.expect("served");
        }));
        Self { handler, gateway, reports, shutdown: Some(shutdown), serving, client }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self
            .client
            .request(method, format!("{}/v2/local{path}", self.handler))
            .bearer_auth(KEY);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let body = response.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn run(&self, job: Value) -> (StatusCode, Value) {
        self.call(Method::POST, "/run", Some(json!({"input": job}))).await
    }

    fn job(&self, attempt: u8, size: u64) -> Value {
        json!({"version": 1, "mediaId": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "attempt": attempt,
            "input": {"url": self.gateway.url("/source"), "size": size},
            "output": {"baseUrl": self.gateway.url("/outputs/")},
            "callback": {"reportUrl": self.gateway.url("/report"),
                "progressUrl": self.gateway.url("/progress"), "leaseSeconds": 60}})
    }

    async fn reported(&mut self) -> Value {
        self.reports.recv().await.expect("a report")
    }
}

#[tokio::test]
async fn a_job_is_taken_fails_and_is_reported() {
    let mut bench = Bench::new().await;
    let (status, body) = bench.run(bench.job(1, 0)).await;
    assert_eq!((status, body["status"].as_str()), (StatusCode::OK, Some("IN_QUEUE")));
    let report = bench.reported().await;
    assert_eq!(report["status"], "failed");
    assert_eq!(report["error"]["code"], "unsupported_media");
    let id = body["id"].as_str().expect("an id");
    let (_, body) = bench.call(Method::GET, &format!("/status/{id}"), None).await;
    assert_eq!(body["status"], "FAILED");
    assert_eq!(body["error"], "unsupported_media: the source is empty");
    assert_eq!(body["output"], report);
    let (_, health) = bench.call(Method::GET, "/health", None).await;
    assert_eq!(health["jobs"]["failed"], 1);
    assert_eq!(health["workers"]["idle"], 1);
    assert!(health["encoder"].is_string() && health["sandbox"]["landlock"].is_string());
}

#[tokio::test]
async fn an_attempt_is_one_job_and_waiting_is_bounded_and_cancellable() {
    let mut bench = Bench::new().await;
    let (_, first) = bench.run(bench.job(1, 10)).await;
    let (_, again) = bench.run(bench.job(1, 10)).await;
    assert_eq!(first["id"], again["id"]);
    let (_, second) = bench.run(bench.job(2, 10)).await;
    assert_ne!(first["id"], second["id"]);
    // One runs or is about to, one waits; there is room for no third.
    let (status, refused) = bench.run(bench.job(3, 10)).await;
    let expected = (StatusCode::TOO_MANY_REQUESTS, &json!("too_many_requests"));
    assert_eq!((status, &refused["code"]), expected);
    for job in [&second, &first] {
        let id = job["id"].as_str().expect("an id");
        let (status, _) = bench.call(Method::POST, &format!("/cancel/{id}"), None).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(bench.reported().await["error"]["code"], "cancelled");
        let (_, body) = bench.call(Method::GET, &format!("/status/{id}"), None).await;
        assert_eq!(body["status"], "CANCELLED");
    }
}

#[tokio::test]
async fn a_stopping_handler_reports_what_it_leaves() {
    let mut bench = Bench::new().await;
    bench.run(bench.job(1, 10)).await;
    bench.run(bench.job(2, 10)).await;
    bench.shutdown.take().expect("not yet").send(()).expect("serving");
    for _ in 0..2 {
        let report = bench.reported().await;
        assert_eq!(report["error"]["code"], "handler_stopped");
        assert_eq!(report["error"]["transient"], true);
    }
    (&mut bench.serving).await.expect("it ends");
}

#[rstest]
#[case::no_json("{", 400, "invalid_request")]
#[case::no_input("{}", 400, "invalid_request")]
#[case::other_version(r#"{"input": {"version": 2}}"#, 400, "invalid_request")]
#[case::half_a_job(r#"{"input": {"version": 1}}"#, 400, "invalid_request")]
#[tokio::test]
async fn refuses_what_is_no_job(#[case] body: &str, #[case] status: u16, #[case] code: &str) {
    let bench = Bench::new().await;
    let url = format!("{}/v2/local/run", bench.handler);
    let request = bench.client.post(url).bearer_auth(KEY).body(body.to_owned());
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value =
        serde_json::from_slice(&response.bytes().await.expect("a body")).expect("json");
    assert_eq!(body["code"], code);
}

#[tokio::test]
async fn a_handler_that_is_only_wanted_awake_is() {
    let bench = Bench::new().await;
    let (status, body) = bench.run(json!({"version": 1, "kind": "warm"})).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("COMPLETED")));
    let (_, health) = bench.call(Method::GET, "/health", None).await;
    assert_eq!(health["jobs"]["completed"], 0, "it was no job");
}

/// The handler's own files are nobody's source, and nobody's outputs.
#[rstest]
#[case("/input/url", "file:///etc/passwd")]
#[case("/output/baseUrl", "file:///tmp/")]
#[case("/input/url", "gopher://127.0.0.1/")]
#[tokio::test]
async fn takes_http_urls_only(#[case] pointer: &str, #[case] url: &str) {
    let bench = Bench::new().await;
    let mut job = bench.job(1, 10);
    *job.pointer_mut(pointer).expect("a field") = json!(url);
    let (status, body) = bench.run(job).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["detail"].as_str().expect("a detail").starts_with("unsupported_job"));
}

#[tokio::test]
async fn bodies_are_bounded() {
    let bench = Bench::new().await;
    let (status, body) = bench.run(json!("x".repeat(11 << 20))).await;
    assert_eq!((status, &body["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("body_too_large")));
}

#[tokio::test]
async fn wants_the_key() {
    let bench = Bench::new().await;
    for path in ["/run", "/status/x", "/cancel/x", "/health", "/log/x", "/nothing"] {
        for authorization in [None, Some("Bearer wrong"), Some("Bearer "), Some(KEY)] {
            let mut request = bench.client.get(format!("{}/v2/local{path}", bench.handler));
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {authorization:?}");
        }
    }
    let ping = bench.client.get(format!("{}/ping", bench.handler)).send().await.expect("an answer");
    assert_eq!(ping.status(), StatusCode::NO_CONTENT);
    let unknown = bench.call(Method::GET, "/status/x", None).await;
    assert_eq!((unknown.0, &unknown.1["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
}
