//! A bucket with an S3 API that checks signatures and their expiry (`s3s`), and what that leaves out
//! of multipart uploads: lists of parts in pages and with entity tags, uploads that are gone, and R2's
//! rules, which are equal parts of at least 5 MiB, but for the last.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use e2e::stack::Options;
use rusty_s3::{Bucket as S3Bucket, Credentials, UrlStyle};
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;

pub(super) const KEY_ID: &str = "reelmill-tests";
pub(super) const SECRET: &str = "not-a-secret-of-anybody";
const NAME: &str = "reelmill";
const LEAST: u64 = 5 * 1024 * 1024;

/// Parts in a page of a list: few, so that there are several pages.
const PAGE: usize = 2;

/// Size and entity tag of an upload's parts, by number.
type Parts = BTreeMap<u16, (u64, String)>;
/// The uploads that are neither completed nor aborted.
type Uploads = Arc<Mutex<BTreeMap<String, Parts>>>;

/// The bucket. It stops listening when it is dropped.
pub(super) struct Bucket {
    pub(super) url: String,
    directory: tempfile::TempDir,
    server: tokio::task::JoinHandle<()>,
}

impl Bucket {
    pub(super) async fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        std::fs::create_dir(directory.path().join(NAME))?;
        let files = FileSystem::new(directory.path())
            .map_err(|error| anyhow::anyhow!("the bucket's directory: {error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let state = (builder.build(), Uploads::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new().fallback(answer).with_state(state);
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("axum serves until it is dropped");
        });
        Ok(Self { url, directory, server })
    }

    /// What a gateway has to know to use it.
    pub(super) fn configure(&self, options: Options) -> Options {
        options
            .gateway("S3_ENDPOINT", &self.url)
            .gateway("S3_BUCKET", NAME)
            .gateway("S3_ACCESS_KEY_ID", KEY_ID)
            .gateway("S3_SECRET_ACCESS_KEY", SECRET)
    }

    /// A client of our own, for what gateways and browsers do not do.
    pub(super) fn client(&self) -> Result<(S3Bucket, Credentials)> {
        let bucket = S3Bucket::new(self.url.parse()?, UrlStyle::Path, NAME, "auto")?;
        Ok((bucket, Credentials::new(KEY_ID, SECRET)))
    }

    /// Names of all files it holds: objects, and what belongs to unfinished uploads.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        fn collect(directory: &Path, names: &mut Vec<String>) -> Result<()> {
            for entry in std::fs::read_dir(directory)? {
                let entry = entry?;
                let name = entry.path().to_string_lossy().into_owned();
                if entry.file_type()?.is_dir() {
                    collect(&entry.path(), names)?;
                // Its notes on an object outlive the object.
                } else if !name.ends_with(".metadata.json") && !name.ends_with(".internal.json") {
                    names.push(name);
                }
            }
            Ok(())
        }
        let mut names = Vec::new();
        collect(self.directory.path(), &mut names)?;
        Ok(names)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State((service, uploads)): State<(S3Service, Uploads)>,
    request: Request,
) -> Response {
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let upload = query.get("uploadId").cloned();
    let part: Option<u16> = query.get("partNumber").and_then(|number| number.parse().ok());
    let method = request.method().clone();
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a request of a test");
    let known = |upload: &str| lock(&uploads).get(upload).cloned();
    if let Some(upload) = &upload {
        let Some(parts) = known(upload) else {
            return refuse(StatusCode::NOT_FOUND, "NoSuchUpload");
        };
        if let Some(code) = (method == Method::POST).then(|| broken_rule(&parts, &body)).flatten() {
            return refuse(StatusCode::BAD_REQUEST, code);
        }
    }
    let length = body.len() as u64;
    let request = axum::http::Request::from_parts(head, s3s::Body::from(body));
    let Ok(response) = service.call(request).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let response = response.map(Body::new);
    if !response.status().is_success() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // What came in chunks has one length now.
    head.headers.remove("transfer-encoding");
    let body = to_bytes(body, usize::MAX).await.expect("an answer of our own");
    match (method, upload, part) {
        (Method::POST, None, _) => {
            let text = String::from_utf8_lossy(&body);
            let id = text.split_once("<UploadId>").and_then(|(_, rest)| rest.split_once('<'));
            let (id, _) = id.expect("a new upload has an id");
            lock(&uploads).insert(id.to_owned(), Parts::new());
        }
        (Method::PUT, Some(upload), Some(part)) => {
            let tag = head.headers["etag"].to_str().expect("a tag is text").to_owned();
            lock(&uploads).entry(upload).or_default().insert(part, (length, tag));
        }
        (Method::POST | Method::DELETE, Some(upload), _) => {
            lock(&uploads).remove(&upload);
        }
        (Method::GET, Some(upload), _) => {
            let after = query.get("part-number-marker").and_then(|number| number.parse().ok());
            return page(&known(&upload).unwrap_or_default(), after.unwrap_or(0)).into_response();
        }
        _ => {}
    }
    Response::from_parts(head, Body::from(body))
}

fn lock(uploads: &Uploads) -> MutexGuard<'_, BTreeMap<String, Parts>> {
    uploads.lock().expect("nothing panics while it holds the lock")
}

fn refuse(status: StatusCode, code: &str) -> Response {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    (status, text).into_response()
}

/// `ListPartsResult` of the parts after the one numbered `after`.
fn page(parts: &Parts, after: u16) -> String {
    let rest: Vec<_> = parts.range(after + 1..).collect();
    let shown: String = rest
        .iter()
        .take(PAGE)
        .map(|(number, (size, tag))| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag><Size>{size}</Size>\
                 <LastModified>2026-11-21T00:00:00Z</LastModified></Part>",
                tag.replace('"', "&quot;")
            )
        })
        .collect();
    let next = rest.get(PAGE - 1).filter(|_| rest.len() > PAGE).map(|(number, _)| *number);
    let marker =
        next.map(|number| format!("<NextPartNumberMarker>{number}</NextPartNumberMarker>"));
    format!(
        "<ListPartsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <MaxParts>{PAGE}</MaxParts><IsTruncated>{}</IsTruncated>{}{shown}</ListPartsResult>",
        next.is_some(),
        marker.unwrap_or_default()
    )
}

/// What is wrong with a completion of these parts.
fn broken_rule(parts: &Parts, body: &[u8]) -> Option<&'static str> {
    let sizes: Vec<u64> = parts.values().map(|(size, _)| *size).collect();
    let (last, others) = sizes.split_last()?;
    let body = String::from_utf8_lossy(body).replace("&quot;", "\"");
    if parts.values().any(|(_, tag)| !body.contains(tag.trim_matches('"'))) {
        return Some("InvalidPart");
    }
    let first = others.first()?;
    if others.iter().any(|size| *size < LEAST) {
        Some("EntityTooSmall")
    } else if others.iter().any(|size| size != first) || last > first {
        Some("InvalidPart")
    } else {
        None
    }
}
