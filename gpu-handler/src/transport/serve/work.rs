//! The life of one accepted job: waiting, work, report.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use reelmill_shared::job::{Failure, FailureCode, Job, JobReport, Metrics, Outcome};
use tokio_util::task::AbortOnDropHandle;

use super::Server;
use crate::{
    engine::Done,
    reporter::{Delivery, Reporter},
    stop::{Reason, Stop},
    tracker::Tracker,
};

/// How long a report is tried when the handler is about to stop.
const PATIENCE_AT_STOP: Duration = Duration::from_secs(10);

impl Server {
    /// Starts the job in the background.
    pub(super) fn begin(&self, id: String, job: Job, stop: Stop) {
        let server = self.clone();
        self.tasks.spawn(async move { server.work(&id, &job, &stop).await });
    }

    async fn work(&self, id: &str, job: &Job, stop: &Stop) {
        let (media, attempt) = job.attempt();
        let tracker = Arc::new(Tracker::new(media, attempt));
        let reporter = self.engine.reporter(job.callback());
        // From now on, so that waiting is a sign of life too; until the report is taken.
        let _heartbeat = reporter.clone().map(|reporter| {
            let (progress, stop) = (tracker.subscribe(), stop.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                reporter.heartbeat(progress, &stop).await;
            }))
        });
        let Done { report, log, .. } = self.attempt(id, job, stop, &tracker).await;
        let completed = match &report.outcome {
            Outcome::Completed { .. } => true,
            Outcome::Failed { error } => {
                tracing::warn!(job = id, %media, %error, "job failed");
                false
            }
        };
        self.jobs.ended(id, report.clone(), completed, log);
        if let Some(reporter) = reporter {
            tell(&reporter, &report, stop).await;
        }
    }

    async fn attempt(&self, id: &str, job: &Job, stop: &Stop, tracker: &Tracker) -> Done {
        let slots = match job {
            Job::Transcode(_) => &self.slots,
            Job::Ingest(_) => &self.ingests,
        };
        let slot = stop.token().run_until_cancelled(slots.acquire()).await;
        let Some(Ok(_slot)) = slot else {
            let error = stop.failure().unwrap_or_else(internal);
            return failed(job, error);
        };
        self.jobs.started(id);
        let (media, attempt) = job.attempt();
        tracing::info!(job = id, %media, attempt, "job started");
        // Whatever panics in a job, the handler goes on, and the job has an end.
        let work = async {
            match job {
                Job::Transcode(spec) => self.engine.run(spec, tracker, stop).await,
                Job::Ingest(spec) => self.ingester.run(spec, tracker, stop).await,
            }
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        work.await.unwrap_or_else(|_| failed(job, internal()))
    }
}

async fn tell(reporter: &Reporter, report: &JobReport, stop: &Stop) {
    let patience = match stop.reason() {
        Some(Reason::Stale) => return,
        Some(Reason::Shutdown) => PATIENCE_AT_STOP.min(reporter.patience()),
        Some(Reason::Cancelled) | None => reporter.patience(),
    };
    let delivery = reporter.report(report, patience).await;
    if !matches!(delivery, Delivery::Taken | Delivery::Stale) {
        tracing::error!(media = %report.media_id, ?delivery, "the report was not taken");
    }
}

fn internal() -> Failure {
    Failure::new(FailureCode::Internal, "the handler made a mistake")
}

fn failed(job: &Job, error: Failure) -> Done {
    let (media_id, attempt) = job.attempt();
    let report = JobReport {
        media_id,
        attempt,
        outcome: Outcome::Failed { error },
        source_sha256: None,
        metrics: Metrics::default(),
    };
    Done { report, log: String::new(), peak_memory: 0 }
}
