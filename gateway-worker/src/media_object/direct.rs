//! The media's side of an upload that goes straight into the bucket by its S3 API.
//!
//! At most one multipart upload is offered. Whatever ends the wait for the source otherwise drops
//! it: another way, expiry, cancellation, deletion.

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    id::MediaId,
    media::{Event, Source, State as MediaState},
    object_key::ObjectKey,
    problem::ProblemCode,
};

use super::{Inner, log, store::Task};
use crate::{
    clock,
    error::ApiResult,
    view::{Direct, Record},
};

/// The longest that a media waits for its parts: R2 itself drops uploads after seven days.
const MAX_WAIT: SignedDuration = SignedDuration::from_hours(6 * 24 + 12);

impl Inner {
    /// Offers a multipart upload that was begun, unless one is offered already.
    pub(super) fn offer_direct(&self, upload: String, part_size: u64) -> ApiResult<Record> {
        let mut record = self.awaiting_source()?;
        if record.direct.is_none() {
            record.direct = Some(Direct { upload, part_size, stored: false });
            self.store.update(&record)?;
        }
        Ok(record)
    }

    /// The media with its multipart upload, whose client gave a sign of life.
    pub(super) fn keep_direct(&self) -> ApiResult<Record> {
        let record = self.awaiting_source()?;
        if record.direct.is_none() {
            return Err(ProblemCode::MultipartNotFound.into());
        }
        let now = clock::now();
        let until = now + self.config()?.rules.upload;
        let until = until.min(record.media.created_at + MAX_WAIT);
        self.apply(Event::UploadKept { until })
    }

    /// Drops the multipart upload at its client's wish, unless it is just becoming the source.
    pub(super) fn abandon_direct(&self) -> ApiResult<()> {
        let mut record = self.awaiting_source()?;
        if let Some(direct) = record.direct.take() {
            let now = clock::now();
            if self.store.lock_holder(now)?.is_some() {
                return Err(ProblemCode::UploadInProgress.into());
            }
            self.store.update(&record)?;
            self.enqueue_drop(record.media.id, direct, now)?;
        }
        Ok(())
    }

    /// Makes what the multipart upload became the source.
    pub(super) fn store_direct(
        &self,
        lock: &str,
        upload: &str,
        source: Source,
    ) -> ApiResult<Record> {
        self.check_lock(lock)?;
        let mut record = self.awaiting_source()?;
        let direct = record.direct.as_mut().filter(|direct| direct.upload == upload);
        direct.ok_or(ProblemCode::MultipartNotFound)?.stored = true;
        // In one with the change of state: nothing is awaited in between.
        self.store.update(&record)?;
        let record = self.apply(Event::SourceStored(source))?;
        self.store.unlock()?;
        self.drop_upload(clock::now())?;
        Ok(record)
    }

    /// Lets go of the multipart upload of a changed media if it is of no use any more.
    pub(super) fn drop_unwanted_direct(
        &self,
        record: &mut Record,
        now: Timestamp,
    ) -> ApiResult<()> {
        let wanted = |direct: &mut Direct| match record.media.state {
            MediaState::Uploading { .. } => true,
            MediaState::Deleted { .. } => false,
            _ => direct.stored,
        };
        match record.direct.take_if(|direct| !wanted(direct)) {
            Some(direct) => self.enqueue_drop(record.media.id, direct, now),
            None => Ok(()),
        }
    }

    fn enqueue_drop(&self, media: MediaId, direct: Direct, now: Timestamp) -> ApiResult<()> {
        let Direct { upload, stored, .. } = direct;
        Ok(self.store.enqueue(&Task::DropDirect { media, upload, stored }, now)?)
    }

    /// Aborts a multipart upload, or deletes what it became.
    pub(super) async fn drop_direct(
        &self,
        media: MediaId,
        upload: &str,
        stored: bool,
    ) -> ApiResult<()> {
        let config = self.config()?;
        let Some(s3) = &config.s3 else {
            log("direct", "an upload cannot be aborted without the S3_… variables");
            return Ok(());
        };
        let (key, now) = (ObjectKey::Source(media).to_string(), clock::now());
        if stored {
            s3.delete(&key, now).await?;
        } else {
            s3.abort_multipart(&key, upload, now).await?;
        }
        Ok(())
    }
}
