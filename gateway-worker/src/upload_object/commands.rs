//! What each [`Command`] does.

use std::rc::Rc;

use reelmill_shared::{id::UploadId, problem::ProblemCode, upload::intake::Position};
use serde::Serialize;
use serde_json::Value;

use super::{
    Inner,
    command::{Command, View},
    receiving::Stop,
    record::{About, Progress, Purpose, Stage},
};
use crate::{
    clock,
    error::{ApiError, ApiResult},
};

impl Inner {
    /// Carries out a command and returns its reply.
    pub(super) async fn execute(self: Rc<Self>, command: Command) -> ApiResult<Value> {
        match command {
            Command::Create { about } => self.create(*about).await,
            Command::Show => {
                self.living()?;
                // A client that asks has lost touch with the request that sends for it.
                self.interrupt(Stop::Keep).await;
                reply(&self.view()?)
            }
            Command::Terminate => {
                if matches!(self.living()?.1.stage, Stage::Stored { .. }) {
                    // The media may have the source already without our knowing it.
                    Rc::clone(&self).finish().await;
                }
                self.end(true).await?;
                Ok(Value::Null)
            }
            Command::Abort => {
                if self.record.borrow().is_some() {
                    self.end(false).await?;
                }
                Ok(Value::Null)
            }
            Command::Displace => {
                if self.running.borrow().is_some() {
                    return Err(ProblemCode::UploadInProgress.into());
                }
                if self.record.borrow().is_some() {
                    self.end(false).await?;
                }
                Ok(Value::Null)
            }
            Command::Join { assembly } => reply(&self.join(assembly)?),
            Command::Leave { assembly, done } => {
                self.leave(assembly, done).await.map(|()| Value::Null)
            }
        }
    }

    async fn create(self: Rc<Self>, about: About) -> ApiResult<Value> {
        if self.record.borrow().is_some() {
            return Err(ApiError::internal("an upload's id was used before"));
        }
        let now = clock::now();
        let assembled = matches!(about.purpose, Purpose::Assembly { .. });
        let empty = about.length == Some(0) && !assembled;
        let progress = Progress {
            stage: Stage::Open,
            length: about.length,
            position: Position::default(),
            multipart: None,
            expires_at: about.expires(now),
            due: (assembled || empty).then_some(now),
            tries: 0,
            used_by: Vec::new(),
        };
        self.store.insert(&about, &progress)?;
        self.record.replace(Some((Rc::new(about), progress)));
        self.rearm().await?;
        if empty {
            Rc::clone(&self).finish().await;
        }
        reply(&self.view()?)
    }

    /// The upload as its client sees it.
    pub(super) fn view(&self) -> ApiResult<View> {
        let (about, progress) = self.living()?;
        let done = matches!(progress.stage, Stage::Stored { .. } | Stage::Done);
        let assembling = matches!(about.purpose, Purpose::Assembly { .. }) && !done;
        let offset = progress.position.offset();
        let complete = progress.length == Some(offset);
        Ok(View {
            offset: (!assembling).then_some(offset),
            length: progress.length,
            metadata: about.metadata.clone(),
            concat: about.concat.clone(),
            expires_at: (!complete || assembling).then_some(progress.expires_at),
            media: about.media(),
        })
    }

    fn join(&self, assembly: UploadId) -> ApiResult<u64> {
        let missing = || ApiError::from(ProblemCode::PartialUploadMissing);
        let (about, progress) = self.living().map_err(|_| missing())?;
        let complete = about.purpose == Purpose::Piece && progress.stage == Stage::Done;
        let size = progress.length.filter(|_| complete).ok_or_else(missing)?;
        if !progress.used_by.contains(&assembly) {
            self.change(|progress| progress.used_by.push(assembly))?;
        }
        Ok(size)
    }

    async fn leave(self: Rc<Self>, assembly: UploadId, done: bool) -> ApiResult<()> {
        if self.record.borrow().is_none() {
            return Ok(());
        }
        self.change(|progress| progress.used_by.retain(|user| *user != assembly))?;
        if done && self.progress()?.used_by.is_empty() { self.end(false).await } else { Ok(()) }
    }
}

/// A reply as JSON.
pub(super) fn reply(value: &impl Serialize) -> ApiResult<Value> {
    serde_json::to_value(value).map_err(ApiError::internal)
}
