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

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    id::MediaId,
    job::{Failure, FailureCode, JobReport, Outcome, Pipeline, Progress, RetryPolicy},
};

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

/// What the creator of a media said of it; never changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// Name of the file, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Declared size in bytes; an upload of another size is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Declared media type, for people: what the source is, is decided by its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What to make.
    pub pipeline: Pipeline,
    /// The caller's own JSON object, handed back with every answer and webhook.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// A stored source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Size in bytes.
    pub size: u64,
    /// R2's entity tag, without quotes.
    pub etag: String,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// Where a media stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "status")]
pub enum State {
    /// Waiting for its source.
    Uploading {
        /// When the wait ends.
        expires_at: Timestamp,
    },
    /// The source is stored; an attempt is about to be dispatched.
    Uploaded {
        /// The source.
        source: Source,
    },
    /// An attempt is running.
    Transcoding {
        /// The source.
        source: Source,
        /// The running attempt.
        attempt: Attempt,
    },
    /// The outputs are complete.
    Ready {
        /// The source.
        source: Source,
        /// The attempt's own report: outputs, summary, metrics.
        report: JobReport,
    },
    /// The last attempt failed, or there was never a source.
    Failed {
        /// The source, if one was stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Source>,
        /// Why.
        error: Failure,
    },
    /// Deleted; kept as a tombstone so that late reports find it.
    Deleted {
        /// When.
        at: Timestamp,
    },
}

impl State {
    /// The state's name as callers see it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Uploading { .. } => "uploading",
            Self::Uploaded { .. } => "uploaded",
            Self::Transcoding { .. } => "transcoding",
            Self::Ready { .. } => "ready",
            Self::Failed { .. } => "failed",
            Self::Deleted { .. } => "deleted",
        }
    }
}

/// A running attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u8,
    /// When it was dispatched.
    pub dispatched_at: Timestamp,
    /// When it counts as lost unless the handler gives a sign of life.
    pub lease_until: Timestamp,
    /// The handler's id for it, once the handler has taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The last sign of life, once there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl Attempt {
    /// Whether the attempt's outputs can be played while they grow.
    pub fn playable(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.playable)
    }
}

/// What can happen to a media.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The whole source lies in R2.
    SourceStored(Source),
    /// The time for uploading is over.
    UploadExpired,
    /// The outbox begins to carry out [`Effect::Dispatch`].
    Dispatched,
    /// The handler took the job.
    JobAccepted {
        /// The attempt that it took.
        attempt: u8,
        /// Its own id for it.
        job: String,
    },
    /// No handler took the job.
    DispatchFailed {
        /// The attempt that was offered.
        attempt: u8,
        /// Why, in words.
        message: String,
    },
    /// The handler's queue still holds the job: a sign of life without progress.
    StillQueued {
        /// The attempt that waits.
        attempt: u8,
    },
    /// The handler gave a sign of life.
    Progressed(Progress),
    /// The handler says how the attempt ended.
    Reported(JobReport),
    /// The lease's time has come.
    LeaseExpired {
        /// The attempt whose lease it was.
        attempt: u8,
    },
    /// Somebody asks for the retry.
    Retry,
    /// Somebody asks to stop the work.
    Cancel,
    /// Somebody asks for it to be gone.
    Delete,
}

/// What has to be done after a change. Each may be carried out more than once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum Effect {
    /// Apply [`Event::Dispatched`], which counts the attempt, and thereby get
    /// [`StartJob`](Self::StartJob).
    Dispatch,
    /// Hand the job to the handler, then apply [`Event::JobAccepted`] or
    /// [`Event::DispatchFailed`].
    StartJob {
        /// The attempt to start.
        attempt: u8,
    },
    /// Tell the handler to stop. Best effort: its reports are stale anyhow.
    CancelJob {
        /// The handler's id for the job.
        job: String,
    },
    /// Delete every object of the media and abort its uploads.
    DeleteObjects,
    /// Tell the world: webhooks and live subscribers.
    Announce {
        /// What happened.
        kind: Announcement,
        /// Its place in the media's life, from 1, without gaps.
        sequence: u64,
    },
}

/// What the world is told. The names are the webhooks' event types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Announcement {
    /// Created, waiting for its source.
    #[serde(rename = "media.created")]
    Created,
    /// The source is stored.
    #[serde(rename = "media.uploaded")]
    Uploaded,
    /// An attempt was dispatched.
    #[serde(rename = "media.transcoding")]
    Transcoding,
    /// The outputs can be played while they grow.
    #[serde(rename = "media.playable")]
    Playable,
    /// The outputs are complete.
    #[serde(rename = "media.ready")]
    Ready,
    /// An attempt failed, or the upload never came.
    #[serde(rename = "media.failed")]
    Failed,
    /// Deleted.
    #[serde(rename = "media.deleted")]
    Deleted,
}

impl Announcement {
    /// All of them, in the order of a life.
    pub const ALL: &[Self] = &[
        Self::Created,
        Self::Uploaded,
        Self::Transcoding,
        Self::Playable,
        Self::Ready,
        Self::Failed,
        Self::Deleted,
    ];

    /// The webhook event type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "media.created",
            Self::Uploaded => "media.uploaded",
            Self::Transcoding => "media.transcoding",
            Self::Playable => "media.playable",
            Self::Ready => "media.ready",
            Self::Failed => "media.failed",
            Self::Deleted => "media.deleted",
        }
    }
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is about an attempt that is not running, or comes too early or too late: no bug.
    #[error("the event is about another attempt or another time")]
    Stale,
    /// It repeats a report that was already taken.
    #[error("the report was already taken")]
    Duplicate,
    /// The media is gone.
    #[error("the media was deleted")]
    Deleted,
    /// There is a source already, or there will never be one.
    #[error("the media takes no source any more")]
    SourceExists,
    /// Only a failed media can be retried.
    #[error("only a failed media can be retried")]
    NotFailed,
    /// There is nothing to retry with.
    #[error("the media has no source")]
    NoSource,
    /// The one retry is used up.
    #[error("the media has had its one retry")]
    RetryExhausted,
    /// Nothing is going on that could be cancelled.
    #[error("the media is not being worked on")]
    NotCancellable,
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

            (State::Transcoding { source, mut attempt }, event) => {
                return self.while_transcoding(source, &mut attempt, event, now, timing);
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

            (State::Failed { source, error }, Event::Retry) => match source {
                None => return Err(Rejected::NoSource),
                Some(_) if self.attempts >= MAX_ATTEMPTS => return Err(Rejected::RetryExhausted),
                Some(source) => {
                    let _ = error;
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
        source: Source,
        attempt: &mut Attempt,
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
                self.state = State::Transcoding { source, attempt: attempt.clone() };
            }
            Event::StillQueued { attempt: number } if number == running => {
                attempt.lease_until = now + timing.lease;
                self.state = State::Transcoding { source, attempt: attempt.clone() };
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
                let playable_now = !before && attempt.playable();
                self.state = State::Transcoding { source, attempt: attempt.clone() };
                if playable_now {
                    effects.push(self.announce(Announcement::Playable));
                }
            }
            Event::Reported(report) if report.attempt == running => match report.outcome {
                Outcome::Completed { .. } => {
                    self.state = State::Ready { source, report };
                    effects.push(self.announce(Announcement::Ready));
                }
                Outcome::Failed { error } => effects = self.attempt_failed(source, error),
            },
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
                effects.extend(attempt.job.take().map(|job| Effect::CancelJob { job }));
            }
            Event::Cancel => {
                effects = self.cancelled(Some(source));
                effects.extend(attempt.job.take().map(|job| Effect::CancelJob { job }));
            }
            Event::Delete => {
                effects = self.deleted(now);
                effects.extend(attempt.job.take().map(|job| Effect::CancelJob { job }));
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
