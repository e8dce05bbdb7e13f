//! Lambda's Runtime API and Extensions API, and the queue behind them.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use handler_harness::{PATIENCE, Server};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

/// How often a message is delivered before it is put aside.
const DELIVERIES: u32 = 3;
/// The time of an invocation.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To be delivered.
    Visible,
    /// With the function.
    InFlight,
    /// To be delivered later: it was not done with.
    Hidden,
    /// Done with.
    Deleted,
    /// Put aside.
    Dead,
}

#[derive(Debug, Clone)]
struct Message {
    body: String,
    place: Place,
    deliveries: u32,
}

/// All messages, and whether the function asks for one.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    messages: BTreeMap<String, Message>,
    /// Questions for an event that are open.
    pub(super) asking: usize,
    /// Extensions that have begun to listen, which is when a function hears of signals.
    pub(super) listening: usize,
    /// What the function has told of errors.
    errors: Vec<Value>,
}

impl Queue {
    pub(super) fn place(&self, id: &str) -> Place {
        self.messages[id].place
    }

    /// Gives an event of one message, whose id is also the invocation's.
    fn take(&mut self) -> Option<(String, Value)> {
        let (id, message) =
            self.messages.iter_mut().find(|(_, message)| message.place == Place::Visible)?;
        (message.place, message.deliveries) = (Place::InFlight, message.deliveries + 1);
        let count = message.deliveries.to_string();
        let record = json!({"messageId": id, "receiptHandle": "handle", "body": message.body,
            "attributes": {"ApproximateReceiveCount": count}, "messageAttributes": {},
            "eventSource": "aws:sqs", "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:jobs"});
        Some((id.clone(), json!({"Records": [record]})))
    }

    /// The invocation is over.
    fn settle(&mut self, id: &str, done: bool) {
        let Some(message) = self.messages.get_mut(id) else { return };
        message.place = match done {
            true => Place::Deleted,
            false if message.deliveries >= DELIVERIES => Place::Dead,
            false => Place::Hidden,
        };
    }
}

/// The service. It is gone when this is dropped.
pub(super) struct Service {
    server: Server,
    queue: watch::Sender<Queue>,
}

impl Service {
    pub(super) async fn start() -> Self {
        let queue = watch::Sender::default();
        let runtime = Router::new()
            .route("/invocation/next", get(next))
            .route("/invocation/{id}/response", post(response))
            .route("/invocation/{id}/error", post(error))
            .route("/init/error", post(init_error));
        let extension =
            Router::new().route("/register", post(register)).route("/event/next", get(listen));
        let app = Router::new()
            .nest("/2018-06-01/runtime", runtime)
            .nest("/2020-01-01/extension", extension)
            .with_state(queue.clone());
        Self { server: Server::start(app).await, queue }
    }

    pub(super) fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Sends a message, and gives its id.
    pub(super) fn send(&self, body: String) -> String {
        let mut id = String::new();
        self.queue.send_modify(|queue| {
            id = format!("message-{:03}", queue.messages.len());
            let message = Message { body, place: Place::Visible, deliveries: 0 };
            queue.messages.insert(id.clone(), message);
        });
        id
    }

    /// Has a message come again that was not done with.
    pub(super) fn show(&self, id: &str) {
        self.queue.send_modify(|queue| {
            let message = queue.messages.get_mut(id).expect("sent");
            assert_eq!(message.place, Place::Hidden);
            message.place = Place::Visible;
        });
    }

    /// The process is gone, and with it the invocation that it had.
    pub(super) fn environment_is_gone(&self) {
        self.queue.send_modify(|queue| {
            queue.listening = 0;
            let held = queue.messages.iter().filter(|(_, m)| m.place == Place::InFlight);
            let ids: Vec<_> = held.map(|(id, _)| id.clone()).collect();
            ids.iter().for_each(|id| queue.settle(id, false));
        });
    }

    /// Waits until something has happened.
    pub(super) async fn until(&self, what: &str, is: impl Fn(&Queue) -> bool) -> Queue {
        let mut queue = self.queue.subscribe();
        match tokio::time::timeout(PATIENCE, queue.wait_for(|queue| is(queue))).await {
            Ok(queue) => queue.expect("the service is there").clone(),
            Err(_) => panic!("never {what}: {:#?}", *self.queue.borrow()),
        }
    }
}

type Shared = State<watch::Sender<Queue>>;

/// A question for an event, for as long as it is open.
struct Asking<'a>(&'a watch::Sender<Queue>);

impl<'a> Asking<'a> {
    fn new(queue: &'a watch::Sender<Queue>) -> Self {
        queue.send_modify(|queue| queue.asking += 1);
        Self(queue)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|queue| queue.asking -= 1);
    }
}

async fn next(State(queue): Shared) -> Response {
    let asking = Asking::new(&queue);
    let mut changes = queue.subscribe();
    let (id, event) = loop {
        changes.mark_unchanged();
        let mut taken = None;
        queue.send_if_modified(|queue| {
            taken = queue.take();
            taken.is_some()
        });
        if let Some(taken) = taken {
            break taken;
        }
        changes.changed().await.expect("the service is there");
    };
    drop(asking);
    let deadline = Timestamp::now().as_millisecond() + 1000 * TIMEOUT.as_secs().cast_signed();
    let header = |value: &str| HeaderValue::from_str(value).expect("ascii");
    let headers = HeaderMap::from_iter([
        ("lambda-runtime-aws-request-id".parse().expect("a name"), header(&id)),
        ("lambda-runtime-deadline-ms".parse().expect("a name"), header(&deadline.to_string())),
        (
            "lambda-runtime-invoked-function-arn".parse().expect("a name"),
            header("arn:aws:lambda:us-east-1:123456789012:function:handler"),
        ),
    ]);
    (headers, Json(event)).into_response()
}

async fn response(State(queue): Shared, Path(id): Path<String>, body: Bytes) -> StatusCode {
    let answer: Value = serde_json::from_slice(&body).expect("json");
    let failures = answer["batchItemFailures"].as_array().expect("a batch's answer");
    assert!(failures.iter().all(|failure| failure["itemIdentifier"] == *id), "{answer}");
    queue.send_modify(|queue| queue.settle(&id, failures.is_empty()));
    StatusCode::ACCEPTED
}

async fn error(State(queue): Shared, Path(id): Path<String>, body: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&body).expect("json");
    queue.send_modify(|queue| {
        queue.errors.push(body);
        queue.settle(&id, false);
    });
    StatusCode::ACCEPTED
}

async fn init_error(State(queue): Shared, body: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&body).expect("json");
    queue.send_modify(|queue| queue.errors.push(body));
    StatusCode::ACCEPTED
}

/// There are no events for it.
async fn listen(State(queue): Shared) {
    queue.send_modify(|queue| queue.listening += 1);
    std::future::pending().await
}

async fn register() -> impl IntoResponse {
    let headers = [("lambda-extension-identifier", "4e1d4f0c-5d5c-4d9e-8a43-6c0f2f5f5b1a")];
    (
        headers,
        Json(json!({"functionName": "handler", "functionVersion": "$LATEST",
        "handler": "bootstrap"})),
    )
}
