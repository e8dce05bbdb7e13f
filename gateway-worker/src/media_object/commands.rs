//! What each [`Command`] does.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    job::Progress,
    media::{Event, Media, Rejected, State},
    problem::ProblemCode,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    Inner,
    command::{Command, UploadLock},
    creation::Creation,
};
use crate::{
    clock,
    error::{ApiError, ApiResult},
    hex,
    size::check_size,
    view::Record,
};

/// How long an upload that gives no sign of life keeps others out.
pub(super) const LOCK: SignedDuration = SignedDuration::from_secs(30);
/// Progress reaches subscribers at most this often. A little under a second, so that a handler that
/// reports every second is not thinned out to every other one.
const PROGRESS_EVERY: SignedDuration = SignedDuration::from_millis(900);

impl Inner {
    /// Carries out a command and returns its reply.
    pub(super) async fn execute(self: &Rc<Self>, command: Command) -> ApiResult<Value> {
        match command {
            Command::Create { id, details, origin, max_bytes, fingerprint, carried } => {
                let creation = Creation { id, details, origin, max_bytes, fingerprint, carried };
                reply(&self.create(creation).await?)
            }
            Command::Reserve { id } => reply(&self.reserve(id).await?),
            Command::KeepReservation { id, lock, multipart } => {
                self.keep_reservation(&lock, id, multipart).await?;
                Ok(Value::Null)
            }
            Command::AbandonReservation { lock, cleaned } => {
                self.abandon_reservation(&lock, cleaned)?;
                Ok(Value::Null)
            }
            Command::Get => reply(&self.living()?),
            Command::BeginUpload { size } => reply(&self.begin_upload(size)?),
            Command::KeepUpload { lock } => {
                self.check_lock(&lock)?;
                // Whoever uploads to a media that was cancelled or deleted may stop.
                self.awaiting_source()?;
                self.store.lock(&lock, clock::now() + LOCK)?;
                Ok(Value::Null)
            }
            Command::AbandonUpload { lock } => {
                if self.check_lock(&lock).is_ok() {
                    self.store.unlock()?;
                }
                Ok(Value::Null)
            }
            Command::AttachUpload { upload, size } => {
                reply(&self.attach_upload(upload, size).await?)
            }
            Command::HoldForUpload { upload, until } => {
                self.hold_for_upload(upload, until)?;
                self.rearm().await;
                Ok(Value::Null)
            }
            Command::DetachUpload { upload } => {
                self.detach_upload(upload)?;
                Ok(Value::Null)
            }
            Command::FinishUpload { upload, source } => {
                if self.finish_upload(upload, source)? {
                    self.after_change().await;
                }
                Ok(Value::Null)
            }
            Command::StoreSource { lock, source } => {
                self.check_lock(&lock)?;
                self.awaiting_source()?;
                let record = self.apply(Event::SourceStored(source))?;
                self.store.unlock()?;
                self.drop_upload(clock::now())?;
                self.after_change().await;
                reply(&record)
            }
            Command::OfferDirect { upload, part_size } => {
                let record = self.offer_direct(upload, part_size)?;
                self.after_change().await;
                reply(&record)
            }
            Command::KeepDirect => {
                let record = self.keep_direct()?;
                self.rearm().await;
                reply(&record)
            }
            Command::AbandonDirect => {
                self.abandon_direct()?;
                self.after_change().await;
                Ok(Value::Null)
            }
            Command::StoreDirect { lock, upload, source } => {
                let record = self.store_direct(&lock, &upload, source)?;
                self.after_change().await;
                reply(&record)
            }
            Command::Retry => self.change(Event::Retry).await,
            Command::Cancel => self.change(Event::Cancel).await,
            Command::Delete => match self.apply(Event::Delete) {
                Ok(_) => {
                    self.after_change().await;
                    Ok(Value::Null)
                }
                Err(error) if error.code == ProblemCode::MediaDeleted => Ok(Value::Null),
                Err(error) => Err(error),
            },
            Command::Progress { progress, dispatch } => self.progress(progress, dispatch).await,
            Command::Report { report, dispatch } => {
                let event = Event::Reported { report: Box::new(report), dispatch };
                if self.is_duplicate(&event)? {
                    return Ok(Value::Null);
                }
                self.change(event).await.map(|_| Value::Null)
            }
            Command::Hint { attempt, dispatch } => {
                self.hint(attempt, dispatch).await?;
                Ok(Value::Null)
            }
            Command::CheckAttempt { attempt, dispatch } => match self.record()?.media.state {
                State::Transcoding { attempt: running, .. }
                    if running.id() == (attempt, dispatch) =>
                {
                    Ok(Value::Null)
                }
                _ => Err(ProblemCode::StaleAttempt.into()),
            },
            Command::CheckStored { attempt, dispatch } => {
                let media = self.record()?.media;
                match &media.state {
                    State::Transcoding { attempt: running, .. }
                        if running.id() == (attempt, dispatch) =>
                    {
                        Ok(Value::Null)
                    }
                    State::Ready { report, .. }
                        if (report.attempt, media.last_dispatch) == (attempt, dispatch) =>
                    {
                        Ok(Value::Null)
                    }
                    _ => Err(ProblemCode::StaleAttempt.into()),
                }
            }
            Command::Deliveries => reply(&self.deliveries()?),
            Command::Redeliver { message } => {
                self.redeliver(message)?;
                self.after_change().await;
                Ok(Value::Null)
            }
        }
    }

    /// Whether an event tells what is known already: nothing is to be done, and nothing is wrong.
    pub(super) fn is_duplicate(&self, event: &Event) -> ApiResult<bool> {
        let applied =
            self.record()?.media.apply(event.clone(), clock::now(), &self.config()?.rules);
        Ok(applied.is_err_and(|rejected| rejected == Rejected::Duplicate))
    }

    async fn change(self: &Rc<Self>, event: Event) -> ApiResult<Value> {
        let record = self.apply(event)?;
        self.after_change().await;
        reply(&record)
    }

    fn living(&self) -> ApiResult<Record> {
        not_deleted(self.record()?)
    }

    /// The media, if it waits for its source.
    pub(super) fn awaiting_source(&self) -> ApiResult<Record> {
        let record = self.living()?;
        match record.media.state {
            State::Uploading { .. } => Ok(record),
            State::Failed { source: None, .. } => Err(ProblemCode::UploadClosed.into()),
            _ => Err(ProblemCode::SourceExists.into()),
        }
    }

    fn begin_upload(&self, size: u64) -> ApiResult<UploadLock> {
        let now = clock::now();
        let record = self.open_for(Some(size), now)?;
        if record.media.running().is_some() {
            return Err(ApiError::new(
                ProblemCode::UploadInProgress,
                "The source is being fetched from its URL.",
            ));
        }
        let lock = self.take_lock(now)?;
        self.prewarm(&record);
        Ok(UploadLock { lock })
    }

    pub(super) fn take_lock(&self, now: Timestamp) -> ApiResult<String> {
        if self.store.lock_holder(now)?.is_some() {
            return Err(ProblemCode::UploadInProgress.into());
        }
        let lock = hex::encode(&clock::random_secret()[..16]);
        self.store.lock(&lock, now + LOCK)?;
        Ok(lock)
    }

    /// The media, if it takes an upload of `size` bytes, where the size is known.
    pub(super) fn open_for(&self, size: Option<u64>, now: Timestamp) -> ApiResult<Record> {
        let record = self.awaiting_source()?;
        if record.media.deadline().is_some_and(|(at, _)| at <= now) {
            return Err(ApiError::new(
                ProblemCode::UploadClosed,
                "The time for uploading is over.",
            ));
        }
        let Some(size) = size else { return Ok(record) };
        check_size(size, record.max_bytes)?;
        if let Some(declared) = record.media.details.size.filter(|declared| *declared != size) {
            return Err(ApiError::new(
                ProblemCode::LengthMismatch,
                format!(
                    "The media was created with a size of {declared} bytes, the upload has {size}."
                ),
            ));
        }
        Ok(record)
    }

    pub(super) fn check_lock(&self, lock: &str) -> ApiResult<()> {
        match self.store.lock_holder(clock::now())? {
            Some(holder) if holder == lock => Ok(()),
            _ => Err(ProblemCode::UploadInProgress.into()),
        }
    }

    async fn progress(self: &Rc<Self>, progress: Progress, dispatch: u8) -> ApiResult<Value> {
        let stage = progress.stage;
        let before = self.record()?.media;
        let event = Event::Progressed { progress, dispatch };
        if self.is_duplicate(&event)? {
            return Ok(Value::Null);
        }
        let record = self.apply(event)?;
        if let Some(told) = last_told(&record.media) {
            let now = clock::now();
            let due = self.told_progress.get().is_none_or(|told| told + PROGRESS_EVERY <= now);
            let first_of_stage = last_told(&before).is_none_or(|before| before.stage != stage);
            if due || first_of_stage {
                self.told_progress.set(Some(now));
                self.tell("progress", told)?;
            }
        }
        if record.media.sequence == before.sequence {
            self.rearm().await;
        } else {
            self.after_change().await;
        }
        Ok(Value::Null)
    }
}

/// What the running attempt last told of itself.
fn last_told(media: &Media) -> Option<&Progress> {
    media.running()?.progress.as_ref()
}

pub(super) fn not_deleted(record: Record) -> ApiResult<Record> {
    match record.media.state {
        State::Deleted { .. } => Err(ProblemCode::MediaDeleted.into()),
        _ => Ok(record),
    }
}

fn reply(value: &impl Serialize) -> ApiResult<Value> {
    serde_json::to_value(value).map_err(ApiError::internal)
}
