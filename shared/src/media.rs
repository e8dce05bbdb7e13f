//! The life of a media, as one pure function.
//!
//! ```text
//! uploading ──▶ uploaded ──▶ transcoding ──▶ ready
//!     │            ▲              │
//!     ▼            │ one retry    ▼
//!   failed         └────────── failed          and a soft delete from any
//! ```
//!
//! A source that has a URL of its own is brought by the handler while the media is `uploading`
//! ([`ingest`]); if that fails it may be tried once more, too.
//!
//! [`Media::apply`] is the only way to change a [`Media`]. It returns the next media together with
//! the [`Effect`]s that follow; whoever stores the one stores the others with it (an outbox), so
//! nothing is lost between deciding and doing.
//!
//! Invariants, held by property tests over random event orders:
//!
//! * A media has at most [`MAX_ATTEMPTS`] attempts in its life, counted when one is dispatched, and
//!   at most [`MAX_INGESTS`] at bringing its source from a URL.
//! * Nothing leaves `ready` but by deletion, and nothing leaves `deleted`.
//! * An event that carries an attempt changes nothing unless that attempt is the running one.
//! * A running attempt has a lease; when it lapses the attempt fails as `handler_lost`.
//! * Every announcement carries the next sequence number of its media, without gaps.

mod attempt;
mod event;
mod ingest;
mod left;
mod lookup;
mod route;
mod state;
#[cfg(test)]
mod tests;
mod transcode;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    cost::JobCost,
    id::MediaId,
    job::{Failure, FailureCode, Outcome},
};

pub use attempt::Attempt;
pub use event::{Announcement, Effect, Event, Rejected};
pub use ingest::MAX_INGESTS;
pub use left::LeftJob;
pub use lookup::{Ending, JobStatus, LOOK_EVERY, OUTAGE, REPORT_GRACE};
pub use route::{Class, InvalidRoutes, MAX_ROUTE, Routes};
pub use state::{Details, Source, State};

/// Attempts in a media's life: the first and one retry.
pub const MAX_ATTEMPTS: u8 = 2;

/// Most costs that a media keeps: its attempts, at each of the backends of the longest route.
const MAX_COSTS: usize = (MAX_ATTEMPTS + MAX_INGESTS) as usize * MAX_ROUTE;

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
    /// Attempts at bringing the source from its URL so far; not counted as attempts.
    #[serde(default, skip_serializing_if = "none_yet")]
    pub ingests: u8,
    /// [`Attempt::dispatch`] of the last attempt at making outputs, once it is over.
    #[serde(default, skip_serializing_if = "none_yet")]
    pub last_dispatch: u8,
    /// The same of the last attempt at bringing the source.
    #[serde(default, skip_serializing_if = "none_yet")]
    pub last_ingest_dispatch: u8,
    /// The backend whose host's time limit an attempt did not fit in: a retry goes elsewhere if it
    /// can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<String>,
    /// What its jobs cost, as far as their platforms have told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<JobCost>,
    /// Number of the last announcement.
    pub sequence: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
}

/// What governs a media, from the gateway's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long an upload may take.
    pub upload: SignedDuration,
    /// After how long a silent attempt counts as lost.
    pub lease: SignedDuration,
    /// After how long an attempt that no worker took goes to the next backend, if there is one.
    pub fallback: SignedDuration,
    /// How long a job may wait in a backend's queue before it counts as lost.
    pub queue: SignedDuration,
    /// The backends of each class of job.
    pub routes: Routes,
}

impl Media {
    /// A new media that waits for its source, or has it brought from its URL.
    pub fn create(
        id: MediaId,
        details: Details,
        now: Timestamp,
        rules: &Rules,
    ) -> (Self, Vec<Effect>) {
        let mut media = Self {
            id,
            details,
            state: State::Uploading { expires_at: now + rules.upload, ingest: None },
            attempts: 0,
            ingests: 0,
            last_dispatch: 0,
            last_ingest_dispatch: 0,
            missed: None,
            costs: Vec::new(),
            sequence: 0,
            created_at: now,
            updated_at: now,
        };
        let mut effects = vec![media.announce(Announcement::Created)];
        if media.details.source_url.is_some() {
            effects.push(media.begin_ingest(now, rules));
        }
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

    /// The attempt that is running, at making outputs or at bringing the source.
    pub fn running(&self) -> Option<&Attempt> {
        match &self.state {
            State::Transcoding { attempt, .. } => Some(attempt),
            State::Uploading { ingest, .. } => ingest.as_deref(),
            _ => None,
        }
    }

    /// How many more attempts the media may have: at bringing its source from its URL as long as
    /// there is none, at making outputs afterwards.
    pub const fn retries_left(&self) -> u8 {
        match self.state {
            State::Uploading { .. } | State::Failed { source: None, .. } if self.ingests > 0 => {
                MAX_INGESTS - self.ingests
            }
            _ if self.attempts == 0 => MAX_ATTEMPTS - 1,
            _ => MAX_ATTEMPTS - self.attempts,
        }
    }

    /// Whether nothing will happen to the media any more but its deletion.
    pub const fn is_final(&self) -> bool {
        match self.state {
            State::Ready { .. } | State::Deleted { .. } => true,
            State::Failed { source: None, .. } if self.ingests == 0 => true,
            State::Failed { .. } => self.retries_left() == 0,
            State::Uploading { .. } | State::Uploaded { .. } | State::Transcoding { .. } => false,
        }
    }

    /// When the media has to be looked at again even if nothing happens, and the event that is due
    /// then.
    pub fn deadline(&self) -> Option<(Timestamp, Event)> {
        let upload = match &self.state {
            State::Uploading { expires_at, .. } => Some((*expires_at, Event::UploadExpired)),
            _ => None,
        };
        let running = self.running();
        let fallback = running.and_then(|running| {
            let (attempt, dispatch) = running.id();
            Some((running.fallback_at?, Event::NotTaken { attempt, dispatch }))
        });
        let lease = running.map(|running| {
            let (attempt, dispatch) = running.id();
            (running.lease_until, Event::LeaseExpired { attempt, dispatch })
        });
        let look = running.and_then(|running| {
            let (attempt, dispatch) = running.id();
            Some((running.look_at?, Event::LookDue { attempt, dispatch }))
        });
        // Of those that are due at once the first counts.
        [upload, fallback, lease, look].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The next media and what follows from it, or why the event changes nothing.
    pub fn apply(
        mut self,
        event: Event,
        now: Timestamp,
        rules: &Rules,
    ) -> Result<(Self, Vec<Effect>), Rejected> {
        let state = std::mem::replace(&mut self.state, State::Deleted { at: now });
        let effects = match (state, event) {
            (State::Deleted { .. }, Event::Reported { .. } | Event::Progressed { .. }) => {
                return Err(Rejected::Stale);
            }
            (State::Deleted { .. }, _) => return Err(Rejected::Deleted),
            (state, Event::Billed(cost)) => {
                self.state = state;
                return self.billed(cost);
            }

            (State::Uploading { expires_at, ingest: Some(attempt) }, event) => {
                return self.while_ingesting(expires_at, attempt, event, now, rules);
            }
            // What the job still says that brought the source: it may not have heard that it did.
            (
                State::Uploaded { .. }
                | State::Transcoding { .. }
                | State::Ready { .. }
                | State::Failed { source: Some(_), .. },
                event,
            ) if self.ingests > 0
                && event.attempt() == Some((self.last_ingest(), self.last_ingest_dispatch)) =>
            {
                return Err(Rejected::Duplicate);
            }

            (State::Uploading { .. }, Event::SourceStored(source)) => self.source_stored(source),
            (_, Event::SourceStored(_)) => return Err(Rejected::SourceExists),

            (State::Uploading { expires_at, .. }, Event::UploadKept { until }) => {
                let expires_at = expires_at.max(until);
                self.state = State::Uploading { expires_at, ingest: None };
                vec![]
            }
            (_, Event::UploadKept { .. }) => return Err(Rejected::SourceExists),

            (State::Uploading { expires_at, .. }, Event::UploadExpired) if now >= expires_at => {
                self.state = State::Failed { source: None, error: Failure::upload_expired() };
                vec![Effect::DeleteObjects, self.announce(Announcement::Failed)]
            }

            (State::Uploaded { source }, Event::Dispatched) => {
                self.attempts += 1;
                let route = rules.routes.of(Class::of(&source), self.missed.as_deref());
                let attempt = Attempt::begin(self.attempts, route, now, rules);
                self.state = State::Transcoding { source, attempt: Box::new(attempt) };
                vec![
                    self.announce(Announcement::Transcoding),
                    Effect::StartJob { attempt: self.attempts, dispatch: 0 },
                ]
            }

            (State::Transcoding { source, attempt }, event) => {
                return self.while_transcoding(source, attempt, event, now, rules);
            }

            (State::Ready { report: taken, .. }, Event::Reported { report, dispatch })
                if (report.attempt, dispatch) == (taken.attempt, self.last_dispatch)
                    && matches!(report.outcome, Outcome::Completed { .. }) =>
            {
                return Err(Rejected::Duplicate);
            }
            (State::Failed { error: taken, source }, Event::Reported { report, dispatch })
                if (report.attempt, dispatch)
                    == match source {
                        None => (self.last_ingest(), self.last_ingest_dispatch),
                        Some(_) => (self.attempts, self.last_dispatch),
                    }
                    && matches!(&report.outcome, Outcome::Failed { error } if *error == taken) =>
            {
                return Err(Rejected::Duplicate);
            }

            (State::Failed { source, .. }, Event::Retry) => match source {
                None if self.ingests == 0 => return Err(Rejected::NoSource),
                None if self.ingests >= MAX_INGESTS => return Err(Rejected::RetryExhausted),
                None => vec![self.begin_ingest(now, rules)],
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
                | Event::Taken { .. }
                | Event::NotTaken { .. }
                | Event::NoAnswer { .. }
                | Event::Ended { .. }
                | Event::LookDue { .. }
                | Event::Progressed { .. }
                | Event::Reported { .. }
                | Event::LeaseExpired { .. },
            ) => return Err(Rejected::Stale),
        };
        self.updated_at = now;
        Ok((self, effects))
    }

    fn cancelled(&mut self, source: Option<Source>) -> Vec<Effect> {
        let error = Failure::new(FailureCode::Cancelled, "The media was cancelled.");
        self.state = State::Failed { source, error };
        vec![self.announce(Announcement::Failed)]
    }

    fn source_stored(&mut self, source: Source) -> Vec<Effect> {
        self.state = State::Uploaded { source };
        self.forget_query();
        vec![self.announce(Announcement::Uploaded), Effect::Dispatch]
    }

    fn forget_query(&mut self) {
        if let Some(url) = &mut self.details.source_url {
            url.forget_query();
        }
    }

    fn deleted(&mut self, now: Timestamp) -> Vec<Effect> {
        self.state = State::Deleted { at: now };
        self.forget_query();
        vec![Effect::DeleteObjects, self.announce(Announcement::Deleted)]
    }

    /// Notes a cost. It comes when it comes: nothing else changes, and nobody is told.
    fn billed(mut self, cost: JobCost) -> Result<(Self, Vec<Effect>), Rejected> {
        if self.costs.len() >= MAX_COSTS || self.costs.iter().any(|known| known.job == cost.job) {
            return Err(Rejected::Duplicate);
        }
        self.costs.push(cost);
        Ok((self, vec![]))
    }

    /// Remembers a backend whose host's time limit the attempt did not fit in.
    fn note_missed(&mut self, attempt: &Attempt, error: &Failure) {
        if error.code == FailureCode::Deadline {
            self.missed = Some(attempt.backend.clone());
        }
    }

    fn announce(&mut self, kind: Announcement) -> Effect {
        self.sequence += 1;
        Effect::Announce { kind, sequence: self.sequence }
    }
}

/// Whether a count stands at zero, and is not worth storing.
const fn none_yet(count: &u8) -> bool {
    *count == 0
}
