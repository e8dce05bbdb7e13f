//! A downstream service that takes webhooks, checks them and answers as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use jiff::Timestamp;
use reelmill_shared::webhook::{self, WebhookSecrets};
use serde_json::Value;

use crate::wait::until;

/// One request that came in.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The raw body.
    pub body: Bytes,
    /// What was answered.
    pub answered: u16,
}

impl Delivery {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The type of the message, such as `media.ready`.
    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// Its place among its media's messages.
    pub fn sequence(&self) -> u64 {
        self.json()["data"]["sequence"].as_u64().unwrap_or_default()
    }

    /// Whether it is signed with `secret`, now.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        WebhookSecrets::parse(secret).is_ok_and(|secrets| {
            secrets
                .verify(&self.id, &self.timestamp, &self.signature, &self.body, Timestamp::now())
                .is_ok()
        })
    }
}

#[derive(Default)]
struct Inbox {
    answers: VecDeque<u16>,
    deliveries: Vec<Delivery>,
}

/// The service. It stops listening when it is dropped.
pub struct Receiver {
    /// Where it takes messages.
    pub url: String,
    inbox: Arc<Mutex<Inbox>>,
    server: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port. `answers` are the statuses of its first answers; then 200.
    pub async fn start(answers: &[u16]) -> Result<Self> {
        let inbox = Arc::new(Mutex::new(Inbox {
            answers: answers.iter().copied().collect(),
            deliveries: Vec::new(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let app = Router::new().route("/hook", post(take)).with_state(inbox.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("axum serves until it is dropped");
        });
        Ok(Self { url, inbox, server })
    }

    /// All deliveries so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.inbox).deliveries.clone()
    }

    /// Waits until the deliveries so far are as `wanted`, and answers with them.
    pub async fn wait(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&[Delivery]) -> bool,
    ) -> Result<Vec<Delivery>> {
        until(what, limit, async || {
            let deliveries = self.deliveries();
            Ok(wanted(&deliveries).then_some(deliveries))
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State(inbox): State<Arc<Mutex<Inbox>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut inbox = lock(&inbox);
    let answered = inbox.answers.pop_front().unwrap_or(200);
    inbox.deliveries.push(Delivery {
        id: header(webhook::ID_HEADER),
        timestamp: header(webhook::TIMESTAMP_HEADER),
        signature: header(webhook::SIGNATURE_HEADER),
        body,
        answered,
    });
    StatusCode::from_u16(answered).expect("tests answer with real statuses")
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().expect("nothing panics while it holds the lock")
}
