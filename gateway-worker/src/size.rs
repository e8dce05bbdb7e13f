//! How large a source and a body may be. Checked before any byte is taken.

use http::{HeaderMap, header};
use reelmill_shared::problem::ProblemCode;
use url::Url;

use crate::error::{ApiError, ApiResult};

/// The length of a request's body; without one R2 cannot take it in one piece.
pub fn content_length(headers: &HeaderMap) -> ApiResult<u64> {
    declared_length(headers)?.ok_or_else(|| ProblemCode::LengthRequired.into())
}

/// The length of a request's body, if it is declared.
pub fn declared_length(headers: &HeaderMap) -> ApiResult<Option<u64>> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| ApiError::invalid("`Content-Length` is not a number."))
}

/// Refuses a source that is beyond its creator's limit, naming it.
pub fn check_size(size: u64, limit: u64) -> ApiResult<()> {
    if size <= limit {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::UploadTooLarge,
        format!("The file has {size} bytes; this gateway takes at most {limit} from you."),
    ))
}

/// Refuses a body that the platform would not let through, naming the way that works.
pub fn check_body(length: u64, limit: u64, resumable: impl FnOnce() -> Url) -> ApiResult<()> {
    if length <= limit { Ok(()) } else { Err(ApiError::beyond_body(limit, resumable())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, Ok(None))]
    #[case(Some("7"), Ok(Some(7)))]
    #[case(Some("-7"), Err(ProblemCode::InvalidRequest))]
    #[case(Some("18446744073709551616"), Err(ProblemCode::InvalidRequest))]
    fn reads_a_length(
        #[case] value: Option<&'static str>,
        #[case] expected: Result<Option<u64>, ProblemCode>,
    ) {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::CONTENT_LENGTH, http::HeaderValue::from_static(value));
        }
        assert_eq!(declared_length(&headers).map_err(|error| error.code), expected);
    }

    #[test]
    fn limits_are_inclusive_and_named() {
        assert_eq!(check_size(10, 10), Ok(()));
        let error = check_size(11, 10).expect_err("beyond");
        assert_eq!(error.code, ProblemCode::UploadTooLarge);
        assert!(error.detail.contains("at most 10"));

        let url = || "https://media.example/api/uploads".parse().expect("a URL");
        assert_eq!(check_body(10, 10, url), Ok(()));
        assert_eq!(check_body(11, 10, url).expect_err("beyond").code, ProblemCode::BodyTooLarge);
    }
}
