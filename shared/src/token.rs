//! Signed, expiring capabilities that travel in URLs.
//!
//! A token says what its bearer may do ([`Grant`]) and until when. It is checked without any
//! lookup, in constant time, in some tens of microseconds, so that every segment request can be.
//! It names its key, so that keys can be rotated: sign with the first key of a [`KeyRing`], accept
//! all of them. As a prefix of a path it is inherited by the relative URIs inside a playlist, which
//! therefore stays the same for every viewer.
//!
//! Layout, before base64url without padding (RFC 4648 §5):
//!
//! ```text
//! 0      version, 1
//! 1      key id
//! 2      grant: 1 play, 2 upload, 3 watch, 4 read source, 5 write outputs, 6 bring source,
//!        7 hint
//! 3      attempt, 0 where the grant has none
//! 4..12  expiry, unix seconds, big endian
//! 12..28 media id
//! 28..n  viewer id, at most 64 bytes of UTF-8, empty for most; of grants 5 to 7 the dispatch, one
//!        byte, absent where it is 0
//! n..    HMAC-SHA256 of all that stands before, over a domain-separating prefix
//! ```

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    id::MediaId,
    secret::{Secret, constant_time_eq},
};

const VERSION: u8 = 1;
const HEADER: usize = 28;
const TAG: usize = 32;
const DOMAIN: &[u8] = b"reelmill-token-v1\0";

/// The longest viewer id, in bytes.
pub const MAX_VIEWER: usize = 64;

/// What a token allows its bearer to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Fetch the outputs of one attempt (`/play/{token}/…`).
    Play {
        /// The attempt that was playable when the token was minted.
        attempt: u8,
    },
    /// Upload the source, once.
    Upload,
    /// Follow the media's events.
    Watch,
    /// Fetch the source: for the handler.
    ReadSource {
        /// The attempt that the handler works on.
        attempt: u8,
    },
    /// Store outputs of one attempt: for the handler.
    WriteOutputs {
        /// The attempt that the handler works on.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// Upload the source from its URL: for the handler.
    BringSource {
        /// The attempt that the handler works on.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// Hint that there is news of a job: for a platform that signs nothing.
    Hint {
        /// The attempt that the job is.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
}

impl Grant {
    const fn encode(self) -> (u8, u8) {
        match self {
            Self::Play { attempt } => (1, attempt),
            Self::Upload => (2, 0),
            Self::Watch => (3, 0),
            Self::ReadSource { attempt } => (4, attempt),
            Self::WriteOutputs { attempt, .. } => (5, attempt),
            Self::BringSource { attempt, .. } => (6, attempt),
            Self::Hint { attempt, .. } => (7, attempt),
        }
    }

    /// The dispatch, where the grant is of one.
    const fn dispatch(self) -> Option<u8> {
        match self {
            Self::WriteOutputs { dispatch, .. }
            | Self::BringSource { dispatch, .. }
            | Self::Hint { dispatch, .. } => Some(dispatch),
            _ => None,
        }
    }

    /// The grant, with the first dispatch.
    const fn decode(kind: u8, attempt: u8) -> Option<Self> {
        match (kind, attempt) {
            (1, 1..) => Some(Self::Play { attempt }),
            (2, 0) => Some(Self::Upload),
            (3, 0) => Some(Self::Watch),
            (4, 1..) => Some(Self::ReadSource { attempt }),
            (5, 1..) => Some(Self::WriteOutputs { attempt, dispatch: 0 }),
            (6, 1..) => Some(Self::BringSource { attempt, dispatch: 0 }),
            (7, 1..) => Some(Self::Hint { attempt, dispatch: 0 }),
            _ => None,
        }
    }
}

/// The content of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The media that it is for.
    pub media: MediaId,
    /// What it allows.
    pub grant: Grant,
    /// The first instant at which it is no longer valid (whole seconds).
    pub expires_at: Timestamp,
    /// Who it was given to, as the caller names its viewers; for logs and metrics.
    pub viewer: Option<String>,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is malformed, forged, or signed with a key that is no longer known.
    #[error("the token is not valid")]
    Invalid,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
}

/// The signing keys in force. The first one signs; all are accepted.
#[derive(Debug, Clone)]
pub struct KeyRing(Vec<(u8, Secret)>);

/// Why a text is no key ring. It never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "token keys must read `<id 0-255>:<base64 of at least 32 bytes>`, separated by commas, the signing key first"
)]
pub struct InvalidKeyRing;

impl KeyRing {
    /// Reads `id:base64[,id:base64…]`, the signing key first.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        let keys = text
            .split(',')
            .map(|entry| {
                let (id, key) = entry.trim().split_once(':')?;
                let key = base64::prelude::BASE64_STANDARD.decode(key).ok()?;
                (key.len() >= 32).then_some((id.parse().ok()?, Secret::new(key)))
            })
            .collect::<Option<Vec<(u8, Secret)>>>()
            .ok_or(InvalidKeyRing)?;
        Ok(Self(keys))
    }

    /// Signs a token with the first key. A viewer id beyond [`MAX_VIEWER`] bytes is a caller's bug
    /// and is cut off at a character boundary.
    pub fn sign(&self, token: &Token) -> String {
        let (id, key) = &self.0[0];
        let (kind, attempt) = token.grant.encode();
        let viewer = token.viewer.as_deref().unwrap_or_default();
        let viewer = &viewer[..viewer.floor_char_boundary(MAX_VIEWER)];
        let rest = match token.grant.dispatch() {
            None => viewer.as_bytes(),
            Some(0) => &[],
            Some(dispatch) => &[dispatch],
        };
        let mut bytes = Vec::with_capacity(HEADER + rest.len() + TAG);
        bytes.extend([VERSION, *id, kind, attempt]);
        bytes.extend(token.expires_at.as_second().to_be_bytes());
        bytes.extend(token.media.uuid().as_bytes());
        bytes.extend(rest);
        let tag = key.hmac(&[DOMAIN, &bytes]);
        bytes.extend(tag);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token and checks its signature, then its expiry.
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<Token, TokenError> {
        // Longest possible token first: the work done for a stranger is bounded.
        if text.len() > (HEADER + MAX_VIEWER + TAG) * 4 / 3 + 4 {
            return Err(TokenError::Invalid);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Invalid)?;
        let split =
            bytes.len().checked_sub(TAG).filter(|at| *at >= HEADER).ok_or(TokenError::Invalid)?;
        let (body, tag) = bytes.split_at(split);
        let (_, key) = self.0.iter().find(|(id, _)| *id == body[1]).ok_or(TokenError::Invalid)?;
        if body[0] != VERSION || !constant_time_eq(&key.hmac(&[DOMAIN, body]), tag) {
            return Err(TokenError::Invalid);
        }
        let token = Self::decode(body).ok_or(TokenError::Invalid)?;
        if now >= token.expires_at { Err(TokenError::Expired) } else { Ok(token) }
    }

    fn decode(body: &[u8]) -> Option<Token> {
        let expiry = i64::from_be_bytes(body[4..12].try_into().ok()?);
        let mut grant = Grant::decode(body[2], body[3])?;
        let mut viewer = "";
        match (&mut grant, &body[HEADER..]) {
            (
                Grant::WriteOutputs { dispatch, .. }
                | Grant::BringSource { dispatch, .. }
                | Grant::Hint { dispatch, .. },
                rest,
            ) => match rest {
                [] => {}
                &[later] if later > 0 => *dispatch = later,
                _ => return None,
            },
            (_, rest) => viewer = std::str::from_utf8(rest).ok()?,
        }
        Some(Token {
            media: MediaId::new(Uuid::from_slice(&body[12..HEADER]).ok()?),
            grant,
            expires_at: Timestamp::from_second(expiry).ok()?,
            viewer: (!viewer.is_empty()).then(|| viewer.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(ids: &[u8]) -> KeyRing {
        KeyRing(ids.iter().map(|id| (*id, Secret::new([*id; 32]))).collect())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn token() -> Token {
        Token {
            media: "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("a media id"),
            grant: Grant::Play { attempt: 1 },
            expires_at: at(1_800_000_000),
            viewer: None,
        }
    }

    #[test]
    fn layout_is_pinned() {
        assert_eq!(
            ring(&[7]).sign(&token()),
            "AQcBAQAAAABrSdIAAZLwwaKzfE2On6CxwtPk9a5VkmVhphgrnxTpNk_vl5xOxohNhPWH_kmeZBAFd7mo"
        );
    }

    #[test]
    fn expires_at_its_second() {
        let text = ring(&[7]).sign(&token());
        assert_eq!(ring(&[7]).verify(&text, at(1_799_999_999)), Ok(token()));
        assert_eq!(ring(&[7]).verify(&text, at(1_800_000_000)), Err(TokenError::Expired));
    }

    #[test]
    fn keys_rotate() {
        let old = ring(&[1]).sign(&token());
        assert_eq!(ring(&[2, 1]).verify(&old, at(0)), Ok(token()));
        assert_eq!(ring(&[2]).verify(&old, at(0)), Err(TokenError::Invalid));
        assert_eq!(
            ring(&[1]).verify(&ring(&[2, 1]).sign(&token()), at(0)),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn a_forged_expired_token_is_invalid_and_not_expired() {
        let mut text = ring(&[7]).sign(&token()).into_bytes();
        text[60] = if text[60] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(text).expect("ascii");
        assert_eq!(ring(&[7]).verify(&text, at(1_900_000_000)), Err(TokenError::Invalid));
    }

    #[test]
    fn key_ring_parses_or_says_how() {
        use base64::prelude::BASE64_STANDARD;
        let key = BASE64_STANDARD.encode([7; 32]);
        assert_eq!(
            KeyRing::parse(&format!("7:{key}")).expect("a ring").sign(&token()),
            ring(&[7]).sign(&token())
        );
        for bad in ["", "7", "256:", &format!("300:{key}"), "7:c2hvcnQ=", &format!("7:{key},")] {
            assert!(KeyRing::parse(bad).is_err(), "{bad}");
        }
    }

    fn grants() -> impl Strategy<Value = Grant> {
        prop_oneof![
            (1u8..).prop_map(|attempt| Grant::Play { attempt }),
            Just(Grant::Upload),
            Just(Grant::Watch),
            (1u8..).prop_map(|attempt| Grant::ReadSource { attempt }),
            (1u8.., any::<u8>())
                .prop_map(|(attempt, dispatch)| Grant::WriteOutputs { attempt, dispatch }),
            (1u8.., any::<u8>())
                .prop_map(|(attempt, dispatch)| Grant::BringSource { attempt, dispatch }),
            (1u8.., any::<u8>()).prop_map(|(attempt, dispatch)| Grant::Hint { attempt, dispatch }),
        ]
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(
            media in any::<u128>(), grant in grants(), expiry in 1i64..200_000_000_000,
            viewer in proptest::option::of("[a-zà-ü0-9]{1,32}"),
        ) {
            // Only a player's has a viewer.
            let viewer = viewer.filter(|_| grant.dispatch().is_none());
            let token = Token {
                media: MediaId::new(Uuid::from_u128(media)), grant, expires_at: at(expiry), viewer,
            };
            let text = ring(&[7]).sign(&token);
            prop_assert_eq!(ring(&[7]).verify(&text, at(expiry - 1)), Ok(token));
        }

        #[test]
        fn any_altered_byte_is_refused(position in 0usize..60, flip in 1u8..) {
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(ring(&[7]).sign(&token())).expect("base64");
            bytes[position] ^= flip;
            let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(ring(&[7]).verify(&text, at(0)), Err(TokenError::Invalid));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,400}") {
            prop_assert_eq!(ring(&[7]).verify(&text, at(0)), Err(TokenError::Invalid));
        }
    }
}
