//! The message that wakes a worker, and asks for nothing.
//!
//! A platform that scales to zero starts a worker when a job is handed in. This is the job for which
//! there is nothing to do: sent when an upload begins, it has a worker start meanwhile.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::JOB_VERSION;

/// The message. A handler answers it with success at once: it takes no slot, and there is nobody to
/// report to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WarmSpec {
    /// [`JOB_VERSION`].
    version: u32,
    /// Tells it from jobs.
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Warm,
}

impl Default for WarmSpec {
    fn default() -> Self {
        Self { version: JOB_VERSION, kind: Kind::Warm }
    }
}

impl WarmSpec {
    /// Whether a message is this one, in a version that is known.
    pub fn is(input: &Value) -> bool {
        Self::deserialize(input).is_ok_and(|spec| spec.version == JOB_VERSION)
    }
}
