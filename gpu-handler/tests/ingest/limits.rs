//! Servers that send more than is wanted, or take longer.

use std::time::Duration;

use reelmill_shared::job::FailureCode;
use rstest::rstest;

use crate::{
    ingesting::{Ingest, SIZE, content},
    origin::{Origin, Piece, Request, head, honest},
};

#[rstest]
#[case::announced(SIZE as u64 - 1)]
#[case::longer(SIZE as u64 + 1)]
#[tokio::test]
async fn a_declared_size_binds(#[case] size: u64, #[values(true, false)] told: bool) {
    let script = move |request: &Request| {
        if told {
            return honest(request, &[]);
        }
        vec![head("200 OK", &[]), Piece::Bytes(content())]
    };
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.spec.size = Some(size);
    ingest.fails(FailureCode::SourceLengthMismatch).await;
}

#[tokio::test]
async fn what_is_announced_too_large_is_not_even_begun() {
    let script = |_: &Request| {
        vec![head("200 OK", &[("content-length", "10000001")]), Piece::Bytes(content())]
    };
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.fails(FailureCode::SourceTooLarge).await;
    assert_eq!(ingest.creations(), 0);
}

#[tokio::test]
async fn what_never_ends_is_cut_off_at_the_limit() {
    let script = |_: &Request| vec![head("200 OK", &[]), Piece::Forever(content(), Duration::ZERO)];
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.fails(FailureCode::SourceTooLarge).await;
    assert!(ingest.gateway.desk.lock().expect("a lock").bytes.len() <= 10_000_000);
}

#[rstest]
#[case::silent_from_the_start(|| vec![Piece::Silence])]
#[case::silent_after_its_head(|| vec![head("200 OK", &[("content-length", "9")]), Piece::Silence])]
#[case::a_byte_now_and_then(|| {
    vec![head("200 OK", &[]), Piece::Forever(b"\0".to_vec(), Duration::from_millis(2))]
})]
#[tokio::test]
async fn a_server_that_is_too_slow(#[case] script: fn() -> Vec<Piece>) {
    let origin = Origin::start(move |_| script()).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.options.idle = Duration::from_millis(50);
    ingest.fails(FailureCode::SourceTimedOut).await;
}

#[tokio::test]
async fn it_may_take_so_long_in_all_and_no_longer() {
    // Never idle, and never ending.
    let pause = Duration::from_millis(5);
    let script = move |_: &Request| vec![head("200 OK", &[]), Piece::Forever(vec![0; 1000], pause)];
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.options.wall = Duration::from_millis(100);
    ingest.fails(FailureCode::SourceTimedOut).await;
}
