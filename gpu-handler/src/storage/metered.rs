//! Counts what is stored and stops a job that stores without end.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use reelmill_shared::{
    job::{Failure, FailureCode},
    object_key::OutputPath,
};

use super::Storage;

/// A storage that takes at most so many bytes, counting every write.
pub struct MeteredStorage {
    inner: Box<dyn Storage>,
    bytes: AtomicU64,
    most: u64,
}

impl MeteredStorage {
    /// Passes on to `inner` until `most` bytes have been stored.
    pub fn new(inner: Box<dyn Storage>, most: u64) -> Self {
        Self { inner, bytes: AtomicU64::new(0), most }
    }

    /// Bytes that were stored so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Storage for MeteredStorage {
    fn put<'a>(&'a self, path: &'a OutputPath, body: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let size = body.len() as u64;
            if self.bytes.fetch_add(size, Ordering::Relaxed) + size > self.most {
                let message = format!("the outputs are larger than {} bytes", self.most);
                return Err(Failure::new(FailureCode::LimitExceeded, message));
            }
            self.inner.put(path, body).await
        }
        .boxed()
    }

    fn rewrite_interval(&self) -> Duration {
        self.inner.rewrite_interval()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        self.inner.settle()
    }
}

#[cfg(test)]
mod tests {
    use super::super::DirectoryStorage;
    use super::*;

    #[tokio::test]
    async fn counts_and_stops() {
        let root = tempfile::tempdir().expect("a directory");
        let inner = DirectoryStorage::new(root.path().to_owned());
        let storage = MeteredStorage::new(Box::new(inner), 5);
        let path: OutputPath = "poster.jpg".parse().expect("a path");
        assert_eq!(storage.put(&path, Bytes::from("abc")).await, Ok(()));
        assert_eq!(storage.bytes(), 3);
        let refused = storage.put(&path, Bytes::from("abc")).await.expect_err("too much");
        assert_eq!(refused.code, FailureCode::LimitExceeded);
    }
}
