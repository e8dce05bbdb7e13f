//! Putting pieces together (tus concatenation): part by part from the pieces' objects into the
//! source, in the background, each part stored before the next one begins.

use std::{rc::Rc, time::Duration};

use reelmill_shared::{
    object_key::ObjectKey,
    problem::ProblemCode,
    upload::intake::{Intake, Part},
};
use worker::{
    Delay, Range, ResponseBody, wasm_bindgen_futures::JsFuture, web_sys::StreamPipeOptions,
    worker_sys::FixedLengthStream,
};

use super::{
    Inner,
    command::{Command, UploadStub},
    finishing::is_final,
    receiving::Run,
    record::{Piece, Purpose, Stage},
    sending::fixed,
};
use crate::{
    error::{ApiError, ApiResult},
    objects::js,
};

/// The pause between two parts.
const BREATH: Duration = Duration::from_millis(1);

impl Inner {
    /// Copies what is not copied yet, and finishes.
    pub(super) async fn assemble(self: Rc<Self>) {
        if self.finishing.replace(true) {
            return;
        }
        let outcome = self.try_assemble().await;
        self.finishing.set(false);
        let settled = match outcome {
            Ok(()) => {
                Rc::clone(&self).finish().await;
                Ok(())
            }
            // A piece was deleted: the media may have another upload.
            Err(error) if error.code == ProblemCode::PartialUploadMissing => self.end(true).await,
            Err(error) if is_final(error.code) => self.end(false).await,
            Err(error) => self.postpone(&error),
        };
        if let Err(error) = settled {
            super::log("assemble", &error.problem().detail);
        }
    }

    async fn try_assemble(&self) -> ApiResult<()> {
        let (about, progress) = (self.about()?, self.progress()?);
        let (Purpose::Assembly { pieces, .. }, Stage::Open) = (&about.purpose, progress.stage)
        else {
            return Ok(());
        };
        let length: u64 = pieces.iter().map(|piece| piece.size).sum();
        let mut intake =
            Intake::new(about.part_size(), Some(length), about.limit, progress.position);
        // Everything is here, if in other objects.
        intake.took(length - intake.offset());
        let mut run = Run::new(intake);
        while let Some(part) = run.intake.rest() {
            self.hold_media().await?;
            // Where R2 is in this very process, nothing else would get its turn before the end.
            Delay::from(BREATH).await;
            run.intake.begun(part);
            let stream = fixed(part.size)?;
            let copy = async {
                let copied = self.copy(part, pieces, &stream).await;
                if copied.is_err() {
                    // R2 would wait for the part's bytes for ever.
                    let _ = JsFuture::from(stream.writable().abort()).await;
                }
                copied
            };
            let sent = self.store_part(part, &stream, copy).await;
            self.record_sent(&mut run, sent)?;
        }
        Ok(())
    }

    /// Writes the bytes of a part to `stream`.
    async fn copy(
        &self,
        part: Part,
        pieces: &[Piece],
        stream: &FixedLengthStream,
    ) -> ApiResult<()> {
        let bucket = self.bucket()?;
        let (mut before, end) = (0, part.start + part.size);
        for piece in pieces {
            let (first, last) = (part.start.max(before), end.min(before + piece.size));
            if first < last {
                let range =
                    Range::OffsetWithLength { offset: first - before, length: last - first };
                let key = ObjectKey::Partial(piece.upload).to_string();
                let object = bucket.get(key).range(range).execute().await?;
                let body = match object.as_ref().and_then(worker::Object::body) {
                    Some(body) => body.response_body()?,
                    None => return Err(ProblemCode::PartialUploadMissing.into()),
                };
                let ResponseBody::Stream(body) = body else {
                    return Err(ApiError::internal("a piece's object is no stream"));
                };
                let options = StreamPipeOptions::new();
                options.set_prevent_close(true);
                let piped = body.pipe_to_with_options(&stream.writable(), &options);
                JsFuture::from(piped).await.map_err(js)?;
            }
            before += piece.size;
        }
        JsFuture::from(stream.writable().close()).await.map_err(js)?;
        Ok(())
    }

    /// Tells the pieces that they are not needed any more.
    pub(super) async fn let_go(&self, pieces: &[Piece], done: bool) -> ApiResult<()> {
        let assembly = self.about()?.id;
        let mut told = Vec::new();
        for Piece { upload, .. } in pieces {
            if !told.contains(upload) {
                told.push(*upload);
                let stub = UploadStub::new(&self.env, *upload)?;
                let () = stub.send(&Command::Leave { assembly, done }).await?;
            }
        }
        Ok(())
    }
}
