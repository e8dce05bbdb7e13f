//! Outputs over HTTP, as the gateway takes them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    routing::put,
};
use backon::ExponentialBuilder;
use gpu_handler::{
    client::client,
    storage::{HttpStorage, Storage},
};
use handler_harness::Server;
use reelmill_shared::job::{Failure, FailureCode};
use rstest::rstest;

#[derive(Clone, Default)]
struct Bucket {
    /// The statuses to answer with, then 200 for ever.
    script: Arc<Mutex<Vec<u16>>>,
    stored: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
}

async fn store(
    State(bucket): State<Bucket>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    bucket.stored.lock().expect("a lock").push((uri.path().to_owned(), headers, body));
    let mut script = bucket.script.lock().expect("a lock");
    let status = if script.is_empty() { 200 } else { script.remove(0) };
    StatusCode::from_u16(status).expect("a status")
}

async fn put_one(script: &[u16]) -> (Result<(), Failure>, Vec<(String, HeaderMap, Bytes)>) {
    let bucket = Bucket { script: Arc::new(Mutex::new(script.to_vec())), ..Bucket::default() };
    let app = Router::new().route("/outputs/token/{*path}", put(store)).with_state(bucket.clone());
    let server = Server::start(app).await;
    let backoff =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(1)).with_max_times(3);
    let storage = HttpStorage::new(client().expect("a client"), server.url("/outputs/token/"))
        .with_backoff(backoff);
    let path = "hls/v720/000001.m4s".parse().expect("a path");
    let result = storage.put(&path, Bytes::from_static(b"segment")).await;
    let stored = bucket.stored.lock().expect("a lock").clone();
    (result, stored)
}

#[tokio::test]
async fn puts_with_length_type_and_cache_control() {
    let (result, stored) = put_one(&[]).await;
    assert_eq!(result, Ok(()));
    let (path, headers, body) = &stored[0];
    assert_eq!((path.as_str(), &body[..]), ("/outputs/token/hls/v720/000001.m4s", &b"segment"[..]));
    assert_eq!(headers["content-length"], "7");
    assert_eq!(headers["content-type"], "video/iso.segment");
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
}

#[tokio::test]
async fn puts_again_what_may_pass() {
    let (result, stored) = put_one(&[503, 429, 500]).await;
    assert_eq!((result, stored.len()), (Ok(()), 4));
}

#[rstest]
#[case::stale(&[409], FailureCode::Cancelled, 1)]
#[case::forbidden(&[403], FailureCode::StoreFailed, 1)]
#[case::too_large(&[413], FailureCode::StoreFailed, 1)]
#[case::broken(&[500, 500, 500, 500], FailureCode::StoreFailed, 4)]
#[tokio::test]
async fn fails(#[case] script: &[u16], #[case] code: FailureCode, #[case] requests: usize) {
    let (result, stored) = put_one(script).await;
    let failure = result.expect_err("refused");
    assert_eq!((failure.code, stored.len()), (code, requests));
    assert!(!failure.message.contains("token"), "{failure}");
}
