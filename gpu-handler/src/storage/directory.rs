//! Outputs into a local directory, for a job run by hand.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use reelmill_shared::{
    job::{Failure, FailureCode},
    object_key::OutputPath,
};

use super::Storage;

/// Stores outputs below a directory, which is created as needed.
#[derive(Debug)]
pub struct DirectoryStorage {
    root: PathBuf,
}

impl DirectoryStorage {
    /// Stores below `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    async fn write(&self, path: &OutputPath, body: &[u8]) -> std::io::Result<()> {
        let target = self.root.join(path.as_str());
        if let Some(parent) = target.parent() {
            tokio::fs::create_dir_all(parent).await?;
        }
        // Beside, then renamed: whoever plays the directory never sees half a playlist.
        let partial = target.with_extension("part");
        tokio::fs::write(&partial, body).await?;
        tokio::fs::rename(&partial, &target).await
    }
}

impl Storage for DirectoryStorage {
    fn put<'a>(&'a self, path: &'a OutputPath, body: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            self.write(path, &body).await.map_err(|error| {
                tracing::warn!(%path, %error, "output not written");
                let message = format!("an output could not be written ({})", error.kind());
                Failure::new(FailureCode::StoreFailed, message)
            })
        }
        .boxed()
    }

    fn rewrite_interval(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_replaces_and_leaves_nothing_else() {
        let root = tempfile::tempdir().expect("a directory");
        let storage = DirectoryStorage::new(root.path().join("out"));
        let path: OutputPath = "hls/v720/index.m3u8".parse().expect("a path");
        for body in ["one", "two"] {
            storage.put(&path, Bytes::from(body)).await.expect("stored");
        }
        let folder = root.path().join("out/hls/v720");
        assert_eq!(std::fs::read(folder.join("index.m3u8")).expect("read"), b"two");
        assert_eq!(std::fs::read_dir(folder).expect("listed").count(), 1);
    }
}
