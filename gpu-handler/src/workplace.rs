//! Work directories: each made for one job alone, with room enough, and gone when it is over.

use std::{io, path::Path, time::Duration};

use reelmill_shared::job::{Failure, FailureCode};
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};
use tempfile::TempDir;

/// What a directory is called, followed by the id of the process that it belongs to.
const PREFIX: &str = "reelmill-work-";
/// Room that a job needs besides twice its source: init segments, pictures, logs.
const MARGIN: u64 = 64 << 20;

/// Makes a directory below `root`; its name tells which process it belongs to.
///
/// # Errors
/// `no_space` or `internal` if that is not possible there.
pub fn make(root: &Path) -> Result<TempDir, Failure> {
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(root);
    made.map_err(|error| failure("no work directory could be made", &error))
}

/// What an error of the disk means for a job: `no_space` if it is full, else `internal`.
pub fn failure(what: &str, error: &io::Error) -> Failure {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let code = match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => FailureCode::NoSpace,
        _ => FailureCode::Internal,
    };
    Failure::new(code, format!("{what} ({})", error.kind()))
}

/// Removes a directory. FFmpeg, just killed, may still be writing its last file.
pub async fn clear(work: TempDir) {
    let path = work.keep();
    for wait in [0, 20, 100, 500, 2000] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        match tokio::fs::remove_dir_all(&path).await {
            Ok(()) => return,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => tracing::debug!(%error, "work directory not yet removed"),
        }
    }
    tracing::error!("a work directory could not be removed");
}

/// Removes what processes left behind that were killed and could not. To be called once, before
/// this process makes a directory of its own.
pub fn sweep(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(owner) = owner.and_then(|owner| owner.parse::<u32>().ok()) else { continue };
        // Our own id can only be that of a process before us.
        if owner == std::process::id() || !Path::new("/proc").join(owner.to_string()).exists() {
            let removed = std::fs::remove_dir_all(entry.path());
            tracing::info!(owner, ?removed, "a process was cut off: its work directory");
        }
    }
}

/// Whether there is room for a source of `size` bytes and what is made of it: as much again, since
/// outputs leave the disk as they are stored.
///
/// # Errors
/// `no_space`, which is transient, if not: a host with a larger disk may take it.
pub fn check_room(work: &Path, size: u64) -> Result<(), Failure> {
    let needed = size.saturating_mul(2).saturating_add(MARGIN);
    let free = rustix::fs::statvfs(work).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    // A file system that cannot tell is not held against the job.
    match free {
        Ok(free) if free < needed => {
            let (needed, free) = (needed >> 20, free >> 20);
            let message = format!("the job needs {needed} MiB of disk, {free} MiB are free");
            Err(Failure::new(FailureCode::NoSpace, message))
        }
        _ => Ok(()),
    }
}

/// Makes a new file `size` bytes long, and takes the room for it at once where the file system can: what
/// is promised to one job is not there for another.
///
/// # Errors
/// Those of the disk, which may be full.
pub async fn reserve(file: tokio::fs::File, size: u64) -> io::Result<()> {
    let file = file.into_std().await;
    let reserving = tokio::task::spawn_blocking(move || {
        if size == 0 {
            return Ok(());
        }
        match fallocate(&file, FallocateFlags::empty(), 0, size) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(size),
            reserved => reserved.map_err(io::Error::from),
        }
    });
    reserving.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sweeps_what_nobody_owns() {
        let root = tempfile::tempdir().expect("a directory");
        // Beyond the largest process id of Linux.
        for name in ["reelmill-work-4194305-abc", "reelmill-work-1-abc", "other-4194305-abc"] {
            std::fs::create_dir(root.path().join(name)).expect("made");
        }
        sweep(root.path());
        let mine = make(root.path()).expect("made");
        let left = || std::fs::read_dir(root.path()).expect("listed").count();
        assert_eq!(left(), 3);
        clear(mine).await;
        assert_eq!(left(), 2);
    }

    #[test]
    fn wants_room() {
        let refused = check_room(Path::new("/tmp"), u64::MAX / 4).expect_err("no such disk");
        assert_eq!((refused.code, refused.transient), (FailureCode::NoSpace, true));
        assert_eq!(check_room(Path::new("/tmp"), 1), Ok(()));
    }

    #[tokio::test]
    async fn takes_the_room_that_it_is_promised() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir().expect("a directory");
        let file = |name| tokio::fs::File::create_new(root.path().join(name));
        reserve(file("some").await.expect("made"), 1 << 20).await.expect("there is room");
        let some = root.path().join("some").metadata().expect("there");
        assert_eq!(some.len(), 1 << 20);
        assert!(some.blocks() * 512 >= 1 << 20, "not only on paper");
        let error = reserve(file("too much").await.expect("made"), 1 << 60).await;
        let refused = failure("x", &error.expect_err("no such disk"));
        assert_eq!(refused.code, FailureCode::NoSpace);
    }
}
