//! The headers of tus 1.0 that are numbers, words or dates.
//!
//! Readers take the header's value as text, `None` where it is absent. A header that was sent twice
//! arrives with its values joined by a comma, and so is no number.

use jiff::{Timestamp, fmt::rfc2822};

use super::Refused;
use crate::problem::ProblemCode;

/// The one version spoken here: `Tus-Resumable` of every answer, and `Tus-Version`.
pub const VERSION: &str = "1.0.0";
/// `Tus-Extension`.
pub const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,expiration,\
                              checksum,termination,concatenation";
/// The media type of every body that has bytes of an upload.
pub const BODY_TYPE: &str = "application/offset+octet-stream";
/// Headers that a page's script may read.
pub const EXPOSED: &str = "Location, Upload-Offset, Upload-Length, Upload-Defer-Length, \
                           Upload-Metadata, Upload-Expires, Upload-Concat, Upload-Checksum, \
                           Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, \
                           Tus-Checksum-Algorithm, Reelmill-Media-Id";
/// Headers that a page's script may send.
pub const ALLOWED: &str = "Tus-Resumable, Upload-Offset, Upload-Length, Upload-Defer-Length, \
                           Upload-Metadata, Upload-Concat, Upload-Checksum, \
                           X-HTTP-Method-Override, X-Requested-With, X-Request-ID";

/// How long a new upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// In bytes.
    Known(u64),
    /// To be told later (`Upload-Defer-Length: 1`).
    Deferred,
}

/// "If the version specified by the Client is not supported by the Server, it MUST respond with
/// the `412 Precondition Failed` status."
pub fn check_version(value: Option<&str>) -> Result<(), Refused> {
    match value {
        Some(VERSION) => Ok(()),
        _ => Err(Refused::new(
            ProblemCode::TusVersionUnsupported,
            format!("Send `Tus-Resumable: {VERSION}`."),
        )),
    }
}

/// `Upload-Length` of a request: "The value MUST be a non-negative integer."
pub fn length(value: Option<&str>) -> Result<Option<u64>, Refused> {
    integer("Upload-Length", ProblemCode::InvalidUploadLength, value)
}

/// `Upload-Offset` of a `PATCH`, which must have one.
pub fn offset(value: Option<&str>) -> Result<u64, Refused> {
    let code = ProblemCode::InvalidUploadOffset;
    integer("Upload-Offset", code, value)?
        .ok_or_else(|| Refused::new(code, "`Upload-Offset` is missing."))
}

/// The length of a new upload: "The request MUST include one of the following headers",
/// `Upload-Length` or `Upload-Defer-Length: 1`.
pub fn new_length(length: Option<&str>, defer: Option<&str>) -> Result<Length, Refused> {
    let refused = |detail| Err(Refused::new(ProblemCode::InvalidUploadLength, detail));
    match (self::length(length)?, defer) {
        (Some(length), None) => Ok(Length::Known(length)),
        (None, Some("1")) => Ok(Length::Deferred),
        (None, Some(_)) => refused("`Upload-Defer-Length` must be 1."),
        (Some(_), Some(_)) => refused("Send `Upload-Length` or `Upload-Defer-Length`, not both."),
        (None, None) => refused("Send `Upload-Length`, or `Upload-Defer-Length: 1`."),
    }
}

/// "All `PATCH` requests MUST use `Content-Type: application/offset+octet-stream`." Parameters
/// are passed over.
pub fn check_body_type(value: Option<&str>) -> Result<(), Refused> {
    let essence = value.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(BODY_TYPE)) {
        return Ok(());
    }
    let detail = format!("Bytes of an upload are sent with `Content-Type: {BODY_TYPE}`.");
    Err(Refused::new(ProblemCode::UnsupportedContentType, detail))
}

/// `Upload-Expires`, in the date format of RFC 9110 §5.6.7 (IMF-fixdate).
pub fn expires(at: Timestamp) -> String {
    rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .expect("uploads expire in years of four digits")
}

fn integer(name: &str, code: ProblemCode, value: Option<&str>) -> Result<Option<u64>, Refused> {
    let Some(text) = value else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<i64>() {
        Ok(number) if digits => Ok(Some(number.unsigned_abs())),
        _ => Err(Refused::new(code, format!("`{name}` must be a whole number of bytes."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Some("1.0.0"), true)]
    #[case(None, false)]
    #[case(Some(""), false)]
    #[case(Some("0.2.2"), false)]
    #[case(Some("1.0.0, 1.0.0"), false)]
    fn version(#[case] value: Option<&str>, #[case] ok: bool) {
        assert_eq!(check_version(value).is_ok(), ok);
    }

    #[rstest]
    #[case("0", Some(0))]
    #[case("10", Some(10))]
    #[case("9223372036854775807", Some(u64::MAX >> 1))]
    #[case("9223372036854775808", None)]
    #[case("99999999999999999999999", None)]
    #[case("-1", None)]
    #[case("+5", None)]
    #[case("1e3", None)]
    #[case("5.0", None)]
    #[case("0x10", None)]
    #[case("5, 5", None)]
    #[case(" 5", None)]
    #[case("٣", None)]
    #[case("", None)]
    fn numbers(#[case] value: &str, #[case] expected: Option<u64>) {
        assert_eq!(length(Some(value)).ok().flatten(), expected);
        assert_eq!(offset(Some(value)).ok(), expected);
    }

    #[test]
    fn an_offset_must_be_there() {
        assert_eq!(offset(None).expect_err("missing").code, ProblemCode::InvalidUploadOffset);
        assert_eq!(length(None), Ok(None));
    }

    #[rstest]
    #[case(Some("5"), None, Some(Length::Known(5)))]
    #[case(Some("0"), None, Some(Length::Known(0)))]
    #[case(None, Some("1"), Some(Length::Deferred))]
    #[case(None, Some("0"), None)]
    #[case(None, Some("true"), None)]
    #[case(None, None, None)]
    #[case(Some("5"), Some("1"), None)]
    #[case(Some("-5"), Some("1"), None)]
    fn lengths(
        #[case] length: Option<&str>,
        #[case] defer: Option<&str>,
        #[case] expected: Option<Length>,
    ) {
        assert_eq!(new_length(length, defer).ok(), expected);
    }

    #[rstest]
    #[case(Some("application/offset+octet-stream"), true)]
    #[case(Some("Application/Offset+Octet-Stream; charset=x"), true)]
    #[case(Some("application/octet-stream"), false)]
    #[case(None, false)]
    fn body_types(#[case] value: Option<&str>, #[case] ok: bool) {
        assert_eq!(check_body_type(value).is_ok(), ok);
    }

    /// The example of RFC 9110 §5.6.7.
    #[test]
    fn dates_are_of_the_fixed_form() {
        let at = Timestamp::from_second(784_111_777).expect("a time");
        assert_eq!(expires(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
