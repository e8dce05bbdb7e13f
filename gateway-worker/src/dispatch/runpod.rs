//! RunPod's client API, where it differs from a handler's own.

use reelmill_shared::job::Job;
use serde_json::{Value, json};

use super::{Api, JobStatus, Start};

/// RunPod kills a job after 10 minutes unless told otherwise, and forgets it after its time to
/// live even in mid-run. In milliseconds.
const EXECUTION_TIMEOUT_MS: u64 = 12 * 3600 * 1000;
const TTL_MS: u64 = 24 * 3600 * 1000;

/// An endpoint of RunPod's.
#[derive(Debug)]
pub struct RunPod {
    api: Api,
}

impl RunPod {
    /// The endpoint behind `api`.
    pub const fn new(api: Api) -> Self {
        Self { api }
    }

    /// Offers it a job.
    pub async fn start(&self, job: &Job) -> Start {
        let policy = json!({"executionTimeout": EXECUTION_TIMEOUT_MS, "ttl": TTL_MS});
        self.api.run(&json!({"input": job, "policy": policy})).await
    }

    /// Asks what became of a job.
    pub async fn status(&self, job: &str) -> JobStatus {
        self.api.status(job).await
    }

    /// Asks it to stop a job. A job it does not know is as good as stopped.
    ///
    /// # Errors
    /// A sentence, where it is worth trying again.
    pub async fn cancel(&self, job: &str) -> Result<(), String> {
        self.api.cancel(job).await
    }

    /// Its own account of itself.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub async fn health(&self) -> Result<Value, String> {
        self.api.health().await
    }
}
