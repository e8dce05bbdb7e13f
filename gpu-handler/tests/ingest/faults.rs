//! Servers that break off, go wrong or lie about what they have.

use reelmill_shared::job::FailureCode;
use rstest::rstest;

use crate::{
    ingesting::{Ingest, PIECE, SIZE, content},
    origin::{Origin, Piece, Request, answer, head, honest},
};

/// The answer of [`honest`], but the connection ends after so many bytes of the body.
fn cut(request: &Request, headers: &[(&str, &str)], after: usize) -> Vec<Piece> {
    let mut pieces = honest(request, headers);
    if let Some(Piece::Bytes(body)) = pieces.last_mut() {
        body.truncate(after);
    }
    pieces
}

const TAG: (&str, &str) = ("ETag", "\"v1\"");

#[tokio::test]
async fn comes_whole_in_pieces() {
    let origin = Origin::start(|request| honest(request, &[])).await;
    let mut ingest = Ingest::of(&origin.url("/a.mp4")).await;
    ingest.brings(&content()).await;
    assert_eq!(ingest.gateway.desk.lock().expect("a lock").patches, SIZE.div_ceil(PIECE));
    assert_eq!(origin.requests().len(), 1);
}

#[rstest]
#[case::odd(SIZE)]
#[case::a_multiple_of_the_piece(4 * PIECE)]
#[case::small(100)]
#[tokio::test]
async fn comes_whole_without_a_length(#[case] size: usize) {
    let script = move |_: &Request| {
        let mut pieces = vec![head("200 OK", &[("transfer-encoding", "chunked")])];
        for chunk in content()[..size].chunks(10_000) {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
            pieces.push(Piece::Bytes(framed));
        }
        pieces.push(Piece::Bytes(b"0\r\n\r\n".to_vec()));
        pieces
    };
    let origin = Origin::start(script).await;
    Ingest::of(&origin.url("/")).await.brings(&content()[..size]).await;
}

#[tokio::test]
async fn what_breaks_off_goes_on_at_its_place() {
    let script = |request: &Request| match request.number {
        0 => cut(request, &[TAG], 100_000),
        1 => vec![],
        2 => cut(request, &[TAG], 50_000),
        _ => honest(request, &[TAG]),
    };
    let origin = Origin::start(script).await;
    Ingest::of(&origin.url("/")).await.brings(&content()).await;
    let asked: Vec<_> = origin.requests().iter().map(Request::range).collect();
    assert_eq!(asked, [None, Some(100_000), Some(100_000), Some(150_000)]);
    assert_eq!(origin.requests()[1].header("if-range"), Some("\"v1\""));
}

/// Without a validator a range could be of another version.
#[rstest]
#[case::no_validator(&[])]
#[case::weak_validator(&[("ETag", "W/\"v1\"")])]
#[tokio::test]
async fn what_cannot_be_resumed_is_fetched_again_and_compared(
    #[case] headers: &'static [(&'static str, &'static str)],
) {
    let script = move |request: &Request| match request.number {
        0 => cut(request, headers, 100_000),
        _ => honest(request, headers),
    };
    let origin = Origin::start(script).await;
    Ingest::of(&origin.url("/")).await.brings(&content()).await;
    assert!(origin.requests().iter().all(|request| request.range().is_none()));
}

#[tokio::test]
async fn a_server_that_answers_with_another_range_is_asked_for_everything() {
    let script = |request: &Request| match request.number {
        0 => cut(request, &[TAG], 100_000),
        1 => {
            let range = format!("bytes 7-{}/{SIZE}", SIZE - 1);
            answer("206 Partial Content", &[("content-range", &range)], &content()[7..])
        }
        _ => honest(request, &[TAG]),
    };
    let origin = Origin::start(script).await;
    Ingest::of(&origin.url("/")).await.brings(&content()).await;
    assert_eq!(origin.requests().last().expect("some").range(), None);
}

#[rstest]
#[case::same_length(SIZE)]
#[case::longer(SIZE + 1)]
#[case::shorter(SIZE - 1)]
#[tokio::test]
async fn two_versions_never_mix(#[case] size: usize) {
    let script = move |request: &Request| match request.number {
        0 => cut(request, &[TAG], 100_000),
        _ => answer("200 OK", &[("ETag", "\"v2\"")], &vec![7; size]),
    };
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.fails(FailureCode::SourceChanged).await;
}

/// It says that it is longer than it is, and ends at the same byte whatever one asks.
#[rstest]
#[case::honest_ranges(|_: &Request| answer("416 Range Not Satisfiable", &[("content-range", "bytes */100000")], b""))]
#[case::stubborn(|request: &Request| cut(request, &[TAG], 0))]
#[case::another_total(|request: &Request| {
    let first = request.range().expect("a range");
    let range = format!("bytes {first}-{}/{}", SIZE - 1, SIZE + 5);
    answer("206 Partial Content", &[("content-range", &range)], &content()[first..])
})]
#[tokio::test]
async fn a_source_shorter_than_its_server_says(
    #[case] again: impl Fn(&Request) -> Vec<Piece> + Send + Sync + 'static,
) {
    let script = move |request: &Request| match request.number {
        0 => cut(request, &[TAG], 100_000),
        _ => again(request),
    };
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.fails(FailureCode::SourceLengthMismatch).await;
}

/// What follows the announced length is no part of the answer (RFC 9112 §6.3), and is not stored.
#[tokio::test]
async fn what_a_server_sends_beyond_its_length_is_left_out() {
    let script = |_: &Request| {
        vec![head("200 OK", &[("content-length", "100000")]), Piece::Bytes(content())]
    };
    let origin = Origin::start(script).await;
    Ingest::of(&origin.url("/")).await.brings(&content()[..100_000]).await;
}

#[rstest]
#[case("404 Not Found", FailureCode::SourceNotFound)]
#[case("410 Gone", FailureCode::SourceNotFound)]
#[case("401 Unauthorized", FailureCode::SourceRefused)]
#[case("403 Forbidden", FailureCode::SourceRefused)]
#[case("204 No Content", FailureCode::SourceRefused)]
#[case("206 Partial Content", FailureCode::SourceRefused)]
#[case("302 Found", FailureCode::SourceRefused)]
#[case("304 Not Modified", FailureCode::SourceRefused)]
#[case("429 Too Many Requests", FailureCode::SourceUnreachable)]
#[case("500 Internal Server Error", FailureCode::SourceUnreachable)]
#[case("503 Service Unavailable", FailureCode::SourceUnreachable)]
#[tokio::test]
async fn fails_for_its_reason(#[case] status: &'static str, #[case] code: FailureCode) {
    let origin = Origin::start(move |_| vec![head(status, &[("content-length", "0")])]).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    let failure = ingest.fails(code).await;
    // What may pass is tried again, what will not is not.
    assert_eq!(origin.requests().len(), if failure.transient { 5 } else { 1 });
    assert_eq!(ingest.creations(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let mut ingest = Ingest::of("http://127.0.0.1:1/").await;
    ingest.fails(FailureCode::SourceUnreachable).await;
}

#[tokio::test]
async fn a_server_that_recovers_is_forgiven() {
    let script = |request: &Request| match request.number {
        0..3 => vec![head("503 Service Unavailable", &[("content-length", "0")])],
        _ => honest(request, &[]),
    };
    let origin = Origin::start(script).await;
    Ingest::of(&origin.url("/")).await.brings(&content()).await;
}

#[rstest]
#[case::page(b"<!DOCTYPE html><html><body>Please sign in</body></html>")]
#[case::error(br#"{"error": "This link has expired."}"#)]
#[case::playlist(b"#EXTM3U\n#EXTINF:4,\nhttp://169.254.169.254/\n")]
#[case::empty(b"")]
#[tokio::test]
async fn what_is_no_media_is_not_even_begun(#[case] body: &'static [u8]) {
    // Whatever it calls itself.
    let origin = Origin::start(|_| answer("200 OK", &[("content-type", "video/mp4")], body)).await;
    let mut ingest = Ingest::of(&origin.url("/film.mp4")).await;
    ingest.fails(FailureCode::SourceNotMedia).await;
    assert_eq!(ingest.creations(), 0);
}

/// A few kilobytes of gzip may unpack to terabytes: nothing is unpacked here.
#[tokio::test]
async fn a_packed_answer_is_refused() {
    let script = |_: &Request| answer("200 OK", &[("content-encoding", "gzip")], b"\x1f\x8b\x08\0");
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.fails(FailureCode::SourceRefused).await;
    assert_eq!(origin.requests()[0].header("accept-encoding"), Some("identity"));
    assert_eq!(ingest.creations(), 0);
}

#[rstest]
#[case::long(100 << 10, FailureCode::SourceRefused)]
#[case::endless(16 << 20, FailureCode::SourceUnreachable)]
#[tokio::test]
async fn headers_are_bounded(#[case] size: usize, #[case] code: FailureCode) {
    let script = move |_: &Request| {
        let padding = "a".repeat(size);
        vec![head("200 OK", &[("x-padding", &padding)]), Piece::Bytes(content())]
    };
    let origin = Origin::start(script).await;
    Ingest::of(&origin.url("/")).await.fails(code).await;
}
