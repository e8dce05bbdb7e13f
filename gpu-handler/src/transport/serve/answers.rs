//! The bodies that `serve` answers with: RunPod's, and more where there is more to tell.

use axum::{
    Json,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use reelmill_shared::{
    job::{FailureCode, JobReport, Outcome},
    problem::{self, Problem, ProblemCode},
};
use serde::Serialize;
use uuid::Uuid;

use super::Server;
use crate::{
    host::Host,
    jobs::{Counts, Job, Phase},
};

/// RunPod's account of a job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobAnswer {
    id: String,
    status: &'static str,
    /// Milliseconds in the queue.
    delay_time: u64,
    /// Milliseconds of work.
    execution_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<JobReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl JobAnswer {
    /// Of a message that only wanted a worker to be awake.
    pub(super) fn awake() -> Self {
        let (id, status) = (Uuid::now_v7().simple().to_string(), "COMPLETED");
        Self { id, status, delay_time: 0, execution_time: 0, output: None, error: None }
    }

    fn new(id: &str, job: Job) -> Self {
        let millis =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (delay_time, execution_time) = (millis(job.delay()), millis(job.execution()));
        let (status, output) = match job.phase {
            Phase::Queued => ("IN_QUEUE", None),
            Phase::Running => ("IN_PROGRESS", None),
            Phase::Ended(report) => (ended(&report), Some(*report)),
        };
        let error = output.as_ref().and_then(|report| match &report.outcome {
            Outcome::Completed { .. } => None,
            Outcome::Failed { error } => Some(error.to_string()),
        });
        Self { id: id.to_owned(), status, delay_time, execution_time, output, error }
    }
}

fn ended(report: &JobReport) -> &'static str {
    match &report.outcome {
        Outcome::Completed { .. } => "COMPLETED",
        Outcome::Failed { error } => match error.code {
            FailureCode::Cancelled => "CANCELLED",
            FailureCode::TimedOut => "TIMED_OUT",
            _ => "FAILED",
        },
    }
}

impl Server {
    pub(super) fn answer(&self, id: &str) -> Result<JobAnswer, Refusal> {
        let job = self.desk.jobs().get(id).ok_or(Refusal::from(ProblemCode::NotFound))?;
        Ok(JobAnswer::new(id, job))
    }
}

/// RunPod's health, and what this handler is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    jobs: JobCounts,
    workers: WorkerCounts,
    version: &'static str,
    #[serde(flatten)]
    host: Host,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobCounts {
    completed: u64,
    failed: u64,
    in_progress: u64,
    in_queue: u64,
    retried: u64,
}

#[derive(Debug, Serialize)]
struct WorkerCounts {
    idle: u64,
    running: u64,
    initializing: u64,
    ready: u64,
    throttled: u64,
}

impl Health {
    /// `workers` are those for encoding, idle and running; sources are brought beside them.
    pub(super) fn new(counts: Counts, workers: (usize, usize), host: Host) -> Self {
        let (idle, running) = (workers.0 as u64, workers.1 as u64);
        Self {
            // RunPod retries by itself; this handler leaves that to the gateway, which counts.
            jobs: JobCounts {
                completed: counts.completed,
                failed: counts.failed,
                in_progress: counts.running,
                in_queue: counts.queued,
                retried: 0,
            },
            workers: WorkerCounts { idle, running, initializing: 0, ready: idle, throttled: 0 },
            version: env!("CARGO_PKG_VERSION"),
            host,
        }
    }
}

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<ProblemCode> for Refusal {
    fn from(code: ProblemCode) -> Self {
        Self(code.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, problem::CONTENT_TYPE)], Json(self.0)).into_response()
    }
}
