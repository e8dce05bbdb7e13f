//! The requests of a multipart upload that the gateway sends itself.

use std::time::Duration;

use jiff::Timestamp;
use reelmill_shared::sniff::SNIFFED_BYTES;
use rusty_s3::{
    S3Action,
    actions::{CompleteMultipartUploadResponse, CreateMultipartUpload, ListParts},
};
use worker::Method;

use super::S3;
use crate::outgoing::{self, Answer};

/// How long our own URLs work.
const SIGNED_FOR: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(20);
/// Making one object of ten thousand parts may take its time.
const COMPLETE_TIMEOUT: Duration = Duration::from_secs(120);
/// Largest answer that is read: a page of a list has about 300 bytes a part.
const MAX_ANSWER: usize = 1024 * 1024;
/// Parts in a page of a list.
const PAGE: u16 = 1000;

/// Why a request did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    /// There is no such multipart upload, or no such object.
    #[error("there is no such upload or object")]
    Absent,
    /// The store refuses; its own code, such as `EntityTooSmall`.
    #[error("the store refused with status {status} ({code})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The `Code` of S3's error document, or nothing.
        code: String,
    },
    /// The store could not be asked, or its answer not be understood.
    #[error("the store cannot be asked: {0}")]
    Unavailable(String),
}

/// A part that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// Its number, from 1.
    pub number: u16,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, as the store writes it.
    pub etag: String,
}

/// What an object looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Its first [`SNIFFED_BYTES`].
    pub first: Vec<u8>,
}

impl S3 {
    /// Begins a multipart upload; returns its id.
    pub async fn create_multipart(&self, key: &str, now: Timestamp) -> Result<String, S3Error> {
        let action = self.bucket.create_multipart_upload(Some(&self.credentials), key);
        let answer = self.ask(&action, now, None, TIMEOUT).await?;
        let text = text(&answer)?;
        let parsed = CreateMultipartUpload::parse_response(text).map_err(unreadable)?;
        Ok(parsed.upload_id().to_owned())
    }

    /// All parts that are there, by number.
    pub async fn list_parts(
        &self,
        key: &str,
        upload: &str,
        now: Timestamp,
    ) -> Result<Vec<StoredPart>, S3Error> {
        let mut parts = Vec::new();
        let mut after = None;
        loop {
            let mut action = self.bucket.list_parts(Some(&self.credentials), key, upload);
            action.set_max_parts(PAGE);
            if let Some(after) = after {
                action.set_part_number_marker(after);
            }
            let answer = self.ask(&action, now, None, TIMEOUT).await?;
            let page = ListParts::parse_response(text(&answer)?).map_err(unreadable)?;
            parts.extend(page.parts.into_iter().map(|part| StoredPart {
                number: part.number,
                size: part.size,
                etag: part.etag,
            }));
            match page.next_part_number_marker {
                // A store that does not get on is not asked for ever.
                next @ Some(number) if after.is_none_or(|after| after < number) => after = next,
                _ => break,
            }
        }
        parts.sort_unstable_by_key(|part| part.number);
        Ok(parts)
    }

    /// Makes one object of the parts with these entity tags, in order.
    pub async fn complete_multipart(
        &self,
        key: &str,
        upload: &str,
        etags: &[String],
        now: Timestamp,
    ) -> Result<(), S3Error> {
        let action = self.bucket.complete_multipart_upload(
            Some(&self.credentials),
            key,
            upload,
            etags.iter().map(String::as_str),
        );
        let body = action.clone().body();
        let answer = self.ask(&action, now, Some(body), COMPLETE_TIMEOUT).await?;
        let text = text(&answer)?;
        // S3 may say 200 before it knows, and then send an error document.
        match (CompleteMultipartUploadResponse::parse(text), error_code(text)) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some("NoSuchUpload")) => Err(S3Error::Absent),
            (Err(_), Some(code)) => Err(S3Error::Refused { status: 200, code: code.to_owned() }),
            (Err(error), None) => Err(unreadable(error)),
        }
    }

    /// Drops a multipart upload and its parts; done before, that is well.
    pub async fn abort_multipart(
        &self,
        key: &str,
        upload: &str,
        now: Timestamp,
    ) -> Result<(), S3Error> {
        let action = self.bucket.abort_multipart_upload(Some(&self.credentials), key, upload);
        match self.ask(&action, now, None, TIMEOUT).await {
            Ok(_) | Err(S3Error::Absent) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object; done before, that is well.
    pub async fn delete(&self, key: &str, now: Timestamp) -> Result<(), S3Error> {
        let action = self.bucket.delete_object(Some(&self.credentials), key);
        match self.ask(&action, now, None, TIMEOUT).await {
            Ok(_) | Err(S3Error::Absent) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Looks at an object: size, entity tag and the first bytes in one ranged GET.
    pub async fn look(&self, key: &str, now: Timestamp) -> Result<Seen, S3Error> {
        let url = self.bucket.get_object(Some(&self.credentials), key);
        let url = url.sign_with_time(SIGNED_FOR, &now);
        let range = format!("bytes=0-{}", SNIFFED_BYTES - 1);
        let headers = [("range", range)];
        let answer =
            outgoing::send(Method::Get, url.as_str(), &headers, None, TIMEOUT, SNIFFED_BYTES).await;
        let answer = judge(answer.map_err(S3Error::Unavailable)?)?;
        let size = match &answer.content_range {
            Some(range) => range.rsplit_once('/').and_then(|(_, size)| size.parse().ok()),
            // A store that ignores the range sends it all.
            None => answer.content_length,
        };
        let etag = answer.etag.as_deref().map(|etag| etag.trim().trim_matches('"').to_owned());
        match (size, etag) {
            (Some(size), Some(etag)) => Ok(Seen { size, etag, first: answer.body }),
            _ => Err(S3Error::Unavailable("an object without size or entity tag".to_owned())),
        }
    }

    async fn ask<'a, A: S3Action<'a>>(
        &self,
        action: &A,
        now: Timestamp,
        body: Option<String>,
        timeout: Duration,
    ) -> Result<Answer, S3Error> {
        let url = action.sign_with_time(SIGNED_FOR, &now);
        let method = match A::METHOD {
            rusty_s3::Method::Head => Method::Head,
            rusty_s3::Method::Get => Method::Get,
            rusty_s3::Method::Post => Method::Post,
            rusty_s3::Method::Put => Method::Put,
            rusty_s3::Method::Delete => Method::Delete,
        };
        let answer = outgoing::send(method, url.as_str(), &[], body, timeout, MAX_ANSWER).await;
        judge(answer.map_err(S3Error::Unavailable)?)
    }
}

fn judge(answer: Answer) -> Result<Answer, S3Error> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let code = std::str::from_utf8(&answer.body).ok().and_then(error_code).unwrap_or_default();
    match (answer.status, code) {
        (404, _) | (_, "NoSuchUpload" | "NoSuchKey") => Err(S3Error::Absent),
        (500.. | 429, code) => {
            Err(S3Error::Unavailable(format!("status {} ({code})", answer.status)))
        }
        (status, code) => Err(S3Error::Refused { status, code: code.to_owned() }),
    }
}

/// The `Code` of an S3 error document.
fn error_code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then_some(code)
}

fn text(answer: &Answer) -> Result<&str, S3Error> {
    std::str::from_utf8(&answer.body).map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> S3Error {
    S3Error::Unavailable(format!("an answer that cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn answer(status: u16, code: &str) -> Answer {
        let body =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>").into_bytes();
        Answer { status, body, ..Answer::default() }
    }

    #[rstest]
    #[case(404, "NoSuchUpload", S3Error::Absent)]
    #[case(404, "NoSuchBucket", S3Error::Absent)]
    #[case(400, "NoSuchUpload", S3Error::Absent)]
    #[case(400, "EntityTooSmall", S3Error::Refused { status: 400, code: "EntityTooSmall".into() })]
    #[case(403, "<script>", S3Error::Refused { status: 403, code: String::new() })]
    #[case(503, "SlowDown", S3Error::Unavailable("status 503 (SlowDown)".into()))]
    fn judges(#[case] status: u16, #[case] code: &str, #[case] expected: S3Error) {
        assert_eq!(judge(answer(status, code)), Err(expected));
    }

    #[test]
    fn success_is_taken_as_it_is() {
        assert!(judge(answer(206, "")).is_ok());
    }
}
