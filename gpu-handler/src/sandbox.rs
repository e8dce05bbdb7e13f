//! The walls around FFmpeg: media files are hostile, and decoders have bugs.
//!
//! FFmpeg and ffprobe are never started directly, but through this binary's hidden `sandbox`
//! command, which builds the walls around itself and then becomes the tool by `exec`. So no unsafe
//! code between fork and exec is needed, and the walls stand before the tool's first instruction:
//!
//! * resource limits (CPU time, memory, size of a file, open files), no core dumps;
//! * Landlock: reads the system's libraries and the source, writes the job's directory, no TCP;
//! * seccomp: no sockets at all, no new processes, no tracing, no kernel interfaces beyond files;
//! * `no_new_privs`, and death with the handler.
//!
//! In scope: what the tool can reach. Out of scope: what it may produce, which the engine checks.

mod files;
mod limits;
mod syscalls;

use std::{ffi::OsString, io, os::unix::process::CommandExt, path::PathBuf, process::Command};

use serde::{Deserialize, Serialize};

pub use files::Landlock;
pub use limits::Limits;

/// Exit code when the walls could not be built or the tool could not be started.
pub const EXIT_SANDBOX: u8 = 125;

/// What the hidden command is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Refuse to run unless every layer works; otherwise build those that the kernel has.
    pub required: bool,
    /// What the tool may reach.
    pub profile: Profile,
}

/// What one invocation of a tool may reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Let the NVIDIA driver's devices through.
    pub gpu: bool,
    /// Files and directories to read, besides the system's libraries and fonts.
    pub read: Vec<PathBuf>,
    /// Directories to write below.
    pub write: Vec<PathBuf>,
    /// Resource limits.
    pub limits: Limits,
}

/// Which layers work on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layers {
    /// Access to files and TCP.
    pub landlock: Landlock,
    /// System calls.
    pub seccomp: bool,
    /// Resource limits.
    pub rlimits: bool,
    /// No privileges through set-user-id programs.
    pub no_new_privileges: bool,
}

impl Layers {
    /// Whether nothing is missing.
    pub fn complete(&self) -> bool {
        self.landlock == Landlock::Full && self.seccomp && self.rlimits && self.no_new_privileges
    }
}

/// Why a sandbox could not be built.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The order is not what this build writes.
    #[error("the sandbox order is malformed: {0}")]
    Order(#[from] serde_json::Error),
    /// The kernel lacks a layer that is required.
    #[error("the sandbox is required, but not all of its layers work here: {0:?}")]
    Incomplete(Layers),
    /// A path of the profile could not be opened.
    #[error("a path of the sandbox profile cannot be used: {0}")]
    Path(String),
    /// The tool could not be started.
    #[error("the tool could not be started: {0}")]
    Exec(io::Error),
}

/// Builds the walls around this process, then becomes `command`; with no command, tells which
/// layers work. Returns only on failure or to tell.
///
/// # Errors
/// [`SandboxError`].
#[expect(clippy::disallowed_methods, reason = "here is where this process becomes a tool")]
pub fn enter(order: &str, command: &[OsString]) -> Result<Layers, SandboxError> {
    let Order { required, profile } = serde_json::from_str(order)?;
    let program = command.first().map(PathBuf::from);
    let layers = build(&profile, program)?;
    if required && !layers.complete() {
        return Err(SandboxError::Incomplete(layers));
    }
    match command.split_first() {
        None => Ok(layers),
        Some((program, args)) => Err(SandboxError::Exec(Command::new(program).args(args).exec())),
    }
}

fn build(profile: &Profile, program: Option<PathBuf>) -> Result<Layers, SandboxError> {
    // Best effort by nature: a handler that dies while this starts is noticed by its group.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let rlimits = profile.limits.apply().is_ok();
    let no_new_privileges = rustix::thread::set_no_new_privs(true).is_ok();
    let landlock = files::restrict(profile, program)?;
    let seccomp = syscalls::restrict().is_ok();
    Ok(Layers { landlock, seccomp, rlimits, no_new_privileges })
}
