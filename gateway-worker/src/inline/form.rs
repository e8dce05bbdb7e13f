//! Forms (`multipart/form-data`, RFC 7578), read while they come in.
//!
//! Text fields may stand before the file or behind it. The file's bytes pass through, the parser
//! holds no more of them than a chunk.

use bytes::Bytes;
use futures_util::Stream;
use multer::{Constraints, Error, Field, Multipart, SizeLimit};
use reelmill_shared::{job::Pipeline, problem::ProblemCode};
use serde::de::DeserializeOwned;

use crate::{
    app::Object,
    error::{ApiError, ApiResult},
};

/// The name of the part that is the source.
const FILE: &str = "file";
/// Names of the other parts.
const FIELDS: [&str; 4] = ["filename", "contentType", "pipeline", "metadata"];
/// Longest text field, in bytes; what each may hold is checked where its value is.
const MAX_FIELD: u64 = 64 * 1024;

/// Where the file goes.
pub trait Sink {
    /// Takes bytes in.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = ApiResult<()>>;
}

/// What a form says of its file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Form {
    /// `filename`, or else the file part's own.
    pub filename: Option<String>,
    /// `contentType`, or else the file part's own.
    pub content_type: Option<String>,
    /// `pipeline`, in JSON.
    pub pipeline: Pipeline,
    /// `metadata`, in JSON.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// Why the body of a form ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The sender went away, or sent another length than declared.
    #[error("the body broke off")]
    Broken,
    /// It is longer than the body of a request may be.
    #[error("the body is too long")]
    TooLong,
}

/// The boundary in a `Content-Type`, or `None` if that is about no form.
pub fn boundary(content_type: &str) -> ApiResult<Option<String>> {
    match multer::parse_boundary(content_type) {
        Ok(boundary) => Ok(Some(boundary)),
        Err(Error::NoBoundary) => Err(ApiError::new(
            ProblemCode::InvalidForm,
            "`Content-Type: multipart/form-data` needs a `boundary`.",
        )),
        Err(_) => Ok(None),
    }
}

/// Reads a form, and hands its file to `sink`. `beyond` says what a body that is too long is.
pub async fn read(
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    boundary: String,
    sink: &mut impl Sink,
    beyond: impl Fn() -> ApiError,
) -> ApiResult<Form> {
    let fields =
        FIELDS.iter().fold(SizeLimit::new(), |limit, name| limit.for_field(*name, MAX_FIELD));
    let constraints = Constraints::new().size_limit(fields);
    let mut parts = Multipart::with_constraints(body, boundary, constraints);
    let judge = |error| judge(error, &beyond);
    let (mut form, mut texts) = (Form::default(), [const { None }; FIELDS.len()]);
    let mut has_file = false;
    while let Some(mut part) = parts.next_field().await.map_err(judge)? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == FILE {
            if std::mem::replace(&mut has_file, true) {
                return Err(ProblemCode::FileRepeated.into());
            }
            form.filename = part.file_name().map(str::to_owned);
            form.content_type = part.content_type().map(ToString::to_string);
            while let Some(bytes) = part.chunk().await.map_err(judge)? {
                sink.write(&bytes).await?;
            }
        } else if let Some(at) = FIELDS.iter().position(|known| *known == name) {
            let text = text(part, &name).await.map_err(|error| error.unwrap_or_else(judge))?;
            if texts[at].replace(text).is_some() {
                return Err(invalid_field(&name, "it is given twice"));
            }
        } else {
            return Err(ApiError::new(
                ProblemCode::UnknownField,
                format!("{name:?} is none of `{FILE}`, `{}`.", FIELDS.join("`, `")),
            ));
        }
    }
    if !has_file {
        return Err(ProblemCode::FileMissing.into());
    }
    let [filename, content_type, pipeline, metadata] = texts;
    form.filename = filename.or(form.filename);
    form.content_type = content_type.or(form.content_type);
    form.pipeline = json("pipeline", pipeline)?;
    form.metadata = json("metadata", metadata)?;
    Ok(form)
}

/// A text field's value; or what is wrong with it, or with the form.
async fn text(part: Field<'_>, name: &str) -> Result<String, FieldError> {
    let bytes = part.bytes().await.map_err(FieldError::Form)?;
    String::from_utf8(bytes.into())
        .map_err(|_| FieldError::Field(invalid_field(name, "it is not UTF-8")))
}

enum FieldError {
    Form(Error),
    Field(ApiError),
}

impl FieldError {
    fn unwrap_or_else(self, judge: impl FnOnce(Error) -> ApiError) -> ApiError {
        match self {
            Self::Form(error) => judge(error),
            Self::Field(error) => error,
        }
    }
}

fn json<T: DeserializeOwned + Default>(name: &str, text: Option<String>) -> ApiResult<T> {
    // A control of a form that was left empty says nothing.
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(T::default()) };
    serde_json::from_str(&text)
        .map(|Object(value)| value)
        .map_err(|error| invalid_field(name, &error.to_string()))
}

fn invalid_field(name: &str, what: &str) -> ApiError {
    ApiError::new(ProblemCode::InvalidField, format!("The field `{name}` is not usable: {what}."))
}

fn judge(error: Error, beyond: &impl Fn() -> ApiError) -> ApiError {
    match error {
        Error::StreamReadFailed(cause) if cause.downcast_ref() == Some(&BodyError::TooLong) => {
            beyond()
        }
        Error::StreamReadFailed(_)
        | Error::IncompleteStream
        | Error::IncompleteHeaders
        | Error::IncompleteFieldData { .. } => ApiError::new(
            ProblemCode::IncompleteForm,
            "The form ends before its last boundary, or has another boundary than \
             `Content-Type` says.",
        ),
        Error::FieldSizeExceeded { limit, field_name } => invalid_field(
            field_name.as_deref().unwrap_or_default(),
            &format!("it may have at most {limit} bytes"),
        ),
        error => {
            ApiError::new(ProblemCode::InvalidForm, format!("The form is malformed: {error}."))
        }
    }
}

#[cfg(test)]
mod tests;
