//! Buckets that refuse: sources and stores of S3's, where jobs name those.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use handler_harness::Server;
use serde_json::json;

use crate::{
    bench::{Bench, Source, error},
    home::Home,
};

/// A refusal of S3's, and the failures that it leads to: of the source, and of the store.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) word: &'static str,
    pub(crate) source: (&'static str, bool),
    pub(crate) store: (&'static str, bool),
}

/// What another attempt cannot change is permanent.
pub(crate) const REFUSALS: &[Refusal] = &[
    Refusal {
        status: 403,
        word: "AccessDenied",
        source: ("access_denied", false),
        store: ("access_denied", false),
    },
    Refusal {
        status: 403,
        word: "InvalidAccessKeyId",
        source: ("access_denied", false),
        store: ("access_denied", false),
    },
    Refusal {
        status: 404,
        word: "NoSuchBucket",
        source: ("bucket_not_found", false),
        store: ("bucket_not_found", false),
    },
    Refusal {
        status: 400,
        word: "ExpiredToken",
        source: ("fetch_failed", true),
        store: ("store_failed", true),
    },
];

type Shared = Arc<Mutex<(u16, &'static str)>>;

/// Answers everything with the refusal that is set.
async fn refuse(State(refusal): State<Shared>) -> Response {
    let (status, word) = *refusal.lock().expect("whole");
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Error><Code>{word}</Code><Message>no</Message><RequestId>1</RequestId></Error>"
    );
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("content-type", "application/xml")], body).into_response()
}

pub(crate) async fn refusing_buckets<H: Home>() {
    let shared: Shared = Arc::new(Mutex::new((200, "")));
    let s3 = Server::start(Router::new().fallback(refuse).with_state(shared.clone())).await;
    let endpoint = s3.url("/").to_string();
    let mut bench = Bench::<H>::without_worker(Source::Short).await;
    bench
        .start(&[
            ("REELMILL_S3_BUCKETS", "bucket"),
            ("REELMILL_S3_ENDPOINT", &endpoint),
            ("REELMILL_S3_ACCESS_KEY_ID", "the-key-id"),
            ("REELMILL_S3_SECRET_ACCESS_KEY", "the-secret-key"),
        ])
        .await;
    let mut attempt = 0;
    for refusal in REFUSALS {
        *shared.lock().expect("whole") = (refusal.status, refusal.word);
        let expected = [
            ("/input/url", "s3://bucket/film.mp4", refusal.source),
            ("/output/baseUrl", "s3://bucket/films/", refusal.store),
        ];
        for (member, url, (code, transient)) in expected {
            attempt += 1;
            let mut job = bench.gateway.job(attempt);
            *job.pointer_mut(member).expect("a member") = json!(url);
            let ticket = bench.run(&job).await;
            bench.until(&ticket, H::FATES.failed).await;
            let reports = bench.gateway.reports(attempt.into()).await;
            let report = &reports.last().expect("one").body;
            assert_eq!(error(report), Some((code, transient)), "{}: {report}", refusal.word);
            assert_eq!(report["attempt"], attempt);
        }
    }
    let record = bench.end().await;
    assert_eq!((record.reports.len(), record.stored.len()), (attempt.into(), 0));
}
