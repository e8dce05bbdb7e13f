//! The client of a handler's API: `POST run`, `GET status/{id}`, `POST cancel/{id}`, `GET health`, as
//! `gpu-handler serve` speaks it, and RunPod.

use std::time::Duration;

use reelmill_shared::{job::Job, secret::Secret};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use worker::Method;

use super::{JobStatus, Start};
use crate::outgoing::{self, Answer};

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long `/health` waits for a backend.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Where the API is, and the key to it.
#[derive(Debug)]
pub struct Api {
    /// Without a slash at its end.
    base: String,
    key: Secret,
}

impl Api {
    /// The API below `base`, for whoever shows `key` as a bearer token.
    pub fn new(base: &Url, key: Secret) -> Self {
        Self { base: base.as_str().trim_end_matches('/').to_owned(), key }
    }

    /// The API's base URL, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Offers it a job.
    pub async fn start(&self, job: &Job) -> Start {
        self.run(&json!({ "input": job })).await
    }

    /// `POST run` with that body.
    pub(super) async fn run(&self, body: &Value) -> Start {
        match self.call(Method::Post, "run", Some(body), TIMEOUT).await {
            Ok(answer) => judge(&answer),
            Err(error) => Start::Unreachable(error),
        }
    }

    /// Asks what became of a job.
    pub async fn status(&self, job: &str) -> JobStatus {
        #[derive(Deserialize)]
        struct Status {
            status: String,
        }
        let answer = self.call(Method::Get, &format!("status/{job}"), None, TIMEOUT).await;
        let status = answer
            .ok()
            .filter(|answer| answer.status == 200)
            .and_then(|answer| serde_json::from_slice::<Status>(&answer.body).ok());
        match status.as_ref().map(|status| status.status.as_str()) {
            Some("IN_QUEUE") => JobStatus::Waiting,
            Some("IN_PROGRESS") => JobStatus::Running,
            _ => JobStatus::Lost,
        }
    }

    /// Asks it to stop a job. A job it does not know is as good as stopped.
    ///
    /// # Errors
    /// A sentence, where it is worth trying again.
    pub async fn cancel(&self, job: &str) -> Result<(), String> {
        let answer = self.call(Method::Post, &format!("cancel/{job}"), None, TIMEOUT).await?;
        match answer.status {
            200..=299 | 400..=499 => Ok(()),
            status => Err(format!("The handler answered with status {status}.")),
        }
    }

    /// Its own account of itself.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub async fn health(&self) -> Result<Value, String> {
        let answer = self.call(Method::Get, "health", None, HEALTH_TIMEOUT).await?;
        if answer.status != 200 {
            return Err(format!("The handler answered with status {}.", answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|_| "The handler's answer is no JSON.".into())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<Answer, String> {
        let url = format!("{}/{path}", self.base);
        let authorization = format!("Bearer {}", String::from_utf8_lossy(self.key.expose()));
        let mut headers = vec![("authorization", authorization)];
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        outgoing::send(method, &url, &headers, body.map(Value::to_string), timeout, MAX_ANSWER)
            .await
    }
}

fn judge(answer: &Answer) -> Start {
    #[derive(Deserialize)]
    struct Accepted {
        id: String,
    }
    match answer.status {
        200..=299 => match serde_json::from_slice::<Accepted>(&answer.body) {
            Ok(accepted) => Start::Accepted(accepted.id),
            Err(_) => Start::Unreachable("The handler's answer names no job.".into()),
        },
        // Too busy, or a fault that may pass.
        408 | 425 | 429 | 500.. => {
            Start::Unreachable(format!("The handler answered with status {}.", answer.status))
        }
        status => Start::Refused(format!("The handler refused the job with status {status}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(200, r#"{"id":"j-1","status":"IN_QUEUE"}"#, Start::Accepted("j-1".into()))]
    #[case(200, "{}", Start::Unreachable("The handler's answer names no job.".into()))]
    #[case(400, "", Start::Refused("The handler refused the job with status 400.".into()))]
    #[case(401, "", Start::Refused("The handler refused the job with status 401.".into()))]
    #[case(302, "", Start::Refused("The handler refused the job with status 302.".into()))]
    #[case(429, "", Start::Unreachable("The handler answered with status 429.".into()))]
    #[case(503, "", Start::Unreachable("The handler answered with status 503.".into()))]
    fn judges(#[case] status: u16, #[case] body: &str, #[case] expected: Start) {
        let answer = Answer { status, body: body.into(), ..Answer::default() };
        assert_eq!(judge(&answer), expected);
    }
}
