//! The SHA-256 that an uploader may declare: `Repr-Digest` or `Content-Digest` (RFC 9530),
//! `Digest` (RFC 3230), or `?sha256=` in hexadecimal for those who cannot set headers.

use base64::{Engine, prelude::BASE64_STANDARD};

/// Why a declared checksum cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "The declared checksum is no SHA-256: use `Repr-Digest: sha-256=:<base64>:` or `?sha256=<64 hexadecimal digits>`."
)]
pub struct Malformed;

/// The declared digest, if there is one. `fields` are the values of the digest headers; other
/// algorithms in them are ignored, as RFC 9530 asks.
pub fn declared<'a>(
    fields: impl IntoIterator<Item = &'a str>,
    parameter: Option<&str>,
) -> Result<Option<[u8; 32]>, Malformed> {
    if let Some(text) = parameter {
        return crate::hex::decode(text).map(Some).ok_or(Malformed);
    }
    for member in fields.into_iter().flat_map(|field| field.split(',')) {
        let Some((algorithm, value)) = member.split_once('=') else { continue };
        if algorithm.trim().eq_ignore_ascii_case("sha-256") {
            // RFC 9530 writes `:base64:`, RFC 3230 the bare base64.
            let value = value.trim().trim_matches(':');
            let digest = BASE64_STANDARD.decode(value).map_err(|_| Malformed)?;
            return digest.try_into().map(Some).map_err(|_| Malformed);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use sha2::{Digest, Sha256};

    #[rstest]
    #[case("sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:")]
    #[case("SHA-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")]
    #[case("md5=:x:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:")]
    fn reads(#[case] field: &str) {
        let expected: [u8; 32] = Sha256::digest("hello").into();
        assert_eq!(declared([field], None), Ok(Some(expected)));
    }

    #[test]
    fn reads_the_parameter() {
        assert_eq!(declared([], Some(&"0f".repeat(32))), Ok(Some([15; 32])));
        assert_eq!(declared([], Some("xyz")), Err(Malformed));
    }

    #[rstest]
    #[case("md5=:x:", Ok(None))]
    #[case("", Ok(None))]
    #[case("sha-256=:c2hvcnQ=:", Err(Malformed))]
    #[case("sha-256=:***:", Err(Malformed))]
    fn ignores_or_refuses(
        #[case] field: &str,
        #[case] expected: Result<Option<[u8; 32]>, Malformed>,
    ) {
        assert_eq!(declared([field], None), expected);
    }
}
