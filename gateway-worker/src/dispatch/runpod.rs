//! RunPod's client API, where it differs from a handler's own: jobs have a policy, tell of their end
//! by an unsigned webhook, and cost something; and workers that sleep can be woken.

use std::time::Duration;

use reelmill_shared::{
    cost::Usage,
    job::{Job, WarmSpec},
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{Api, JobStatus, Start};

/// What the message that wakes a worker may take: as little as RunPod allows, since there is nothing to
/// do.
const WARM_EXECUTION: Duration = Duration::from_secs(10);
/// How long it waits for that worker. Long enough for a cold start with a large image.
const WARM_TTL: Duration = Duration::from_secs(600);

/// How long RunPod lets a job live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Time with a worker; RunPod stops it then. Ten minutes, unless told.
    pub execution: Duration,
    /// Time from hand-in until RunPod forgets the job, even in mid-run.
    pub ttl: Duration,
}

/// An endpoint of RunPod's.
#[derive(Debug)]
pub struct RunPod {
    api: Api,
    policy: Policy,
    prewarm: bool,
}

/// What RunPod says of its workers, as far as it matters here. What it leaves out is none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Health {
    jobs: Jobs,
    workers: Workers,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Jobs {
    in_queue: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Workers {
    idle: u64,
    ready: u64,
    running: u64,
    initializing: u64,
}

impl RunPod {
    /// The endpoint behind `api`, whose jobs have that policy. With `prewarm`, its workers are woken
    /// when there will be work.
    pub const fn new(api: Api, policy: Policy, prewarm: bool) -> Self {
        Self { api, policy, prewarm }
    }

    /// Offers it a job, the end of which it is to hint at.
    pub async fn start(&self, job: &Job, hint: &Url) -> Start {
        let Policy { execution, ttl } = self.policy;
        let policy = json!({"executionTimeout": millis(execution), "ttl": millis(ttl)});
        self.api.run(&json!({"input": job, "policy": policy, "webhook": hint})).await
    }

    /// Asks what became of a job.
    pub async fn status(&self, job: &str) -> JobStatus {
        self.api.status(job).await
    }

    /// Asks what a job took, and whether it has ended.
    pub async fn usage(&self, job: &str) -> (JobStatus, Usage) {
        self.api.inquire(job).await
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

    /// Whether its workers are to be woken.
    pub const fn prewarms(&self) -> bool {
        self.prewarm
    }

    /// Wakes a worker, if all of them sleep. Best effort: a job wakes one, too, only later.
    ///
    /// # Errors
    /// A sentence.
    pub async fn prewarm(&self) -> Result<(), String> {
        if !asleep(&self.health().await?) {
            return Ok(());
        }
        // Not of low priority: such jobs wake no worker.
        let policy = json!({"executionTimeout": millis(WARM_EXECUTION), "ttl": millis(WARM_TTL)});
        match self.api.run(&json!({"input": WarmSpec::default(), "policy": policy})).await {
            Start::Accepted(_) => Ok(()),
            Start::Refused(message) | Start::Unreachable(message) => Err(message),
        }
    }
}

/// Whether no worker is there or on its way, and nothing waits that will wake one.
fn asleep(health: &Value) -> bool {
    let Ok(Health { jobs, workers }) = Health::deserialize(health) else { return false };
    let Workers { idle, ready, running, initializing } = workers;
    [jobs.in_queue, idle, ready, running, initializing].iter().all(|count| *count == 0)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nobody(json!({"jobs": {"inQueue": 0}, "workers": {"idle": 0, "running": 0}}), true)]
    #[case::throttled(json!({"jobs": {}, "workers": {"throttled": 2}}), true)]
    #[case::idle(json!({"workers": {"idle": 1}}), false)]
    #[case::ready(json!({"workers": {"ready": 1}}), false)]
    #[case::running(json!({"workers": {"running": 1}}), false)]
    #[case::starting(json!({"workers": {"initializing": 1}}), false)]
    #[case::somebody_waits(json!({"jobs": {"inQueue": 1}, "workers": {}}), false)]
    #[case::not_known(json!({"workers": "none"}), false)]
    fn wakes_only_who_sleeps(#[case] health: Value, #[case] expected: bool) {
        assert_eq!(asleep(&health), expected);
    }
}
