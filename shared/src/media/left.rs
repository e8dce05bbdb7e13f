//! Jobs that a media has no more to do with: their platforms may still tell what they cost.

use serde::{Deserialize, Serialize};

use super::{Event, Media};

/// A job whose attempt is over, or has gone on to another backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftJob {
    /// The attempt that it was.
    pub attempt: u8,
    /// The backend that has it.
    pub backend: String,
    /// Its id there.
    pub job: String,
    /// The GPU that it had, where its report said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
}

impl Media {
    /// The job of the running attempt as `event` finds it, with what the event tells of it.
    pub fn running_job(&self, event: &Event) -> Option<LeftJob> {
        let attempt = self.running()?;
        let gpu = match event {
            Event::Reported { report, .. } => report.metrics.gpu_type.clone(),
            _ => None,
        };
        let (number, backend) = (attempt.number, attempt.backend.clone());
        Some(LeftJob { attempt: number, backend, job: attempt.job.clone()?, gpu })
    }

    /// Whether the media has no more to do with a job that was its running one.
    pub fn has_left(&self, job: &LeftJob) -> bool {
        let running = self.running().and_then(|attempt| attempt.job.as_ref());
        running != Some(&job.job)
    }
}
