//! The media's side of a resumable upload: which one is to bring the source, and whether others may.
//!
//! At most one is attached. A newer one takes its place unless bytes are coming in, because a page
//! that lost its upload's URL must be able to begin again. While bytes do come in the upload holds
//! the same lock as a `PUT`.

use jiff::Timestamp;
use reelmill_shared::{
    id::UploadId,
    media::{Event, Source, State},
    problem::ProblemCode,
};

use super::{Inner, command::Attached, commands::LOCK, store::Task};
use crate::{
    clock,
    error::ApiResult,
    upload_object::{self, UploadStub},
};

impl Inner {
    pub(super) async fn attach_upload(
        &self,
        upload: UploadId,
        size: Option<u64>,
    ) -> ApiResult<Attached> {
        self.open_for(size, clock::now())?;
        let earlier = self.store.attached()?;
        if let Some(earlier) = earlier {
            let stub = UploadStub::new(&self.env, earlier)?;
            let () = stub.send(&upload_object::Command::Displace).await?;
        }
        // Anything may have happened while that was asked.
        let now = clock::now();
        let record = self.open_for(size, now)?;
        if self.store.attached()? != earlier {
            return Err(ProblemCode::UploadInProgress.into());
        }
        let own = earlier.map(|earlier| earlier.to_string());
        match self.store.lock_holder(now)? {
            None => {}
            holder if holder == own => self.store.unlock()?,
            Some(_) => return Err(ProblemCode::UploadInProgress.into()),
        }
        self.store.attach(upload)?;
        self.prewarm(&record);
        Ok(Attached { max_bytes: record.max_bytes, size: record.media.details.size })
    }

    pub(super) fn hold_for_upload(&self, upload: UploadId, until: Timestamp) -> ApiResult<()> {
        self.awaiting_source()?;
        self.check_attached(upload)?;
        let (now, own) = (clock::now(), upload.to_string());
        if self.store.lock_holder(now)?.is_some_and(|holder| holder != own) {
            return Err(ProblemCode::UploadInProgress.into());
        }
        self.store.lock(&own, now + LOCK)?;
        self.apply(Event::UploadKept { until }).map(drop)
    }

    pub(super) fn detach_upload(&self, upload: UploadId) -> ApiResult<()> {
        if self.store.attached()? == Some(upload) {
            self.store.detach()?;
            if self.store.lock_holder(clock::now())? == Some(upload.to_string()) {
                self.store.unlock()?;
            }
        }
        Ok(())
    }

    /// Whether this was news.
    pub(super) fn finish_upload(&self, upload: UploadId, source: Source) -> ApiResult<bool> {
        let stored = match &self.record()?.media.state {
            State::Uploaded { source }
            | State::Transcoding { source, .. }
            | State::Ready { source, .. }
            | State::Failed { source: Some(source), .. } => Some(source.etag.clone()),
            _ => None,
        };
        if stored.is_some_and(|etag| etag == source.etag) {
            return Ok(false);
        }
        self.awaiting_source()?;
        self.check_attached(upload)?;
        self.apply(Event::SourceStored(source))?;
        self.store.unlock()?;
        Ok(true)
    }

    /// Ends the attached upload: nobody waits for it.
    pub(super) fn drop_upload(&self, now: Timestamp) -> ApiResult<()> {
        if let Some(upload) = self.store.attached()? {
            // With its lock: a retry's upload may come at once.
            self.detach_upload(upload)?;
            self.store.enqueue(&Task::AbortUpload { upload }, now)?;
        }
        Ok(())
    }

    fn check_attached(&self, upload: UploadId) -> ApiResult<()> {
        if self.store.attached()? == Some(upload) {
            Ok(())
        } else {
            Err(ProblemCode::UploadGone.into())
        }
    }
}
