//! Looking after the running attempt: what the passing of time asks for, and what its backend says when
//! it is asked.
//!
//! What follows from the one and the other is decided by [`Attempt::judge`].

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::media::{Attempt, Event, JobStatus};

use super::{Inner, store::Task};
use crate::{clock, error::ApiResult};

/// How often a backend is asked at most because of hints.
const HINT_EVERY: SignedDuration = SignedDuration::from_secs(5);

impl Inner {
    /// Applies what the passing of time asks for: an upload that never came, a lease that lapsed.
    pub(super) async fn meet_deadline(&self) -> ApiResult<()> {
        let Some(record) = self.store.record()? else { return Ok(()) };
        let now = clock::now();
        let Some((_, due)) = record.media.deadline().filter(|(at, _)| *at <= now) else {
            return Ok(());
        };
        let event = match record.media.running() {
            Some(attempt) => self.look_after(attempt, due, now).await?,
            None => due,
        };
        // A rejection means that a sign of life came while we asked.
        let _ = self.apply(event);
        Ok(())
    }

    /// What is to happen to an attempt for which `due` is due, after a look at its backend.
    async fn look_after(&self, running: &Attempt, due: Event, now: Timestamp) -> ApiResult<Event> {
        let (attempt, dispatch) = running.id();
        let lapsed = match due {
            Event::LeaseExpired { .. } => true,
            Event::NotTaken { .. } | Event::LookDue { .. } => false,
            _ => return Ok(due),
        };
        let Some(job) = &running.job else {
            let message = "No handler took the job in time.".into();
            let failed = Event::DispatchFailed { attempt, dispatch, message };
            return Ok(if lapsed && running.progress.is_none() { failed } else { due });
        };
        let config = self.config()?;
        let status = match config.backends.get(&running.backend) {
            Some(backend) => backend.status(job).await,
            None => JobStatus::Unknown,
        };
        Ok(running.judge(due, &status, now, &config.rules))
    }

    /// Somebody says that there is news of an attempt's job: its backend is asked, soon. Whoever says
    /// so is not believed, and however often it is said, the backend is asked once in a while.
    pub(super) async fn hint(self: &Rc<Self>, attempt: u8, dispatch: u8) -> ApiResult<()> {
        let task = Task::Look { attempt, dispatch };
        let wanted =
            |running: &Attempt| running.id() == (attempt, dispatch) && running.job.is_some();
        if !self.record()?.media.running().is_some_and(wanted) || self.store.has(&task)? {
            return Ok(());
        }
        let now = clock::now();
        let due = self.looked.get().map_or(now, |looked| now.max(looked + HINT_EVERY));
        self.store.enqueue(&task, due)?;
        self.after_change().await;
        Ok(())
    }

    /// Carries out a hint.
    pub(super) async fn look(&self, attempt: u8, dispatch: u8) -> ApiResult<()> {
        let now = clock::now();
        self.looked.set(Some(now));
        let record = self.record()?;
        let Some(running) = record.media.running().filter(|a| a.id() == (attempt, dispatch)) else {
            return Ok(());
        };
        let event = self.look_after(running, Event::LookDue { attempt, dispatch }, now).await?;
        // A rejection means that there was no news.
        let _ = self.apply(event);
        Ok(())
    }
}
