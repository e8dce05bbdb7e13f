//! Outputs into object storage, one request each.

use std::{sync::atomic::Ordering, time::Duration};

use aws_sdk_s3::error::ProvideErrorMetadata;
use bytes::Bytes;
use gpu_handler::{
    s3::Provider,
    storage::{S3Storage, Storage},
};
use reelmill_shared::job::FailureCode;
use rstest::rstest;
use s3s::S3ErrorCode;

use crate::{
    bench::{config, connect, storage, store, stored},
    server::{KEY, Storehouse},
    strict::{Fault, State},
};

const PATH: &str = "hls/v720/000001.m4s";

/// The SDK's own client, as anybody else would use it.
pub(crate) async fn stranger(house: &Storehouse) -> aws_sdk_s3::Client {
    let config = config(house, KEY);
    let settings = aws_sdk_s3::config::Builder::new()
        .behavior_version_latest()
        .region(aws_sdk_s3::config::Region::new("auto"))
        .endpoint_url(config.endpoint.expect("an endpoint"))
        .force_path_style(true)
        .credentials_provider(aws_sdk_s3::config::Credentials::new(KEY.0, KEY.1, None, None, ""));
    aws_sdk_s3::Client::from_conf(settings.build())
}

#[rstest]
#[case(PATH, "video/iso.segment", "public, max-age=31536000, immutable")]
#[case("hls/main.m3u8", "application/vnd.apple.mpegurl", "no-cache")]
#[tokio::test]
async fn is_stored_with_type_cache_control_and_checksum(
    #[case] path: &str,
    #[case] content_type: &str,
    #[case] cache_control: &str,
) {
    let house = Storehouse::start(State::default()).await;
    store(&house, path, Bytes::from_static(b"output")).await.expect("stored");
    let key = format!("jobs/7/{path}");
    let request = stranger(&house).await.get_object().bucket("outputs").key(key);
    let answer = request.send().await.expect("there");
    assert_eq!(answer.content_type(), Some(content_type));
    assert_eq!(answer.cache_control(), Some(cache_control));
    assert_eq!(answer.body.collect().await.expect("a body").into_bytes(), "output");
    assert_eq!(house.state.checksums.lock().expect("a lock").len(), 1);
}

/// On providers that know them in part only, the signature covers the body instead.
#[rstest]
#[case(Provider::R2, Duration::from_millis(1100))]
#[case(Provider::Other, Duration::ZERO)]
#[tokio::test]
async fn other_providers_get_no_checksum(#[case] provider: Provider, #[case] rest: Duration) {
    let house = Storehouse::start(State::default()).await;
    let storage = storage(&connect(&house, KEY, provider).await);
    let path = PATH.parse().expect("a path");
    storage.put(&path, Bytes::from_static(b"output")).await.expect("stored");
    assert_eq!(stored(&house, PATH).expect("there"), b"output");
    assert!(house.state.checksums.lock().expect("a lock").is_empty());
    assert_eq!(storage.rewrite_interval(), rest);
}

#[rstest]
#[case(S3ErrorCode::SlowDown)]
#[case(S3ErrorCode::InternalError)]
// As R2 puts it.
#[case(S3ErrorCode::Custom("TooManyRequests".into()))]
#[tokio::test]
async fn a_storage_that_is_busy_is_asked_again(#[case] code: S3ErrorCode) {
    let house = Storehouse::start(State::default()).await;
    let fault = Fault { operation: "PutObject", part: None, code, times: 3 };
    house.state.faults.lock().expect("a lock").push(fault);
    store(&house, PATH, Bytes::from_static(b"output")).await.expect("stored");
    assert_eq!(house.count("PutObject"), 4);
}

#[rstest]
#[case(S3ErrorCode::SlowDown, FailureCode::StoreFailed, 4)]
#[case(S3ErrorCode::ExpiredToken, FailureCode::StoreFailed, 1)]
#[case(S3ErrorCode::AccessDenied, FailureCode::AccessDenied, 1)]
#[tokio::test]
async fn fails_for_its_reason(
    #[case] code: S3ErrorCode,
    #[case] expected: FailureCode,
    #[case] requests: usize,
) {
    let house = Storehouse::start(State::default()).await;
    let fault = Fault { operation: "PutObject", part: None, code, times: 100 };
    house.state.faults.lock().expect("a lock").push(fault);
    let failure = store(&house, PATH, Bytes::from_static(b"output")).await.expect_err("refused");
    assert_eq!((failure.code, house.count("PutObject")), (expected, requests), "{failure}");
    assert!(!failure.message.contains("jobs/7"), "{failure}");
}

#[tokio::test]
async fn a_bucket_that_is_gone_is_a_lasting_failure() {
    let house = Storehouse::start(State::default()).await;
    house.remove_bucket("outputs");
    let failure = store(&house, PATH, Bytes::from_static(b"output")).await.expect_err("refused");
    assert_eq!((failure.code, failure.transient), (FailureCode::BucketNotFound, false));
    assert_eq!(house.count("PutObject"), 1);
}

/// Whatever the wire makes of a body, it is not what is stored.
#[rstest]
#[case(Provider::Aws)]
#[case(Provider::R2)]
#[tokio::test]
async fn a_spoiled_body_is_not_stored(#[case] provider: Provider) {
    let house = Storehouse::start(State::default()).await;
    house.corrupt.store(true, Ordering::Relaxed);
    let storage = storage(&connect(&house, KEY, provider).await);
    let path = PATH.parse().expect("a path");
    let failure = storage.put(&path, Bytes::from_static(b"output")).await.expect_err("refused");
    assert_eq!((failure.code, failure.transient), (FailureCode::StoreFailed, true));
    assert_eq!(stored(&house, PATH), None);
}

/// The server's word counts only if it says no: a wrong checksum is refused.
#[tokio::test]
async fn the_server_verifies_checksums() {
    let house = Storehouse::start(State::default()).await;
    let request = stranger(&house)
        .await
        .put_object()
        .bucket("outputs")
        .key("a")
        .checksum_crc32("AAAAAA==")
        .body(Bytes::from_static(b"output").into());
    let refused = request.send().await.expect_err("refused");
    assert_eq!(refused.code(), Some("BadDigest"));
}

#[rstest]
#[case("s3://elsewhere/jobs/")]
#[case("s3://outputs/jobs")]
#[case("s3://id:secret@outputs/jobs/")]
#[tokio::test]
async fn goes_nowhere_else(#[case] url: &str) {
    let house = Storehouse::start(State::default()).await;
    let s3 = connect(&house, KEY, Provider::Other).await;
    let refused = S3Storage::new(&s3, &url.parse().expect("a URL")).expect_err("refused");
    assert_eq!(refused.code, FailureCode::UnsupportedJob);
}
