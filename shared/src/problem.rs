//! Every error that a caller of the gateway can see (RFC 9457 `application/problem+json`).
//!
//! The `code` is stable and meant for programs; `title` says what it is, `detail` what to do about
//! this one. The `type` is `https://reelmill.dev/problems/{code}`, an identifier and no promise of a page.

use serde::Serialize;

/// The media type of a [`Problem`] body.
pub const CONTENT_TYPE: &str = "application/problem+json";

macro_rules! problem_codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// A stable problem code, with its HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $(#[doc = $title] $name,)*
        }

        impl ProblemCode {
            /// All codes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as callers see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),* }
            }

            /// What it is, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }
        }
    };
}

problem_codes! {
    InvalidRequest = "invalid_request", 400, "The request is malformed";
    InvalidId = "invalid_id", 400, "The id is malformed";
    LengthRequired = "length_required", 411, "The upload needs a Content-Length";
    LengthMismatch = "length_mismatch", 400, "The upload is not as long as was declared";
    ChecksumMismatch = "checksum_mismatch", 400, "The upload does not match its checksum";
    EmptyUpload = "empty_upload", 400, "The upload is empty";
    PartsInvalid = "parts_invalid", 400, "The parts are not the whole";
    InvalidBase64 = "invalid_base64", 400, "The data is not valid base64";
    InvalidForm = "invalid_form", 400, "The form is malformed";
    IncompleteForm = "incomplete_form", 400, "The form is cut off";
    UnknownField = "unknown_field", 400, "The form has a field that is not known";
    InvalidField = "invalid_field", 400, "A field of the form is not usable";
    FileMissing = "file_missing", 400, "The form has no file";
    FileRepeated = "file_repeated", 400, "The form has more than one file";
    UploadTooLarge = "upload_too_large", 413, "The upload is beyond the limit";
    SourceUrlInvalid = "source_url_invalid", 400, "The source's URL cannot be used";
    SourceUrlCredentials = "source_url_credentials", 400, "The source's URL contains credentials";
    Unauthorized = "unauthorized", 401, "No valid API key was given";
    Forbidden = "forbidden", 403, "The API key may not do this";
    TokenInvalid = "token_invalid", 403, "The token is not valid here";
    TokenExpired = "token_expired", 403, "The token has expired";
    SignatureInvalid = "signature_invalid", 401, "The signature is missing or wrong";
    TimestampOutOfRange = "timestamp_out_of_range", 401, "The signed timestamp is too far from now";
    NotFound = "not_found", 404, "There is nothing here";
    MediaNotFound = "media_not_found", 404, "There is no such media";
    MultipartNotFound = "multipart_not_found", 404, "The media has no such multipart upload";
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here";
    MediaDeleted = "media_deleted", 410, "The media was deleted";
    SourceExists = "source_exists", 409, "The media already has a source";
    UploadClosed = "upload_closed", 409, "The media takes no source any more";
    UploadInProgress = "upload_in_progress", 409, "Another upload to this media is under way";
    TusVersionUnsupported = "tus_version_unsupported", 412, "The request names no tus version that is spoken here";
    InvalidUploadLength = "invalid_upload_length", 400, "The upload's length is missing or malformed";
    InvalidUploadOffset = "invalid_upload_offset", 400, "The upload's offset is missing or malformed";
    InvalidUploadMetadata = "invalid_upload_metadata", 400, "The upload's metadata is malformed";
    InvalidUploadChecksum = "invalid_upload_checksum", 400, "The upload's checksum is malformed or of an unknown algorithm";
    InvalidUploadConcat = "invalid_upload_concat", 400, "The list of partial uploads is malformed";
    UnsupportedContentType = "unsupported_content_type", 415, "The body is of a type that is not taken here";
    UploadNotFound = "upload_not_found", 404, "There is no such upload";
    UploadGone = "upload_gone", 410, "The upload has expired or was ended";
    UploadLocked = "upload_locked", 423, "Another request is sending bytes to the upload";
    UploadInterrupted = "upload_interrupted", 409, "Another request asked for the upload while this one sent bytes";
    OffsetMismatch = "offset_mismatch", 409, "The upload is at another offset";
    LengthExceeded = "length_exceeded", 413, "There are more bytes than were declared";
    LengthFixed = "length_fixed", 400, "The upload's length is known and cannot change";
    ChunkChecksumMismatch = "chunk_checksum_mismatch", 460, "The chunk does not match its checksum";
    PartialUploadMissing = "partial_upload_missing", 400, "A partial upload is not there or not finished";
    FinalUpload = "final_upload", 403, "The upload is made of partial ones and takes no bytes";
    NotFailed = "not_failed", 409, "Only a failed media can be retried";
    NoSource = "no_source", 409, "The media has no source to try again with";
    RetryExhausted = "retry_exhausted", 409, "The media has had its one retry";
    NotCancellable = "not_cancellable", 409, "The media is not being worked on";
    NotPlayable = "not_playable", 409, "The media cannot be played yet";
    StaleAttempt = "stale_attempt", 409, "The attempt is over";
    IdempotencyMismatch = "idempotency_mismatch", 422, "The Idempotency-Key was used for another request";
    RangeNotSatisfiable = "range_not_satisfiable", 416, "The range lies past the end";
    PreconditionFailed = "precondition_failed", 412, "The object is another version";
    TooManyRequests = "too_many_requests", 429, "Too many requests";
    BodyTooLarge = "body_too_large", 413, "The request body is too large";
    Unavailable = "unavailable", 503, "Not available right now";
    Internal = "internal", 500, "Something went wrong on our side";
}

/// The body of an error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `https://reelmill.dev/problems/{code}`.
    #[serde(rename = "type")]
    pub kind: String,
    /// [`ProblemCode::title`].
    pub title: &'static str,
    /// [`ProblemCode::status`].
    pub status: u16,
    /// [`ProblemCode::as_str`].
    pub code: &'static str,
    /// What is wrong with this request, and what to do about it.
    pub detail: String,
    /// Where the same bytes can be uploaded piece by piece, if that is the way out (an extension
    /// member, RFC 9457 §3.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumable: Option<String>,
}

impl Problem {
    /// A problem with its detail.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("https://reelmill.dev/problems/{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            code: code.as_str(),
            detail: detail.into(),
            resumable: None,
        }
    }
}

impl From<ProblemCode> for Problem {
    fn from(code: ProblemCode) -> Self {
        Self::new(code, format!("{}.", code.title()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_pinned() {
        let problem =
            Problem::new(ProblemCode::RetryExhausted, "Upload the file again as a new media.");
        insta::assert_json_snapshot!(problem, @r#"
        {
          "type": "https://reelmill.dev/problems/retry_exhausted",
          "title": "The media has had its one retry",
          "status": 409,
          "code": "retry_exhausted",
          "detail": "Upload the file again as a new media."
        }
        "#);
    }

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut codes: Vec<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        assert!(codes.iter().all(|code| code.bytes().all(fits)));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
    }
}
