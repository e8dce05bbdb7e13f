//! What an `s3:` URL names: `s3://bucket/key`, the key percent-encoded as in every URL.

use percent_encoding::percent_decode_str;
use reelmill_shared::job::{Failure, FailureCode};
use url::Url;

/// Longest key, in bytes.
const MAX_KEY: usize = 1024;

/// A bucket, and in it a key or the beginning of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub bucket: String,
    pub key: String,
}

impl Location {
    /// Reads a URL; whether the bucket may be used is not looked at.
    ///
    /// # Errors
    /// `unsupported_job`.
    pub(crate) fn parse(url: &Url) -> Result<Self, Failure> {
        let bucket = url.host_str().unwrap_or_default();
        let plain = (url.username(), url.password(), url.port()) == ("", None, None)
            && url.query().is_none()
            && url.fragment().is_none();
        if bucket.is_empty() || !plain {
            return Err(refused("an s3: URL is s3://bucket/key and nothing more"));
        }
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let key = percent_decode_str(path).decode_utf8();
        let key = key.map_err(|_| refused("the key of an s3: URL must be UTF-8"))?.into_owned();
        if key.len() > MAX_KEY {
            return Err(refused("the key of an s3: URL has at most 1024 bytes"));
        }
        // Such keys exist, but what is between the slashes may be taken for a way by who serves them.
        if key.split('/').any(|part| matches!(part, "." | "..")) || key.contains(char::is_control) {
            return Err(refused("the key of an s3: URL has . or .. in it, or control characters"));
        }
        Ok(Self { bucket: bucket.to_owned(), key })
    }
}

pub(super) fn refused(message: &str) -> Failure {
    Failure::new(FailureCode::UnsupportedJob, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("s3://media/a.mp4", "media", "a.mp4")]
    #[case("s3://media.example/in/two%20words%23.mp4", "media.example", "in/two words#.mp4")]
    #[case("s3://media/in/two words.mp4", "media", "in/two words.mp4")]
    #[case("s3://media/%C3%A4/100%25.mp4", "media", "ä/100%.mp4")]
    #[case("s3://media/a//b", "media", "a//b")]
    #[case("s3://media/jobs/7/", "media", "jobs/7/")]
    #[case("s3://media", "media", "")]
    // The URL itself is what it is once dots are resolved, as all readers of URLs do.
    #[case("s3://media/a/../b", "media", "b")]
    fn reads(#[case] url: &str, #[case] bucket: &str, #[case] key: &str) {
        let location = Location::parse(&url.parse().expect("a URL")).expect("a location");
        assert_eq!((location.bucket.as_str(), location.key.as_str()), (bucket, key));
    }

    #[rstest]
    #[case("s3:media/a")]
    #[case("s3:///a")]
    #[case("s3://id:secret@media/a")]
    #[case("s3://media:80/a")]
    #[case("s3://media/a?versionId=1")]
    #[case("s3://media/a#b")]
    #[case("s3://media/%FF")]
    #[case("s3://media/a%2F..%2Fb")]
    #[case("s3://media/a%00b")]
    #[case(&format!("s3://media/{}", "a".repeat(1025)))]
    fn refuses(#[case] url: &str) {
        let failure = Location::parse(&url.parse().expect("a URL")).expect_err("refused");
        assert_eq!(failure.code, FailureCode::UnsupportedJob);
        assert!(!failure.message.contains("secret"), "{failure}");
    }
}
