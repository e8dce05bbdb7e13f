//! The end of an upload: by its client, by its media, or because its time is over. Nothing is left
//! of it but the knowledge that it was there, and after a week not even that.

use std::rc::Rc;

use jiff::SignedDuration;

use super::{
    Inner,
    receiving::Stop,
    record::{Purpose, Stage},
};
use crate::{clock, error::ApiResult, media_object};

/// How long an upload that is over is answered with 410 rather than 404.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Inner {
    /// Ends the upload and deletes what it has, once more if it was over already: what was under way
    /// then may have left something since. With `free`, its media may have another one.
    pub(super) async fn end(self: Rc<Self>, free: bool) -> ApiResult<()> {
        self.interrupt(Stop::Discard).await;
        let now = clock::now();
        self.change(|progress| {
            let (at, delivered) = match progress.stage {
                Stage::Gone { at, delivered, .. } => (at, delivered),
                Stage::Done => (now, true),
                Stage::Open | Stage::Stored { .. } => (now, false),
            };
            progress.stage = Stage::Gone { at, clean: false, delivered };
            progress.due = Some(now);
            progress.tries = 0;
        })?;
        self.sha256.take();
        self.rearm().await?;
        if free && let Some(media) = self.media()? {
            let command = media_object::Command::DetachUpload { upload: self.about()?.id };
            let detached: ApiResult<()> = media.send(&command).await;
            if let Err(error) = detached {
                // A media that is gone has nothing to free.
                super::log("detach", &error.problem().detail);
            }
        }
        if let Err(error) = self.clean_up().await {
            self.postpone(&error)?;
        }
        self.rearm().await
    }

    async fn clean_up(&self) -> ApiResult<()> {
        let Stage::Gone { at, clean: false, delivered } = self.progress()?.stage else {
            return Ok(());
        };
        let about = self.about()?;
        if !delivered || about.purpose == Purpose::Piece {
            self.discard_objects().await?;
        }
        if let Purpose::Assembly { pieces, .. } = &about.purpose
            && !delivered
        {
            self.let_go(pieces, false).await?;
        }
        self.store.clear()?;
        self.change(|progress| {
            progress.stage = Stage::Gone { at, clean: true, delivered };
            progress.due = None;
        })
    }

    /// Does what is due.
    pub(super) async fn wake(self: Rc<Self>) -> ApiResult<()> {
        self.armed.set(None);
        self.open()?;
        if self.record.borrow().is_none() {
            return Ok(());
        }
        let (about, progress, now) = (self.about()?, self.progress()?, clock::now());
        let due = progress.due.is_some_and(|due| due <= now);
        let idle = self.running.borrow().is_none()
            && (progress.used_by.is_empty() || about.last_moment() <= now);
        let over = progress.expires_at <= now && idle;
        match progress.stage {
            Stage::Gone { at, clean: true, .. } if at + REMEMBERED <= now => {
                return self.forget().await;
            }
            Stage::Gone { clean: false, .. } => {
                if let Err(error) = self.clean_up().await {
                    self.postpone(&error)?;
                }
            }
            Stage::Gone { .. } => {}
            Stage::Open if over => Rc::clone(&self).end(true).await?,
            Stage::Done if over => Rc::clone(&self).end(false).await?,
            Stage::Open if due && matches!(about.purpose, Purpose::Assembly { .. }) => {
                Rc::clone(&self).assemble().await;
            }
            Stage::Open | Stage::Stored { .. } if due => Rc::clone(&self).finish().await,
            Stage::Open | Stage::Stored { .. } | Stage::Done => {}
        }
        self.rearm().await
    }

    /// Leaves nothing.
    async fn forget(&self) -> ApiResult<()> {
        self.state.storage().delete_alarm().await?;
        self.state.storage().delete_all().await?;
        self.record.take();
        self.store.forget();
        Ok(())
    }
}
