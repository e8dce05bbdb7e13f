//! What becomes of received bytes: parts in R2, rows of the spool, and what counts of both.

use std::rc::Rc;

use futures_util::FutureExt;
use reelmill_shared::{
    problem::ProblemCode,
    secret::constant_time_eq,
    upload::{checksum::Checksum, intake::Part},
};

use super::{
    Inner,
    hasher::Hasher,
    receiving::{End, Run, Stop},
    record::Stage,
    store::StoredPart,
};
use crate::error::ApiResult;

impl Inner {
    pub(super) fn begin_sending(self: &Rc<Self>, run: &mut Run, part: Part) {
        run.memory.seal();
        let bytes = run.memory.first(part.size - part.spooled);
        run.intake.begun(part);
        let inner = Rc::clone(self);
        run.sending = Some(async move { inner.send(part, &bytes).await }.boxed_local());
    }

    /// Takes note of a part that was sent, or was not.
    pub(super) fn record_sent(&self, run: &mut Run, sent: ApiResult<String>) -> ApiResult<()> {
        let Some(part) = run.intake.sending() else { return Ok(()) };
        match sent {
            Ok(etag) => {
                let freed = run.intake.sent();
                run.memory.drop_first(freed);
                if part.whole {
                    let stage = Stage::Stored { etag, sha256: None };
                    self.change(|progress| progress.stage = stage)?;
                } else {
                    self.store.put_part(&StoredPart { number: part.number, etag })?;
                }
                self.commit(run)
            }
            Err(error) => {
                run.intake.not_sent();
                Err(error)
            }
        }
    }

    /// Puts what is in memory into the spool.
    pub(super) fn spill(&self, run: &mut Run) -> ApiResult<()> {
        run.memory.seal();
        let mut at = run.intake.stored().offset();
        for bytes in run.memory.first(run.intake.memory()) {
            self.store.spool(at, &bytes)?;
            at += u64::from(bytes.length());
        }
        run.memory.drop_first(run.intake.memory());
        run.intake.spooled();
        self.commit(run)
    }

    /// Stores what counts, in one transaction with what has been stored since the last await.
    pub(super) fn commit(&self, run: &Run) -> ApiResult<()> {
        let position = run.intake.position();
        if position == self.progress()?.position {
            return Ok(());
        }
        self.change(|progress| progress.position = position)?;
        Ok(self.store.drop_before(position.sent)?)
    }

    /// Ends a request: stores what counts of it, and finishes the upload if that was the rest.
    pub(super) async fn settle(self: &Rc<Self>, mut run: Run, end: End) -> ApiResult<()> {
        // Also where nothing of it is kept: a part that arrives late would replace a later one.
        if let Some(sending) = run.sending.take() {
            let sent = sending.await;
            if let Err(error) = self.record_sent(&mut run, sent) {
                super::log("part", &error.problem().detail);
            }
        }
        let ended = match end {
            End::Whole => Ok(()),
            End::Cut => Err(ProblemCode::LengthMismatch.into()),
            End::Stopped(Stop::Keep) => Err(ProblemCode::UploadInterrupted.into()),
            End::Stopped(Stop::Discard) => return Err(ProblemCode::UploadGone.into()),
            End::Exceeded => return Err(run.intake.exceeded().into()),
            End::Failed(error) => Err(error),
        };
        if let Some((checksum, hasher)) = run.checksum.take() {
            self.verify(ended, hasher, &checksum).await?;
            run.intake.verified();
            let length = run.intake.length();
            self.change(|progress| progress.length = length)?;
            self.commit(&run)?;
        } else if ended.is_err() {
            self.spill(&mut run)?;
            self.sha256.replace(run.sha256.take());
            return ended;
        }
        self.keep_rest(run).await
    }

    /// Checks a body against its checksum.
    async fn verify(
        &self,
        ended: ApiResult<()>,
        hasher: Hasher,
        checksum: &Checksum,
    ) -> ApiResult<()> {
        ended?;
        if constant_time_eq(&hasher.finish().await?, &checksum.digest) {
            Ok(())
        } else {
            Err(ProblemCode::ChunkChecksumMismatch.into())
        }
    }

    /// Stores what is left of a good body.
    async fn keep_rest(self: &Rc<Self>, mut run: Run) -> ApiResult<()> {
        let sha256 = run.sha256.take();
        if let Err(error) = self.send_rest(&mut run).await {
            super::log("part", &error.problem().detail);
        }
        self.spill(&mut run)?;
        self.sha256.replace(sha256);
        if run.intake.is_complete() {
            Rc::clone(self).finish().await;
        }
        Ok(())
    }

    /// Sends what is left of an upload whose bytes are all here.
    pub(super) async fn send_rest(self: &Rc<Self>, run: &mut Run) -> ApiResult<()> {
        while let Some(part) = run.intake.rest() {
            self.begin_sending(run, part);
            if let Some(sending) = run.sending.take() {
                let sent = sending.await;
                self.record_sent(run, sent)?;
            }
        }
        Ok(())
    }
}
