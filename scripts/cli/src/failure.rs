//! What went wrong, in one line and one exit code.

use std::fmt;

use serde_json::Value;

use crate::show::printable;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The media failed, or a file could not be read to its end.
    Failed,
    /// The command line makes no sense here: a missing file, a malformed id.
    Usage,
    /// No key, a wrong one, or one that may not do this.
    Auth,
    /// There is no such media, or not any more.
    NotFound,
    /// The gateway will not have it, now or later.
    Refused,
    /// The gateway cannot be reached or is in trouble; later may be better.
    Unreachable,
    /// Ctrl-C (130) or a request to end (143).
    Interrupted(u8),
}

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its kind.
    pub(crate) kind: Kind,
    /// The gateway's problem code, if it gave one.
    pub(crate) code: Option<String>,
    message: String,
}

impl Failure {
    /// A failure found here.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into() }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Stopped from outside. `uploads` tells whether there was something to resume.
    pub(crate) fn interrupted(code: u8, uploads: bool) -> Self {
        let hint = if uploads { "; the same command again goes on where this stopped" } else { "" };
        Self::new(Kind::Interrupted(code), format!("interrupted{hint}"))
    }

    /// What an answer that is no success says, by its status and its RFC 9457 body.
    pub(crate) fn of_answer(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body[name].as_str().map(printable).filter(|text| !text.is_empty());
        let code = text("code");
        let message = text("detail").or_else(|| text("title"));
        let message = match (&message, &code) {
            (Some(message), Some(code)) => format!("{message} ({code})"),
            (Some(message), None) => message.clone(),
            (None, _) => format!("the gateway answered {status}"),
        };
        Self { kind: Kind::of_status(status), code, message }
    }

    /// Why a media failed, by its `error`.
    pub(crate) fn of_media(error: &Value) -> Self {
        let text = |name: &str| printable(error[name].as_str().unwrap_or("unknown"));
        Self {
            kind: Kind::Failed,
            code: Some(text("code")),
            message: format!("{} ({})", text("message"), text("code")),
        }
    }

    /// The same, with a word before it on what it happened to.
    #[must_use]
    pub(crate) fn about(self, what: &str) -> Self {
        Self { message: format!("{}: {}", printable(what), self.message), ..self }
    }

    /// What the program ends with, as `--help` and the README promise.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Auth => 3,
            Kind::NotFound => 4,
            Kind::Refused => 5,
            Kind::Unreachable => 6,
            Kind::Interrupted(code) => code,
        }
    }
}

impl Kind {
    fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Auth,
            404 | 410 => Self::NotFound,
            429 | 500.. => Self::Unreachable,
            _ => Self::Refused,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Nothing of a request arrived, or nothing of its answer.
impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // Capability URLs stay out of terminals and logs.
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::new(Kind::Unreachable, format!("the gateway cannot be reached: {}", printable(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(401, 3)]
    #[case(403, 3)]
    #[case(404, 4)]
    #[case(410, 4)]
    #[case(302, 5)]
    #[case(409, 5)]
    #[case(413, 5)]
    #[case(429, 6)]
    #[case(500, 6)]
    #[case(503, 6)]
    fn a_status_has_an_exit_code(#[case] status: u16, #[case] code: u8) {
        assert_eq!(Failure::of_answer(status, b"").exit_code(), code);
    }

    #[test]
    fn a_problem_is_one_line() {
        let body = br#"{"code":"upload_too_large","title":"The upload is beyond the limit","detail":"At most\n5 bytes."}"#;
        let failure = Failure::of_answer(413, body);
        assert_eq!(failure.to_string(), "At most\u{fffd}5 bytes. (upload_too_large)");
        assert_eq!(failure.code.as_deref(), Some("upload_too_large"));
        assert_eq!(Failure::of_answer(502, b"<html>").to_string(), "the gateway answered 502");
    }
}
