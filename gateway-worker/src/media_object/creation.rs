//! How a media comes to be: at once, or together with a source that its creator brings along.
//!
//! For the latter its id is reserved first. A reservation that is never used, because the gateway
//! fell over it, is cleaned up by a task of its own: until then there is no media that could be.

use std::rc::Rc;

use jiff::SignedDuration;
use reelmill_shared::{
    id::MediaId,
    media::{Details, Event, Media},
    object_key::ObjectKey,
    problem::ProblemCode,
};
use worker::Url;

use super::{
    Inner,
    command::{Carried, Created, Reserved},
    commands::{LOCK, not_deleted},
    store::Task,
};
use crate::{clock, error::ApiResult, view::Record};

/// How long after its last sign of life a reservation is cleaned up. Longer than [`LOCK`].
const CLEAN_AFTER: SignedDuration = SignedDuration::from_secs(45);

/// What is to be created.
pub(super) struct Creation {
    pub(super) id: MediaId,
    pub(super) details: Details,
    pub(super) origin: Url,
    pub(super) max_bytes: u64,
    pub(super) fingerprint: String,
    pub(super) carried: Option<Carried>,
}

impl Inner {
    /// Creates the media, or finds that the same request has done so.
    pub(super) async fn create(self: &Rc<Self>, creation: Creation) -> ApiResult<Created> {
        let Creation { id, details, origin, max_bytes, fingerprint, carried } = creation;
        if let Some(record) = self.store.record()? {
            if self.store.fingerprint()?.as_deref() != Some(&fingerprint) {
                return Err(ProblemCode::IdempotencyMismatch.into());
            }
            return Ok(Created { record: not_deleted(record)?, fresh: false });
        }
        if let Some(carried) = &carried {
            self.check_lock(&carried.lock)?;
        }
        let now = clock::now();
        let (media, effects) = Media::create(id, details, now, &self.config()?.rules);
        let mut record = Record { media, origin, max_bytes, direct: None };
        self.store.insert(&record, &fingerprint)?;
        self.follow(&record, None, &effects, now)?;
        // Nothing is awaited in between: nobody ever sees it without its source.
        if let Some(Carried { source, .. }) = carried {
            record = self.apply(Event::SourceStored(source))?;
            self.store.unlock()?;
            self.store.drop_reservation()?;
        }
        self.prewarm(&record);
        self.after_change().await;
        Ok(Created { record, fresh: true })
    }

    /// Keeps the id for a creation that brings its source along; no lock if the media is there.
    pub(super) async fn reserve(&self, id: MediaId) -> ApiResult<Reserved> {
        if let Some(record) = self.store.record()? {
            not_deleted(record)?;
            return Ok(Reserved { lock: None });
        }
        let lock = self.take_lock(clock::now())?;
        self.clean_up_later(id, None)?;
        self.rearm().await;
        Ok(Reserved { lock: Some(lock) })
    }

    /// Renews a reservation, and remembers the multipart upload that its bytes go into.
    pub(super) async fn keep_reservation(
        &self,
        lock: &str,
        id: MediaId,
        multipart: Option<String>,
    ) -> ApiResult<()> {
        self.check_lock(lock)?;
        self.store.lock(lock, clock::now() + LOCK)?;
        if multipart.is_some() {
            self.clean_up_later(id, multipart)?;
        }
        self.rearm().await;
        Ok(())
    }

    /// Gives a reservation back. What was not cleaned up is cleaned up later.
    pub(super) fn abandon_reservation(&self, lock: &str, cleaned: bool) -> ApiResult<()> {
        if self.check_lock(lock).is_ok() {
            self.store.unlock()?;
            if cleaned {
                self.store.drop_reservation()?;
            }
        }
        Ok(())
    }

    fn clean_up_later(&self, media: MediaId, multipart: Option<String>) -> ApiResult<()> {
        self.store.drop_reservation()?;
        let task = Task::CleanUp { media, multipart };
        Ok(self.store.enqueue(&task, clock::now() + CLEAN_AFTER)?)
    }

    /// Removes what a reservation left that was never used. Whether one still is in use, its lock
    /// tells: then it is to be asked again later.
    pub(super) async fn clean_up(
        &self,
        media: MediaId,
        multipart: Option<&str>,
    ) -> ApiResult<bool> {
        if self.store.lock_holder(clock::now())?.is_some() {
            return Ok(false);
        }
        let bucket = self.env.bucket("BUCKET")?;
        let key = ObjectKey::Source(media).to_string();
        if let Some(multipart) = multipart
            && let Err(error) =
                bucket.resume_multipart_upload(key.as_str(), multipart)?.abort().await
            // 10024: R2 knows no such upload any more.
            && !error.to_string().contains("10024")
        {
            return Err(error.into());
        }
        if self.store.record()?.is_none() {
            bucket.delete(key).await?;
        }
        Ok(true)
    }

    /// When a task that [`clean_up`](Self::clean_up) could not finish is due again.
    pub(super) fn clean_up_again() -> jiff::Timestamp {
        clock::now() + CLEAN_AFTER
    }
}
