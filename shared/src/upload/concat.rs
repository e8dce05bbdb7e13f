//! `Upload-Concat` (tus 1.0, Concatenation): a piece of an upload, or the upload made of pieces.

use super::Refused;
use crate::{id::UploadId, problem::ProblemCode};

/// The most pieces of one upload, counted as often as they are named.
pub const MAX_PIECES: usize = 1000;

/// What an upload is in a concatenation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concat {
    /// A piece.
    Partial,
    /// The pieces' bytes, one after the other.
    Final(Vec<UploadId>),
}

impl Concat {
    /// Reads the header's value. The URLs of the pieces may be absolute or relative: what counts is
    /// the id at the end of the path, since all uploads of a gateway lie in one place.
    pub fn parse(value: &str) -> Result<Self, Refused> {
        let refused = |detail: String| Refused::new(ProblemCode::InvalidUploadConcat, detail);
        if value == "partial" {
            return Ok(Self::Partial);
        }
        let urls = value.strip_prefix("final;").ok_or_else(|| {
            refused(
                "`Upload-Concat` is `partial` or `final;` and the partial uploads' URLs.".into(),
            )
        })?;
        let mut pieces = Vec::new();
        for url in urls.split(' ').filter(|url| !url.is_empty()) {
            if pieces.len() == MAX_PIECES {
                return Err(refused(format!("At most {MAX_PIECES} uploads make one.")));
            }
            let path = url.split(['?', '#']).next().unwrap_or(url);
            let id = path.rsplit('/').next().and_then(|id| id.parse().ok());
            pieces.push(id.ok_or_else(|| {
                refused(format!("Number {} of the URLs is no upload's.", pieces.len() + 1))
            })?);
        }
        if pieces.is_empty() {
            return Err(refused("`Upload-Concat: final;` names no partial uploads.".into()));
        }
        Ok(Self::Final(pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const A: &str = "upl_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
    const B: &str = "upl_1192f0c1a2b37c4d8e9fa0b1c2d3e4f5";

    #[test]
    fn reads() {
        let (a, b) = (A.parse().expect("an id"), B.parse().expect("an id"));
        assert_eq!(Concat::parse("partial"), Ok(Concat::Partial));
        let absolute = format!("final;https://x.example/api/uploads/{A} /api/uploads/{B}");
        assert_eq!(Concat::parse(&absolute), Ok(Concat::Final(vec![a, b])));
        let repeated = format!("final; {B} {A}  /{B}?x");
        assert_eq!(Concat::parse(&repeated), Ok(Concat::Final(vec![b, a, b])));
    }

    #[rstest]
    #[case("")]
    #[case("final")]
    #[case("final;")]
    #[case("final; ")]
    #[case("Partial")]
    #[case("partial;")]
    #[case("final;/api/uploads/x")]
    #[case("final;https://x.example/")]
    fn refuses(#[case] value: &str) {
        let refused = Concat::parse(value).expect_err("no concatenation");
        assert_eq!(refused.code, ProblemCode::InvalidUploadConcat);
    }

    #[test]
    fn has_a_limit() {
        let list = |count: usize| format!("final;{}", [A].repeat(count).join(" "));
        assert!(Concat::parse(&list(MAX_PIECES)).is_ok());
        assert!(Concat::parse(&list(MAX_PIECES + 1)).is_err());
    }
}
