//! From the last byte to the media's source: completing the object, telling the media. Every step
//! may be repeated; the alarm repeats what a crash or a failure left undone.

use std::rc::Rc;

use jiff::SignedDuration;
use reelmill_shared::{
    media::Source,
    problem::ProblemCode,
    sniff::{self, SNIFFED_BYTES},
    upload::intake::Intake,
};
use worker::{Bucket, Range};

use super::{
    Inner,
    receiving::Run,
    record::{Purpose, Stage},
};
use crate::{clock, error::ApiResult, hex};

/// After how long the alarm looks whether finishing has succeeded.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);

impl Inner {
    /// Finishes an upload whose bytes are all stored, or sees to it that the alarm will.
    pub(super) async fn finish(self: Rc<Self>) {
        if self.finishing.replace(true) {
            return;
        }
        let outcome = self.try_finish().await;
        self.finishing.set(false);
        let settled = match outcome {
            Ok(()) => Ok(()),
            Err(error) if is_final(error.code) => Rc::clone(&self).end(false).await,
            Err(error) => self.postpone(&error),
        };
        if let Err(error) = settled.and(self.rearm().await) {
            super::log("finish", &error.problem().detail);
        }
    }

    async fn try_finish(self: &Rc<Self>) -> ApiResult<()> {
        let (about, progress) = (self.about()?, self.progress()?);
        let offset = progress.position.offset();
        let unfinished = matches!(progress.stage, Stage::Open | Stage::Stored { .. });
        let Some(length) = progress.length.filter(|length| *length == offset && unfinished) else {
            return Ok(());
        };
        self.change(|progress| progress.due = Some(clock::now() + CLAIM))?;
        self.rearm().await?;
        // The source lies where a source that came another way would lie.
        self.hold_media().await?;
        if progress.stage == Stage::Open {
            let mut run = Run::new(Intake::new(
                about.part_size(),
                Some(length),
                about.limit,
                progress.position,
            ));
            self.send_rest(&mut run).await?;
        }
        if self.progress()?.stage == Stage::Open {
            let etag = self.complete(length).await?.etag();
            self.change(|progress| progress.stage = Stage::Stored { etag, sha256: None })?;
        }
        let Stage::Stored { etag, mut sha256 } = self.progress()?.stage else { return Ok(()) };
        if let Some(hasher) = self.sha256.take()
            && hasher.seen() == length
        {
            sha256 = Some(hex::encode(&hasher.finish().await?));
            let stage = Stage::Stored { etag: etag.clone(), sha256: sha256.clone() };
            self.change(|progress| progress.stage = stage)?;
        }
        if about.media().is_some() {
            let content_type = content_type(&self.bucket()?, &about.key(), length).await?;
            self.deliver(Source { size: length, etag, sha256, content_type }).await?;
        }
        if let Purpose::Assembly { pieces, .. } = &about.purpose {
            self.let_go(pieces, true).await?;
        }
        self.store.clear()?;
        self.change(|progress| {
            progress.stage = Stage::Done;
            progress.due = None;
            progress.tries = 0;
        })
    }
}

/// The media type of an object of `length` bytes by its first ones.
async fn content_type(bucket: &Bucket, key: &str, length: u64) -> ApiResult<Option<String>> {
    if length == 0 {
        return Ok(None);
    }
    let range = Range::OffsetWithLength { offset: 0, length: length.min(SNIFFED_BYTES as u64) };
    let Some(object) = bucket.get(key).range(range).execute().await? else { return Ok(None) };
    let Some(body) = object.body() else { return Ok(None) };
    Ok(sniff::content_type(&body.bytes().await?).map(str::to_owned))
}

/// Whether a media that answers so will never take the source.
pub(super) const fn is_final(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::MediaDeleted
            | ProblemCode::MediaNotFound
            | ProblemCode::UploadClosed
            | ProblemCode::SourceExists
            | ProblemCode::UploadGone
    )
}
