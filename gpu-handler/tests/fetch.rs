//! The download against a real server that misbehaves in every way that servers do.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode},
    routing::get,
};
use backon::ExponentialBuilder;
use bytes::Bytes;
use futures::stream;
use gpu_handler::{
    client::client,
    fetch::{Options, Source, fetch},
};
use handler_harness::Server;
use reelmill_shared::job::{Failure, FailureCode, Input};
use rstest::rstest;
use sha2::{Digest, Sha256};

const SIZE: usize = 1_000_003;
const WINDOW: u64 = 64 * 1024;

fn content() -> Vec<u8> {
    (0..SIZE).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Good,
    /// The first answer for each range breaks off in the middle.
    BreaksOnce,
    /// The first answer for each range is well-formed, but only half of it.
    ShortOnce,
    /// The first answer for each range is 503.
    BusyOnce,
    /// Every answer has this status.
    Always(u16),
    /// The first ranges are answered, later ones belong to another object.
    ChangesLater,
    /// Ranges are ignored.
    NoRanges,
    /// Another length is claimed.
    OtherTotal,
    /// Another range is answered.
    OtherRange,
}

#[derive(Clone)]
struct Origin {
    manner: Manner,
    seen: Arc<Mutex<HashSet<u64>>>,
}

async fn origin(State(origin): State<Origin>, headers: HeaderMap) -> Response<Body> {
    let content = content();
    assert_eq!(headers["if-match"], "\"the-tag\"");
    let range = headers["range"].to_str().expect("ascii");
    let (start, end) = range.strip_prefix("bytes=").and_then(|r| r.split_once('-')).expect("range");
    let (start, end) = (start.parse::<u64>().expect("number"), end.parse::<u64>().expect("number"));
    let first = origin.seen.lock().expect("a lock").insert(end);
    let respond = |status: u16, range: String, body: Body| {
        let builder = Response::builder().status(status).header("content-range", range);
        builder.body(body).expect("a response")
    };
    let status = |status: u16| Response::builder().status(status).body(Body::empty()).expect("one");
    let slice = |from: u64, to: u64| Bytes::copy_from_slice(&content[from as usize..=to as usize]);
    let named = format!("bytes {start}-{end}/{SIZE}");
    let half = start + (end - start) / 2;
    match origin.manner {
        Manner::BreaksOnce if first => {
            let broken = Err(std::io::Error::other("broken"));
            respond(206, named, Body::from_stream(stream::iter([Ok(slice(start, half)), broken])))
        }
        Manner::ShortOnce if first => {
            respond(206, format!("bytes {start}-{half}/{SIZE}"), slice(start, half).into())
        }
        Manner::BusyOnce if first => status(503),
        Manner::Always(code) => status(code),
        Manner::ChangesLater if start > 300_000 => status(412),
        Manner::NoRanges => Response::new(content.into()),
        Manner::OtherTotal => {
            respond(206, format!("bytes {start}-{end}/5"), slice(start, end).into())
        }
        Manner::OtherRange => respond(206, format!("bytes 7-{end}/{SIZE}"), slice(7, end).into()),
        _ => respond(206, named, slice(start, end).into()),
    }
}

async fn download(manner: Manner, window: u64, sha256: Option<String>) -> Result<Vec<u8>, Failure> {
    let app =
        Router::new().route("/", get(origin)).with_state(Origin { manner, seen: Arc::default() });
    let server = Server::start(app).await;
    let input =
        Input { url: server.url("/"), size: SIZE as u64, etag: Some("the-tag".to_owned()), sha256 };
    let folder = tempfile::tempdir().expect("a directory");
    let target = folder.path().join("source");
    let backoff =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(1)).with_max_times(3);
    let options = Options { window, parallel: 4, backoff };
    let source = Source::http(&client().expect("a client"), &input);
    let told = fetch(source, &input, &target, options, &|_| ()).await?;
    let got = std::fs::read(target).expect("the file");
    assert_eq!(told, sha256_of(&got), "told, whether it was expected or not");
    Ok(got)
}

#[rstest]
#[case(Manner::Good)]
#[case(Manner::BreaksOnce)]
#[case(Manner::ShortOnce)]
#[case(Manner::BusyOnce)]
#[tokio::test]
async fn comes_whole_in_spite_of(#[case] manner: Manner) {
    let got = download(manner, WINDOW, Some(sha256_of(&content()))).await.expect("fetched");
    assert!(got == content(), "the bytes differ");
}

#[tokio::test]
async fn does_without_ranges_when_all_is_asked_for() {
    let got = download(Manner::NoRanges, 2 * SIZE as u64, None).await.expect("fetched");
    assert!(got == content(), "the bytes differ");
}

#[rstest]
#[case(Manner::Always(404), FailureCode::SourceMismatch)]
#[case(Manner::Always(412), FailureCode::SourceMismatch)]
#[case(Manner::Always(416), FailureCode::SourceMismatch)]
#[case(Manner::Always(403), FailureCode::FetchFailed)]
#[case(Manner::Always(302), FailureCode::FetchFailed)]
#[case(Manner::Always(503), FailureCode::FetchFailed)]
#[case(Manner::Always(409), FailureCode::Cancelled)]
#[case(Manner::ChangesLater, FailureCode::SourceMismatch)]
#[case(Manner::NoRanges, FailureCode::FetchFailed)]
#[case(Manner::OtherTotal, FailureCode::SourceMismatch)]
#[case(Manner::OtherRange, FailureCode::FetchFailed)]
#[tokio::test]
async fn fails_for_its_reason(#[case] manner: Manner, #[case] code: FailureCode) {
    let failure = download(manner, WINDOW, None).await.expect_err("no file");
    assert_eq!(failure.code, code, "{failure}");
    assert!(!failure.message.contains("127.0.0.1"), "{failure}");
}

#[tokio::test]
async fn compares_the_checksum() {
    let failure =
        download(Manner::Good, WINDOW, Some(sha256_of(b"other"))).await.expect_err("refused");
    assert_eq!(failure.code, FailureCode::SourceMismatch);
}

/// What is not asked for is not kept: a client that follows no redirects gets no other host's bytes.
#[tokio::test]
async fn follows_no_redirect() {
    let app = Router::new().route(
        "/",
        get(|| async { (StatusCode::FOUND, [("location", "http://127.0.0.1:8099/")]) }),
    );
    let server = Server::start(app).await;
    let input = Input { url: server.url("/"), size: 10, etag: None, sha256: None };
    let folder = tempfile::tempdir().expect("a directory");
    let target = folder.path().join("source");
    let source = Source::http(&client().expect("a client"), &input);
    let failure =
        fetch(source, &input, &target, Options::default(), &|_| ()).await.expect_err("refused");
    assert_eq!(failure.code, FailureCode::FetchFailed);
}
