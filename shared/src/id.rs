//! Prefixed identifiers: `med_…` for media, `evt_…` for webhook messages, and so on.
//!
//! An id is a UUID written as 32 lower-case hexadecimal digits behind its prefix, so that a log
//! line or a support request says what it names. Ids are minted at the edge (they need randomness
//! and a clock) and are otherwise only parsed and printed here.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Why a string is not an identifier of the asked kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {0}_<32 hexadecimal digits>")]
pub struct InvalidId(&'static str);

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID behind the prefix.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The same id for the same `parts` (a UUIDv8 of their SHA-256): how an
            /// `Idempotency-Key` names what it created without a table of keys.
            pub fn derived(parts: &[&str]) -> Self {
                Self(derived_uuid(parts))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let hex = text.strip_prefix(concat!($prefix, "_")).ok_or(InvalidId($prefix))?;
                let canonical = hex.len() == 32
                    && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if !canonical {
                    return Err(InvalidId($prefix));
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| InvalidId($prefix))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

prefixed_id!(
    /// One media: an upload, its attempts and its outputs.
    MediaId,
    "med"
);
prefixed_id!(
    /// One resumable upload. Random, not derived from time: whoever knows it may go on with the
    /// upload.
    UploadId,
    "upl"
);
prefixed_id!(
    /// One API key; the secret half is never stored.
    KeyId,
    "key"
);
prefixed_id!(
    /// One webhook endpoint of a downstream service.
    EndpointId,
    "whe"
);
prefixed_id!(
    /// One webhook message; the same across its redeliveries (Standard Webhooks `webhook-id`).
    MessageId,
    "msg"
);

fn derived_uuid(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        // Length first: ("ab","c") and ("a","bc") must differ.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";

    #[test]
    fn prints_what_it_parses() {
        let id: MediaId = TEXT.parse().expect("a media id");
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(serde_json::to_value(id).expect("json"), TEXT);
        assert_eq!(serde_json::from_value::<MediaId>(TEXT.into()).expect("id"), id);
    }

    #[rstest::rstest]
    #[case::other_kind("key_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5")]
    #[case::no_prefix("0192f0c1a2b37c4d8e9fa0b1c2d3e4f5")]
    #[case::hyphens("med_0192f0c1-a2b3-7c4d-8e9f-a0b1c2d3e4f5")]
    #[case::upper_case("med_0192F0C1A2B37C4D8E9FA0B1C2D3E4F5")]
    #[case::short("med_0192f0c1")]
    #[case::path("med_../../etc/passwd")]
    fn refuses(#[case] text: &str) {
        assert!(text.parse::<MediaId>().is_err());
    }

    #[test]
    fn derivation_is_stable_and_separates_its_parts() {
        assert_eq!(MediaId::derived(&["ab", "c"]), MediaId::derived(&["ab", "c"]));
        assert_ne!(MediaId::derived(&["ab", "c"]), MediaId::derived(&["a", "bc"]));
    }
}
