//! One large output, in parts.

use std::{sync::OnceLock, time::Duration};

use aws_sdk_s3::{
    operation::{
        complete_multipart_upload::CompleteMultipartUploadError,
        create_multipart_upload::CreateMultipartUploadError, upload_part::UploadPartError,
    },
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use futures::{StreamExt, stream};
use reelmill_shared::{
    job::{Failure, FailureCode},
    multipart::Plan,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Object, checksum};
use crate::s3::{Side, failure};

/// Parts on their way at the same time.
const PARALLEL: usize = 4;
/// How long parts that are on their way may take to arrive when they are not wanted any more. Cut
/// off, they could arrive after the upload is aborted, and stay.
const PATIENCE: Duration = Duration::from_secs(5);

/// An upload that is completed or aborted.
pub(super) struct Upload {
    object: Object,
    plan: Plan,
    /// Nobody waits for it, or a part has failed.
    halt: CancellationToken,
}

impl Upload {
    /// Uploads `object`; dropped, the upload is aborted by a task among `uploads`.
    pub(super) async fn start(
        object: Object,
        plan: Plan,
        uploads: &TaskTracker,
    ) -> Result<(), Failure> {
        let halt = CancellationToken::new();
        let _halting = halt.clone().drop_guard();
        let upload = Self { object, plan, halt };
        let crashed = |_| Err(Failure::new(FailureCode::Internal, "an upload ended unexpectedly"));
        uploads.spawn(upload.run()).await.unwrap_or_else(crashed)
    }

    async fn run(self) -> Result<(), Failure> {
        // From here on there is something to be aborted, so that the answer is waited for.
        let id = self.create().await?;
        let result = match self.parts(&id).await {
            Ok(parts) => self.complete(&id, parts).await,
            Err(failure) => Err(failure),
        };
        if result.is_err() {
            self.abort(&id).await;
        }
        result
    }

    async fn create(&self) -> Result<String, Failure> {
        let Object { s3, bucket, key, content_type, cache_control, .. } = &self.object;
        let request = s3
            .client()
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .content_type(*content_type)
            .cache_control(*cache_control)
            .set_checksum_algorithm(checksum(s3));
        let answer = request.send().await;
        let answer =
            answer.map_err(|error| failure::<CreateMultipartUploadError>(&error, Side::Output))?;
        answer.upload_id.ok_or_else(|| {
            Failure::new(FailureCode::StoreFailed, "the storage gave an upload no id")
        })
    }

    /// Uploads all parts. After a failure, or when nobody waits, none is begun any more.
    async fn parts(&self, id: &str) -> Result<Vec<CompletedPart>, Failure> {
        let first_failure = OnceLock::new();
        let parts = stream::iter(1..=self.plan.count())
            .take_until(self.halt.cancelled())
            .map(async |number| match self.part(id, number).await {
                Ok(part) => Some(part),
                Err(failure) => {
                    let _ = first_failure.set(failure);
                    self.halt.cancel();
                    None
                }
            })
            .buffered(PARALLEL)
            .collect::<Vec<_>>();
        let overdue = async {
            self.halt.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        };
        let parts = tokio::select! {
            parts = parts => parts,
            () = overdue => Vec::new(),
        };
        if let Some(failure) = first_failure.into_inner() {
            return Err(failure);
        }
        if self.halt.is_cancelled() {
            return Err(Failure::new(FailureCode::StoreFailed, "an output is not wanted any more"));
        }
        Ok(parts.into_iter().flatten().collect())
    }

    async fn part(&self, id: &str, number: u16) -> Result<CompletedPart, Failure> {
        let Object { s3, bucket, key, body, .. } = &self.object;
        let from = u64::from(number - 1) * self.plan.part_size();
        let end = body.len().min(usize_of(from + self.plan.part_size()));
        let request = s3
            .client()
            .upload_part()
            .bucket(bucket)
            .key(key)
            .upload_id(id)
            .part_number(number.into())
            .set_checksum_algorithm(checksum(s3))
            .body(ByteStream::from(body.slice(usize_of(from)..end)));
        let answer = request.send().await;
        let answer = answer.map_err(|error| failure::<UploadPartError>(&error, Side::Output))?;
        let part = CompletedPart::builder()
            .part_number(number.into())
            .set_e_tag(answer.e_tag)
            .set_checksum_crc32(answer.checksum_crc32);
        Ok(part.build())
    }

    async fn complete(&self, id: &str, parts: Vec<CompletedPart>) -> Result<(), Failure> {
        let Object { s3, bucket, key, .. } = &self.object;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = s3
            .client()
            .complete_multipart_upload()
            .bucket(bucket)
            .key(key)
            .upload_id(id)
            .multipart_upload(parts);
        let answer = request.send().await;
        answer
            .map(drop)
            .map_err(|error| failure::<CompleteMultipartUploadError>(&error, Side::Output))
    }

    async fn abort(&self, id: &str) {
        let Object { s3, bucket, key, .. } = &self.object;
        let request = s3.client().abort_multipart_upload().bucket(bucket).key(key).upload_id(id);
        if let Err(error) = request.send().await {
            // The bucket's lifecycle rule is there for that, and for handlers that are killed.
            let error = aws_sdk_s3::error::DisplayErrorContext(&error);
            tracing::warn!(%error, "a multipart upload could not be aborted");
        }
    }
}

/// A place in a buffer that is in memory.
fn usize_of(place: u64) -> usize {
    usize::try_from(place).expect("what is in memory has places that fit")
}
