//! Forms as clients send them, whole and broken.

use futures_util::{FutureExt, stream};
use rstest::rstest;
use serde_json::json;

use super::*;

#[derive(Default)]
struct Kept(Vec<u8>);

impl Sink for Kept {
    async fn write(&mut self, bytes: &[u8]) -> ApiResult<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Reads `body` in chunks of `step` bytes, and whatever follows it.
fn read_in(
    body: &[u8],
    step: usize,
    end: Option<BodyError>,
) -> Result<(Form, Vec<u8>), ProblemCode> {
    let chunks: Vec<_> = body
        .chunks(step)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .chain(end.map(Err))
        .collect();
    let mut kept = Kept::default();
    let beyond = || ProblemCode::BodyTooLarge.into();
    let form = read(stream::iter(chunks), "X".to_owned(), &mut kept, beyond)
        .now_or_never()
        .expect("all of it is there")
        .map_err(|error| error.code)?;
    Ok((form, kept.0))
}

fn part(head: &str, body: &str) -> String {
    format!("--X\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
}

fn file(body: &str) -> String {
    part("name=\"file\"; filename=\"a.mp4\"\r\nContent-Type: video/mp4", body)
}

fn whole(parts: &[String]) -> Vec<u8> {
    format!("{}--X--\r\n", parts.concat()).into_bytes()
}

#[rstest]
fn fields_may_stand_before_the_file_or_behind_it(#[values(1, 7, 4096)] step: usize) {
    let fields = [
        part("name=\"filename\"", "é.mp4"),
        part("name=\"metadata\"", r#"{"order": 17}"#),
        part("name=\"pipeline\"", r#"{"segmentSeconds": 6}"#),
    ];
    let content = "--Y\r\n\r\n--\r\n-X--\r\n\r";
    let before = whole(&[fields.concat(), file(content)]);
    let behind = whole(&[file(content), fields.concat()]);
    let (form, bytes) = read_in(&before, step, None).expect("a form");
    assert_eq!(bytes, content.as_bytes());
    assert_eq!(form.filename.as_deref(), Some("é.mp4"));
    assert_eq!(form.content_type.as_deref(), Some("video/mp4"));
    assert_eq!(json!(form.metadata), json!({"order": 17}));
    assert_eq!(form.pipeline.segment_seconds.get(), 6);
    assert_eq!(read_in(&behind, step, None), Ok((form, bytes)));
}

#[test]
fn a_file_alone_is_enough() {
    let (form, bytes) = read_in(&whole(&[file("x")]), 10, None).expect("a form");
    assert_eq!((form.filename.as_deref(), bytes.as_slice()), (Some("a.mp4"), b"x".as_slice()));
    assert_eq!(form.pipeline, Pipeline::default());
}

#[test]
fn an_empty_control_says_nothing() {
    let body = whole(&[part("name=\"metadata\"", ""), file("x")]);
    assert!(read_in(&body, 10, None).expect("a form").0.metadata.is_empty());
}

#[rstest]
#[case::no_file(vec![part("name=\"filename\"", "a")], ProblemCode::FileMissing)]
#[case::nothing(vec![], ProblemCode::FileMissing)]
#[case::two_files(vec![file("x"), file("y")], ProblemCode::FileRepeated)]
#[case::unknown(vec![part("name=\"colour\"", "red"), file("x")], ProblemCode::UnknownField)]
#[case::no_name(vec![part("filename=\"a.mp4\"", "x")], ProblemCode::UnknownField)]
#[case::twice(vec![part("name=\"filename\"", "a"), part("name=\"filename\"", "b")],
    ProblemCode::InvalidField)]
#[case::bad_json(vec![file("x"), part("name=\"metadata\"", "{")], ProblemCode::InvalidField)]
#[case::other_json(vec![file("x"), part("name=\"metadata\"", "[]")], ProblemCode::InvalidField)]
#[case::bad_pipeline(vec![file("x"), part("name=\"pipeline\"", r#"{"colour": 1}"#)],
    ProblemCode::InvalidField)]
#[case::long_text(vec![part("name=\"filename\"", &"x".repeat(70_000))], ProblemCode::InvalidField)]
fn refuses(#[case] parts: Vec<String>, #[case] expected: ProblemCode) {
    assert_eq!(read_in(&whole(&parts), 1000, None), Err(expected));
}

#[test]
fn text_is_utf8() {
    let mut body =
        b"--X\r\nContent-Disposition: form-data; name=\"filename\"\r\n\r\n\xff\r\n".to_vec();
    body.extend(whole(&[file("x")]));
    assert_eq!(read_in(&body, 1000, None), Err(ProblemCode::InvalidField));
}

/// Wherever a form is cut off, that is what is said, and never that it is whole.
#[test]
fn every_cut_is_noticed() {
    let body = whole(&[part("name=\"filename\"", "a"), file("0123456789")]);
    for cut in 0..body.len() - "--\r\n".len() {
        let error = read_in(&body[..cut], 16, None).expect_err("cut off");
        assert_eq!(error, ProblemCode::IncompleteForm, "cut at {cut}");
    }
}

#[rstest]
#[case(BodyError::Broken, ProblemCode::IncompleteForm)]
#[case(BodyError::TooLong, ProblemCode::BodyTooLarge)]
fn a_body_that_breaks_off_says_why(#[case] end: BodyError, #[case] expected: ProblemCode) {
    let body = whole(&[file("0123456789")]);
    assert_eq!(read_in(&body[..body.len() / 2], 16, Some(end)), Err(expected));
}

#[rstest]
#[case::other_boundary(
    "--Y\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--Y--\r\n"
)]
#[case::no_form("just some words")]
fn another_boundary_is_none(#[case] body: &str) {
    assert_eq!(read_in(body.as_bytes(), 100, None), Err(ProblemCode::IncompleteForm));
}

#[rstest]
#[case("multipart/form-data; boundary=X", Ok(Some("X")))]
#[case("multipart/form-data; charset=utf-8; boundary=\"a b\"", Ok(Some("a b")))]
#[case("multipart/form-data", Err(ProblemCode::InvalidForm))]
#[case("application/json", Ok(None))]
#[case("nonsense", Ok(None))]
fn tells_a_form_by_its_type(
    #[case] content_type: &str,
    #[case] expected: Result<Option<&str>, ProblemCode>,
) {
    let found = boundary(content_type).map_err(|error| error.code);
    assert_eq!(found.as_ref().map(Option::as_deref).map_err(|code| *code), expected);
}
