//! Starts FFmpeg and ffprobe, and nothing else in this crate starts a process.
//!
//! `ffmpeg-sidecar` builds the command and reads the log; the process itself runs under tokio, in a
//! [`sandbox`](crate::sandbox), in a process group of its own that dies with its owner. FFmpeg's
//! standard input is the writing end of a pipe to which it writes its progress, its standard output
//! carries PCM, its standard error is kept in bounded memory.

mod encoding;
mod gpu;
mod log;
mod progress;

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use ffmpeg_sidecar::command::FfmpegCommand;
use reelmill_shared::job::{Failure, FailureCode};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    config::{self, Tools},
    sandbox::{Layers, Order, Profile},
};

pub use encoding::{Encoding, Finished, Pulse};
pub use log::Log;
pub use progress::{Parser, Tick};

/// What a tool that was run to its end left.
#[derive(Debug)]
pub struct Captured {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub log: Log,
    /// How it ended.
    pub ending: Ending,
}

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With exit code 0.
    Success,
    /// With another exit code.
    Code(i32),
    /// By a signal that we did not send.
    Signal(i32),
    /// By us: it took too long.
    TimedOut,
    /// By us: it wrote more than it may.
    TooMuchOutput,
}

impl Ending {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Self::Success,
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }

    /// Why this ending is a failure; `log` is asked when the ending itself does not tell.
    pub fn failure(self, log: &Log) -> Failure {
        let (code, message) = match self {
            Self::TimedOut => (FailureCode::TimedOut, "the file took too long"),
            Self::TooMuchOutput => (FailureCode::LimitExceeded, "the file describes too much"),
            Self::Signal(libc::SIGXCPU) => (FailureCode::TimedOut, "FFmpeg used up its CPU time"),
            Self::Signal(libc::SIGXFSZ) => (FailureCode::LimitExceeded, "an output grew too large"),
            Self::Signal(libc::SIGKILL) => {
                (FailureCode::Internal, "FFmpeg was killed, probably for want of memory")
            }
            Self::Signal(_) => (FailureCode::Internal, "FFmpeg crashed on this file"),
            Self::Success | Self::Code(_) => {
                return log.diagnose().unwrap_or_else(|| {
                    let message = "FFmpeg failed for a reason that it did not name";
                    Failure::new(FailureCode::Internal, message)
                });
            }
        };
        Failure::new(code, message)
    }
}

/// Runs the tools.
#[derive(Debug, Clone)]
pub struct Runner {
    tools: Tools,
}

impl Runner {
    /// Runs `tools`.
    pub fn new(tools: Tools) -> Self {
        Self { tools }
    }

    /// FFmpeg with `args`, to its end.
    ///
    /// # Errors
    /// `internal` if it could not be started; how it ended is in the answer.
    pub async fn ffmpeg(&self, args: &[OsString], run: Run<'_>) -> Result<Captured, Failure> {
        let (program, args) = built(&self.tools.ffmpeg, args);
        self.capture(&program, &args, run).await
    }

    /// ffprobe with `args`, to its end.
    ///
    /// # Errors
    /// `internal` if it could not be started; how it ended is in the answer.
    pub async fn ffprobe(&self, args: &[OsString], run: Run<'_>) -> Result<Captured, Failure> {
        self.capture(self.tools.ffprobe.as_os_str(), args, run).await
    }

    /// Which layers of the sandbox work: told by a process that has just built them.
    ///
    /// # Errors
    /// `internal` if a layer is missing that is required, or none could be tried.
    pub async fn layers(&self, run: Run<'_>) -> Result<Layers, Failure> {
        let captured = self.finish(self.sandboxed(&[], &run), &run).await?;
        serde_json::from_slice(&captured.stdout).map_err(|_| {
            let said = captured.log.text();
            Failure::new(FailureCode::Internal, format!("no sandbox here: {}", said.trim()))
        })
    }

    async fn capture(
        &self,
        program: &OsStr,
        args: &[OsString],
        run: Run<'_>,
    ) -> Result<Captured, Failure> {
        let mut line = vec![program.to_owned()];
        line.extend_from_slice(args);
        self.finish(self.sandboxed(&line, &run), &run).await
    }

    async fn finish(
        &self,
        mut command: std::process::Command,
        run: &Run<'_>,
    ) -> Result<Captured, Failure> {
        command.stdin(Stdio::null());
        let mut child = spawn(command)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = async {
            tokio::join!(read_bounded(stdout, run.max_output), read_log(stderr), child.wait())
        };
        match tokio::time::timeout(run.wall, reading).await {
            Err(_) => {
                // Dropping the child kills it; the sandbox lets it have no children of its own.
                Ok(Captured { stdout: Vec::new(), log: Log::default(), ending: Ending::TimedOut })
            }
            Ok((None, log, _)) => {
                Ok(Captured { stdout: Vec::new(), log, ending: Ending::TooMuchOutput })
            }
            Ok((Some(stdout), log, status)) => {
                let status = status.map_err(|error| not_started(&error))?;
                Ok(Captured { stdout, log, ending: Ending::of(status) })
            }
        }
    }

    /// The command that builds the sandbox and then becomes `line`.
    #[expect(clippy::disallowed_methods, reason = "here is where processes are started")]
    fn sandboxed(&self, line: &[OsString], run: &Run<'_>) -> std::process::Command {
        let order = Order { required: self.tools.sandbox_required, profile: run.profile.clone() };
        let order = serde_json::to_string(&order).expect("an order is plain data");
        let mut command = std::process::Command::new(&self.tools.launcher);
        command
            .args(["sandbox", &order, "--"])
            .args(line)
            .current_dir(run.dir)
            .env_clear()
            .envs(config::tool_environment())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }
}

/// The circumstances of one run.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Working directory.
    pub dir: &'a Path,
    /// What may be reached.
    pub profile: &'a Profile,
    /// Longest time on the wall clock.
    pub wall: Duration,
    /// Most bytes of standard output, where it is captured.
    pub max_output: usize,
}

/// The command line as `ffmpeg-sidecar` builds it: with the log levels that its parser expects.
fn built(ffmpeg: &Path, args: &[OsString]) -> (OsString, Vec<OsString>) {
    let mut command = FfmpegCommand::new_with_path(ffmpeg);
    command.args(args);
    let program = command.as_inner().get_program().to_owned();
    (program, command.get_args().map(OsStr::to_owned).collect())
}

fn spawn(command: std::process::Command) -> Result<tokio::process::Child, Failure> {
    tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| not_started(&error))
}

fn not_started(error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::Internal, format!("a tool could not be run ({})", error.kind()))
}

/// All of `source`, or `None` if it is more than `max` bytes.
async fn read_bounded(source: Option<impl AsyncRead + Unpin>, max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let source = source?;
    let limit = max as u64 + 1;
    // A pipe that breaks is a tool that ended, which its status tells.
    let _ = source.take(limit).read_to_end(&mut bytes).await;
    (bytes.len() <= max).then_some(bytes)
}

async fn read_log(source: Option<impl AsyncRead + Unpin>) -> Log {
    let mut log = Log::default();
    let mut buffer = [0; 4096];
    if let Some(mut source) = source {
        while let Ok(count @ 1..) = source.read(&mut buffer).await {
            log.push(&buffer[..count]);
        }
    }
    log
}
