//! What the creator of a media says of it, in JSON.

use std::borrow::Cow;

use reelmill_shared::{
    job::Pipeline,
    media::Details,
    problem::ProblemCode,
    source_url::{SourceUrl, SourceUrlRefused},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    app::{MAX_JSON, object},
    error::{ApiError, ApiResult},
    inline::form::Form,
    size::check_size,
};

const MAX_FILENAME: usize = 255;
pub(super) const MAX_CONTENT_TYPE: usize = 255;
const MAX_METADATA: usize = 16 * 1024;

/// What is said of a media when it is created, and where its source is (`S`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CreateMedia<S = ()> {
    filename: Option<String>,
    size: Option<u64>,
    content_type: Option<String>,
    #[serde(default = "Option::default")]
    source: Option<S>,
    #[serde(default, deserialize_with = "object")]
    pipeline: Pipeline,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// Where the source is, if it is not uploaded: `url` or `data`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateSource<'a> {
    url: Option<String>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
}

/// A string that is not copied out of the body unless it has to be.
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Where the source is, read.
#[derive(Debug, PartialEq)]
pub(super) enum Origin<'a> {
    /// The handler fetches it.
    Url(SourceUrl),
    /// It is this, in base64.
    Data(Cow<'a, str>),
}

/// How long `source.data` is, whatever else there is.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    source: Option<PeekSource<'a>>,
}

#[derive(Deserialize)]
struct PeekSource<'a> {
    #[serde(borrow)]
    data: Option<Text<'a>>,
}

impl<S> CreateMedia<S> {
    pub(in crate::routes) fn check(self, max_bytes: u64) -> ApiResult<Details> {
        let Self { filename, size, content_type, source: _, pipeline, metadata } = self;
        if filename.as_ref().is_some_and(|name| name.chars().count() > MAX_FILENAME) {
            return Err(ApiError::invalid("`filename` may have at most 255 characters."));
        }
        if content_type.as_ref().is_some_and(|kind| kind.len() > MAX_CONTENT_TYPE) {
            return Err(ApiError::invalid("`contentType` may have at most 255 characters."));
        }
        if serde_json::to_string(&metadata).map_err(ApiError::internal)?.len() > MAX_METADATA {
            return Err(ApiError::invalid("`metadata` may have at most 16384 bytes."));
        }
        match size {
            Some(0) => return Err(ProblemCode::EmptyUpload.into()),
            Some(size) => check_size(size, max_bytes)?,
            None => {}
        }
        Ok(Details { filename, size, content_type, source_url: None, pipeline, metadata })
    }
}

impl From<Form> for CreateMedia {
    fn from(form: Form) -> Self {
        let Form { filename, content_type, pipeline, metadata } = form;
        Self { filename, size: None, content_type, source: None, pipeline, metadata }
    }
}

/// Reads the URL of a source. Whether its host is one that may be asked, the handler sees, who looks
/// up its address.
fn source_url(text: &str) -> ApiResult<SourceUrl> {
    SourceUrl::parse(text).map_err(|refused| {
        let code = match refused {
            SourceUrlRefused::Credentials => ProblemCode::SourceUrlCredentials,
            _ => ProblemCode::SourceUrlInvalid,
        };
        ApiError::new(code, format!("`source.url` {refused}."))
    })
}

/// Reads a body. But for `source.data`, which is not copied, it may have at most [`MAX_JSON`] bytes.
pub(super) fn read(bytes: &[u8]) -> ApiResult<(CreateMedia, Option<Origin<'_>>)> {
    let malformed =
        |error| ApiError::invalid(format!("The body is not what it should be: {error}."));
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // Before anything else is made of it: small texts can become large values.
    if bytes.len() > MAX_JSON {
        let peek: Peek<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
        let data = peek.source.and_then(|source| source.data).map_or(0, |data| data.0.len());
        if bytes.len() - data.min(bytes.len()) > MAX_JSON {
            return Err(ApiError::new(
                ProblemCode::BodyTooLarge,
                format!("Beside `source.data` the body may have at most {MAX_JSON} bytes."),
            ));
        }
    }
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::invalid("The body is not a JSON object."));
    }
    let body: CreateMedia<CreateSource<'_>> = serde_json::from_slice(bytes).map_err(malformed)?;
    let CreateMedia { filename, size, content_type, source, pipeline, metadata } = body;
    let source = match source {
        None => None,
        Some(CreateSource { url: Some(url), data: None }) => Some(Origin::Url(source_url(&url)?)),
        Some(CreateSource { url: None, data: Some(data) }) => Some(Origin::Data(data.0)),
        Some(_) => {
            return Err(ApiError::invalid("`source` must have either `url` or `data`."));
        }
    };
    Ok((CreateMedia { filename, size, content_type, source: None, pipeline, metadata }, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn check(body: Value) -> Result<Details, ProblemCode> {
        let body = body.to_string();
        let (body, _) = read(body.as_bytes()).map_err(|error| error.code)?;
        body.check(1000).map_err(|error| error.code)
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(check(json!({})), Ok(Details::default()));
    }

    #[rstest]
    #[case(json!({"filename": "é".repeat(255)}), None)]
    #[case(json!({"filename": "é".repeat(256)}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"size": 1000}), None)]
    #[case(json!({"size": 1001}), Some(ProblemCode::UploadTooLarge))]
    #[case(json!({"size": 0}), Some(ProblemCode::EmptyUpload))]
    #[case(json!({"size": -1}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"metadata": {"a": "x".repeat(17_000)}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"metadata": []}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"pipeline": {"segmentSeconds": 5}}), None)]
    #[case(json!({"pipeline": {"segmentSeconds": 60}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"pipeline": {"unknown": 1}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"fileName": "a"}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"source": {"url": "https://example.com/a.mp4?key=1"}}), None)]
    #[case(json!({"source": {"url": "http://example.com/"}}), None)]
    #[case(json!({"source": {"url": "/a.mp4"}}), Some(ProblemCode::SourceUrlInvalid))]
    #[case(json!({"source": {"url": "file:///etc/passwd"}}), Some(ProblemCode::SourceUrlInvalid))]
    #[case(json!({"source": {"url": format!("https://a.example/{}", "a".repeat(2048))}}),
        Some(ProblemCode::SourceUrlInvalid))]
    #[case(json!({"source": {"url": "https://me:secret@example.com/"}}),
        Some(ProblemCode::SourceUrlCredentials))]
    #[case(json!({"source": {"uri": "https://example.com/"}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"source": "https://example.com/"}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"source": {}}), Some(ProblemCode::InvalidRequest))]
    #[case(json!({"source": {"url": "https://example.com/", "data": "AA=="}}),
        Some(ProblemCode::InvalidRequest))]
    #[case(json!({"source": {"data": "A".repeat(200_000)}}), None)]
    #[case(json!({"filename": "x".repeat(100_000)}), Some(ProblemCode::BodyTooLarge))]
    #[case(json!({"source": {"data": "A".repeat(200_000)}, "metadata": {"a": "x".repeat(70_000)}}),
        Some(ProblemCode::BodyTooLarge))]
    fn has_limits(#[case] body: Value, #[case] expected: Option<ProblemCode>) {
        assert_eq!(check(body).err(), expected);
    }

    #[test]
    fn data_is_not_copied() {
        let body = br#"{"filename": "a.mp4", "source": {"data": "AA=="}}"#;
        let (_, source) = read(body).expect("a body");
        assert!(matches!(source, Some(Origin::Data(Cow::Borrowed("AA==")))), "{source:?}");
    }
}
