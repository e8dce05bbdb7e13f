//! Large outputs, in parts.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use gpu_handler::{s3::Provider, storage::Storage};
use reelmill_shared::job::FailureCode;
use rstest::rstest;
use s3s::S3ErrorCode;

use crate::{
    bench::{LARGE, connect, content, storage, store, stored},
    server::{KEY, Storehouse},
    strict::{Fault, Gate, State},
};

const PATH: &str = "hls/v1080/000001.m4s";
/// The last one has 17 bytes.
const PARTS: usize = 3;

#[rstest]
#[case(Provider::Aws, PARTS)]
#[case(Provider::R2, 0)]
#[tokio::test]
async fn comes_whole_in_equal_parts(#[case] provider: Provider, #[case] checksums: usize) {
    let house = Storehouse::start(State::default()).await;
    let storage = storage(&connect(&house, KEY, provider).await);
    let body = Bytes::from(content(LARGE));
    storage.put(&PATH.parse().expect("a path"), body.clone()).await.expect("stored");
    assert!(stored(&house, PATH).expect("there") == body, "the bytes differ");
    assert_eq!((house.count("UploadPart"), house.count("PutObject")), (PARTS, 0));
    assert_eq!(house.state.checksums.lock().expect("a lock").len(), checksums);
    assert_eq!(house.leftovers(), Vec::<String>::new());
}

#[rstest]
#[case("CreateMultipartUpload", None)]
#[case("UploadPart", Some(3))]
#[case("CompleteMultipartUpload", None)]
#[tokio::test]
async fn a_storage_that_is_busy_is_asked_again(
    #[case] operation: &'static str,
    #[case] part: Option<i32>,
) {
    let house = Storehouse::start(State::default()).await;
    let fault = Fault { operation, part, code: S3ErrorCode::SlowDown, times: 3 };
    house.state.faults.lock().expect("a lock").push(fault);
    let body = Bytes::from(content(LARGE));
    store(&house, PATH, body.clone()).await.expect("stored");
    assert!(stored(&house, PATH).expect("there") == body, "the bytes differ");
}

#[rstest]
#[case("UploadPart", Some(2), S3ErrorCode::InternalError, FailureCode::StoreFailed)]
#[case("UploadPart", Some(3), S3ErrorCode::AccessDenied, FailureCode::AccessDenied)]
#[case("CompleteMultipartUpload", None, S3ErrorCode::InvalidPart, FailureCode::StoreFailed)]
#[tokio::test]
async fn is_aborted_when_it_fails(
    #[case] operation: &'static str,
    #[case] part: Option<i32>,
    #[case] code: S3ErrorCode,
    #[case] expected: FailureCode,
) {
    let house = Storehouse::start(State::default()).await;
    let fault = Fault { operation, part, code, times: 100 };
    house.state.faults.lock().expect("a lock").push(fault);
    let failure = store(&house, PATH, Bytes::from(content(LARGE))).await.expect_err("refused");
    assert_eq!(failure.code, expected, "{failure}");
    assert_eq!(house.leftovers(), Vec::<String>::new());
    assert_eq!(stored(&house, PATH), None);
}

#[tokio::test]
async fn a_spoiled_part_is_not_stored() {
    let house = Storehouse::start(State::default()).await;
    house.corrupt.store(true, Ordering::Relaxed);
    let failure = store(&house, PATH, Bytes::from(content(LARGE))).await.expect_err("refused");
    assert_eq!(failure.code, FailureCode::StoreFailed, "{failure}");
    assert_eq!((stored(&house, PATH), house.leftovers()), (None, Vec::new()));
}

/// A job is stopped while parts are on their way: they arrive, no more are begun, and all is aborted.
#[rstest]
#[case::while_it_is_begun("CreateMultipartUpload", 0, 0)]
#[case::in_its_midst("UploadPart", 2, 4)]
#[tokio::test]
async fn is_aborted_when_nobody_waits(
    #[case] operation: &'static str,
    #[case] from: u64,
    #[case] parts: usize,
) {
    let state = State { gate: Some(Gate::at(operation, from)), ..State::default() };
    let house = Storehouse::start(state).await;
    let storage = storage(&connect(&house, KEY, Provider::Other).await);
    let gate = house.state.gate.as_ref().expect("a gate");
    let path = PATH.parse().expect("a path");
    let came = async { gate.came.acquire_many(parts.max(1) as u32).await.expect("come").forget() };
    tokio::select! {
        stored = storage.put(&path, Bytes::from(vec![7; 48 << 20])) => panic!("over: {stored:?}"),
        () = came => {}
    }
    gate.may_pass.add_permits(1000);
    storage.settle().await;
    assert_eq!((stored(&house, PATH), house.leftovers()), (None, Vec::new()));
    // Part 1 passed the gate, 2 to 5 waited there, and the sixth was not begun.
    assert_eq!(house.count("UploadPart"), parts + usize::from(parts > 0));
    assert_eq!(house.count("AbortMultipartUpload"), 1);
}

/// The rule that R2 has and others have not is kept by what the tests are run against.
#[tokio::test]
async fn the_server_refuses_unequal_parts() {
    let house = Storehouse::start(State::default()).await;
    let client = crate::upload::stranger(&house).await;
    let begun =
        client.create_multipart_upload().bucket("outputs").key("a").send().await.expect("begun");
    let id = begun.upload_id().expect("an id");
    let mut parts = aws_sdk_s3::types::CompletedMultipartUpload::builder();
    for (number, mebibytes) in [(1, 5), (2, 6), (3, 5)] {
        let body = Bytes::from(vec![0; mebibytes << 20]);
        let part = client.upload_part().bucket("outputs").key("a").upload_id(id);
        let part = part.part_number(number).body(body.into()).send().await.expect("a part");
        let part =
            aws_sdk_s3::types::CompletedPart::builder().part_number(number).set_e_tag(part.e_tag);
        parts = parts.parts(part.build());
    }
    let whole = client.complete_multipart_upload().bucket("outputs").key("a").upload_id(id);
    let refused = whole.multipart_upload(parts.build()).send().await.expect_err("refused");
    assert_eq!(aws_sdk_s3::error::ProvideErrorMetadata::code(&refused), Some("InvalidPart"));
}
