//! One running FFmpeg that encodes: its progress, its PCM, its end.

use std::{ffi::OsString, os::fd::OwnedFd, process::Stdio, time::Duration};

use reelmill_shared::job::{Failure, FailureCode};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::unix::pipe::Receiver,
    process::{Child, ChildStdout},
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{Ending, Log, Parser, Run, Runner, Tick, built, not_started, read_log, spawn};

/// How long FFmpeg may take to exit once it has said that it is done.
const EXIT_TIME: Duration = Duration::from_secs(30);

/// A running FFmpeg. Dropping it kills the process.
#[derive(Debug)]
pub struct Encoding {
    child: Child,
    group: Group,
    progress: watch::Receiver<Tick>,
    pulse: Option<Pulse>,
    reader: AbortOnDropHandle<()>,
    log: AbortOnDropHandle<Log>,
    pcm: Option<ChildStdout>,
    started: Instant,
    used: (Duration, u64),
}

/// What a finished FFmpeg left.
#[derive(Debug)]
pub struct Finished {
    /// Its last account of itself.
    pub last: Tick,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Its largest resident memory, in bytes.
    pub peak_memory: u64,
    /// What it wrote to stderr.
    pub log: Log,
    /// How it ended, or why we ended it.
    pub result: Result<(), Failure>,
}

impl Runner {
    /// Starts FFmpeg with `args`, of which `-progress pipe:0` is one.
    ///
    /// # Errors
    /// `internal` if it could not be started.
    pub fn start(&self, args: &[OsString], run: Run<'_>) -> Result<Encoding, Failure> {
        let vstats = ["-vstats_file", "/proc/self/fd/0"].map(OsString::from);
        let (program, args) = built(&self.tools.ffmpeg, &[&vstats, args].concat());
        let mut line = vec![program];
        line.extend(args);
        let mut command = self.sandboxed(&line, &run);
        let (ours, theirs) = std::io::pipe().map_err(|error| not_started(&error))?;
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        // The command holds the other end until it is dropped, in here.
        let mut child = spawn(command)?;
        let group = Group::of(&child)?;
        let ours = Receiver::from_owned_fd(ours.into()).map_err(|error| not_started(&error))?;
        let (sender, progress) = watch::channel(Tick::default());
        let pulse = Some(Pulse(sender.clone()));
        let reader = spawn_abortable(read_progress(ours, Pulse(sender)));
        let log = spawn_abortable(read_log(child.stderr.take()));
        let pcm = child.stdout.take();
        Ok(Encoding {
            child,
            group,
            progress,
            pulse,
            reader,
            log,
            pcm,
            started: Instant::now(),
            used: Default::default(),
        })
    }
}

impl Encoding {
    /// How far it is; the newest tick wins.
    pub fn progress(&self) -> watch::Receiver<Tick> {
        self.progress.clone()
    }

    /// Its standard output, and a way to tell how far it got. It must be read, or FFmpeg waits; and
    /// both must be let go when it ends.
    pub fn take_pcm(&mut self) -> Option<(ChildStdout, Pulse)> {
        self.pcm.take().zip(self.pulse.take())
    }

    /// Waits for its end, or brings it about: when it takes longer than `wall`, or when nothing
    /// advances for `stall`. To cancel it, drop it.
    pub async fn finish(mut self, wall: Duration, stall: Duration) -> Finished {
        // Whoever still holds a pulse keeps the progress from ending.
        self.pulse = None;
        let watched = self.watch(wall, stall).await;
        // FFmpeg has closed its end of the progress, or is about to die. Until we wait for it, the
        // kernel keeps the account of what it used.
        if watched.is_err() {
            self.group.kill();
        }
        self.sample();
        let ending = match tokio::time::timeout(EXIT_TIME, self.child.wait()).await {
            Ok(Ok(status)) => Ending::of(status),
            Ok(Err(_)) | Err(_) => {
                self.group.kill();
                Ending::TimedOut
            }
        };
        let (cpu, peak_memory) = self.used;
        let last = *self.progress.borrow();
        let log = (&mut self.log).await.unwrap_or_default();
        let result = watched.and_then(|()| match ending {
            Ending::Success => Ok(()),
            // Neither a word nor a result: the reason lies in the source.
            Ending::Code(_) if log.diagnose().is_none() && last.out_time.is_zero() => {
                let message = "nothing in the source could be decoded";
                Err(Failure::new(FailureCode::CorruptMedia, message))
            }
            ending => Err(ending.failure(&log)),
        });
        Finished { last, cpu, peak_memory, log, result }
    }

    /// Takes down what was used so far: a dead process no longer tells its memory.
    fn sample(&mut self) {
        let (cpu, memory) = self.group.usage();
        self.used = (self.used.0.max(cpu), self.used.1.max(memory));
    }

    /// Returns when the progress ends, or says why FFmpeg has to be stopped.
    async fn watch(&mut self, wall: Duration, stall: Duration) -> Result<(), Failure> {
        let timed_out = |message: &str| Err(Failure::new(FailureCode::TimedOut, message));
        let end = self.started + wall;
        loop {
            let patience = (Instant::now() + stall).min(end);
            match timeout_at(patience, self.progress.changed()).await {
                Ok(Ok(())) => self.sample(),
                Ok(Err(_)) => return Ok(()),
                Err(_) if Instant::now() >= end => return timed_out("encoding took too long"),
                Err(_) => return timed_out("encoding made no progress for too long"),
            }
        }
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        self.reader.abort();
        if matches!(self.child.try_wait(), Ok(None)) {
            self.group.kill();
        }
    }
}

/// The process group of a child that leads it.
#[derive(Debug, Clone, Copy)]
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> Result<Self, Failure> {
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        id.map(Self)
            .ok_or_else(|| Failure::new(FailureCode::Internal, "a tool ended before it had begun"))
    }

    fn kill(self) {
        // It may just have ended by itself, which is as good.
        let _ = kill_process_group(self.0, Signal::KILL);
    }

    /// CPU time and peak resident memory, from `/proc`; zero if it is gone already.
    fn usage(self) -> (Duration, u64) {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{}/{file}", self.0.as_raw_nonzero()))
                .unwrap_or_default()
        };
        (cpu_time(&read("stat")).unwrap_or_default(), peak_memory(&read("status")).unwrap_or(0))
    }
}

/// Fields 14 and 15 of `/proc/{pid}/stat` (proc(5)), in ticks of 1/100 s on every Linux.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

/// `VmHWM` of `/proc/{pid}/status`, in bytes.
fn peak_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

async fn read_progress(source: Receiver, pulse: Pulse) {
    let mut lines = BufReader::new(source).lines();
    let mut parser = Parser::default();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(tick) = parser.line(&line) {
            pulse.tick(tick);
        }
    }
}

/// Tells that an encoding lives.
#[derive(Debug, Clone)]
pub struct Pulse(watch::Sender<Tick>);

impl Pulse {
    /// So much was written, as seen from outside.
    pub fn reached(&self, out_time: Duration) {
        let last = *self.0.borrow();
        self.tick(Tick { out_time, ..last });
    }

    /// FFmpeg goes on talking when it is stuck; only an advance counts as life.
    fn tick(&self, tick: Tick) {
        self.0.send_if_modified(|last| {
            let advances = tick.advances(last);
            *last = Tick { out_time: tick.out_time.max(last.out_time), ..tick };
            advances
        });
    }
}

fn spawn_abortable<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> AbortOnDropHandle<T> {
    let handle: JoinHandle<T> = tokio::spawn(task);
    AbortOnDropHandle::new(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc() {
        let stat = "4242 (a) b) S 1 4242 4242 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_time(""), None);
        assert_eq!(peak_memory("Name:\tx\nVmHWM:\t    2048 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(peak_memory("Name:\tx\n"), None);
    }
}
