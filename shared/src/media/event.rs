//! What can happen to a media, what follows from it, and why it may not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Source, none_yet};
use crate::{
    cost::JobCost,
    job::{Failure, JobReport, Progress},
};

/// What can happen to a media.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The whole source lies in R2.
    SourceStored(Source),
    /// Bytes of a resumable upload came in: the wait for the source lasts until then at least.
    UploadKept {
        /// When the upload expires that is going on.
        until: Timestamp,
    },
    /// The time for uploading is over.
    UploadExpired,
    /// The outbox begins to carry out [`Effect::Dispatch`].
    Dispatched,
    /// A backend took the job.
    JobAccepted {
        /// The attempt that it took.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
        /// Its own id for it.
        job: String,
    },
    /// A backend will not take the job, or could not be asked for long.
    DispatchFailed {
        /// The attempt that was offered.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
        /// Why, in words.
        message: String,
    },
    /// The backend still holds the job: a sign of life without progress.
    StillQueued {
        /// The attempt that waits.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// The backend says that a worker has the job: a sign of life without progress.
    Taken {
        /// The attempt that is worked on.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// The time is over within which a worker was to take the job before the next backend gets it.
    NotTaken {
        /// The attempt that waits.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// The backend that holds the job cannot be asked at the moment.
    NoAnswer {
        /// The attempt that waits.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// The backend says that the job is over, or that there is none: a report has a moment to come.
    Ended {
        /// The attempt that is said to be over.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
        /// What it fails as if there is none.
        error: Failure,
    },
    /// A silent attempt is to be looked at, and its backend has said nothing new.
    LookDue {
        /// The attempt that is silent.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// It is known what a job cost that has ended.
    Billed(JobCost),
    /// The handler gave a sign of life.
    Progressed {
        /// How far it is.
        progress: Progress,
        /// Which offer of the attempt it works on.
        dispatch: u8,
    },
    /// The handler says how the attempt ended.
    Reported {
        /// How.
        report: Box<JobReport>,
        /// Which offer of the attempt it worked on.
        dispatch: u8,
    },
    /// The lease's time has come.
    LeaseExpired {
        /// The attempt whose lease it was.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// Somebody asks for the retry.
    Retry,
    /// Somebody asks to stop the work.
    Cancel,
    /// Somebody asks for it to be gone.
    Delete,
}

impl Event {
    /// The attempt that it is about and which offer of it, if it is about one.
    pub(super) const fn attempt(&self) -> Option<(u8, u8)> {
        match self {
            Self::JobAccepted { attempt, dispatch, .. }
            | Self::DispatchFailed { attempt, dispatch, .. }
            | Self::StillQueued { attempt, dispatch }
            | Self::Taken { attempt, dispatch }
            | Self::NotTaken { attempt, dispatch }
            | Self::NoAnswer { attempt, dispatch }
            | Self::Ended { attempt, dispatch, .. }
            | Self::LookDue { attempt, dispatch }
            | Self::LeaseExpired { attempt, dispatch } => Some((*attempt, *dispatch)),
            Self::Progressed { progress, dispatch } => Some((progress.attempt, *dispatch)),
            Self::Reported { report, dispatch } => Some((report.attempt, *dispatch)),
            _ => None,
        }
    }
}

/// What has to be done after a change. Each may be carried out more than once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum Effect {
    /// Apply [`Event::Dispatched`], which counts the attempt, and thereby get
    /// [`StartJob`](Self::StartJob).
    Dispatch,
    /// Offer the job to the attempt's backend, then apply [`Event::JobAccepted`] or
    /// [`Event::DispatchFailed`].
    StartJob {
        /// The attempt to start; beyond [`INGEST`](crate::job::INGEST) it is to bring the source.
        attempt: u8,
        /// Which offer of it.
        #[serde(default, skip_serializing_if = "none_yet")]
        dispatch: u8,
    },
    /// Tell a backend to stop. Best effort: what comes of the job is stale anyhow.
    CancelJob {
        /// The backend; empty where that was before backends had names.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        backend: String,
        /// Its id for the job.
        job: String,
    },
    /// Delete every object of the media and abort its uploads, unless a retry has taken it on since.
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
    /// It repeats what was already taken, or comes from the job that brought the stored source.
    #[error("that was already taken")]
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
