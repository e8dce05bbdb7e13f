//! Whether what comes looks like media: an error page of a hundred gigabytes is not worth storing.
//!
//! What is unknown passes. In the end ffprobe decides.

use reelmill_shared::{
    job::{Failure, FailureCode},
    sniff,
};

/// Containers that are registered outside of `audio/` and `video/`.
const OTHER_MEDIA: &[&str] = &["application/ogg", "application/mxf", "application/vnd.ms-asf"];

/// Looks at the first bytes of a source.
///
/// # Errors
/// `source_not_media`, saying what it is instead.
pub(super) fn check(first: &[u8]) -> Result<(), Failure> {
    let refuse = |what: &str| {
        let message = format!("what is at the source's URL is no media but {what}");
        Err(Failure::new(FailureCode::SourceNotMedia, message))
    };
    if first.is_empty() {
        return refuse("empty");
    }
    match sniff::content_type(first) {
        Some(kind) if kind.starts_with("audio/") || kind.starts_with("video/") => Ok(()),
        Some(kind) if OTHER_MEDIA.contains(&kind) => Ok(()),
        Some(kind) => refuse(kind),
        None if is_text(first) => refuse("text"),
        None => Ok(()),
    }
}

/// UTF-8 without the control characters that no text has; it may be cut off in mid-character.
fn is_text(first: &[u8]) -> bool {
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.contains(|c: char| c.is_control() && !"\t\n\r\x0c\x1b".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::mp4(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", None)]
    #[case::mp3(b"ID3\x04\0\0\0\0\0\0", None)]
    #[case::unknown(b"\0\x01\x02\x03", None)]
    #[case::binary(b"\xff\xfe\xfd some words", None)]
    #[case::page(b"<!DOCTYPE html><html>", Some("text/html"))]
    #[case::bare_page(b"  \n<html><body>Sign in", Some("te"))]
    #[case::json(br#"{"error": "expired"}"#, Some("text"))]
    #[case::xml(b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", Some("xml"))]
    #[case::playlist(b"#EXTM3U\n#EXTINF:4,\nhttp://169.254.169.254/\n", Some("text"))]
    #[case::cut_character("Fehlerm\u{fc}ldung \u{20ac}".as_bytes().split_last().unwrap().1, Some("text"))]
    #[case::picture(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Some("image/png"))]
    #[case::archive(b"PK\x03\x04\x14\0\0\0", Some("application/zip"))]
    #[case::empty(b"", Some("empty"))]
    fn tells(#[case] first: &[u8], #[case] instead: Option<&str>) {
        let refused = check(first).err();
        assert_eq!(refused.is_some(), instead.is_some(), "{refused:?}");
        if let (Some(failure), Some(instead)) = (refused, instead) {
            assert_eq!(failure.code, FailureCode::SourceNotMedia);
            assert!(failure.message.contains(instead), "{failure}");
        }
    }
}
