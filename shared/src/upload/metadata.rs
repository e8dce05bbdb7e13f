//! `Upload-Metadata` (tus 1.0, Creation): comma-separated pairs of a key and a base64 value.
//!
//! A client may send any keys. These mean something here, the others are kept and ignored:
//!
//! | key | what |
//! |---|---|
//! | `filename`, `name` | the file's name |
//! | `filetype`, `type` | its declared media type |
//! | `pipeline`, `metadata` | JSON, as in `POST /api/media` |
//! | `mediaId` | an existing media that waits for its source |

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::Refused;
use crate::problem::ProblemCode;

/// The longest header value, in bytes. It is kept with the upload and sent back with every `HEAD`.
pub const MAX_METADATA: usize = 16 * 1024;
/// The most pairs.
const MAX_PAIRS: usize = 64;
/// Strict, but for padding: some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An upload's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    raw: String,
    pairs: Vec<(String, Vec<u8>)>,
}

impl Metadata {
    /// Reads the header's value.
    pub fn parse(value: &str) -> Result<Self, Refused> {
        let refused = |detail: String| Refused::new(ProblemCode::InvalidUploadMetadata, detail);
        if value.len() > MAX_METADATA {
            return Err(refused(format!("`Upload-Metadata` may have {MAX_METADATA} bytes.")));
        }
        if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(refused("`Upload-Metadata` may only have ASCII characters.".into()));
        }
        // The protocol has it that there is a pair at least; tuspy sends the header even so.
        if value.is_empty() {
            return Ok(Self::default());
        }
        let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
        for pair in value.split(',').map(str::trim) {
            let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
            if key.is_empty() {
                return Err(refused("A key in `Upload-Metadata` is empty.".into()));
            }
            if pairs.iter().any(|(known, _)| known == key) {
                return Err(refused(format!("`{key}` is in `Upload-Metadata` twice.")));
            }
            let decoded = BASE64.decode(encoded).map_err(|_| {
                refused(format!("The value of `{key}` in `Upload-Metadata` is not base64."))
            })?;
            pairs.push((key.to_owned(), decoded));
        }
        if pairs.len() > MAX_PAIRS {
            return Err(refused(format!("`Upload-Metadata` may have {MAX_PAIRS} pairs.")));
        }
        Ok(Self { raw: value.to_owned(), pairs })
    }

    /// The header's value as it came.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The text under the first of `keys` that is there and not empty.
    pub fn text(&self, keys: &[&str]) -> Result<Option<&str>, Refused> {
        let value = |key: &&str| {
            let (name, value) = self.pairs.iter().find(|(known, _)| known == key)?;
            (!value.is_empty()).then_some((name, value))
        };
        let Some((key, bytes)) = keys.iter().find_map(value) else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| {
            let detail = format!("The value of `{key}` in `Upload-Metadata` is not UTF-8.");
            Refused::new(ProblemCode::InvalidUploadMetadata, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn text(value: &str, keys: &[&str]) -> Option<String> {
        let metadata = Metadata::parse(value).expect("metadata");
        metadata.text(keys).expect("UTF-8").map(str::to_owned)
    }

    /// "The value MAY be empty. In these cases, the space … MAY be left out."
    #[test]
    fn reads_the_protocols_example() {
        let value = "filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential";
        assert_eq!(text(value, &["filename"]).as_deref(), Some("world_domination_plan.pdf"));
        assert_eq!(text(value, &["is_confidential"]), None);
        assert_eq!(Metadata::parse(value).expect("metadata").raw(), value);
        assert_eq!(Metadata::parse(""), Ok(Metadata::default()));
    }

    #[rstest]
    #[case("name YQ==", Some("a"))]
    #[case("name YQ==,filename Yg==", Some("b"))]
    #[case("filename ,name YQ==", Some("a"))]
    #[case("filename YQ", Some("a"))]
    #[case("other YQ==", None)]
    fn takes_the_first_known_name(#[case] value: &str, #[case] expected: Option<&str>) {
        assert_eq!(text(value, &["filename", "name"]).as_deref(), expected);
    }

    #[rstest]
    #[case::blank(" ")]
    #[case::empty_key("a YQ==,,b YQ==")]
    #[case::trailing_comma("filename YQ==,")]
    #[case::twice("a YQ==,a Yg==")]
    #[case::no_base64("filename not!base64")]
    #[case::url_safe("filename _-8=")]
    #[case::three_words("filename YQ== YQ==")]
    #[case::line_break("filename YQ==\r\nx: y")]
    #[case::no_ascii("filename é")]
    #[case::stray_bits("filename YR==")]
    fn refuses(#[case] value: &str) {
        let refused = Metadata::parse(value).expect_err("no metadata");
        assert_eq!(refused.code, ProblemCode::InvalidUploadMetadata);
    }

    #[test]
    fn has_limits() {
        let value = |length: usize| format!("a {}", "A".repeat(length - 2));
        assert!(Metadata::parse(&value(MAX_METADATA - 2)).is_ok());
        assert!(Metadata::parse(&value(MAX_METADATA + 2)).is_err());
        let pairs =
            |count: usize| (0..count).map(|n| format!("k{n}")).collect::<Vec<_>>().join(",");
        assert!(Metadata::parse(&pairs(MAX_PAIRS)).is_ok());
        assert!(Metadata::parse(&pairs(MAX_PAIRS + 1)).is_err());
    }

    #[test]
    fn text_must_be_utf8() {
        let metadata = Metadata::parse("filename /w==").expect("bytes");
        let refused = metadata.text(&["filename"]).expect_err("no text");
        assert_eq!(refused.code, ProblemCode::InvalidUploadMetadata);
    }

    proptest! {
        #[test]
        fn survives_anything(value in "\\PC{0,200}") {
            let _ = Metadata::parse(&value);
        }

        #[test]
        fn reads_what_a_client_writes(name in "\\PC{1,60}") {
            use base64::prelude::BASE64_STANDARD;
            let value = format!("filename {}", BASE64_STANDARD.encode(&name));
            prop_assert_eq!(text(&value, &["filename"]), Some(name));
        }
    }
}
