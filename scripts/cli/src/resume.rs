//! What is remembered of an upload between two runs, so that the same command goes on with it.
//!
//! One small file an upload, below the user's state directory, named by what is uploaded where. It
//! is locked while a run works on it, and removed when the upload has come to an end. The URL in it
//! is a capability, so that only its owner can read it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use crate::failure::Failure;

/// Gateways keep no upload longer than this.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    /// With which the media was, or is to be, created once.
    pub(crate) idempotency_key: Uuid,
    /// The tus upload, once it is there.
    pub(crate) upload: Option<Url>,
}

impl Memory {
    fn fresh() -> Self {
        Self { idempotency_key: Uuid::new_v4(), upload: None }
    }
}

/// The memory of one upload.
#[derive(Debug)]
pub(crate) struct Resume {
    /// What it holds.
    pub(crate) memory: Memory,
    /// Whether an earlier run left it.
    pub(crate) old: bool,
    place: Option<(PathBuf, File)>,
}

impl Resume {
    /// What an earlier run left of the upload that `parts` name, or a fresh memory. Without a
    /// directory it lasts no longer than the run.
    ///
    /// # Errors
    /// Another run is at it, or the directory cannot be used.
    pub(crate) fn open(directory: Option<&Path>, parts: &[&str]) -> Result<Self, Failure> {
        let Some(directory) = directory else {
            return Ok(Self { memory: Memory::fresh(), old: false, place: None });
        };
        let cannot = |error: io::Error| {
            Failure::usage(format!("cannot keep state in {}: {error}", directory.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cannot)?;
        let path = directory.join(format!("{}.json", name(parts)));
        let mut file = loop {
            let file = OpenOptions::new()
                .create(true)
                .read(true)
                .write(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(cannot)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::usage("another reelmill is uploading this file"));
                }
                Err(TryLockError::Error(error)) => return Err(cannot(error)),
            }
            // Whoever held the lock before may have removed the file since it was opened.
            if file.metadata().map_err(cannot)?.nlink() > 0 {
                break file;
            }
        };
        let mut text = String::new();
        // What is damaged tells nothing: then the upload begins anew.
        let known =
            file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
        let (old, memory) = (known.is_some(), known.unwrap_or_else(Memory::fresh));
        let mut resume = Self { memory, old, place: Some((path, file)) };
        resume.save()?;
        Ok(resume)
    }

    /// Writes down what it holds now.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn save(&mut self) -> Result<(), Failure> {
        let Some((path, file)) = &mut self.place else { return Ok(()) };
        let text = serde_json::to_vec(&self.memory).expect("a memory is plain data");
        let written = file
            .rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.write_all(&text))
            .and_then(|()| file.sync_data());
        written.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))
    }

    /// Begins anew: with another media.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn reset(&mut self) -> Result<(), Failure> {
        (self.memory, self.old) = (Memory::fresh(), false);
        self.save()
    }

    /// Forgets the upload, which has come to an end.
    pub(crate) fn forget(self) {
        if let Some((path, _lock)) = &self.place {
            // At worst the next run finds an upload that is complete.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes what was left by uploads that no gateway knows any more.
pub(crate) fn tidy(directory: &Path, now: SystemTime) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|found| found.modified());
        let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age > OLDEST) {
            // Housekeeping: what cannot be removed harms nobody.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// One name for `parts`, in which no part can pose as two.
fn name(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    #[test]
    fn the_next_run_finds_what_this_one_left() {
        let directory = directory();
        let below = directory.path().join("a/b");
        let url: Url = "https://gateway.example/api/uploads/1".parse().expect("a URL");
        let mut first = Resume::open(Some(&below), &["x"]).expect("opened");
        assert!(!first.old);
        first.memory.upload = Some(url.clone());
        first.save().expect("saved");
        let left = first.memory.clone();
        drop(first);

        let second = Resume::open(Some(&below), &["x"]).expect("opened");
        assert!(second.old);
        assert_eq!(second.memory, left);
        let other = Resume::open(Some(&below), &["y"]).expect("opened");
        assert_ne!(other.memory.idempotency_key, left.idempotency_key);
        second.forget();
        assert!(!Resume::open(Some(&below), &["x"]).expect("opened").old);
    }

    #[test]
    fn two_runs_do_not_send_one_file() {
        let directory = directory();
        let _first = Resume::open(Some(directory.path()), &["x"]).expect("opened");
        let second = Resume::open(Some(directory.path()), &["x"]).expect_err("locked");
        assert!(second.to_string().contains("another reelmill"));
    }

    #[test]
    fn only_the_owner_can_read_it_and_damage_begins_anew() {
        let directory = directory();
        drop(Resume::open(Some(directory.path()), &["x"]).expect("opened"));
        let file = directory.path().join(format!("{}.json", name(&["x"])));
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&file, "{\"idempotencyKey\":").expect("written");
        assert!(!Resume::open(Some(directory.path()), &["x"]).expect("opened").old);
    }

    #[test]
    fn old_memories_go() {
        let directory = directory();
        drop(Resume::open(Some(directory.path()), &["x"]).expect("opened"));
        let now = SystemTime::now();
        tidy(directory.path(), now);
        assert!(Resume::open(Some(directory.path()), &["x"]).expect("opened").old);
        tidy(directory.path(), now + OLDEST + Duration::from_secs(60));
        assert!(!Resume::open(Some(directory.path()), &["x"]).expect("opened").old);
    }

    #[test]
    fn names_keep_parts_apart() {
        assert_ne!(name(&["ab", "c"]), name(&["a", "bc"]));
    }
}
