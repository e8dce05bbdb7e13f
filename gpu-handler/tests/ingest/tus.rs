//! A gateway that takes uploads by tus 1.0, and what it does wrong when a test asks for it.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response},
    routing::{any, post},
};
use url::Url;

use handler_harness::Server;

/// What becomes of a `PATCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is stored and answered.
    Stored,
    /// All of it is stored, but the answer says that the gateway has an error.
    StoredUnheard,
    /// Half of it is stored, and the answer says that the gateway has an error.
    Cut,
    /// Nothing is stored, and this is the answer.
    Refused(u16),
}

/// What was uploaded.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) creations: usize,
    pub(crate) length: Option<u64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) patches: usize,
    pub(crate) largest: usize,
    pub(crate) heads: usize,
}

impl Desk {
    /// Whether the upload is over.
    pub(crate) fn complete(&self) -> bool {
        self.length == Some(self.bytes.len() as u64)
    }
}

#[derive(Clone)]
struct Gate {
    desk: Arc<Mutex<Desk>>,
    fate: Arc<dyn Fn(usize) -> Fate + Send + Sync>,
}

/// The gateway.
pub(crate) struct Gateway {
    server: Server,
    pub(crate) desk: Arc<Mutex<Desk>>,
}

impl Gateway {
    /// Treats the `PATCH`es as `fate` says, counted from 0.
    pub(crate) async fn start(fate: impl Fn(usize) -> Fate + Send + Sync + 'static) -> Self {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let gate = Gate { desk: desk.clone(), fate: Arc::new(fate) };
        let app = Router::new()
            .route("/api/uploads", post(create))
            .route("/api/uploads/upl_1", any(upload))
            .with_state(gate);
        Self { server: Server::start(app).await, desk }
    }

    /// Where uploads are created.
    pub(crate) fn url(&self) -> Url {
        self.server.url("/api/uploads?token=capability")
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn respond(status: u16, headers: &[(&str, String)]) -> Response<Body> {
    let builder = Response::builder().status(status).header("tus-resumable", "1.0.0");
    headers
        .iter()
        .fold(builder, |builder, (name, value)| builder.header(*name, value))
        .body(Body::empty())
        .expect("a response")
}

async fn create(State(gate): State<Gate>, request: Request) -> Response<Body> {
    assert_eq!(request.headers()["tus-resumable"], "1.0.0");
    assert_eq!(request.uri().query(), Some("token=capability"));
    let mut desk = gate.desk.lock().expect("a lock");
    desk.creations += 1;
    desk.length = number(request.headers(), "upload-length");
    let deferred = request.headers().contains_key("upload-defer-length");
    assert_ne!(deferred, desk.length.is_some(), "one of the two");
    respond(201, &[("location", "/api/uploads/upl_1".to_owned())])
}

async fn upload(State(gate): State<Gate>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    assert_eq!(parts.headers["tus-resumable"], "1.0.0");
    if parts.method == "HEAD" {
        let mut desk = gate.desk.lock().expect("a lock");
        desk.heads += 1;
        let mut headers = vec![("upload-offset", desk.bytes.len().to_string())];
        headers.extend(desk.length.map(|length| ("upload-length", length.to_string())));
        return respond(200, &headers);
    }
    assert_eq!(parts.method, "PATCH");
    assert_eq!(parts.headers["content-type"], "application/offset+octet-stream");
    let bytes = axum::body::to_bytes(body, 64 << 20).await.expect("a body");
    assert_eq!(number(&parts.headers, "content-length"), Some(bytes.len() as u64));
    let mut desk = gate.desk.lock().expect("a lock");
    let fate = (gate.fate)(desk.patches);
    desk.patches += 1;
    desk.largest = desk.largest.max(bytes.len());
    if let Fate::Refused(status) = fate {
        return respond(status, &[]);
    }
    if number(&parts.headers, "upload-offset") != Some(desk.bytes.len() as u64) {
        return respond(409, &[]);
    }
    if let Some(length) = number(&parts.headers, "upload-length") {
        assert!(desk.length.is_none_or(|told| told == length), "told once");
        desk.length = Some(length);
    }
    let taken = if fate == Fate::Cut { bytes.len() / 2 } else { bytes.len() };
    desk.bytes.extend(&bytes[..taken]);
    match fate {
        Fate::Stored => respond(204, &[("upload-offset", desk.bytes.len().to_string())]),
        _ => respond(502, &[]),
    }
}
