//! What a source's server answers, and what that means (RFC 9110).

use reelmill_shared::job::FailureCode;
use reqwest::{
    Response, StatusCode,
    header::{
        CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, LOCATION,
    },
};

use super::{Trouble, UNREACHABLE, lasting, passing};

/// Largest header section in bytes: names and values together.
const MAX_HEADERS: usize = 64 << 10;
/// Content codings that would have to be undone (RFC 9110 §8.4.1). Anything else that servers write
/// there is no coding.
const CODINGS: &[&str] = &["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"];

/// An answer that one can go on with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// Look there.
    Redirect(&'a str),
    /// Everything, of this length if it is known.
    Whole(Option<u64>),
    /// From this byte on, of so many in all if that is known.
    From { first: u64, total: Option<u64> },
    /// The range that was asked for lies past the end, which is here if that is known.
    EndsAt(Option<u64>),
}

/// Judges an answer to a request for everything, or for a `range`.
pub(super) fn judge(response: &Response, range: bool) -> Result<Answer<'_>, Trouble> {
    let headers = response.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_HEADERS {
        return Err(refused("its server answers with too large headers"));
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match response.status() {
        StatusCode::OK => {
            let coding = text(CONTENT_ENCODING).unwrap_or_default();
            if coding
                .split(',')
                .any(|one| CODINGS.contains(&one.trim().to_ascii_lowercase().as_str()))
            {
                return Err(refused(
                    "its server answers with a compressed copy that nobody asked for",
                ));
            }
            Ok(Answer::Whole(response.content_length()))
        }
        StatusCode::PARTIAL_CONTENT if range => {
            let (first, total) = text(CONTENT_RANGE)
                .and_then(content_range)
                .ok_or_else(|| passing(UNREACHABLE, "its server answers with an unnamed range"))?;
            Ok(Answer::From { first, total })
        }
        StatusCode::RANGE_NOT_SATISFIABLE if range => {
            let total = text(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes */"));
            Ok(Answer::EndsAt(total.and_then(|total| total.parse().ok())))
        }
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => text(LOCATION)
            .map(Answer::Redirect)
            .ok_or_else(|| refused("its server redirects to nowhere")),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Err(lasting(FailureCode::SourceNotFound, "there is nothing at its URL"))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(passing(UNREACHABLE, "its server is busy"))
        }
        status if status.is_server_error() => Err(passing(
            UNREACHABLE,
            &format!("its server answers with status {}", status.as_u16()),
        )),
        status => Err(refused(&format!("its server answers with status {}", status.as_u16()))),
    }
}

fn refused(why: &str) -> Trouble {
    lasting(FailureCode::SourceRefused, why)
}

/// `bytes 7-9/10`: first byte and length of the whole, `*` for an unknown one (§14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.parse().ok()?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first, total))
}

/// What `If-Range` may carry: a strong entity tag, or a date where there is none (§13.1.5).
pub(super) fn validator(response: &Response) -> Option<HeaderValue> {
    strong(response.headers())
}

fn strong(headers: &HeaderMap) -> Option<HeaderValue> {
    match headers.get(ETAG) {
        Some(tag) => Some(tag.clone()).filter(|tag| tag.as_bytes().starts_with(b"\"")),
        None => headers.get(LAST_MODIFIED).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("bytes 7-9/10", Some((7, Some(10))))]
    #[case("bytes 7-9/*", Some((7, None)))]
    #[case("bytes */10", None)]
    #[case("bytes 7-9", None)]
    #[case("bytes 7-9/ten", None)]
    #[case("items 7-9/10", None)]
    fn reads_ranges(#[case] text: &str, #[case] expected: Option<(u64, Option<u64>)>) {
        assert_eq!(content_range(text), expected);
    }

    #[rstest]
    #[case(&[("etag", "\"a\""), ("last-modified", "yesterday")], Some("\"a\""))]
    #[case(&[("etag", "W/\"a\""), ("last-modified", "yesterday")], None)]
    #[case(&[("last-modified", "yesterday")], Some("yesterday"))]
    #[case(&[], None)]
    fn holds_to_strong_validators(
        #[case] headers: &[(&'static str, &'static str)],
        #[case] expected: Option<&str>,
    ) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
            .collect();
        let found = strong(&headers);
        assert_eq!(found.as_ref().and_then(|value| value.to_str().ok()), expected);
    }
}
