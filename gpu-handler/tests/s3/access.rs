//! Keys that are wrong, or were right.

use bytes::Bytes;
use gpu_handler::{s3::Provider, storage::Storage};
use reelmill_shared::job::FailureCode;
use rstest::rstest;

use crate::{
    bench::{LARGE, connect, content, download, input, storage},
    server::{EXPIRED, KEY, Storehouse},
    strict::State,
};

#[rstest]
#[case::wrong_secret((KEY.0, "another-secret"), FailureCode::AccessDenied, FailureCode::AccessDenied)]
#[case::unknown_id(("nobody", KEY.1), FailureCode::AccessDenied, FailureCode::AccessDenied)]
#[case::expired(EXPIRED, FailureCode::FetchFailed, FailureCode::StoreFailed)]
#[tokio::test]
async fn open_nothing(
    #[case] keys: (&str, &str),
    #[case] reading: FailureCode,
    #[case] writing: FailureCode,
) {
    let house = Storehouse::start(State::default()).await;
    house.place("sources", "a.mp4", &content(1000));
    let s3 = connect(&house, keys, Provider::Other).await;
    let failure = download(&s3, &input("s3://sources/a.mp4", 1000)).await.expect_err("refused");
    assert_eq!(failure.code, reading, "{failure}");
    assert!(!failure.message.contains(keys.0) && !failure.message.contains(keys.1), "{failure}");
    let storage = storage(&s3);
    for size in [1000, LARGE] {
        let path = "poster.jpg".parse().expect("a path");
        let failure = storage.put(&path, Bytes::from(vec![0; size])).await.expect_err("refused");
        assert_eq!(failure.code, writing, "{failure}");
    }
    // Nothing got past the door.
    assert!(house.state.log.lock().expect("a lock").is_empty());
}
