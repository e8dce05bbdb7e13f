//! The binary as RunPod starts it: without arguments.
#![expect(clippy::disallowed_methods, reason = "the binary itself is what is tried")]

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use runpod_simulator::{Options, Simulator, Templates, ledger::State, traffic::Route};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::gateway::{SECRET, clip};

/// A worker in a process group of its own, which does not outlive its test.
pub(crate) struct Worker(Option<Child>);

impl Worker {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(Some(command.process_group(0).spawn().expect("started")))
    }

    /// The binary, with the platform's environment and `more`, and none of ours.
    pub(crate) fn ours(platform: &Simulator, more: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-handler"));
        let environment = platform.environment("worker-1", Templates::WithQuery);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(environment);
        command.envs(more.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::start(&mut command)
    }

    fn tell(&self, signal: Signal) {
        let child = self.0.as_ref().expect("not waited for yet");
        kill_process(Pid::from_child(child), signal).expect("it is there");
    }

    async fn output(mut self) -> Output {
        let child = self.0.take().expect("not waited for yet");
        spawn_blocking(|| child.wait_with_output()).await.expect("not cut off").expect("ended")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // With the SDK's heartbeat, which is a process of its own.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
        }
    }
}

/// Its log, each line of which has to be of the platform's form.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}"));
    let lines: Vec<_> = text.lines().map(line).collect();
    for line in &lines {
        let members: Vec<_> = line.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["level", "message", "requestId"], "{line}");
    }
    lines
}

#[tokio::test]
async fn it_finds_out_that_it_is_a_worker() {
    let platform = Arc::new(Simulator::start(Options::default()).await.expect("a free port"));
    let directory = tempfile::tempdir().expect("a directory");
    let gateway = crate::gateway::beside(platform.clone(), clip(directory.path())).await;
    let worker = Worker::ours(&platform, &[("HANDLER_WEBHOOK_SECRET", SECRET)]);
    let done = platform.run(gateway.job(1));
    platform.until("done", |record| record.is(&done, State::Completed)).await;
    let held = platform.run(gateway.held_job(2));
    platform.until("in hand", |record| record.is_in_hand(&[&held])).await;
    worker.tell(Signal::TERM);
    gateway.release();
    platform.until("drained", |record| record.is(&held, State::Completed)).await;
    let output = worker.output().await;
    assert_eq!(output.status.code(), Some(0));
    platform.check();
    let lines = lines(&output);
    for id in [&done, &held] {
        let of: Vec<_> = lines.iter().filter(|line| line["requestId"] == **id).collect();
        assert!(of.iter().any(|line| line["message"] == "result delivered"), "{lines:#?}");
        assert!(of.iter().any(|line| {
            line["message"].as_str().is_some_and(|text| text.starts_with("job started"))
        }));
    }
    assert!(lines.iter().any(|line| line["requestId"].is_null() && line["level"] == "INFO"));
    let log = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("the-workers-key") && !log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn sigint_ends_an_idle_worker() {
    let platform = Simulator::start(Options::default()).await.expect("a free port");
    let worker = Worker::ours(&platform, &[("HANDLER_WEBHOOK_SECRET", SECRET)]);
    platform.until("asking", |record| record.is_asking()).await;
    worker.tell(Signal::INT);
    assert_eq!(worker.output().await.status.code(), Some(0));
    platform.check();
}

/// What stops it is where one looks for it: on the platform.
#[tokio::test]
async fn a_worker_that_cannot_start_says_why() {
    let platform = Simulator::start(Options::default()).await.expect("a free port");
    let output = Worker::ours(&platform, &[]).output().await;
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("HANDLER_WEBHOOK_SECRET must be set"), "{stderr}");
    let reason = platform.look(|record| {
        let ping = record.of(Route::Ping).next().expect("told");
        assert_eq!(ping.parameter("status"), Some("unhealthy"));
        ping.parameter("reason").map(str::to_owned)
    });
    assert_eq!(reason.as_deref(), Some("HANDLER_WEBHOOK_SECRET must be set"));
    assert_eq!(platform.look(|record| record.of(Route::Take).count()), 0, "it takes no job");
    platform.check();
}

#[tokio::test]
async fn without_a_host_it_asks_for_a_command() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-handler"));
    let output = command.env_clear().output().expect("run");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.starts_with(b"Reelmill's handler"));
}
