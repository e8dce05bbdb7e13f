//! The handler's binary as a process.
#![expect(clippy::disallowed_methods, reason = "the binary itself is what is tried")]

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    time::{Instant, timeout},
};

use crate::PATIENCE;

/// A process in a group of its own, which does not outlive its test.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    pid: Pid,
    log: watch::Receiver<String>,
}

impl Worker {
    /// Starts `program` without arguments, with this environment and none of the test's.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<K: AsRef<str>, V: AsRef<str>>(
        program: &Path,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::start_with(program, &[], environment)
    }

    /// The same with arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with<K: AsRef<str>, V: AsRef<str>>(
        program: &Path,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        for (name, value) in environment {
            command.env(name.as_ref(), value.as_ref());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).kill_on_drop(true).spawn().expect("started");
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let log = watch::Sender::default();
        let receiver = log.subscribe();
        keep(child.stdout.take().expect("piped"), log.clone());
        keep(child.stderr.take().expect("piped"), log);
        Self { child, pid: pid.expect("it was started"), log: receiver }
    }

    /// What it has written so far, to both of its outputs.
    pub fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// What follows `words` in a line of the log, once there is one.
    ///
    /// # Panics
    /// When there is none within a minute, or the process has ended.
    pub async fn says(&self, words: &str) -> String {
        let mut log = self.log.clone();
        let rest = |log: &str| {
            let (_, rest) = log.split_once(words)?;
            rest.split_once('\n').map(|(line, _)| line.to_owned())
        };
        match timeout(PATIENCE, log.wait_for(|log| rest(log).is_some())).await {
            Ok(Ok(log)) => rest(&log).expect("it was there"),
            _ => panic!("it never says {words}: {}", self.log()),
        }
    }

    /// Sends a signal to it, and to it alone.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn tell(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it is there");
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it has not within a minute.
    pub async fn ended(&mut self) -> ExitStatus {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.expect("a child"),
            Err(_) => panic!("it does not end: {}", self.log()),
        }
    }

    /// Ends it as a crash does: without a warning.
    pub async fn crash(mut self) {
        self.tell(Signal::KILL);
        self.ended().await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // With whatever it has started in its own group. Gone is as good.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

/// Copies lines into the log as they come.
fn keep(output: impl AsyncRead + Unpin + Send + 'static, log: watch::Sender<String>) {
    tokio::spawn(async move {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            log.send_modify(|log| log.push_str(&String::from_utf8_lossy(&line)));
            line.clear();
        }
    });
}

/// Waits until no process is left whose working directory is below `directory`: neither the worker
/// nor a tool of its.
///
/// # Panics
/// When there is one after a minute.
pub async fn until_nothing_runs_in(directory: &Path) {
    let end = Instant::now() + PATIENCE;
    loop {
        let running: Vec<_> = std::fs::read_dir("/proc")
            .expect("Linux")
            .flatten()
            .filter(|process| {
                let place = std::fs::read_link(process.path().join("cwd"));
                place.is_ok_and(|place| place.starts_with(directory))
            })
            .map(|process| process.file_name())
            .collect();
        if running.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "still running in {}: {running:?}", directory.display());
        // The kernel tells nobody but parents.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
