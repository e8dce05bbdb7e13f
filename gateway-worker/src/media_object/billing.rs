//! What a job cost, read from its platform once the job is over.
//!
//! It comes late, and may not come at all: the media never waits for it.

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    cost::JobCost,
    media::{Event, JobStatus, LeftJob},
};

use super::{
    Inner, log,
    outbox::{Outcome, backoff},
    store::Task,
};
use crate::{clock, error::ApiResult};

/// How long after a job is left it is looked at first: a platform hears of the end after us.
const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(2);
/// How long RunPod remembers a job that is over.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(30);

impl Inner {
    /// Has it found out what a job cost that the media has no more to do with.
    pub(super) fn bill_later(&self, job: LeftJob, now: Timestamp) -> ApiResult<()> {
        let config = self.config()?;
        if config.backends.get(&job.backend).is_some_and(crate::dispatch::Backend::bills) {
            self.store.enqueue(&Task::Bill { job, since: now }, now + FIRST_LOOK)?;
        }
        Ok(())
    }

    /// Finds it out.
    pub(super) async fn bill(
        &self,
        left: &LeftJob,
        since: Timestamp,
        tries: i64,
    ) -> ApiResult<Outcome> {
        let config = self.config()?;
        let Some(backend) = config.backends.get(&left.backend) else { return Ok(Outcome::Done) };
        let Some((status, usage)) = backend.usage(&left.job).await else {
            return Ok(Outcome::Done);
        };
        match status {
            JobStatus::Ended(_) => {
                let (gpu, prices) = (left.gpu.as_deref(), &config.prices);
                let cost = JobCost::new(left.attempt, &left.job, gpu, &usage, prices);
                // A rejection means that it is known, or that the media is gone.
                if self.apply(Event::Billed(cost)).is_ok() {
                    self.index().await?;
                }
            }
            JobStatus::Unknown => log("cost", "The platform does not know the job any more."),
            JobStatus::Waiting | JobStatus::Running | JobStatus::NoAnswer => {
                let now = clock::now();
                if now.duration_since(since) < REMEMBERED {
                    return Ok(Outcome::Again(now + backoff(tries)));
                }
                log("cost", "The platform did not tell what a job cost.");
            }
        }
        Ok(Outcome::Done)
    }
}
