//! `Upload-Checksum` (tus 1.0, Checksum): the name of an algorithm, a space, and the digest of the
//! request's body in base64.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::Refused;
use crate::problem::ProblemCode;

/// A digest that a client can ask a body to be checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1, which every server must support. It guards against accidents, not against attackers.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Sha1, Self::Sha256];

    /// The value of `Tus-Checksum-Algorithm`.
    pub const NAMES: &str = "sha1,sha256";

    /// The algorithm's name in headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// The length of its digests in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// What a body's digest must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// By which algorithm.
    pub algorithm: Algorithm,
    /// As many bytes as the algorithm has.
    pub digest: Vec<u8>,
}

impl Checksum {
    /// Reads the header's value.
    pub fn parse(value: &str) -> Result<Self, Refused> {
        let refused = |detail: &str| Refused::new(ProblemCode::InvalidUploadChecksum, detail);
        let (name, digest) = value
            .split_once(' ')
            .ok_or_else(|| refused("`Upload-Checksum` is `<algorithm> <base64>`."))?;
        let algorithm =
            Algorithm::ALL.iter().copied().find(|known| known.as_str() == name).ok_or_else(
                || refused(&format!("The algorithms known here are {}.", Algorithm::NAMES)),
            )?;
        let digest = BASE64_STANDARD.decode(digest).ok();
        let digest = digest.filter(|digest| digest.len() == algorithm.length());
        let digest = digest.ok_or_else(|| {
            refused(&format!("A {name} checksum is {} bytes in base64.", algorithm.length()))
        })?;
        Ok(Self { algorithm, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use sha2::{Digest, Sha256};

    /// The protocol text's own example: "hello world".
    #[test]
    fn reads_the_protocols_example() {
        let checksum = Checksum::parse("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").expect("a checksum");
        assert_eq!(checksum.algorithm, Algorithm::Sha1);
        assert_eq!(checksum.digest[..4], [0x2a, 0xae, 0x6c, 0x35]);
    }

    #[test]
    fn reads_sha256() {
        let digest = Sha256::digest("hello world");
        let value = format!("sha256 {}", BASE64_STANDARD.encode(digest));
        assert_eq!(Checksum::parse(&value).expect("a checksum").digest, digest.to_vec());
    }

    #[test]
    fn names_are_those_of_the_algorithms() {
        let names: Vec<_> = Algorithm::ALL.iter().map(|known| known.as_str()).collect();
        assert_eq!(names.join(","), Algorithm::NAMES);
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_digest("sha1")]
    #[case::unknown("crc32 AAAAAA==")]
    #[case::upper_case("SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")]
    #[case::no_base64("sha1 ***")]
    #[case::no_padding("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0")]
    #[case::too_short("sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")]
    #[case::two_spaces("sha1  Kq5sNclPz7QV2+lfQIuc6R7oRu0=")]
    fn refuses(#[case] value: &str) {
        let refused = Checksum::parse(value).expect_err("no checksum");
        assert_eq!(refused.code, ProblemCode::InvalidUploadChecksum);
    }
}
