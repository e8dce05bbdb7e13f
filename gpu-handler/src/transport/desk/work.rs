//! The life of one accepted job: waiting, claim, work, report.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use reelmill_shared::job::{Failure, FailureCode, Job, JobReport, Outcome, Stage};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{Desk, failed};
use crate::{
    engine::Done,
    reporter::{Delivery, Reporter},
    stop::{Reason, Stop},
    tracker::Tracker,
};

/// How long a report is tried when the handler is about to stop.
const PATIENCE_AT_STOP: Duration = Duration::from_secs(10);

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The job names nobody to report to, or nobody waits any more.
    Nobody,
    /// It was sent, with this result.
    Sent(Delivery),
}

impl Told {
    /// Whether there is nobody left who has yet to hear of it.
    pub const fn taken(self) -> bool {
        matches!(self, Self::Nobody | Self::Sent(Delivery::Taken | Delivery::Stale))
    }
}

/// A job that is over, and not reported yet. As long as this is there, so is its sign of life.
#[derive(Debug)]
pub struct Performed {
    /// How it ended.
    pub report: JobReport,
    stop: Stop,
    reporter: Option<Reporter>,
    heartbeat: Option<AbortOnDropHandle<()>>,
}

impl Performed {
    /// Reports it, for as long as that makes sense, and goes on with nothing afterwards.
    pub async fn tell(self) -> (JobReport, Told) {
        let told = match &self.reporter {
            Some(reporter) => tell(reporter, &self.report, self.stop.reason()).await,
            None => Told::Nobody,
        };
        if let Some(heartbeat) = self.heartbeat {
            // A host may freeze the process as soon as it has an answer.
            heartbeat.abort();
            let _ = heartbeat.await;
        }
        (self.report, told)
    }
}

impl Desk {
    /// Works on an admitted job until it is over and reported.
    pub async fn work(
        &self,
        id: &str,
        job: &Job,
        stop: &Stop,
        tracker: &Arc<Tracker>,
    ) -> (JobReport, Told) {
        self.perform(id, job, stop, tracker).await.tell().await
    }

    /// Works on an admitted job until it is over, for a transport that has something to do before it
    /// is reported.
    pub async fn perform(
        &self,
        id: &str,
        job: &Job,
        stop: &Stop,
        tracker: &Arc<Tracker>,
    ) -> Performed {
        let (media, _) = job.attempt();
        let reporter = self.engine.reporter(job.callback());
        // From now on, so that waiting is a sign of life too; until the report is taken.
        let heartbeat = reporter.clone().map(|reporter| {
            let (progress, stop) = (tracker.subscribe(), stop.clone());
            let beating = async move { reporter.heartbeat(progress, &stop).await };
            AbortOnDropHandle::new(tokio::spawn(beating.in_current_span()))
        });
        let Done { mut report, log, .. } =
            self.attempt(id, job, stop, tracker, reporter.as_ref()).await;
        let place = self.engine.config().runpod.as_ref();
        report.metrics.gpu_type = place.and_then(|place| place.gpu.clone());
        let completed = match &report.outcome {
            Outcome::Completed { .. } => {
                tracing::info!(job = id, %media, "job completed");
                true
            }
            Outcome::Failed { error } => {
                tracing::warn!(job = id, %media, %error, "job failed");
                false
            }
        };
        self.jobs.ended(id, report.clone(), completed, log);
        Performed { report, stop: stop.clone(), reporter, heartbeat }
    }

    /// Reports once more what came of a job that had ended before it was handed in again: whoever
    /// sends it twice may not have heard.
    pub async fn tell_again(&self, job: &Job, report: &JobReport) -> Told {
        match self.engine.reporter(job.callback()) {
            Some(reporter) => tell(&reporter, report, None).await,
            None => Told::Nobody,
        }
    }

    async fn attempt(
        &self,
        id: &str,
        job: &Job,
        stop: &Stop,
        tracker: &Tracker,
        reporter: Option<&Reporter>,
    ) -> Done {
        let slots = match job {
            Job::Transcode(_) => &self.slots,
            Job::Ingest(_) => &self.ingests,
        };
        let slot = stop.token().run_until_cancelled(slots.acquire()).await;
        let Some(Ok(_slot)) = slot else {
            return nothing_done(job, stop.failure().unwrap_or_else(internal));
        };
        if let Some(reporter) = reporter
            && let Err(failure) = claim(reporter, job, stop, tracker).await
        {
            return nothing_done(job, failure);
        }
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
        // Boxed: what awaits it has no need of its layout, which is deep.
        let work = AssertUnwindSafe(work.boxed()).catch_unwind();
        work.await.unwrap_or_else(|_| nothing_done(job, internal()))
    }
}

/// Asks whether the job is still wanted, now that it could begin. While it waited the gateway may have
/// given it to another backend, so that to begin unasked might be to do it twice.
async fn claim(
    reporter: &Reporter,
    job: &Job,
    stop: &Stop,
    tracker: &Tracker,
) -> Result<(), Failure> {
    tracker.enter(match job {
        Job::Transcode(_) => Stage::Fetching,
        Job::Ingest(_) => Stage::Downloading,
    });
    let progress = tracker.subscribe().borrow().clone();
    let unclear = |message| Err(Failure::new(FailureCode::DispatchFailed, message));
    match stop.token().run_until_cancelled(reporter.claim(&progress)).await {
        Some(Delivery::Taken) => return Ok(()),
        Some(Delivery::Stale) => stop.now(Reason::Stale),
        Some(Delivery::Refused(status)) => {
            return unclear(format!("the gateway refused the job's claim with status {status}"));
        }
        Some(Delivery::Failed) => {
            let message = "the gateway did not answer whether the job is still wanted";
            return unclear(message.to_owned());
        }
        None => {}
    }
    Err(stop.failure().unwrap_or_else(internal))
}

/// Sends a report for as long as it makes sense, given why the job was stopped.
pub(super) async fn tell(reporter: &Reporter, report: &JobReport, stop: Option<Reason>) -> Told {
    let patience = match stop {
        Some(Reason::Stale) => return Told::Nobody,
        Some(Reason::Shutdown | Reason::Deadline) => PATIENCE_AT_STOP.min(reporter.patience()),
        Some(Reason::Cancelled) | None => reporter.patience(),
    };
    let told = Told::Sent(reporter.report(report, patience).await);
    if !told.taken() {
        tracing::error!(media = %report.media_id, ?told, "the report was not taken");
    }
    told
}

fn internal() -> Failure {
    Failure::new(FailureCode::Internal, "the handler made a mistake")
}

fn nothing_done(job: &Job, error: Failure) -> Done {
    Done { report: failed(job.attempt(), error), log: String::new(), peak_memory: 0 }
}
