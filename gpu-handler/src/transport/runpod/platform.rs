//! RunPod's platform as a worker speaks to it: take, stop, result, progress, ping.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reelmill_shared::secret::Secret;
use reqwest::{
    Client, RequestBuilder, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::answer::{self, Pace, Pause, Posted, Taken};
use crate::config::runpod::{Runpod, with_parameter};

/// The version of the platform's SDK whose protocol this is, which a heartbeat has to name.
const PROTOCOL: &str = "1.12.0";
/// Largest answer that is read, in bytes: `/run` takes bodies of 10 MB.
const MAX_ANSWER: usize = 16 << 20;
/// How long the last message of a worker that cannot start may take.
const LAST_MESSAGE: Duration = Duration::from_secs(2);
/// Most characters of a reason that are sent.
const MAX_REASON: usize = 256;

/// The platform, as one worker of it knows it.
#[derive(Debug, Clone)]
pub(super) struct Platform {
    client: Client,
    place: Runpod,
    pace: Pace,
}

impl Platform {
    pub(super) const fn new(client: Client, place: Runpod, pace: Pace) -> Self {
        Self { client, place, pace }
    }

    /// Asks for a job, for as long as the platform holds the question.
    pub(super) async fn take(&self, busy: bool) -> Taken {
        let url = with_parameter(&self.place.take, "job_in_progress", if busy { "1" } else { "0" });
        match self.poll(url).await {
            Ok(Some((status, content_type, body))) => answer::taken(status, &content_type, &body),
            Ok(None) => Taken::Nothing,
            Err(reason) => Taken::Failed(reason),
        }
    }

    /// Asks which jobs to stop, for as long as the platform holds the question. Pending for ever
    /// where the platform has no such channel.
    pub(super) async fn stops(&self) -> Result<Vec<String>, (Pause, String)> {
        let Some(url) = self.place.stop.clone() else {
            tracing::warn!("the job-take URL tells no stop channel: jobs cannot be stopped");
            return std::future::pending().await;
        };
        match self.poll(url).await {
            Ok(Some((status, content_type, body))) => answer::stops(status, &content_type, &body),
            Ok(None) => Ok(Vec::new()),
            Err(reason) => Err((Pause::Short, reason)),
        }
    }

    /// Sends a job's result until it is taken or refused, for as long as it can be of use to anybody.
    pub(super) async fn result(&self, job: &str, body: &Value) -> Posted {
        let end = Instant::now() + self.pace.result;
        let mut waits = backoff(&self.pace).build();
        loop {
            let posted = self.post(job, body, self.pace.request).await;
            let Posted::Failed(reason) = &posted else { return posted };
            let wait = waits.next().unwrap_or(self.pace.backoff.1);
            if Instant::now() + wait >= end {
                return posted;
            }
            tracing::warn!(reason, ?wait, "the result was not taken");
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a message of progress, once: there will be newer ones.
    pub(super) async fn progress(&self, job: &str, progress: Value) {
        let body = json!({"status": "IN_PROGRESS", "output": progress});
        let posted = self.post(job, &body, self.pace.progress).await;
        if posted != Posted::Done {
            tracing::debug!(?posted, "progress was not taken");
        }
    }

    /// Whether there is a heartbeat at all.
    pub(super) const fn pings(&self) -> bool {
        self.place.ping.is_some()
    }

    /// One beat, which tells of the jobs in hand, as a list with commas.
    pub(super) async fn ping(&self, jobs: Option<&str>) {
        let Some(url) = &self.place.ping else { return };
        let url = jobs.map_or_else(|| url.clone(), |jobs| with_parameter(url, "job_id", jobs));
        self.beat(url, self.place.ping_interval * 2).await;
    }

    /// Tells the platform that this worker cannot work, so that it shows where one looks for it.
    pub(super) async fn unhealthy(&self, check: &str, reason: &str) {
        let Some(url) = &self.place.ping else { return };
        let reason: String = reason.chars().take(MAX_REASON).collect();
        let told = [("status", "unhealthy"), ("check", check), ("reason", &reason)];
        let url =
            told.iter().fold(url.clone(), |url, (name, value)| with_parameter(&url, name, value));
        self.beat(url, LAST_MESSAGE).await;
    }

    async fn beat(&self, url: Url, timeout: Duration) {
        let url = with_parameter(&url, "runpod_version", PROTOCOL);
        let request = self.authorized(self.client.get(url)).timeout(timeout);
        match request.send().await.and_then(Response::error_for_status) {
            Ok(_) => {}
            // The next one is soon.
            Err(error) => {
                tracing::warn!(reason = %error.without_url(), "a heartbeat was not taken")
            }
        }
    }

    /// A long poll: status, content type and body, or nothing if it was held until the end.
    async fn poll(&self, url: Url) -> Result<Option<(u16, String, Vec<u8>)>, String> {
        let request = self.authorized(self.client.get(url)).timeout(self.pace.poll);
        let request = request.header(CONTENT_TYPE, "application/json");
        match read(request).await {
            Ok(answer) => answer.map(Some).ok_or_else(|| "an endless answer".to_owned()),
            // Not to have reached it at all is no answer.
            Err(error) if error.is_timeout() && !error.is_connect() => Ok(None),
            Err(error) => Err(error.without_url().to_string()),
        }
    }

    /// The body is JSON whatever its content type says: that is how the platform wants it.
    async fn post(&self, job: &str, body: &Value, timeout: Duration) -> Posted {
        let url = with_parameter(&self.place.output.of(job), "isStream", "false");
        let request = self
            .authorized(self.client.post(url))
            .timeout(timeout)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("charset", "utf-8")
            .header("X-Request-ID", job)
            .body(body.to_string());
        match request.send().await {
            Ok(response) => answer::posted(response.status().as_u16()),
            Err(error) => Posted::Failed(error.without_url().to_string()),
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let key = self.place.key.as_ref().map(Secret::expose);
        match key.map(HeaderValue::from_bytes) {
            Some(Ok(mut key)) => {
                key.set_sensitive(true);
                request.header(AUTHORIZATION, key)
            }
            // Refused by the platform, which is then in the log.
            Some(Err(_)) | None => request,
        }
    }
}

/// Waits after failures, longer and longer.
pub(super) fn backoff(pace: &Pace) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(pace.backoff.0)
        .with_max_delay(pace.backoff.1)
        .without_max_times()
        .with_jitter()
}

/// Sends a request and reads its answer: status, content type, body. `None` if that is too long.
async fn read(request: RequestBuilder) -> reqwest::Result<Option<(u16, String, Vec<u8>)>> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Ok(None);
        }
    }
    Ok(Some((status, content_type, body)))
}
