//! Child processes in groups of their own, so that nothing outlives its owner.

mod redact;

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, PipeReader, Write},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// How long a process may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(8);

/// A command whose process also ends when its parent is killed without a chance to clean up.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this package that starts processes"
)]
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=TERM").arg("--").arg(program.as_ref());
    command
}

/// A running process with all its descendants. Dropping it stops them.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// How long the log was before; what stands there is of earlier runs.
    before: usize,
}

impl Process {
    /// Starts `command` in a process group of its own; both its outputs are appended to `log`,
    /// without the capabilities in them.
    pub fn start(mut command: Command, log: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let before = usize::try_from(file.metadata()?.len())?;
        let (output, writer) = std::io::pipe()?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_args().nth(2)))?;
        // Ends with the last process that holds the other end.
        std::thread::spawn(move || copy(output, file));
        Ok(Self { child, log, before })
    }

    /// Its process id, which is also its group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub fn output(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| {
                let own = bytes.get(self.before..).unwrap_or_default();
                String::from_utf8_lossy(own).into_owned()
            })
            .unwrap_or_default()
    }

    /// Its status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kills the whole group at once, as a crash would.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        // Only fails for a child that was waited for already.
        let _ = self.child.wait();
    }

    /// Asks the group to end, waits, and kills what is left after eight seconds.
    pub fn stop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::SIGTERM);
            let deadline = Instant::now() + GRACE;
            while self.ended().is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.kill();
    }

    fn signal(&self, signal: Signal) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits into i32"));
        // ESRCH: the group is gone, which is what is wanted.
        let _ = killpg(group, signal);
    }
}

/// Copies lines as they come. What cannot be written is lost; the process is not held up by it.
fn copy(output: PipeReader, mut log: impl Write) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let _ = log.write_all(redact::redact(&String::from_utf8_lossy(&line)).as_bytes());
        line.clear();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
