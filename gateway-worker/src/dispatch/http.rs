//! The client of a handler's API: `POST run`, `GET status/{id}`, `POST cancel/{id}`, `GET health`, as
//! `gpu-handler serve` speaks it, and RunPod.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reelmill_shared::{cost::Usage, job::Job, media::Ending, secret::Secret};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use worker::{Method, ObjectNamespace};

use super::{JobStatus, Start};
use crate::outgoing::{self, Answer};

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long `/health` waits for a backend.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer that is read, in bytes. A handler's own has the report of an ended job in it.
const MAX_ANSWER: usize = 1024 * 1024;

/// Where the API is, and the key to it.
#[derive(Debug)]
pub struct Api {
    /// Without a slash at its end.
    base: String,
    key: Secret,
    /// The objects whose container it is in, where it is in one.
    objects: Option<ObjectNamespace>,
}

impl Api {
    /// The API below `base`, for whoever shows `key` as a bearer token.
    pub fn new(base: &Url, key: Secret) -> Self {
        Self { base: base.as_str().trim_end_matches('/').to_owned(), key, objects: None }
    }

    /// Reaches it through the object of a container.
    pub(super) fn through(&mut self, objects: ObjectNamespace) {
        self.objects = Some(objects);
    }

    /// What has to stand in `Authorization`.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", String::from_utf8_lossy(self.key.expose()))
    }

    /// The key to it.
    pub const fn key(&self) -> &Secret {
        &self.key
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
        self.inquire(job).await.0
    }

    /// Asks what became of a job, and what it took.
    pub(super) async fn inquire(&self, job: &str) -> (JobStatus, Usage) {
        let path = format!("status/{}", utf8_percent_encode(job, NON_ALPHANUMERIC));
        match self.call(Method::Get, &path, None, TIMEOUT).await {
            Ok(answer) => account(&answer),
            Err(_) => (JobStatus::NoAnswer, Usage::default()),
        }
    }

    /// Asks it to stop a job. A job it does not know is as good as stopped.
    ///
    /// # Errors
    /// A sentence, where it is worth trying again.
    pub async fn cancel(&self, job: &str) -> Result<(), String> {
        let path = format!("cancel/{}", utf8_percent_encode(job, NON_ALPHANUMERIC));
        let answer = self.call(Method::Post, &path, None, TIMEOUT).await?;
        match answer.status {
            // RunPod takes a hundred cancellations in ten seconds.
            status @ (408 | 425 | 429) => Err(unfit(status)),
            200..=299 | 400..=499 => Ok(()),
            status => Err(unfit(status)),
        }
    }

    /// Its own account of itself.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub async fn health(&self) -> Result<Value, String> {
        let answer = self.call(Method::Get, "health", None, HEALTH_TIMEOUT).await?;
        if answer.status != 200 {
            return Err(unfit(answer.status));
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
        let mut headers = vec![("authorization", self.authorization())];
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        // One container is one handler, whose jobs wait in it as in any other.
        let object = self.objects.as_ref().map(|objects| objects.get_by_name("handler"));
        let object = object.transpose().map_err(|error| format!("No container: {error}"))?;
        let body = body.map(Value::to_string);
        outgoing::send_to(object.as_ref(), method, &url, &headers, body, timeout, MAX_ANSWER).await
    }
}

/// Reads the answer about a job.
fn account(answer: &Answer) -> (JobStatus, Usage) {
    /// RunPod's account of a job. What has another form than it should is not there.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Account {
        status: String,
        #[serde(default)]
        delay_time: Value,
        #[serde(default)]
        execution_time: Value,
        #[serde(default)]
        worker_id: Value,
        #[serde(default)]
        error: Value,
    }
    if answer.status == 404 {
        return (JobStatus::Unknown, Usage::default());
    }
    let read = (answer.status == 200).then(|| serde_json::from_slice::<Account>(&answer.body));
    let Some(Ok(account)) = read else { return (JobStatus::NoAnswer, Usage::default()) };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let status = match account.status.as_str() {
        "IN_QUEUE" => JobStatus::Waiting,
        "IN_PROGRESS" => JobStatus::Running,
        "COMPLETED" => JobStatus::Ended(Ending::Completed),
        "FAILED" => JobStatus::Ended(Ending::Failed(text(&account.error))),
        "CANCELLED" => JobStatus::Ended(Ending::Cancelled),
        "TIMED_OUT" => JobStatus::Ended(Ending::TimedOut),
        _ => JobStatus::NoAnswer,
    };
    let usage = Usage {
        delay_ms: account.delay_time.as_u64().unwrap_or(0),
        execution_ms: account.execution_time.as_u64().unwrap_or(0),
        worker_id: text(&account.worker_id),
    };
    (status, usage)
}

/// An answer that is none to what was asked.
fn unfit(status: u16) -> String {
    format!("The handler answered with status {status}.")
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
        status @ (408 | 425 | 429 | 500..) => Start::Unreachable(unfit(status)),
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

    #[rstest]
    #[case(200, r#"{"status":"IN_QUEUE"}"#, JobStatus::Waiting)]
    #[case(200, r#"{"status":"IN_PROGRESS","output":{"percent":3}}"#, JobStatus::Running)]
    #[case(200, r#"{"status":"COMPLETED","output":1}"#, JobStatus::Ended(Ending::Completed))]
    #[case(200, r#"{"status":"FAILED","error":"no"}"#, JobStatus::Ended(Ending::Failed(Some("no".into()))))]
    #[case(200, r#"{"status":"FAILED","error":{}}"#, JobStatus::Ended(Ending::Failed(None)))]
    #[case(200, r#"{"status":"CANCELLED"}"#, JobStatus::Ended(Ending::Cancelled))]
    #[case(200, r#"{"status":"TIMED_OUT"}"#, JobStatus::Ended(Ending::TimedOut))]
    #[case(200, r#"{"status":"BAKED"}"#, JobStatus::NoAnswer)]
    #[case(200, "<html>", JobStatus::NoAnswer)]
    #[case(404, "", JobStatus::Unknown)]
    #[case(401, "", JobStatus::NoAnswer)]
    #[case(500, "", JobStatus::NoAnswer)]
    fn reads_statuses(#[case] status: u16, #[case] body: &str, #[case] expected: JobStatus) {
        let answer = Answer { status, body: body.into(), ..Answer::default() };
        assert_eq!(account(&answer).0, expected);
    }

    #[test]
    fn reads_what_a_job_took() {
        let body =
            r#"{"status":"COMPLETED","delayTime":31618,"executionTime":1437,"workerId":"w"}"#;
        let answer = Answer { status: 200, body: body.into(), ..Answer::default() };
        let usage = Usage { delay_ms: 31618, execution_ms: 1437, worker_id: Some("w".into()) };
        assert_eq!(account(&answer).1, usage);
        let body = r#"{"status":"COMPLETED","delayTime":-1,"executionTime":"long","workerId":7}"#;
        let answer = Answer { status: 200, body: body.into(), ..Answer::default() };
        assert_eq!(account(&answer), (JobStatus::Ended(Ending::Completed), Usage::default()));
    }
}
