//! A source in object storage.
//!
//! Before the download one byte is asked for: `HEAD` would tell the same of an object that is there,
//! but its refusals have no body, and so no reason. The entity tag that comes with it is what all
//! ranges must be of. Requests that fail are repeated by the SDK; what breaks off later, by the
//! window.

use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use reelmill_shared::job::{Failure, FailureCode, Input};

use super::{
    Source,
    source::{Chunks, Origin, Trouble, check_range, quoted},
};
use crate::s3::{Location, S3, Side, failure};

struct Object {
    s3: S3,
    location: Location,
    if_match: Option<String>,
    total: u64,
}

impl Source {
    /// Takes the source from its `s3:` URL, when it is the one that the job describes.
    ///
    /// # Errors
    /// `source_not_found`, `bucket_not_found` or `access_denied` when there is none for us,
    /// `source_mismatch` when it is another one, `fetch_failed` when the storage cannot be reached,
    /// `unsupported_job` when jobs may not name it.
    pub async fn s3(s3: &S3, input: &Input) -> Result<Self, Failure> {
        let mut object = Object {
            s3: s3.clone(),
            location: s3.object(&input.url)?,
            if_match: input.etag.as_deref().map(quoted),
            total: input.size,
        };
        let first = object.get(0, 1).await.map_err(|trouble| match trouble {
            Trouble::Lasting(failure) => failure,
            Trouble::Passing(reason) => Failure::new(
                FailureCode::FetchFailed,
                format!("the source could not be fetched: {reason}"),
            ),
        })?;
        object.if_match = first.e_tag.or(object.if_match);
        Ok(Self::origin(object))
    }
}

impl Object {
    async fn get(&self, from: u64, end: u64) -> Result<GetObjectOutput, Trouble> {
        let request = self
            .s3
            .client()
            .get_object()
            .bucket(&self.location.bucket)
            .key(&self.location.key)
            .range(format!("bytes={from}-{}", end - 1))
            .set_if_match(self.if_match.clone());
        let answer = request.send().await;
        let answer = answer
            .map_err(|error| Trouble::Lasting(failure::<GetObjectError>(&error, Side::Source)))?;
        check_range(answer.content_range(), from, self.total)?;
        Ok(answer)
    }
}

impl Origin for Object {
    fn open(&self, from: u64, end: u64) -> BoxFuture<'_, Result<Chunks, Trouble>> {
        async move {
            let body = self.get(from, end).await?.body;
            let chunks = stream::unfold(Some(body), async |body| {
                let mut body = body?;
                match body.next().await? {
                    Ok(chunk) => Some((Ok(chunk), Some(body))),
                    Err(_) => Some((Err("the connection broke"), None)),
                }
            });
            Ok(chunks.boxed())
        }
        .boxed()
    }
}
