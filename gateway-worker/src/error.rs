//! How a handler's `?` becomes an RFC 9457 answer. Whatever is not the caller's doing is logged with
//! its cause and answered as `internal` without it.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use reelmill_shared::{
    media::Rejected,
    problem::{self, Problem, ProblemCode},
    token::TokenError,
    upload::Refused,
    webhook::VerifyError,
};

use url::Url;

use crate::{config::ConfigError, s3::S3Error};

/// A problem on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Which problem.
    pub code: ProblemCode,
    /// What is wrong with this request; empty for the problem's own words.
    pub detail: String,
    /// `Content-Range` of a 416: the object's size in bytes.
    pub size: Option<u64>,
    /// Where the bytes of a 413 can be uploaded piece by piece.
    pub resumable: Option<Box<Url>>,
}

/// What every route returns.
pub type ApiResult<T = Response> = Result<T, ApiError>;

impl ApiError {
    /// A problem with its detail.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), size: None, resumable: None }
    }

    /// [`ProblemCode::InvalidRequest`] with its detail.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, detail)
    }

    /// Something that only the operator can mend: logged, not shown.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        worker::console_error!(
            "{}",
            serde_json::json!({"level": "error", "message": cause.to_string()})
        );
        Self::from(ProblemCode::Internal)
    }

    /// [`ProblemCode::RangeNotSatisfiable`] for an object of `size` bytes.
    pub fn range(size: u64) -> Self {
        Self { size: Some(size), ..ProblemCode::RangeNotSatisfiable.into() }
    }

    /// [`ProblemCode::BodyTooLarge`] for a body of more than `limit` bytes, whose bytes can be
    /// uploaded piece by piece at `resumable`.
    pub fn beyond_body(limit: u64, resumable: Url) -> Self {
        let detail = format!(
            "The body may have at most {limit} bytes. Upload larger files piece by piece, with \
             tus 1.0, at /api/uploads."
        );
        Self {
            resumable: Some(Box::new(resumable)),
            ..Self::new(ProblemCode::BodyTooLarge, detail)
        }
    }

    /// The body.
    pub fn problem(&self) -> Problem {
        let problem = if self.detail.is_empty() {
            self.code.into()
        } else {
            Problem::new(self.code, self.detail.as_str())
        };
        Problem { resumable: self.resumable.as_deref().map(Url::to_string), ..problem }
    }
}

impl From<ProblemCode> for ApiError {
    fn from(code: ProblemCode) -> Self {
        Self::new(code, "")
    }
}

impl From<worker::Error> for ApiError {
    fn from(error: worker::Error) -> Self {
        Self::internal(error)
    }
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> Self {
        // Names a variable and never its value: the one internal cause worth showing.
        Self::new(ProblemCode::Internal, format!("The gateway's configuration is wrong: {error}."))
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid => ProblemCode::TokenInvalid.into(),
            TokenError::Expired => ProblemCode::TokenExpired.into(),
        }
    }
}

impl From<VerifyError> for ApiError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::OutOfRange => ProblemCode::TimestampOutOfRange.into(),
            VerifyError::Malformed | VerifyError::Mismatch => ProblemCode::SignatureInvalid.into(),
        }
    }
}

impl From<S3Error> for ApiError {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::Absent => ProblemCode::MultipartNotFound.into(),
            S3Error::Refused { .. } => Self::internal(error),
            S3Error::Unavailable(_) => {
                worker::console_error!(
                    "{}",
                    serde_json::json!({"level": "error", "message": error.to_string()})
                );
                Self::new(ProblemCode::Unavailable, "The store cannot be asked right now.")
            }
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::new(refused.code, refused.detail)
    }
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            // A repeated report is answered with 200 before it gets here.
            Rejected::Stale | Rejected::Duplicate => ProblemCode::StaleAttempt,
            Rejected::Deleted => ProblemCode::MediaDeleted,
            Rejected::SourceExists => ProblemCode::SourceExists,
            Rejected::NotFailed => ProblemCode::NotFailed,
            Rejected::NoSource => ProblemCode::NoSource,
            Rejected::RetryExhausted => ProblemCode::RetryExhausted,
            Rejected::NotCancellable => ProblemCode::NotCancellable,
        }
        .into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.problem()).expect("strings and a number");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.code.status()).expect("the codes have real statuses");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.code.status() == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(size) = self.size {
            let range = format!("bytes */{size}");
            headers.insert(
                header::CONTENT_RANGE,
                HeaderValue::try_from(range).expect("digits and a slash"),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_complete_answer() {
        let response = ApiError::range(1000).into_response();
        assert_eq!(response.status(), 416);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["content-range"], "bytes */1000");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }

    #[test]
    fn a_body_that_is_too_large_is_told_where_to_go() {
        let url = "https://media.example/api/uploads".parse().expect("a URL");
        let problem = ApiError::beyond_body(100, url).problem();
        assert_eq!((problem.status, problem.code), (413, "body_too_large"));
        assert!(problem.detail.contains("/api/uploads") && problem.detail.contains("100 bytes"));
        assert_eq!(problem.resumable.as_deref(), Some("https://media.example/api/uploads"));
    }

    #[test]
    fn a_refused_key_says_how_to_give_one() {
        let response = ApiError::from(ProblemCode::Unauthorized).into_response();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }

    #[test]
    fn tokens_and_signatures_keep_their_own_codes() {
        assert_eq!(ApiError::from(TokenError::Expired).code, ProblemCode::TokenExpired);
        assert_eq!(ApiError::from(VerifyError::OutOfRange).code, ProblemCode::TimestampOutOfRange);
        assert_eq!(ApiError::from(VerifyError::Malformed).code, ProblemCode::SignatureInvalid);
        assert_eq!(ApiError::from(Rejected::RetryExhausted).code, ProblemCode::RetryExhausted);
    }
}
