//! Base64 in JSON: a `data:` URL (RFC 2397) or the bare base64 (RFC 4648 §4).

use std::cell::RefCell;

use data_url::forgiving_base64::{DecodeError, Decoder};
use reelmill_shared::problem::ProblemCode;

use crate::error::{ApiError, ApiResult};

/// Largest source that is taken as base64, in bytes once decoded. Base64 is held in memory, twice.
pub const MAX_DATA: u64 = 16 << 20;
/// Largest JSON body that may carry it, in bytes: four characters for three bytes, and room for the
/// rest.
pub const MAX_DATA_JSON: u64 = MAX_DATA.div_ceil(3) * 4 + 128 * 1024;
/// How much text is decoded at a time, in bytes.
const STEP: usize = 256 * 1024;

/// The media type that a `data:` URL declares, and its base64; or the bare base64.
pub fn split(text: &str) -> ApiResult<(Option<&str>, &str)> {
    let Some((scheme, rest)) = text.split_once(':') else { return Ok((None, text)) };
    let header = rest.split_once(',').filter(|_| scheme.trim().eq_ignore_ascii_case("data"));
    let Some((header, data)) = header else {
        return Err(invalid("neither a `data:` URL nor base64"));
    };
    match header.trim().rsplit_once(';') {
        Some((kind, base64)) if base64.trim().eq_ignore_ascii_case("base64") => {
            Ok((Some(kind.trim()).filter(|kind| !kind.is_empty()), data))
        }
        _ => Err(invalid("a `data:` URL without `;base64`")),
    }
}

/// Decodes piece by piece.
pub struct Decoding<'a> {
    rest: &'a [u8],
    decoder: Option<Decoder<Write<'a>, ApiError>>,
    decoded: &'a RefCell<Vec<u8>>,
}

type Write<'a> = Box<dyn FnMut(&[u8]) -> Result<(), ApiError> + 'a>;

impl<'a> Decoding<'a> {
    /// Decodes `base64` by way of `buffer`. White space in it is skipped, as browsers do.
    pub fn new(base64: &'a str, buffer: &'a RefCell<Vec<u8>>) -> Self {
        let write: Write<'a> = Box::new(|bytes| {
            buffer.borrow_mut().extend_from_slice(bytes);
            Ok(())
        });
        Self { rest: base64.as_bytes(), decoder: Some(Decoder::new(write)), decoded: buffer }
    }

    fn step(&mut self, decoder: &mut Decoder<Write<'a>, ApiError>) -> ApiResult<()> {
        let (step, rest) = self.rest.split_at(self.rest.len().min(STEP));
        self.rest = rest;
        decoder.feed(step).map_err(judge)
    }
}

/// The decoded bytes in order, or `invalid_base64` where it is none.
impl Iterator for Decoding<'_> {
    type Item = ApiResult<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut decoder = self.decoder.take()?;
        let mut outcome = self.step(&mut decoder);
        if outcome.is_ok() && self.rest.is_empty() {
            outcome = decoder.finish().map_err(judge);
        } else if outcome.is_ok() {
            self.decoder = Some(decoder);
        }
        Some(outcome.map(|()| std::mem::take(&mut *self.decoded.borrow_mut())))
    }
}

fn judge(error: DecodeError<ApiError>) -> ApiError {
    match error {
        DecodeError::InvalidBase64(error) => invalid(&error.to_string()),
        DecodeError::WriteError(error) => error,
    }
}

fn invalid(what: &str) -> ApiError {
    ApiError::new(ProblemCode::InvalidBase64, format!("`source.data` is not usable: {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, prelude::BASE64_STANDARD};
    use rstest::rstest;

    fn decode(text: &str) -> Result<Vec<u8>, ProblemCode> {
        let buffer = RefCell::new(Vec::new());
        let (_, base64) = split(text).map_err(|error| error.code)?;
        let decoded: Result<Vec<_>, _> = Decoding::new(base64, &buffer).collect();
        decoded.map(|pieces| pieces.concat()).map_err(|error| error.code)
    }

    #[rstest]
    #[case("aGVsbG8=", b"hello")]
    #[case("aGVsbG8", b"hello")]
    #[case("aGVs\r\nbG8=\n", b"hello")]
    #[case("", b"")]
    #[case("data:;base64,aGVsbG8=", b"hello")]
    #[case("DATA:video/mp4;codecs=avc1;Base64,aGVsbG8=", b"hello")]
    fn decodes(#[case] text: &str, #[case] expected: &[u8]) {
        assert_eq!(decode(text).expect("base64"), expected);
    }

    #[rstest]
    #[case("aGVsbG8!")]
    #[case("aGVsb-8_")]
    #[case("aGVsbG8=aGVsbG8=")]
    #[case("a")]
    #[case("data:video/mp4,hello")]
    #[case("data:video/mp4;base64")]
    #[case("https://example.com/a.mp4")]
    #[case("é")]
    fn refuses(#[case] text: &str) {
        assert_eq!(decode(text), Err(ProblemCode::InvalidBase64));
    }

    #[test]
    fn a_data_url_declares_its_type() {
        assert_eq!(split("data:video/mp4;base64,AA==").expect("data").0, Some("video/mp4"));
        assert_eq!(split("data:;base64,AA==").expect("data").0, None);
        assert_eq!(split("AA==").expect("data").0, None);
    }

    #[test]
    fn pieces_fit_together_wherever_they_are_cut() {
        let bytes: Vec<u8> = (0..STEP * 2 + 7).map(|at| (at * 31 % 251) as u8).collect();
        assert_eq!(decode(&BASE64_STANDARD.encode(&bytes)).expect("base64"), bytes);
        assert!(BASE64_STANDARD.encode(vec![0; MAX_DATA as usize]).len() as u64 <= MAX_DATA_JSON);
    }
}
