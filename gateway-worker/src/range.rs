//! Single byte ranges and entity tags of requests (RFC 9110 §8.8, §13 and §14).

/// A byte range as a request asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=first-last`, both inclusive.
    FromTo(u64, u64),
    /// `bytes=first-`.
    From(u64),
    /// `bytes=-length`: the last so many bytes.
    Last(u64),
}

/// The bytes that an answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Offset of the first byte.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

impl ByteRange {
    /// Reads a `Range` header. `None` means that it is to be ignored, as RFC 9110 §14.2 allows for
    /// several ranges and demands for malformed and foreign ones.
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, spec) = header.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        // A number too large for 64 bits still is a number: past any end.
        let number = |text: &str| -> Option<u64> {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        match spec.trim().split_once('-')? {
            ("", length) => Some(Self::Last(number(length)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The bytes of an object of `size` bytes, or `None` where there are none (416).
    pub fn slice(self, size: u64) -> Option<Slice> {
        let (offset, end) = match self {
            Self::FromTo(first, last) => (first, last.saturating_add(1).min(size)),
            Self::From(first) => (first, size),
            Self::Last(length) => (size.saturating_sub(length), size),
        };
        (offset < end).then(|| Slice { offset, length: end - offset })
    }
}

/// Whether an `If-None-Match` or `If-Match` header names the entity tag, compared weakly. `etag` is
/// quoted.
pub fn matches_etag(header: &str, etag: &str) -> bool {
    header.split(',').map(str::trim).any(|candidate| {
        candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("bytes=0-99", 1000, Some((0, 100)))]
    #[case("bytes=900-", 1000, Some((900, 100)))]
    #[case("bytes=-1", 1000, Some((999, 1)))]
    #[case("bytes=-2000", 1000, Some((0, 1000)))]
    #[case("bytes=999-5000", 1000, Some((999, 1)))]
    #[case("Bytes = 0-0", 1000, Some((0, 1)))]
    #[case("bytes=1000-", 1000, None)]
    #[case("bytes=1000-1001", 1000, None)]
    #[case("bytes=-0", 1000, None)]
    #[case("bytes=0-", 0, None)]
    #[case("bytes=99999999999999999999999-", 1000, None)]
    #[case("bytes=0-18446744073709551615", 1000, Some((0, 1000)))]
    fn slices(#[case] header: &str, #[case] size: u64, #[case] expected: Option<(u64, u64)>) {
        let slice = ByteRange::parse(header).expect("a range").slice(size);
        assert_eq!(slice.map(|slice| (slice.offset, slice.length)), expected);
    }

    #[rstest]
    #[case("bytes=0-1,5-6")]
    #[case("bytes=5-4")]
    #[case("bytes=-")]
    #[case("bytes=a-b")]
    #[case("bytes=+1-2")]
    #[case("items=0-1")]
    #[case("0-1")]
    #[case("")]
    fn ignores(#[case] header: &str) {
        assert_eq!(ByteRange::parse(header), None);
    }

    #[test]
    fn compares_etags() {
        assert!(matches_etag("\"a\", W/\"b\"", "\"b\""));
        assert!(matches_etag("*", "\"b\""));
        assert!(!matches_etag("\"a\"", "\"b\""));
        assert!(!matches_etag("b", "\"b\""));
    }
}
