//! Sources out of object storage.

use gpu_handler::s3::{Provider, S3};
use reelmill_shared::job::FailureCode;
use rstest::rstest;
use s3s::S3ErrorCode;
use sha2::{Digest, Sha256};

use crate::{
    bench::{connect, content, download, input},
    server::{KEY, Storehouse},
    strict::{Fault, State},
};

const SIZE: usize = 1_000_003;
const URL: &str = "s3://sources/in/a%20film.mp4";

async fn house() -> (Storehouse, S3) {
    let house = Storehouse::start(State::default()).await;
    house.place("sources", "in/a film.mp4", &content(SIZE));
    let s3 = connect(&house, KEY, Provider::Other).await;
    (house, s3)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn comes_whole_in_windows() {
    let (house, s3) = house().await;
    let mut input = input(URL, SIZE);
    input.sha256 = Some(hex(&Sha256::digest(content(SIZE))));
    assert!(download(&s3, &input).await.expect("fetched") == content(SIZE), "the bytes differ");
    // One byte to see what it is, and 16 windows of 64 KiB.
    assert_eq!(house.count("GetObject"), 1 + 16);
}

#[rstest]
#[case(S3ErrorCode::SlowDown, 3)]
#[case(S3ErrorCode::InternalError, 2)]
#[case(S3ErrorCode::ServiceUnavailable, 1)]
#[tokio::test]
async fn a_storage_that_is_busy_is_asked_again(#[case] code: S3ErrorCode, #[case] times: usize) {
    let (house, s3) = house().await;
    let fault = Fault { operation: "GetObject", part: None, code, times };
    house.state.faults.lock().expect("a lock").push(fault);
    assert!(download(&s3, &input(URL, SIZE)).await.expect("fetched") == content(SIZE));
    assert_eq!(house.count("GetObject"), 1 + 16 + times);
}

#[tokio::test]
async fn a_storage_that_stays_busy_is_a_passing_failure() {
    let (house, s3) = house().await;
    let fault =
        Fault { operation: "GetObject", part: None, code: S3ErrorCode::SlowDown, times: 100 };
    house.state.faults.lock().expect("a lock").push(fault);
    let failure = download(&s3, &input(URL, SIZE)).await.expect_err("refused");
    assert_eq!((failure.code, failure.transient), (FailureCode::FetchFailed, true));
    assert_eq!(house.count("GetObject"), 4, "as often as the SDK tries, and no more");
}

#[rstest]
#[case::another_size(URL, SIZE + 1, None, FailureCode::SourceMismatch)]
#[case::another_tag(URL, SIZE, Some("0123"), FailureCode::SourceMismatch)]
#[case::no_object("s3://sources/in/nothing", SIZE, None, FailureCode::SourceNotFound)]
#[case::other_bucket("s3://elsewhere/a.mp4", SIZE, None, FailureCode::UnsupportedJob)]
#[case::no_key("s3://sources/", SIZE, None, FailureCode::UnsupportedJob)]
#[case::a_prefix("s3://sources/in/", SIZE, None, FailureCode::UnsupportedJob)]
#[tokio::test]
async fn fails_for_its_reason(
    #[case] url: &str,
    #[case] size: usize,
    #[case] etag: Option<&str>,
    #[case] code: FailureCode,
) {
    let (house, s3) = house().await;
    let mut input = input(url, size);
    input.etag = etag.map(str::to_owned);
    let failure = download(&s3, &input).await.expect_err("refused");
    assert_eq!((failure.code, failure.transient), (code, false), "{failure}");
    assert!(house.count("GetObject") <= 1, "nothing is fetched");
}

#[tokio::test]
async fn a_bucket_that_is_gone() {
    let (house, s3) = house().await;
    house.remove_bucket("sources");
    let failure = download(&s3, &input(URL, SIZE)).await.expect_err("refused");
    assert_eq!((failure.code, failure.transient), (FailureCode::BucketNotFound, false));
}

/// Whoever replaces the object in mid-download gets no mixture of both made.
#[tokio::test]
async fn all_windows_are_of_one_object() {
    let gate = crate::strict::Gate::at("GetRange", 64 * 1024);
    let house = Storehouse::start(State { gate: Some(gate), ..State::default() }).await;
    house.place("sources", "a.mp4", &content(SIZE));
    let s3 = connect(&house, KEY, Provider::Other).await;
    let input = input("s3://sources/a.mp4", SIZE);
    let replace = async {
        let gate = house.state.gate.as_ref().expect("a gate");
        gate.came.acquire().await.expect("a request").forget();
        house.place("sources", "a.mp4", &vec![7; SIZE]);
        gate.may_pass.add_permits(1000);
    };
    let (failure, ()) = tokio::join!(download(&s3, &input), replace);
    let failure = failure.expect_err("refused");
    assert_eq!(failure.code, FailureCode::SourceMismatch, "{failure}");
}
