//! A handler's connection to the server, and what is done over it.

use std::{path::PathBuf, time::Duration};

use aws_sdk_s3::config::retry::RetryConfig;
use backon::ExponentialBuilder;
use bytes::Bytes;
use gpu_handler::{
    config::s3::{Keys, S3 as Config},
    fetch::{Options, Source, fetch},
    s3::{Provider, S3},
    storage::{S3Storage, Storage},
};
use reelmill_shared::{
    job::{Failure, Input},
    secret::Secret,
};

use crate::server::{KEY, Storehouse};

/// Two parts, and the last of it one of its own.
pub(crate) const LARGE: usize = (16 << 20) + 17;

pub(crate) fn config(house: &Storehouse, (id, secret): (&str, &str)) -> Config {
    let buckets = ["sources", "outputs"].map(str::to_owned).into();
    let keys = Keys { id: id.to_owned(), secret: Secret::new(secret) };
    Config {
        buckets,
        endpoint: Some(house.endpoint()),
        region: Some("auto".to_owned()),
        keys: Some(keys),
    }
}

/// A connection with the given keys, over which requests are repeated soon.
pub(crate) async fn connect(house: &Storehouse, keys: (&str, &str), provider: Provider) -> S3 {
    let retries = RetryConfig::standard()
        .with_max_attempts(4)
        .with_initial_backoff(Duration::from_millis(1))
        .with_max_backoff(Duration::from_millis(5));
    S3::connect_to(provider, &config(house, keys), retries).await.expect("a connection")
}

/// What a file of this size holds.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

pub(crate) fn input(url: &str, size: usize) -> Input {
    Input { url: url.parse().expect("a URL"), size: size as u64, etag: None, sha256: None }
}

/// Downloads in windows of 64 KiB.
pub(crate) async fn download(s3: &S3, input: &Input) -> Result<Vec<u8>, Failure> {
    let folder = tempfile::tempdir().expect("a directory");
    let target: PathBuf = folder.path().join("source");
    let backoff =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(1)).with_max_times(3);
    let options = Options { window: 64 * 1024, parallel: 4, backoff };
    let source = Source::s3(s3, input).await?;
    fetch(source, input, &target, options, &|_| ()).await?;
    Ok(std::fs::read(target).expect("the file"))
}

pub(crate) fn storage(s3: &S3) -> S3Storage {
    let url = "s3://outputs/jobs/7/".parse().expect("a URL");
    S3Storage::new(s3, &url).expect("a storage")
}

/// Stores one output as one does on AWS.
pub(crate) async fn store(house: &Storehouse, path: &str, body: Bytes) -> Result<(), Failure> {
    let storage = storage(&connect(house, KEY, Provider::Aws).await);
    storage.put(&path.parse().expect("a path"), body).await
}

/// What lies where an output should.
pub(crate) fn stored(house: &Storehouse, path: &str) -> Option<Vec<u8>> {
    std::fs::read(house.root.path().join("outputs/jobs/7").join(path)).ok()
}
