//! SHA-256 of a file that is still growing together.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
};

use reelmill_shared::job::{Failure, FailureCode};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::unwritable;

/// Hashes behind the download, on a thread of its own.
pub(super) struct Checksum {
    reached: Sender<u64>,
    digest: JoinHandle<std::io::Result<String>>,
}

impl Checksum {
    /// Begins with the file at `path`, which exists.
    pub(super) fn start(path: &Path) -> Self {
        let (reached, receiver) = channel();
        let path = path.to_owned();
        let digest = tokio::task::spawn_blocking(move || hash(path, &receiver));
        Self { reached, digest }
    }

    /// Everything before `offset` is there.
    pub(super) fn reached(&self, offset: u64) {
        // If the thread is gone it had an error, which `finish` brings.
        let _ = self.reached.send(offset);
    }

    /// Waits for the hash of everything, and compares it with the one that is expected, if any.
    pub(super) async fn finish(self, expected: Option<&str>) -> Result<String, Failure> {
        drop(self.reached);
        let digest = match self.digest.await {
            Ok(digest) => digest.map_err(|error| unwritable(&error))?,
            Err(_) => return Err(super::crashed()),
        };
        if expected.is_none_or(|expected| expected.eq_ignore_ascii_case(&digest)) {
            Ok(digest)
        } else {
            let message = "the source does not match its checksum";
            Err(Failure::new(FailureCode::SourceMismatch, message))
        }
    }
}

fn hash(path: PathBuf, reached: &Receiver<u64>) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut at = 0;
    for offset in reached {
        while at < offset {
            let room = buffer.len().min(usize::try_from(offset - at).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..room])?;
            hash.update(&buffer[..room]);
            at += room as u64;
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
