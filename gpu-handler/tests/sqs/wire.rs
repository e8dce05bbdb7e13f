//! A wire between a worker and AWS, which watches and fails on demand.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use handler_harness::{Moto, PATIENCE, Server};
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};
use url::Url;

/// A request that went over a wire, and how it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) operation: String,
    pub(crate) body: Value,
    pub(crate) status: u16,
}

/// What the wire does to requests of an operation.
#[derive(Clone)]
enum Fault {
    /// Answers so many of them with an error.
    Fail { left: usize, status: u16, code: &'static str },
    /// Lets them through and holds the answers back, until it is mended.
    Hold,
}

#[derive(Clone)]
struct Line {
    client: reqwest::Client,
    moto: Url,
    seen: watch::Sender<Vec<Seen>>,
    faults: watch::Sender<Vec<(&'static str, Fault)>>,
}

/// A wire between one worker and moto.
pub(crate) struct Wire {
    server: Server,
    line: Line,
}

impl Wire {
    pub(crate) async fn start(moto: &Moto) -> Self {
        let line = Line {
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            moto: moto.endpoint.clone(),
            seen: watch::Sender::default(),
            faults: watch::Sender::default(),
        };
        let app = Router::new().fallback(forward).with_state(line.clone());
        Self { server: Server::start(app).await, line }
    }

    pub(crate) fn url(&self) -> Url {
        self.server.url("/")
    }

    /// Answers the next `count` requests of an operation with an error.
    pub(crate) fn fail(
        &self,
        operation: &'static str,
        count: usize,
        status: u16,
        code: &'static str,
    ) {
        self.set(operation, Some(Fault::Fail { left: count, status, code }));
    }

    /// Holds the answers to an operation back until it is [mended](Self::mend).
    pub(crate) fn hold(&self, operation: &'static str) {
        self.set(operation, Some(Fault::Hold));
    }

    /// Lets an operation through again.
    pub(crate) fn mend(&self, operation: &'static str) {
        self.set(operation, None);
    }

    fn set(&self, operation: &'static str, fault: Option<Fault>) {
        self.line.faults.send_modify(|faults| {
            faults.retain(|(name, _)| *name != operation);
            faults.extend(fault.map(|fault| (operation, fault)));
        });
    }

    /// What was seen of an operation until now.
    pub(crate) fn of(&self, operation: &str) -> Vec<Seen> {
        let seen = self.line.seen.borrow();
        seen.iter().filter(|seen| seen.operation == operation).cloned().collect()
    }

    /// Waits until an operation was seen that `is`.
    pub(crate) async fn until(&self, operation: &str, is: impl Fn(&Seen) -> bool) -> Seen {
        let mut all = self.line.seen.subscribe();
        let found = |all: &Vec<Seen>| {
            all.iter().find(|seen| seen.operation == operation && is(seen)).cloned()
        };
        match timeout(PATIENCE, all.wait_for(|all| found(all).is_some())).await {
            Ok(all) => found(&all.expect("the wire is there")).expect("just now"),
            Err(_) => panic!("no such {operation}: {:#?}", self.of(operation)),
        }
    }

    /// Waits until an operation was answered well so many times.
    pub(crate) async fn done(&self, operation: &str, count: usize) {
        let mut all = self.line.seen.subscribe();
        let good = |seen: &&Seen| seen.operation == operation && seen.status == 200;
        let enough = all.wait_for(|all| all.iter().filter(good).count() >= count);
        match timeout(PATIENCE, enough).await {
            Ok(all) => drop(all.expect("the wire is there")),
            Err(_) => panic!("not {count} times {operation}: {:#?}", self.of(operation)),
        }
    }
}

/// The same request with a poll that is held for a second: moto goes on with one whose asker has gone,
/// and would give it the next message of a test.
fn short(body: &Bytes) -> String {
    String::from_utf8_lossy(body).replace(r#""WaitTimeSeconds":20"#, r#""WaitTimeSeconds":1"#)
}

async fn forward(State(line): State<Line>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.split_once('.')).expect("an operation").1;
    let mut fault = None;
    line.faults.send_modify(|faults| {
        let found = faults.iter_mut().find(|(name, _)| *name == operation);
        fault = found.map(|(_, fault)| {
            let now = fault.clone();
            if let Fault::Fail { left, .. } = fault {
                *left = left.saturating_sub(1);
            }
            now
        });
    });
    let seen = |status| {
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let seen = Seen { operation: operation.to_owned(), body, status };
        line.seen.send_modify(|all| all.push(seen));
    };
    if let Some(Fault::Fail { left: 1.., status, code }) = fault {
        seen(status);
        let answer = json!({"__type": code, "message": "injected"}).to_string();
        let status = StatusCode::from_u16(status).expect("a status");
        return (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], answer)
            .into_response();
    }
    let mut forwarded = headers.clone();
    for own in [header::HOST, header::CONTENT_LENGTH] {
        forwarded.remove(own);
    }
    let request = line.client.post(line.moto.clone()).headers(forwarded).body(short(&body));
    let answer = request.send().await.expect("moto answers");
    let status = answer.status();
    let content = answer.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = answer.bytes().await.expect("moto answers");
    seen(status.as_u16());
    if matches!(fault, Some(Fault::Hold)) {
        let mut faults = line.faults.subscribe();
        let mended =
            |faults: &Vec<(&str, Fault)>| faults.iter().all(|(name, _)| *name != operation);
        drop(faults.wait_for(mended).await);
    }
    let content = content.map(|content| [(header::CONTENT_TYPE, content)]);
    (
        status,
        content.map(IntoIterator::into_iter).into_iter().flatten().collect::<HeaderMap>(),
        bytes,
    )
        .into_response()
}
