//! The process of an environment, and its signals.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};

/// What processes wrote, line by line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<String>>);

impl Log {
    /// All of it.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn follow(&self, source: Option<impl AsyncRead + Unpin + Send + 'static>) {
        let (Some(source), log) = (source, self.clone()) else { return };
        let mut lines = BufReader::new(source).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = log.0.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
    }
}

/// A process in a group of its own, which is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    pub(crate) fn start(mut command: Command, log: &Log) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        log.follow(child.stdout.take());
        log.follow(child.stderr.take());
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group })
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Freezes it; nobody in it notices but by the clock.
    pub(crate) fn freeze(&self) {
        self.tell(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.tell(Signal::CONT);
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.tell(Signal::TERM);
    }

    /// Ends it.
    pub(crate) fn kill(&self) {
        self.tell(Signal::KILL);
    }

    /// The names of the processes that it has started and that still run.
    pub(crate) fn children(&self) -> Vec<String> {
        let Some(pid) = self.child.id() else { return Vec::new() };
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let listed = tasks.into_iter().flatten().flatten();
        let children: Vec<String> = listed
            .flat_map(|task| {
                let ids = read(task.path().join("children"));
                ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        // `pid (name) state …`; a zombie runs no more.
        let stats = children.iter().map(|id| read(format!("/proc/{id}/stat").into()));
        stats.filter(|stat| !stat.is_empty() && !stat.contains(") Z ")).collect()
    }

    fn tell(&self, signal: Signal) {
        // Once it is waited for, its number may be another's.
        if let (Some(group), Some(_)) = (self.group, self.child.id()) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
