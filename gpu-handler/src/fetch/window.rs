//! One range of a download.

use std::{
    io::SeekFrom,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use reelmill_shared::job::{Failure, FailureCode};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
};

use super::{
    source::{Origin, Trouble},
    unwritable,
};

/// The bytes `start..end` of a source.
pub(super) struct Window {
    pub origin: Arc<dyn Origin>,
    pub start: u64,
    pub end: u64,
    /// Bytes that all windows have got together.
    pub done: Arc<AtomicU64>,
}

impl Window {
    /// Gets the range into the file at `path` and tells where it ends.
    pub(super) async fn fetch(
        &self,
        path: &Path,
        backoff: ExponentialBuilder,
    ) -> Result<u64, Failure> {
        let mut file =
            File::options().write(true).open(path).await.map_err(|error| unwritable(&error))?;
        let mut reached = self.start;
        let mut waits = backoff.build();
        loop {
            let before = reached;
            match self.attempt(&mut file, &mut reached).await {
                Ok(()) => return Ok(self.end),
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Err(Trouble::Passing(reason)) => {
                    if reached > before {
                        waits = backoff.build();
                    }
                    let Some(wait) = waits.next() else {
                        return Err(Failure::new(
                            FailureCode::FetchFailed,
                            format!("the source could not be fetched: {reason}"),
                        ));
                    };
                    tracing::warn!(reason, start = self.start, reached, ?wait, "range broke off");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn attempt(&self, file: &mut File, reached: &mut u64) -> Result<(), Trouble> {
        let mut body = self.origin.open(*reached, self.end).await?;
        let disk = |error: std::io::Error| Trouble::Lasting(unwritable(&error));
        file.seek(SeekFrom::Start(*reached)).await.map_err(disk)?;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(Trouble::Passing)?;
            if chunk.len() as u64 > self.end - *reached {
                return Err(Trouble::mismatch("the source answered with more than was asked for"));
            }
            file.write_all(&chunk).await.map_err(disk)?;
            *reached += chunk.len() as u64;
            self.done.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        // Tokio's file writes behind: an error of the last write shows only here.
        file.flush().await.map_err(disk)?;
        if *reached == self.end { Ok(()) } else { Err(Trouble::Passing("an answer was cut short")) }
    }
}
