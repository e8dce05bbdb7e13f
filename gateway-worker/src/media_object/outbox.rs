//! Carrying out what the state machine asked for, as often as it takes.
//!
//! A task is claimed by putting it off: if the object dies over it, the alarm brings it back.
//! Every task may therefore run more than once, and each is made so that this does no harm.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::media::{Effect, Event, State};

use super::{
    Inner, log,
    store::{Claimed, Task},
};
use crate::{
    catalogue, clock,
    dispatch::{self, Start},
    error::ApiResult,
    objects,
    upload_object::{self, UploadStub},
    view::Record,
};

/// How long after a change the catalogue is written by task if it could not be written at once.
pub(super) const INDEX_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// How long a claimed task is out of sight.
const CLAIM: SignedDuration = SignedDuration::from_secs(30);
/// How often a job that nobody waits for is tried to be cancelled.
const MAX_CANCELS: i64 = 6;
/// How long after a deletion the last request that was under way must have ended.
const SWEEP_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// What became of a task.
pub(super) enum Outcome {
    /// It is done, or there is nothing to do.
    Done,
    /// It is to be tried again then.
    Again(Timestamp),
}

impl Inner {
    /// Carries out everything that is due.
    pub(super) async fn drain(self: Rc<Self>) {
        loop {
            let now = clock::now();
            let claimed = match self.store.claim(now, now + CLAIM) {
                Ok(Some(claimed)) => claimed,
                Ok(None) => break,
                Err(error) => return log("outbox", &error.to_string()),
            };
            let outcome = self.carry_out(&claimed).await.unwrap_or_else(|error| {
                log("task", &format!("{:?}: {}", claimed.task, error.problem().detail));
                Outcome::Again(clock::now() + backoff(claimed.tries))
            });
            let settled = match outcome {
                Outcome::Done => self.store.done(claimed.id),
                Outcome::Again(at) => self.store.postpone(claimed.id, at),
            };
            if let Err(error) = settled {
                return log("outbox", &error.to_string());
            }
        }
        self.rearm().await;
    }

    async fn carry_out(self: &Rc<Self>, claimed: &Claimed) -> ApiResult<Outcome> {
        let now = clock::now();
        match &claimed.task {
            Task::Index => self.index().await?,
            Task::Sweep => self.sweep().await?,
            Task::CleanUp { media, multipart } => {
                if !self.clean_up(*media, multipart.as_deref()).await? {
                    return Ok(Outcome::Again(Self::clean_up_again()));
                }
            }
            Task::DropDirect { media, upload, stored } => {
                self.drop_direct(*media, upload, *stored).await?;
            }
            Task::AbortUpload { upload } => {
                let stub = UploadStub::new(&self.env, *upload)?;
                let () = stub.send(&upload_object::Command::Abort).await?;
            }
            Task::Look { attempt, dispatch } => {
                // Before it is looked, so that a hint that comes meanwhile is heard.
                self.store.done(claimed.id)?;
                self.look(*attempt, *dispatch).await?;
            }
            Task::Bill { job, since } => return self.bill(job, *since, claimed.tries).await,
            Task::Effect { effect } => match effect {
                Effect::Dispatch => {
                    // A rejection means that the media was cancelled or deleted meanwhile.
                    if self.apply(Event::Dispatched).is_ok() {
                        self.store.done(claimed.id)?;
                        self.index().await?;
                    }
                }
                Effect::StartJob { attempt, dispatch } => {
                    return self.start_job((*attempt, *dispatch), claimed.tries).await;
                }
                Effect::CancelJob { backend, job } => {
                    let config = self.config()?;
                    // One that is not configured any more cannot be asked.
                    let Some(backend) = config.backends.get(backend) else {
                        return Ok(Outcome::Done);
                    };
                    if let Err(error) = backend.cancel(job).await
                        && claimed.tries < MAX_CANCELS
                    {
                        log("cancel", &error);
                        return Ok(Outcome::Again(now + backoff(claimed.tries)));
                    }
                }
                Effect::DeleteObjects => {
                    if !self.is_unwanted()? {
                        return Ok(Outcome::Done);
                    }
                    self.delete_objects().await?;
                    self.store.enqueue(&Task::Sweep, now + SWEEP_AFTER)?;
                }
                Effect::Announce { sequence, .. } => {
                    self.fan_out(*sequence).await?;
                    self.deliver_due();
                }
            },
        }
        Ok(Outcome::Done)
    }

    async fn start_job(self: &Rc<Self>, id: (u8, u8), tries: i64) -> ApiResult<Outcome> {
        let (number, dispatch) = id;
        let record = self.record()?;
        let Some(attempt) = record.media.running().filter(|attempt| attempt.id() == id) else {
            return Ok(Outcome::Done);
        };
        if attempt.job.is_some() {
            return Ok(Outcome::Done);
        }
        let config = self.config()?;
        let now = clock::now();
        let Some((job, hint)) =
            dispatch::job(&config, &record, now).zip(dispatch::hint(&config, &record, now))
        else {
            return Ok(Outcome::Done);
        };
        let started = match config.backends.get(&attempt.backend) {
            Some(backend) => backend.start(&job, &hint).await,
            None => Start::Refused("The job's backend is not configured any more.".into()),
        };
        let event = match started {
            Start::Accepted(job) => Event::JobAccepted { attempt: number, dispatch, job },
            Start::Refused(message) => {
                log("dispatch", &message);
                Event::DispatchFailed { attempt: number, dispatch, message }
            }
            // The deadline decides when to give up.
            Start::Unreachable(message) => {
                log("dispatch", &message);
                return Ok(Outcome::Again(clock::now() + backoff(tries)));
            }
        };
        let accepted = match &event {
            Event::JobAccepted { job, .. } => Some(job.clone()),
            _ => None,
        };
        // A source may be there before it is known that the job to bring it was taken.
        if !self.is_duplicate(&event)? && self.apply(event).is_err() {
            // Nobody waits for it any more: it was cancelled, deleted or given up meanwhile.
            if let Some(job) = accepted {
                let effect = Effect::CancelJob { backend: attempt.backend.clone(), job };
                self.store.enqueue(&Task::Effect { effect }, clock::now())?;
            }
        }
        self.index().await?;
        Ok(Outcome::Done)
    }

    /// Writes the media's row of the catalogue.
    pub(super) async fn index(&self) -> ApiResult<()> {
        let Some(record) = self.store.record()? else { return Ok(()) };
        let revision = self.store.revision()?;
        catalogue::write(&self.env.d1("CATALOGUE")?, &record, revision).await?;
        if self.store.revision()? == revision {
            let task = serde_json::to_string(&Task::Index).expect("a word");
            self.store.run("DELETE FROM outbox WHERE task = ?", vec![task.into()])?;
        }
        Ok(())
    }

    async fn delete_objects(&self) -> ApiResult<()> {
        let Record { media, origin, .. } = self.record()?;
        objects::delete_all(&self.env.bucket("BUCKET")?, media.id, &origin).await
    }

    /// Whether what is stored of the media is of no use: it is deleted, or nobody brings its source.
    /// A retry may have taken it on since its deletion was asked for.
    fn is_unwanted(&self) -> ApiResult<bool> {
        let Record { media, .. } = self.record()?;
        Ok(matches!(media.state, State::Deleted { .. } | State::Failed { source: None, .. }))
    }

    async fn sweep(&self) -> ApiResult<()> {
        if !self.is_unwanted()? {
            return Ok(());
        }
        self.delete_objects().await?;
        let Record { media, .. } = self.record()?;
        if matches!(media.state, State::Deleted { .. }) {
            catalogue::remove(&self.env.d1("CATALOGUE")?, media.id).await?;
        }
        Ok(())
    }
}

/// 1, 2, 4 … 60 seconds.
pub(super) fn backoff(tries: i64) -> SignedDuration {
    SignedDuration::from_secs((1 << tries.clamp(0, 6)).min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_to_a_minute() {
        let waits: Vec<_> = [0, 1, 5, 6, 7, 1000].map(|tries| backoff(tries).as_secs()).into();
        assert_eq!(waits, [1, 2, 32, 60, 60, 60]);
    }
}
