//! Resource limits (`setrlimit(2)`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// How much a tool may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// CPU time of all threads together, in seconds; past it the tool is killed.
    pub cpu_seconds: u64,
    /// Private writable memory in bytes; past it allocations fail. Not the address space, of which
    /// CUDA reserves more than there is memory.
    pub memory_bytes: Option<u64>,
    /// Size of one written file in bytes; past it the tool is killed.
    pub file_bytes: u64,
    /// Open files.
    pub open_files: u64,
}

impl Limits {
    /// Applies the limits to this process, soft and hard, never above what is in force.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn apply(&self) -> rustix::io::Result<()> {
        set(Resource::Core, 0)?;
        // One second between soft and hard, so that SIGXCPU names the reason before SIGKILL.
        let cpu = Rlimit {
            current: Some(self.cpu_seconds),
            maximum: Some(self.cpu_seconds.saturating_add(1)),
        };
        setrlimit(Resource::Cpu, cpu)?;
        set(Resource::Fsize, self.file_bytes)?;
        set(Resource::Nofile, self.open_files)?;
        self.memory_bytes.map_or(Ok(()), |bytes| set(Resource::Data, bytes))
    }
}

fn set(resource: Resource, wanted: u64) -> rustix::io::Result<()> {
    let limit = getrlimit(resource).maximum.map_or(wanted, |maximum| wanted.min(maximum));
    setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
}
