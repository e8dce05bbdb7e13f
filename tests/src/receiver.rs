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
use tokio::sync::Semaphore;

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
    under_way: usize,
    most_under_way: usize,
}

/// What the service works with.
#[derive(Clone)]
struct Shop {
    inbox: Arc<Mutex<Inbox>>,
    /// There are none: everybody waits for one until this is closed.
    permits: Arc<Semaphore>,
}

/// The service. It stops listening when it is dropped.
pub struct Receiver {
    /// Where it takes messages.
    pub url: String,
    shop: Shop,
    server: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port. `answers` are the statuses of its first answers; then 200.
    pub async fn start(answers: &[u16]) -> Result<Self> {
        let receiver = Self::holding(answers).await?;
        receiver.release();
        Ok(receiver)
    }

    /// The same, but answers nobody before it is [released](Self::release).
    pub async fn holding(answers: &[u16]) -> Result<Self> {
        let answers = answers.iter().copied().collect();
        let shop = Shop {
            inbox: Arc::new(Mutex::new(Inbox { answers, ..Inbox::default() })),
            permits: Arc::new(Semaphore::new(0)),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let app = Router::new().route("/hook", post(take)).with_state(shop.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("axum serves until it is dropped");
        });
        Ok(Self { url, shop, server })
    }

    /// From now on everybody is answered at once.
    pub fn release(&self) {
        self.shop.permits.close();
    }

    /// How many requests waited for their answers at one time, at most.
    pub fn most_under_way(&self) -> usize {
        lock(&self.shop.inbox).most_under_way
    }

    /// All deliveries so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.shop.inbox).deliveries.clone()
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

async fn take(State(shop): State<Shop>, headers: HeaderMap, body: Bytes) -> StatusCode {
    {
        let mut inbox = lock(&shop.inbox);
        inbox.under_way += 1;
        inbox.most_under_way = inbox.most_under_way.max(inbox.under_way);
    }
    // Only ever ends by being closed.
    let _ = shop.permits.acquire().await;
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut inbox = lock(&shop.inbox);
    inbox.under_way -= 1;
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
