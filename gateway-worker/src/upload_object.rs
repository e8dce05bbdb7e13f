//! One Durable Object an upload: its offset, its lock, its spool, and the alarm that ends it.
//!
//! It is thin: which bytes are where, and what comes next, is decided by
//! [`reelmill_shared::upload::intake`]. The object moves the bytes: from the request's body
//! ([`body`]) into memory ([`memory`]) and on to R2 ([`sending`]) or into its own database
//! ([`storing`], [`store`]). They stay JavaScript's bytes all the way. One request at a time sends bytes
//! ([`receiving`]); one that asks for the offset meanwhile ends it, because a client that comes back
//! after a broken connection may be faster than the news of it.
//!
//! What was begun is finished by the alarm if the object dies over it: completing the object in R2
//! and telling the media ([`finishing`]), putting pieces together ([`assembling`]), and deleting
//! what expired ([`ending`]).

mod assembling;
mod body;
mod class;
mod command;
mod commands;
mod ending;
mod finishing;
mod hasher;
mod memory;
mod receiving;
mod record;
mod sending;
mod store;
mod storing;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use jiff::Timestamp;
use reelmill_shared::{media::Source, problem::ProblemCode};
use worker::{Env, State};

pub use body::drain;
pub use class::UploadObject;
pub use command::{Chunk, Command, Patch, UploadStub, View};
pub use record::{About, Piece, Purpose};

use self::{
    hasher::Hasher,
    receiving::Running,
    record::{Progress, Stage},
    store::Store,
};
use crate::{
    clock,
    error::{ApiError, ApiResult},
    log::log,
    media_object::{self, MediaStub},
};

/// What outlives one request to the object.
struct Inner {
    state: State,
    env: Env,
    store: Store,
    /// The stored record, as it is in the database.
    record: RefCell<Option<(Rc<About>, Progress)>>,
    /// The request that is sending bytes.
    running: RefCell<Option<Running>>,
    /// SHA-256 over all bytes up to the offset, unless this instance missed some.
    sha256: RefCell<Option<Hasher>>,
    /// Until when the media is kept for this upload, as far as this instance knows.
    held_until: Cell<Option<Timestamp>>,
    /// When the alarm is set for, as far as this instance knows.
    armed: Cell<Option<Timestamp>>,
    /// Whether the upload is being finished.
    finishing: Cell<bool>,
}

impl Inner {
    fn new(state: State, env: Env) -> Self {
        Self {
            store: Store::new(state.storage().sql()),
            state,
            env,
            record: RefCell::default(),
            running: RefCell::default(),
            sha256: RefCell::default(),
            held_until: Cell::new(None),
            armed: Cell::new(None),
            finishing: Cell::new(false),
        }
    }

    /// Reads the record, once.
    fn open(&self) -> ApiResult<()> {
        self.store.open()?;
        if self.record.borrow().is_none()
            && let Some((about, progress)) = self.store.load()?
        {
            self.record.replace(Some((Rc::new(about), progress)));
        }
        Ok(())
    }

    fn about(&self) -> ApiResult<Rc<About>> {
        let record = self.record.borrow();
        let about = record.as_ref().map(|(about, _)| Rc::clone(about));
        about.ok_or_else(|| ProblemCode::UploadNotFound.into())
    }

    fn progress(&self) -> ApiResult<Progress> {
        let record = self.record.borrow();
        let progress = record.as_ref().map(|(_, progress)| progress.clone());
        progress.ok_or_else(|| ProblemCode::UploadNotFound.into())
    }

    /// The record of an upload that has neither expired nor been ended.
    fn living(&self) -> ApiResult<(Rc<About>, Progress)> {
        let (about, progress) = (self.about()?, self.progress()?);
        let over = progress.expires_at <= clock::now();
        match progress.stage {
            Stage::Gone { .. } => Err(ProblemCode::UploadGone.into()),
            _ if over => Err(ProblemCode::UploadGone.into()),
            _ => Ok((about, progress)),
        }
    }

    /// Changes what is stored.
    fn change(&self, change: impl FnOnce(&mut Progress)) -> ApiResult<()> {
        let mut record = self.record.borrow_mut();
        let (_, progress) = record.as_mut().ok_or(ProblemCode::UploadNotFound)?;
        change(progress);
        Ok(self.store.update(progress)?)
    }

    /// The media that the upload belongs to, if it does.
    fn media(&self) -> ApiResult<Option<MediaStub>> {
        self.about()?.media().map(|media| MediaStub::new(&self.env, media)).transpose()
    }

    /// Asks the media to wait for this upload, and to let no other one begin.
    async fn hold_media(&self) -> ApiResult<()> {
        let Some(media) = self.media()? else { return Ok(()) };
        let (upload, until) = (self.about()?.id, self.progress()?.expires_at);
        media.send(&media_object::Command::HoldForUpload { upload, until }).await
    }

    /// Hands the source over.
    async fn deliver(&self, source: Source) -> ApiResult<()> {
        let Some(media) = self.media()? else { return Ok(()) };
        let upload = self.about()?.id;
        media.send(&media_object::Command::FinishUpload { upload, source }).await
    }

    /// Sets the alarm for the next thing to do.
    async fn rearm(&self) -> ApiResult<()> {
        let progress = self.progress()?;
        let at = match progress.stage {
            Stage::Gone { at, clean: true, .. } => at + ending::REMEMBERED,
            Stage::Gone { at, clean: false, .. } => progress.due.unwrap_or(at),
            Stage::Open | Stage::Stored { .. } | Stage::Done => {
                progress.due.into_iter().fold(progress.expires_at, Ord::min)
            }
        };
        // An alarm that comes too early does no harm: it finds nothing to do and is set again.
        if self.armed.get().is_some_and(|armed| armed <= at) {
            return Ok(());
        }
        self.armed.set(Some(at));
        let wait = at.duration_since(clock::now()).as_millis().max(0);
        Ok(self.state.storage().set_alarm(i64::try_from(wait).unwrap_or(i64::MAX)).await?)
    }

    /// Puts off what failed: the alarm tries again, ever later.
    fn postpone(&self, error: &ApiError) -> ApiResult<()> {
        log("upload", &error.problem().detail);
        self.change(|progress| {
            let wait = 1_i64 << progress.tries.min(8);
            progress.due = Some(clock::now() + jiff::SignedDuration::from_secs(wait));
            progress.tries += 1;
        })
    }
}
