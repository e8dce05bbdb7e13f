//! The `Retry-After` header (RFC 9110 §10.2.3).

use jiff::Timestamp;

/// How many seconds from `now` it asks to wait: a number, or a date.
pub fn seconds(header: &str, now: Timestamp) -> Option<u32> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(seconds);
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?;
    u32::try_from(date.as_second() - now.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("120", Some(120))]
    #[case(" 0 ", Some(0))]
    #[case("Wed, 21 Oct 2015 07:28:30 GMT", Some(30))]
    #[case("Wed, 21 Oct 2015 07:27:00 GMT", None)]
    #[case("soon", None)]
    #[case("-5", None)]
    fn reads(#[case] header: &str, #[case] expected: Option<u32>) {
        let now = "2015-10-21T07:28:00Z".parse().expect("a time");
        assert_eq!(seconds(header, now), expected);
    }
}
