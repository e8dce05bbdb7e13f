//! Tells the gateway how a job goes and how it ended, signed as Standard Webhooks.
//!
//! The first sign of life is a claim: a job begins when the gateway has answered that it is still
//! wanted, and not before. Progress after it is sent at most once a second, repeated when nothing
//! changes so that the lease never lapses, and never waited for by the work. The final report is sent
//! until it is taken, or until nobody can be waiting for it any more.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use reelmill_shared::{
    id::MessageId,
    job::{Callback, JobReport, Progress},
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecrets},
};
use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};
use url::Url;
use uuid::Uuid;

use crate::stop::{Reason, Stop};

/// The shortest time between two messages of progress.
const PACE: Duration = Duration::from_secs(1);
/// How long the gateway may take over one message.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Speaks to the callback of one job.
#[derive(Debug, Clone)]
pub struct Reporter {
    client: Client,
    secrets: WebhookSecrets,
    callback: Callback,
    pace: Duration,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Taken,
    /// Nobody waits for this attempt any more.
    Stale,
    /// It was refused, and would be again.
    Refused(u16),
    /// It did not get through.
    Failed,
}

impl Reporter {
    /// Reports to `callback`, signing with `secrets`.
    pub fn new(client: Client, secrets: WebhookSecrets, callback: Callback) -> Self {
        Self { client, secrets, callback, pace: PACE }
    }

    /// The same with another pace, which is also the first wait between two tries of a report.
    #[must_use]
    pub fn with_pace(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    /// Sends progress for as long as it is polled. When the gateway answers that the attempt is over,
    /// it stops the job, and ends.
    pub async fn heartbeat(&self, mut progress: watch::Receiver<Progress>, stop: &Stop) {
        let mut ticks = tokio::time::interval(self.pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Four tries within a lease, so that three of them may be lost.
        let lease = Duration::from_secs(u64::from(self.callback.lease_seconds));
        let longest_silence = (lease / 4).clamp(self.pace, Duration::from_secs(10));
        let mut sent: Option<Instant> = None;
        progress.mark_changed();
        loop {
            ticks.tick().await;
            let changed = progress.has_changed().unwrap_or(false);
            if !changed && sent.is_some_and(|at| at.elapsed() < longest_silence) {
                continue;
            }
            let body = {
                let progress = progress.borrow_and_update();
                serde_json::to_vec(&*progress).expect("progress is plain data")
            };
            let id = MessageId::new(Uuid::now_v7());
            match self.send(&self.callback.progress_url, id, body).await {
                Delivery::Taken => sent = Some(Instant::now()),
                Delivery::Stale => return stop.now(Reason::Stale),
                // The next tick tries again, with newer news.
                Delivery::Refused(_) | Delivery::Failed => sent = None,
            }
        }
    }

    /// Says that the job is about to begin, until the gateway answers, for at most a lease. What is
    /// not [`Taken`](Delivery::Taken) is not to be begun: it may be another backend's by now.
    pub async fn claim(&self, progress: &Progress) -> Delivery {
        let body = serde_json::to_vec(progress).expect("progress is plain data");
        let lease = Duration::from_secs(u64::from(self.callback.lease_seconds));
        self.insist(&self.callback.progress_url, body, lease).await
    }

    /// Sends the final report until it is taken, for at most `patience`.
    pub async fn report(&self, report: &JobReport, patience: Duration) -> Delivery {
        let body = serde_json::to_vec(report).expect("a report is plain data");
        self.insist(&self.callback.report_url, body, patience).await
    }

    /// Sends one message until there is an answer to it, for at most `patience`.
    async fn insist(&self, url: &Url, body: Vec<u8>, patience: Duration) -> Delivery {
        let id = MessageId::new(Uuid::now_v7());
        let end = Instant::now() + patience;
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(self.pace / 2)
            .with_max_delay(self.pace * 10)
            .without_max_times()
            .with_jitter()
            .build();
        loop {
            let delivery = self.send(url, id, body.clone()).await;
            if delivery != Delivery::Failed {
                return delivery;
            }
            let wait = waits.next().unwrap_or(self.pace);
            if Instant::now() + wait >= end {
                return delivery;
            }
            tracing::warn!(?wait, "a message was not taken");
            tokio::time::sleep(wait).await;
        }
    }

    /// How long a report is worth sending: until the lease is over, and as long again for a gateway
    /// whose alarm is late.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.callback.lease_seconds) * 2)
    }

    async fn send(&self, url: &Url, id: MessageId, body: Vec<u8>) -> Delivery {
        // Signed anew each time: the timestamp is this delivery's.
        let (id, now) = (id.to_string(), Timestamp::now());
        let response = self
            .client
            .post(url.clone())
            .timeout(TIMEOUT)
            .header(CONTENT_TYPE, "application/json")
            .header(ID_HEADER, &id)
            .header(TIMESTAMP_HEADER, now.as_second())
            .header(SIGNATURE_HEADER, self.secrets.sign(&id, now, &body))
            .body(body)
            .send()
            .await;
        match response.map(|response| response.status()) {
            Ok(status) if status.is_success() => Delivery::Taken,
            Ok(StatusCode::CONFLICT | StatusCode::GONE) => Delivery::Stale,
            Ok(
                status @ (StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY),
            ) => Delivery::Refused(status.as_u16()),
            // An unknown signature may be a secret that is being rotated, or a clock.
            Ok(status) => {
                tracing::warn!(status = status.as_u16(), "the gateway did not take a message");
                Delivery::Failed
            }
            Err(error) => {
                tracing::warn!(reason = %error.without_url(), "the gateway was not reached");
                Delivery::Failed
            }
        }
    }
}
