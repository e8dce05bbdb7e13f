//! The life of one accepted job: waiting, work, report.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use reelmill_shared::job::{Failure, FailureCode, JobReport, JobSpec, Metrics, Outcome};
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
    pub(super) fn begin(&self, id: String, spec: JobSpec, stop: Stop) {
        let server = self.clone();
        self.tasks.spawn(async move { server.work(&id, &spec, &stop).await });
    }

    async fn work(&self, id: &str, spec: &JobSpec, stop: &Stop) {
        let tracker = Arc::new(Tracker::new(spec.media_id, spec.attempt));
        let reporter = self.engine.reporter(spec);
        // From now on, so that waiting is a sign of life too; until the report is taken.
        let _heartbeat = reporter.clone().map(|reporter| {
            let (progress, stop) = (tracker.subscribe(), stop.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                reporter.heartbeat(progress, &stop).await;
            }))
        });
        let Done { report, log, .. } = self.attempt(id, spec, stop, &tracker).await;
        let completed = match &report.outcome {
            Outcome::Completed { .. } => true,
            Outcome::Failed { error } => {
                tracing::warn!(job = id, media = %spec.media_id, %error, "job failed");
                false
            }
        };
        self.jobs.ended(id, report.clone(), completed, log);
        if let Some(reporter) = reporter {
            tell(&reporter, &report, stop).await;
        }
    }

    async fn attempt(&self, id: &str, spec: &JobSpec, stop: &Stop, tracker: &Tracker) -> Done {
        let slot = stop.token().run_until_cancelled(self.slots.acquire()).await;
        let Some(Ok(_slot)) = slot else {
            let error = stop.failure().unwrap_or_else(internal);
            return failed(spec, error);
        };
        self.jobs.started(id);
        tracing::info!(job = id, media = %spec.media_id, attempt = spec.attempt, "job started");
        // Whatever panics in a job, the handler goes on, and the job has an end.
        let work = AssertUnwindSafe(self.engine.run(spec, tracker, stop)).catch_unwind();
        work.await.unwrap_or_else(|_| failed(spec, internal()))
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

fn failed(spec: &JobSpec, error: Failure) -> Done {
    let report = JobReport {
        media_id: spec.media_id,
        attempt: spec.attempt,
        outcome: Outcome::Failed { error },
        source_sha256: None,
        metrics: Metrics::default(),
    };
    Done { report, log: String::new(), peak_memory: 0 }
}
