//! The life of a media, as one pure function.
//!
//! ```text
//! uploading ──▶ uploaded ──▶ transcoding ──▶ ready
//!     │            ▲              │
//!     ▼            │ one retry    ▼
//!   failed         └────────── failed          and a soft delete from any
//! ```
//!
//! [`Media::apply`] is the only way to change a [`Media`]. It returns the next media together with
//! the [`Effect`]s that follow; whoever stores the one stores the others with it (an outbox), so
//! nothing is lost between deciding and doing.
//!
//! Invariants, held by property tests over random event orders:
//!
//! * A media has at most [`MAX_ATTEMPTS`] attempts in its life, counted when one is dispatched.
//! * Nothing leaves `ready` but by deletion, and nothing leaves `deleted`.
//! * An event that carries an attempt changes nothing unless that attempt is the running one.
//! * A running attempt has a lease; when it lapses the attempt fails as `handler_lost`.
//! * Every announcement carries the next sequence number of its media, without gaps.

mod event;
mod state;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    id::MediaId,
    job::{Failure, FailureCode, Outcome, RetryPolicy},
};

pub use event::{Announcement, Effect, Event, Rejected};
pub use state::{Attempt, Details, Source, State};

/// Attempts in a media's life: the first and one retry.
pub const MAX_ATTEMPTS: u8 = 2;

/// A media and everything that decides its next step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Media {
    /// Its id.
    pub id: MediaId,
    /// What its creator said of it.
    pub details: Details,
    /// Where it stands.
    pub state: State,
    /// Attempts dispatched so far.
    pub attempts: u8,
    /// Number of the last announcement.
    pub sequence: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
}

/// The times that govern a media, from the gateway's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long an upload may take.
    pub upload: SignedDuration,
    /// After how long a silent attempt counts as lost.
    pub lease: SignedDuration,
}

impl Media {
    /// A new media that waits for its source.
    pub fn create(
        id: MediaId,
        details: Details,
        now: Timestamp,
        timing: Timing,
    ) -> (Self, Vec<Effect>) {
        let mut media = Self {
            id,
            details,
            state: State::Uploading { expires_at: now + timing.upload },
            attempts: 0,
            sequence: 0,
            created_at: now,
            updated_at: now,
        };
        let effects = vec![media.announce(Announcement::Created)];
        (media, effects)
    }

    /// The attempt whose outputs can be played now.
    pub fn playable_attempt(&self) -> Option<u8> {
        match &self.state {
            State::Ready { report, .. } => Some(report.attempt),
            State::Transcoding { attempt, .. } if attempt.playable() => Some(attempt.number),
            _ => None,
        }
    }

    /// How many more attempts the media may have.
    pub const fn retries_left(&self) -> u8 {
        MAX_ATTEMPTS - if self.attempts == 0 { 1 } else { self.attempts }
    }

    /// When the media has to be looked at again even if nothing happens, and the event that is due
    /// then.
    pub fn deadline(&self) -> Option<(Timestamp, Event)> {
        match &self.state {
            State::Uploading { expires_at } => Some((*expires_at, Event::UploadExpired)),
            State::Transcoding { attempt, .. } => {
                Some((attempt.lease_until, Event::LeaseExpired { attempt: attempt.number }))
            }
            _ => None,
        }
    }

    /// The next media and what follows from it, or why the event changes nothing.
    pub fn apply(
        mut self,
        event: Event,
        now: Timestamp,
        timing: Timing,
    ) -> Result<(Self, Vec<Effect>), Rejected> {
        let state = std::mem::replace(&mut self.state, State::Deleted { at: now });
        let effects = match (state, event) {
            (State::Deleted { .. }, Event::Reported(_) | Event::Progressed(_)) => {
                return Err(Rejected::Stale);
            }
            (State::Deleted { .. }, _) => return Err(Rejected::Deleted),

            (State::Uploading { .. }, Event::SourceStored(source)) => {
                self.state = State::Uploaded { source };
                vec![self.announce(Announcement::Uploaded), Effect::Dispatch]
            }
            (_, Event::SourceStored(_)) => return Err(Rejected::SourceExists),

            (State::Uploading { expires_at }, Event::UploadKept { until }) => {
                self.state = State::Uploading { expires_at: expires_at.max(until) };
                vec![]
            }
            (_, Event::UploadKept { .. }) => return Err(Rejected::SourceExists),

            (State::Uploading { expires_at }, Event::UploadExpired) if now >= expires_at => {
                let error =
                    Failure::new(FailureCode::UploadExpired, "The upload did not finish in time.");
                self.state = State::Failed { source: None, error };
                vec![Effect::DeleteObjects, self.announce(Announcement::Failed)]
            }

            (State::Uploaded { source }, Event::Dispatched) => {
                self.attempts += 1;
                let attempt = Attempt {
                    number: self.attempts,
                    dispatched_at: now,
                    lease_until: now + timing.lease,
                    job: None,
                    progress: None,
                };
                self.state = State::Transcoding { source, attempt };
                vec![
                    self.announce(Announcement::Transcoding),
                    Effect::StartJob { attempt: self.attempts },
                ]
            }

            (State::Transcoding { source, attempt }, event) => {
                return self.while_transcoding(source, attempt, event, now, timing);
            }

            (State::Ready { report: taken, .. }, Event::Reported(report))
                if report.attempt == taken.attempt
                    && matches!(report.outcome, Outcome::Completed { .. }) =>
            {
                return Err(Rejected::Duplicate);
            }
            (State::Failed { error: taken, .. }, Event::Reported(report))
                if report.attempt == self.attempts
                    && matches!(&report.outcome, Outcome::Failed { error } if *error == taken) =>
            {
                return Err(Rejected::Duplicate);
            }

            (State::Failed { source, .. }, Event::Retry) => match source {
                None => return Err(Rejected::NoSource),
                Some(_) if self.attempts >= MAX_ATTEMPTS => return Err(Rejected::RetryExhausted),
                Some(source) => {
                    self.state = State::Uploaded { source };
                    vec![self.announce(Announcement::Uploaded), Effect::Dispatch]
                }
            },
            (_, Event::Retry) => return Err(Rejected::NotFailed),

            (State::Uploading { .. }, Event::Cancel) => self.cancelled(None),
            (State::Uploaded { source }, Event::Cancel) => self.cancelled(Some(source)),
            (_, Event::Cancel) => return Err(Rejected::NotCancellable),

            (_, Event::Delete) => self.deleted(now),

            (
                _,
                Event::UploadExpired
                | Event::Dispatched
                | Event::JobAccepted { .. }
                | Event::DispatchFailed { .. }
                | Event::StillQueued { .. }
                | Event::Progressed(_)
                | Event::Reported(_)
                | Event::LeaseExpired { .. },
            ) => return Err(Rejected::Stale),
        };
        self.updated_at = now;
        Ok((self, effects))
    }

    fn while_transcoding(
        mut self,
        mut source: Source,
        mut attempt: Attempt,
        event: Event,
        now: Timestamp,
        timing: Timing,
    ) -> Result<(Self, Vec<Effect>), Rejected> {
        let running = attempt.number;
        let mut effects = Vec::new();
        match event {
            Event::JobAccepted { attempt: number, job } if number == running => {
                attempt.job = Some(job);
                attempt.lease_until = now + timing.lease;
                self.state = State::Transcoding { source, attempt };
            }
            Event::StillQueued { attempt: number } if number == running => {
                attempt.lease_until = now + timing.lease;
                self.state = State::Transcoding { source, attempt };
            }
            Event::Progressed(mut progress) if progress.attempt == running => {
                let before = attempt.playable();
                // Requests can overtake each other: what was reached stays reached.
                if let Some(last) = &attempt.progress {
                    progress.playable |= last.playable;
                    progress.percent = progress.percent.max(last.percent);
                }
                attempt.lease_until = now + timing.lease;
                attempt.progress = Some(progress);
                if !before && attempt.playable() {
                    effects.push(self.announce(Announcement::Playable));
                }
                self.state = State::Transcoding { source, attempt };
            }
            Event::Reported(report) if report.attempt == running => {
                // What the handler has read it knows, even if it could make nothing of it.
                source.sha256 = source.sha256.or_else(|| report.source_sha256.clone());
                match report.outcome {
                    Outcome::Completed { .. } => {
                        self.state = State::Ready { source, report };
                        effects.push(self.announce(Announcement::Ready));
                    }
                    Outcome::Failed { error } => effects = self.attempt_failed(source, error),
                }
            }
            Event::DispatchFailed { attempt: number, message } if number == running => {
                effects =
                    self.attempt_failed(source, Failure::new(FailureCode::DispatchFailed, message));
            }
            Event::LeaseExpired { attempt: number }
                if number == running && now >= attempt.lease_until =>
            {
                let error =
                    Failure::new(FailureCode::HandlerLost, "The handler fell silent in mid-job.");
                effects = self.attempt_failed(source, error);
                effects.extend(attempt.job.map(|job| Effect::CancelJob { job }));
            }
            Event::Cancel => {
                effects = self.cancelled(Some(source));
                effects.extend(attempt.job.map(|job| Effect::CancelJob { job }));
            }
            Event::Delete => {
                effects = self.deleted(now);
                effects.extend(attempt.job.map(|job| Effect::CancelJob { job }));
            }
            Event::SourceStored(_) => return Err(Rejected::SourceExists),
            Event::Retry => return Err(Rejected::NotFailed),
            _ => return Err(Rejected::Stale),
        }
        self.updated_at = now;
        Ok((self, effects))
    }

    fn attempt_failed(&mut self, source: Source, error: Failure) -> Vec<Effect> {
        let again = error.transient
            && self.details.pipeline.retry == RetryPolicy::Automatic
            && self.attempts < MAX_ATTEMPTS;
        self.state = State::Failed { source: Some(source.clone()), error };
        let mut effects = vec![self.announce(Announcement::Failed)];
        if again {
            self.state = State::Uploaded { source };
            effects.push(Effect::Dispatch);
        }
        effects
    }

    fn cancelled(&mut self, source: Option<Source>) -> Vec<Effect> {
        let error = Failure::new(FailureCode::Cancelled, "The media was cancelled.");
        self.state = State::Failed { source, error };
        vec![self.announce(Announcement::Failed)]
    }

    fn deleted(&mut self, now: Timestamp) -> Vec<Effect> {
        self.state = State::Deleted { at: now };
        vec![Effect::DeleteObjects, self.announce(Announcement::Deleted)]
    }

    fn announce(&mut self, kind: Announcement) -> Effect {
        self.sequence += 1;
        Effect::Announce { kind, sequence: self.sequence }
    }
}
