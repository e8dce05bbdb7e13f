//! A box of one's own: callers hand jobs in over HTTP. The register is in memory, and whoever handed in
//! a job asks after it.

use std::time::Duration;

use handler_harness::{PATIENCE, Worker};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use crate::home::{Fate, Fates, Home, Revoking, Stopped, Ticket};

const KEY: &str = "the-handler-key";

/// The box.
pub(crate) struct Serve {
    client: Client,
    api: String,
}

impl Serve {
    /// The answer to a request, or nothing where nobody listens.
    async fn call(&self, method: Method, path: &str, body: &[u8]) -> Option<(StatusCode, Value)> {
        let request = self.client.request(method, format!("{}/v2/local{path}", self.api));
        let response = match request.bearer_auth(KEY).body(body.to_vec()).send().await {
            Err(error) if error.is_connect() => return None,
            response => response.expect("an answer"),
        };
        let status = response.status();
        let body = response.bytes().await.expect("a body");
        Some((status, serde_json::from_slice(&body).expect("json")))
    }

    async fn fate(&self, ticket: &Ticket) -> Fate {
        let Some(id) = &ticket.id else { return Fate::Refused };
        let answer = self.call(Method::GET, &format!("/status/{id}"), &[]).await;
        let Some((status, body)) = answer else { return Fate::Unknown };
        match (status, body["status"].as_str()) {
            (StatusCode::NOT_FOUND, _) => Fate::Unknown,
            (_, Some("COMPLETED")) => Fate::Completed,
            (_, Some("FAILED")) => Fate::Failed,
            (_, Some("CANCELLED")) => Fate::Cancelled,
            (_, Some("IN_QUEUE" | "IN_PROGRESS")) => Fate::Open,
            _ => panic!("{status} {body}"),
        }
    }
}

impl Home for Serve {
    const FATES: Fates = Fates {
        completed: Fate::Completed,
        failed: Fate::Failed,
        stale: Fate::Cancelled,
        unheard: Fate::Completed,
        poisonous: Fate::Refused,
        refused: Fate::Refused,
        reports_refusals: false,
        oversized: Fate::Refused,
        stopped: Fate::Failed,
        reports_stop: Stopped::Told,
        crashed: Fate::Unknown,
    };

    const QUEUES: bool = false;

    async fn open() -> Self {
        Self { client: Client::builder().no_proxy().build().expect("a client"), api: String::new() }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let listen = ("REELMILL_HANDLER_LISTEN", "127.0.0.1:0".to_owned());
        vec![("HANDLER_API_KEY", KEY.to_owned()), listen]
    }

    async fn ready(&mut self, worker: &Worker) {
        self.api = worker.says("listening on ").await;
    }

    async fn hand_in(&self, body: &[u8]) -> Ticket {
        let (_, answer) = self.call(Method::POST, "/run", body).await.expect("it listens");
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        Ticket { id: text("id"), body: body.to_vec(), refusal: text("code") }
    }

    async fn again(&self, ticket: &Ticket) -> Ticket {
        let again = self.hand_in(&ticket.body).await;
        assert_eq!(again.id, ticket.id, "one attempt is one job");
        again
    }

    async fn until(&self, ticket: &Ticket, fate: Fate) {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.fate(ticket).await;
            if now == fate {
                return;
            }
            assert!(now == Fate::Open && Instant::now() < end, "{now:?} instead of {fate:?}");
            // This is how one waits for a job here.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn remembers(_: Fate) -> Fate {
        Fate::Unknown
    }

    /// The gateway notices the silence, and hands the job in once more.
    async fn recover(&self, ticket: &Ticket) -> Ticket {
        self.hand_in(&ticket.body).await
    }
}

impl Revoking for Serve {
    async fn take_back(&self, ticket: &Ticket) {
        let id = ticket.id.as_ref().expect("it was taken");
        let answer = self.call(Method::POST, &format!("/cancel/{id}"), &[]).await;
        assert!(answer.is_some_and(|(status, _)| status.is_success()));
    }
}
