//! Encodes a source and publishes what comes out.

use std::{path::Path, sync::Arc};

use reelmill_shared::{
    job::{Failure, FailureCode, JobSpec, Outcome, Stage},
    probe::SourceInfo,
};
use tokio::time::Instant;

use super::{Engine, Notes};
use crate::{storage::Storage, tracker::Tracker};

/// What is known when encoding begins.
pub(super) struct Job<'a> {
    pub spec: &'a JobSpec,
    pub info: SourceInfo,
    pub work: &'a Path,
    pub storage: Arc<dyn Storage>,
    pub started: Instant,
}

impl Engine {
    /// Makes all outputs of the job.
    pub(super) async fn encode(
        &self,
        job: Job<'_>,
        tracker: &Tracker,
        notes: &mut Notes,
    ) -> Result<Outcome, Failure> {
        let _ = (job.spec, job.info, job.work, job.storage, job.started, &notes.log);
        tracker.enter(Stage::Encoding);
        Err(Failure::new(FailureCode::Internal, "encoding is not there yet"))
    }
}
