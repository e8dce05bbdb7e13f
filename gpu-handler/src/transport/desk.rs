//! What transports share that take jobs for as long as the handler runs: reading and checking a
//! message, the register of attempts, slots, and the end of it all.
//!
//! A transport turns messages into jobs and reports into answers; the rest is here, and what is done
//! with a job is in [`engine`](crate::engine) and [`ingest`](crate::ingest).

mod work;

use std::{sync::Arc, time::Duration};

use reelmill_shared::{
    id::MediaId,
    job::{Callback, Failure, FailureCode, JOB_VERSION, Job, JobReport, Metrics, Outcome},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::task::{TaskTracker, task_tracker::TrackedFuture};

use crate::{
    engine::Engine,
    ingest::{Ingester, Options, guard::Guard},
    jobs::{Admission, Jobs, Phase},
    stop::{Reason, Stop},
};

pub use work::{Performed, Told};

/// Most characters of what is said about a malformed job.
const MAX_COMPLAINT: usize = 200;
/// How long reports may still take once the grace is over.
const LAST_WORDS: Duration = Duration::from_secs(12);

/// Where jobs are handed in.
#[derive(Debug, Clone)]
pub struct Desk {
    engine: Arc<Engine>,
    ingester: Ingester,
    jobs: Jobs,
    slots: Arc<Semaphore>,
    ingests: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Desk {
    /// A desk in front of `engine`.
    pub fn new(engine: Engine) -> Self {
        let config = engine.config();
        let slots = Arc::new(Semaphore::new(config.concurrency));
        // Of their own: a download that takes hours is not to hold up the encoder.
        let ingests = Arc::new(Semaphore::new(config.ingests));
        let guard = Guard::new(config.allow_private_sources);
        let ingester = Ingester::new(engine.client().clone(), guard, Options::new(config));
        let (jobs, tasks) = (Jobs::default(), TaskTracker::new());
        Self { engine: Arc::new(engine), ingester, jobs, slots, ingests, tasks }
    }

    /// What works behind it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The attempts that are known.
    pub const fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Slots of the encoder that are idle, and that are in use.
    pub fn occupancy(&self) -> (usize, usize) {
        let idle = self.slots.available_permits();
        (idle, self.engine.config().concurrency.saturating_sub(idle))
    }

    /// Reads a job and checks that it is one which this handler takes. The version is read before
    /// the rest: of an unknown version nothing else can be said.
    ///
    /// # Errors
    /// `unsupported_job`, and why.
    pub fn read(&self, input: Value) -> Result<Job, Failure> {
        match input.get("version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(JOB_VERSION) => {}
            Some(version) => {
                return Err(unsupported(format!(
                    "version {version}, this handler knows {JOB_VERSION}"
                )));
            }
            None => return Err(unsupported("input.version is missing".to_owned())),
        }
        let job = Job::read(input).map_err(|error| unsupported(complaint(&error)))?;
        match &job {
            Job::Transcode(spec) => self.engine.check(spec)?,
            Job::Ingest(spec) => {
                Ingester::check(spec)?;
                self.engine.check_callback(Some(&spec.callback))?;
            }
        }
        Ok(job)
    }

    /// Tells whoever waits for it, as far as the message says who that is, that it holds no job for
    /// this handler. Gives whether the report was taken.
    pub async fn refuse(&self, input: &Value, failure: &Failure) -> bool {
        /// The little that a report needs to know of a job.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Sender {
            media_id: MediaId,
            attempt: u8,
            callback: Callback,
        }
        let Ok(sender) = Sender::deserialize(input) else { return false };
        let Some(reporter) = self.engine.reporter(Some(&sender.callback)) else { return false };
        let report = failed((sender.media_id, sender.attempt), failure.clone());
        work::tell(&reporter, &report, None).await.taken()
    }

    /// Registers an attempt under `id`, if at most as many of its kind wait as `queue` allows, beside
    /// those that have a slot. Gives the id under which the attempt is known, and how to stop it.
    pub fn admit(&self, id: &str, job: &Job, queue: usize) -> (Admission, String, Stop) {
        let config = self.engine.config();
        let slots = match job {
            Job::Transcode(_) => config.concurrency,
            Job::Ingest(_) => config.ingests,
        };
        self.jobs.admit(id, (job.attempt(), job.dispatch()), queue.saturating_add(slots))
    }

    /// Does something in the background that [`wind_down`](Self::wind_down) waits for.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Has [`wind_down`](Self::wind_down) wait for work that somebody else drives.
    pub fn track<F: Future>(&self, work: F) -> TrackedFuture<F> {
        self.tasks.track_future(work)
    }

    /// Takes no more jobs, gives those that run `grace`, or without one all the time that they need,
    /// and stops the rest, which is then reported as stopped.
    pub async fn wind_down(&self, grace: Option<Duration>) {
        let left = self.jobs.close();
        tracing::info!(jobs = left.len(), "stopping");
        let (waiting, running): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|job| matches!(job.phase, Phase::Queued));
        if grace.is_some() {
            waiting.iter().for_each(|job| job.stop.now(Reason::Shutdown));
        }
        self.tasks.close();
        let grace = grace.unwrap_or(Duration::MAX);
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            running.iter().for_each(|job| job.stop.now(Reason::Shutdown));
            // Whoever does not hear of it by then learns it from the lapsing lease.
            let _ = tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await;
        }
    }
}

/// What is wrong with a malformed job, without the value that is: it may be megabytes, or a secret.
fn complaint(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = match (text.split_once(": "), text.rsplit_once(", expected ")) {
        (
            Some((kind @ ("invalid type" | "invalid value" | "invalid length"), _)),
            Some((_, not)),
        ) => {
            format!("{kind}, expected {not}")
        }
        _ => text,
    };
    text.chars().take(MAX_COMPLAINT).collect()
}

fn unsupported(message: String) -> Failure {
    Failure::new(FailureCode::UnsupportedJob, message)
}

/// The report of an attempt at which nothing was done.
fn failed((media_id, attempt): (MediaId, u8), error: Failure) -> JobReport {
    let (outcome, metrics) = (Outcome::Failed { error }, Metrics::default());
    JobReport { media_id, attempt, outcome, source_sha256: None, metrics }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::missing(json!({"version": 1}), "missing field `mediaId`")]
    #[case::type_of_a_value(json!({"version": "sk-secret"}), "invalid type, expected u32")]
    #[case::value(json!({"version": 1, "mediaId": "sk-secret"}), "")]
    #[case::trap(json!({"version": ", expected sk-secret"}), "invalid type, expected u32")]
    #[case::long(json!({"version": 1, "kind": "é".repeat(10_000)}), "unknown variant `éé")]
    fn a_complaint_is_short_and_tells_no_secret(#[case] job: Value, #[case] expected: &str) {
        let told = complaint(&Job::read(job).expect_err("malformed"));
        assert!(told.starts_with(expected) && !told.contains("secret"), "{told}");
        assert!(!told.is_empty() && told.chars().count() <= MAX_COMPLAINT, "{told}");
    }
}
