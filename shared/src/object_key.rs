//! Where every byte lies. One enum spells all object keys; nothing else in the workspace may.
//!
//! ```text
//! media/{media id}/source                      the upload
//! media/{media id}/a{attempt}/{output path}    what one attempt made
//! uploads/{upload id}                          a partial upload (tus concatenation)
//! ```
//!
//! Outputs lie under their attempt, and publishing is a pointer to an attempt, so a late attempt
//! can overwrite nothing that is being played.

mod layout;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::id::{MediaId, UploadId};

/// The key of one object in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectKey {
    /// The uploaded source.
    Source(MediaId),
    /// One output of one attempt.
    Output(MediaId, u8, OutputPath),
    /// A partial upload, until it has become a piece of a source.
    Partial(UploadId),
}

impl ObjectKey {
    /// The prefix of everything that belongs to a media, for deletion.
    pub fn media_prefix(media: MediaId) -> String {
        format!("media/{media}/")
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(media) => write!(f, "media/{media}/source"),
            Self::Output(media, attempt, path) => write!(f, "media/{media}/a{attempt}/{path}"),
            Self::Partial(upload) => write!(f, "uploads/{upload}"),
        }
    }
}

/// Path of an output below its attempt, such as `hls/v720/000001.m4s`.
///
/// At most four components of `[a-z0-9._-]`, none beginning with a dot, 128 bytes in all, ending in
/// one of the [known extensions](Self::content_type). So no `..`, no escapes and no surprises in a
/// URL, whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OutputPath(String);

/// Why a string is no output path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an output path")]
pub struct InvalidPath;

const CONTENT_TYPES: &[(&str, &str)] = &[
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4s", "video/iso.segment"),
    ("mp4", "video/mp4"),
    ("ts", "video/mp2t"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("dat", "application/octet-stream"),
];

impl OutputPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The media type that the object is stored and served with; it follows from the extension.
    pub fn content_type(&self) -> &'static str {
        Self::lookup(&self.0).expect("checked when the path was made")
    }

    /// Whether the object may be written more than once within an attempt: playlists grow.
    pub fn is_mutable(&self) -> bool {
        self.0.ends_with(".m3u8")
    }

    /// `Cache-Control` to store and serve the object with. A growing playlist is revalidated each
    /// time; everything else never changes within its attempt.
    pub fn cache_control(&self) -> &'static str {
        if self.is_mutable() { "no-cache" } else { "public, max-age=31536000, immutable" }
    }

    fn lookup(path: &str) -> Option<&'static str> {
        let (_, extension) = path.rsplit_once('.')?;
        CONTENT_TYPES
            .iter()
            .find(|(known, _)| *known == extension)
            .map(|(_, content_type)| *content_type)
    }
}

impl FromStr for OutputPath {
    type Err = InvalidPath;

    fn from_str(path: &str) -> Result<Self, InvalidPath> {
        let component_ok = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        };
        let valid = path.len() <= 128
            && path.split('/').count() <= 4
            && path.split('/').all(component_ok)
            && Self::lookup(path).is_some();
        if valid { Ok(Self(path.to_owned())) } else { Err(InvalidPath) }
    }
}

impl TryFrom<String> for OutputPath {
    type Error = InvalidPath;

    fn try_from(path: String) -> Result<Self, InvalidPath> {
        path.parse()
    }
}

impl From<OutputPath> for String {
    fn from(path: OutputPath) -> String {
        path.0
    }
}

impl fmt::Display for OutputPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn media() -> MediaId {
        "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("a media id")
    }

    #[test]
    fn keys_are_pinned() {
        let path = "hls/v720/000001.m4s".parse().expect("a path");
        assert_eq!(
            ObjectKey::Output(media(), 2, path).to_string(),
            "media/med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5/a2/hls/v720/000001.m4s"
        );
        assert_eq!(
            ObjectKey::Source(media()).to_string(),
            "media/med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5/source"
        );
        assert!(
            ObjectKey::Source(media()).to_string().starts_with(&ObjectKey::media_prefix(media()))
        );
    }

    #[rstest]
    #[case("..")]
    #[case("../source.mp4")]
    #[case("hls/../../a1/poster.jpg")]
    #[case("hls/..%2f..%2fsource.mp4")]
    #[case("hls//index.m3u8")]
    #[case("/hls/index.m3u8")]
    #[case("hls/index.m3u8/")]
    #[case("hls/.hidden.m3u8")]
    #[case("hls\\index.m3u8")]
    #[case("hls/índex.m3u8")]
    #[case("hls/index.m3u8\0")]
    #[case("hls/index.exe")]
    #[case("source")]
    #[case("a/b/c/d/e.ts")]
    #[case("")]
    fn refuses(#[case] path: &str) {
        assert_eq!(path.parse::<OutputPath>(), Err(InvalidPath));
    }

    #[test]
    fn refuses_a_path_of_129_bytes() {
        let path = format!("{}.ts", "a".repeat(126));
        assert!(path.parse::<OutputPath>().is_err());
        assert!(path[1..].parse::<OutputPath>().is_ok());
    }

    #[rstest]
    #[case("hls/main.m3u8", "application/vnd.apple.mpegurl", "no-cache")]
    #[case("hls/v720/000001.m4s", "video/iso.segment", "public, max-age=31536000, immutable")]
    #[case("poster.jpg", "image/jpeg", "public, max-age=31536000, immutable")]
    fn serves(#[case] path: &str, #[case] content_type: &str, #[case] cache_control: &str) {
        let path: OutputPath = path.parse().expect("a path");
        assert_eq!((path.content_type(), path.cache_control()), (content_type, cache_control));
    }
}
