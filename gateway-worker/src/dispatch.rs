//! The gateway's side of the handler's API: RunPod's client API, served by RunPod and by
//! `gpu-handler serve` alike.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    job::{Callback, IngestSpec, Input, JOB_VERSION, Job, JobSpec, Kind, OutputTarget},
    media::State,
    object_key::ObjectKey,
    token::{Grant, Token},
};
use serde::Deserialize;
use serde_json::{Value, json};
use worker::Method;

use crate::{
    config::Config,
    outgoing::{self, Answer},
    view::{Direct, Record},
};

/// How long the capability URLs of a job work. Longer than any wait in a queue and any encode;
/// writing is fenced by attempt besides.
const CAPABILITIES_FOR: SignedDuration = SignedDuration::from_hours(24);
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long `/health` waits for the handler.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// RunPod kills a job after 10 minutes unless told otherwise, and forgets it after its time to
/// live even in mid-run. In milliseconds.
const EXECUTION_TIMEOUT_MS: u64 = 12 * 3600 * 1000;
const TTL_MS: u64 = 24 * 3600 * 1000;

/// How the handler answered a new job.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// It took the job under this id.
    Accepted(String),
    /// It will not take this job, today or tomorrow.
    Refused(String),
    /// It cannot be asked at the moment.
    Unreachable(String),
}

/// What the handler's queue says of a job that was not heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// It waits or runs.
    Waiting,
    /// It has ended, is unknown, or the handler cannot be asked.
    Lost,
}

/// The job of the running attempt, if there is one.
pub fn job(config: &Config, record: &Record, now: Timestamp) -> Option<Job> {
    let (media, details) = (record.media.id, &record.media.details);
    let attempt = record.media.running()?.number;
    let expires_at = now + CAPABILITIES_FOR;
    let token = |grant| config.tokens.sign(&Token { media, grant, expires_at, viewer: None });
    let callback = Callback {
        report_url: record.url("api/handler/report"),
        progress_url: record.url("api/handler/progress"),
        lease_seconds: u32::try_from(config.timing.lease.as_secs()).unwrap_or(u32::MAX),
    };
    let State::Transcoding { source, .. } = &record.media.state else {
        let upload = token(Grant::BringSource { attempt });
        return Some(Job::Ingest(Box::new(IngestSpec {
            version: JOB_VERSION,
            kind: Kind::Ingest,
            media_id: media,
            attempt,
            source_url: details.source_url.clone()?,
            size: details.size,
            max_bytes: record.max_bytes,
            upload_url: record.url(&format!("api/uploads?token={upload}")),
            callback,
        })));
    };
    let (read, write) =
        (token(Grant::ReadSource { attempt }), token(Grant::WriteOutputs { attempt }));
    Some(Job::Transcode(Box::new(JobSpec {
        version: JOB_VERSION,
        media_id: media,
        attempt,
        pipeline: details.pipeline.clone(),
        input: Input {
            url: match (&config.s3, &record.direct) {
                // It came past the Worker, and so it goes.
                (Some(s3), Some(Direct { stored: true, .. })) => {
                    s3.object_url(&ObjectKey::Source(media).to_string(), now, expires_at)
                }
                _ => record.url(&format!("api/handler/source/{read}")),
            },
            size: source.size,
            etag: Some(format!("\"{}\"", source.etag)),
            sha256: source.sha256.clone(),
        },
        output: OutputTarget { base_url: record.url(&format!("api/handler/outputs/{write}/")) },
        callback: Some(callback),
    })))
}

/// Offers a job to the handler.
pub async fn start(config: &Config, job: &Job) -> Start {
    let body = json!({
        "input": job,
        "policy": {"executionTimeout": EXECUTION_TIMEOUT_MS, "ttl": TTL_MS},
    });
    match call(config, Method::Post, "run", Some(&body), TIMEOUT).await {
        Ok(answer) => judge(&answer),
        Err(error) => Start::Unreachable(error),
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

/// Asks what became of a job.
pub async fn status(config: &Config, job: &str) -> JobStatus {
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    let answer = call(config, Method::Get, &format!("status/{job}"), None, TIMEOUT).await;
    let status = answer
        .ok()
        .filter(|answer| answer.status == 200)
        .and_then(|answer| serde_json::from_slice::<Status>(&answer.body).ok());
    match status {
        Some(Status { status }) if status == "IN_QUEUE" || status == "IN_PROGRESS" => {
            JobStatus::Waiting
        }
        _ => JobStatus::Lost,
    }
}

/// Asks the handler to stop a job. A job it does not know is as good as stopped.
pub async fn cancel(config: &Config, job: &str) -> Result<(), String> {
    let answer = call(config, Method::Post, &format!("cancel/{job}"), None, TIMEOUT).await?;
    match answer.status {
        200..=299 | 400..=499 => Ok(()),
        status => Err(format!("The handler answered with status {status}.")),
    }
}

/// The handler's own account of itself, or why there is none.
pub async fn health(config: &Config) -> Result<Value, String> {
    let answer = call(config, Method::Get, "health", None, HEALTH_TIMEOUT).await?;
    if answer.status != 200 {
        return Err(format!("The handler answered with status {}.", answer.status));
    }
    serde_json::from_slice(&answer.body).map_err(|_| "The handler's answer is no JSON.".into())
}

async fn call(
    config: &Config,
    method: Method,
    path: &str,
    body: Option<&Value>,
    timeout: Duration,
) -> Result<Answer, String> {
    let url = format!("{}/{path}", config.handler_url);
    let authorization =
        format!("Bearer {}", String::from_utf8_lossy(config.handler_api_key.expose()));
    let mut headers = vec![("authorization", authorization)];
    if body.is_some() {
        headers.push(("content-type", "application/json".to_owned()));
    }
    outgoing::send(method, &url, &headers, body.map(Value::to_string), timeout, MAX_ANSWER).await
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
