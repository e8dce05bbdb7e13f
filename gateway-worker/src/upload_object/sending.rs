//! Bytes on their way from the spool and from memory into R2.

use futures_util::future::join;
use web_sys::WritableStreamDefaultWriter;
use worker::{
    Bucket, Object, UploadedPart,
    js_sys::{BigInt, Uint8Array},
    wasm_bindgen_futures::JsFuture,
    worker_sys::FixedLengthStream,
};

use reelmill_shared::{problem::ProblemCode, upload::intake::Part};

use super::{
    Inner,
    record::{About, Stage},
};
use crate::{
    error::{ApiError, ApiResult},
    objects::js,
};

/// Where an object says which upload made it, so that a repeated completion knows its own.
pub(super) const MADE_BY: &str = "upload";

impl Inner {
    pub(super) fn bucket(&self) -> ApiResult<Bucket> {
        Ok(self.env.bucket("BUCKET")?)
    }

    /// Sends a part, whose bytes that are not in the spool are in `memory`, and returns R2's entity
    /// tag: of the part, or of the object where the part is the whole of it.
    pub(super) async fn send(&self, part: Part, memory: &[Uint8Array]) -> ApiResult<String> {
        let fixed = fixed(part.size)?;
        let write = async {
            let writer = fixed.writable().get_writer().map_err(js)?;
            let written = self.write(part, memory, &writer).await;
            if written.is_err() {
                // Makes R2 give up too.
                let _ = JsFuture::from(writer.abort()).await;
            }
            written
        };
        self.store_part(part, &fixed, write).await
    }

    /// Stores a part that `write` writes to `fixed`.
    pub(super) async fn store_part(
        &self,
        part: Part,
        fixed: &FixedLengthStream,
        write: impl Future<Output = ApiResult<()>>,
    ) -> ApiResult<String> {
        let (about, bucket) = (self.about()?, self.bucket()?);
        if part.whole {
            let put = bucket.put(about.key(), fixed.readable()).custom_metadata(made_by(&about));
            let (written, object) = join(write, put.execute()).await;
            written?;
            return Ok(object?.ok_or_else(|| ApiError::internal("a put that put nothing"))?.etag());
        }
        let multipart = self.multipart(&bucket, &about).await?;
        let upload = bucket.resume_multipart_upload(about.key(), multipart)?;
        let stored = upload.upload_part(part.number, fixed.readable());
        let (written, stored) = join(write, stored).await;
        written?;
        Ok(stored?.etag())
    }

    async fn write(
        &self,
        part: Part,
        memory: &[Uint8Array],
        writer: &WritableStreamDefaultWriter,
    ) -> ApiResult<()> {
        let (mut at, spooled) = (part.start, part.start + part.spooled);
        while at < spooled {
            let row = self.store.spooled(at)?;
            let row = row.ok_or_else(|| ApiError::internal("bytes are missing from the spool"))?;
            at += u64::from(row.length());
            JsFuture::from(writer.write_with_chunk(&row)).await.map_err(js)?;
        }
        for bytes in memory {
            JsFuture::from(writer.write_with_chunk(bytes)).await.map_err(js)?;
        }
        JsFuture::from(writer.close()).await.map_err(js)?;
        Ok(())
    }

    /// R2's id of the multipart upload, which is begun if it was not.
    async fn multipart(&self, bucket: &Bucket, about: &About) -> ApiResult<String> {
        let progress = self.progress()?;
        if matches!(progress.stage, Stage::Gone { .. }) {
            return Err(ProblemCode::UploadGone.into());
        }
        if let Some(id) = progress.multipart {
            return Ok(id);
        }
        let create = bucket.create_multipart_upload(about.key()).custom_metadata(made_by(about));
        let created = create.execute().await?;
        let id = created.upload_id().await;
        self.change(|progress| progress.multipart = Some(id.clone()))?;
        if matches!(self.progress()?.stage, Stage::Gone { .. }) {
            // Whoever ended the upload meanwhile found nothing to abort yet.
            created.abort().await?;
            return Err(ProblemCode::UploadGone.into());
        }
        Ok(id)
    }

    /// Makes one object of the parts, and returns it. Done before, it is found.
    pub(super) async fn complete(&self, length: u64) -> ApiResult<Object> {
        let (about, bucket) = (self.about()?, self.bucket()?);
        let key = about.key();
        let Some(multipart) = self.progress()?.multipart else {
            let put = bucket.put(key, Vec::new()).custom_metadata(made_by(&about));
            let put = put.execute().await?;
            return put.ok_or_else(|| ApiError::internal("a put that put nothing"));
        };
        let parts = self.store.parts()?;
        let parts = parts.into_iter().map(|part| UploadedPart::new(part.number, part.etag));
        let upload = bucket.resume_multipart_upload(key.as_str(), multipart)?;
        let error = match upload.complete(parts).await {
            Ok(object) => return Ok(object),
            Err(error) => error,
        };
        // 10024: R2 knows no such multipart upload any more.
        if error.to_string().contains("10024")
            && let Some(object) = bucket.head(key).await?
            && object.size() == length
            && object.custom_metadata()?.get(MADE_BY) == Some(&about.id.to_string())
        {
            return Ok(object);
        }
        Err(error.into())
    }

    /// Drops everything that R2 has of the upload.
    pub(super) async fn discard_objects(&self) -> ApiResult<()> {
        let (about, bucket) = (self.about()?, self.bucket()?);
        if let Some(multipart) = self.progress()?.multipart {
            let upload = bucket.resume_multipart_upload(about.key(), multipart)?;
            if let Err(error) = upload.abort().await
                && !error.to_string().contains("10024")
            {
                return Err(error.into());
            }
        }
        // A source belongs to its media; what this upload left without telling it is its own.
        if let Some(object) = bucket.head(about.key()).await?
            && object.custom_metadata()?.get(MADE_BY) == Some(&about.id.to_string())
        {
            bucket.delete(about.key()).await?;
        }
        Ok(())
    }
}

/// A stream that R2 takes: it knows its length.
pub(super) fn fixed(size: u64) -> ApiResult<FixedLengthStream> {
    FixedLengthStream::new_big_int(BigInt::from(size)).map_err(js)
}

fn made_by(about: &About) -> [(String, String); 1] {
    [(MADE_BY.to_owned(), about.id.to_string())]
}
