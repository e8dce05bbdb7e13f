//! Brings the source of a job into its work directory.

use std::path::Path;

use futures::FutureExt;
use reelmill_shared::job::{Failure, FailureCode, Input};

use super::Engine;
use crate::{
    fetch::{Options, Source, fetch},
    tracker::Tracker,
    workplace,
};

/// What the source is called in the work directory, whatever its owner calls it.
pub(super) const NAME: &str = "source";

impl Engine {
    /// Puts the source at [`NAME`] below `work`, and tells its SHA-256 where it was read on the way.
    pub(super) async fn bring_source(
        &self,
        input: &Input,
        work: &Path,
        tracker: &Tracker,
    ) -> Result<Option<String>, Failure> {
        if input.size == 0 {
            return Err(Failure::new(FailureCode::UnsupportedMedia, "the source is empty"));
        }
        let most = self.config.limits.source_bytes;
        if input.size > most {
            let message = format!("the source has {} bytes, at most {most}", input.size);
            return Err(Failure::new(FailureCode::LimitExceeded, message));
        }
        workplace::check_room(work, input.size)?;
        let target = work.join(NAME);
        if input.url.scheme() == "file" {
            return link(input, &target).map(|()| None);
        }
        let source = match (input.url.scheme(), &self.s3) {
            // Boxed, as the SDK's futures lie in one another too deep for the compiler.
            ("s3", Some(s3)) => Source::s3(s3, input).boxed().await?,
            _ => Source::http(&self.client, input),
        };
        fetch(source, input, &target, Options::default(), &|share| tracker.fetched(share))
            .await
            .map(Some)
    }
}

/// Uses a local file where it lies, under the opaque name.
fn link(input: &Input, target: &Path) -> Result<(), Failure> {
    let unreadable = |_| Failure::new(FailureCode::FetchFailed, "the source cannot be read");
    let path = input.url.to_file_path().map_err(unreadable)?;
    let unreadable = |_| Failure::new(FailureCode::FetchFailed, "the source cannot be read");
    let path = path.canonicalize().map_err(unreadable)?;
    let metadata = path.metadata().map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() != input.size {
        let message = "the source is not as long as the job says";
        return Err(Failure::new(FailureCode::SourceMismatch, message));
    }
    std::os::unix::fs::symlink(path, target).map_err(unreadable)
}
