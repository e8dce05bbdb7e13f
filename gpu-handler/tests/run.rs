//! `gpu-handler run` as a person runs it: exit codes, and what a killed run leaves.
#![expect(clippy::disallowed_methods, reason = "the binary itself is what is tried")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

/// A place to run in: `work` for the handler, `out` for what it makes.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(root.path().join("work")).expect("a directory");
        Self { root }
    }

    /// Has FFmpeg write a clip of so many seconds.
    fn clip(&self, seconds: u32) -> PathBuf {
        let path = self.root.path().join(format!("{seconds}.mp4"));
        let args = format!("-v error -nostdin -f lavfi -i testsrc2=size=1280x720 -t {seconds}");
        let mut command = Command::new("ffmpeg");
        command.args(args.split_whitespace()).args(["-preset", "ultrafast"]).arg(&path);
        assert!(command.status().expect("ffmpeg is installed").success());
        path
    }

    /// The command that runs a job on `source`.
    fn run(&self, source: &Path) -> Command {
        let size = source.metadata().map_or(1, |file| file.len());
        let url = |path: PathBuf| Url::from_file_path(path).expect("an absolute path");
        let job = json!({"version": 1, "mediaId": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
            "attempt": 1, "input": {"url": url(source.to_owned()), "size": size},
            "output": {"baseUrl": format!("{}/", url(self.root.path().join("out")))}});
        let file = self.root.path().join("job.json");
        std::fs::write(&file, job.to_string()).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-handler"));
        command.arg("run").arg(file).env("REELMILL_WORK_DIR", self.root.path().join("work"));
        command
    }

    fn work(&self) -> usize {
        std::fs::read_dir(self.root.path().join("work")).expect("listed").count()
    }
}

fn status(output: &Output) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    report["status"].clone()
}

#[test]
fn exits_by_outcome() {
    let place = Place::new();
    let done = place.run(&place.clip(1)).output().expect("run");
    assert_eq!((done.status.code(), status(&done)), (Some(0), json!("completed")));
    assert!(place.root.path().join("out/hls/main.m3u8").is_file());
    let failed = place.run(&place.root.path().join("nowhere.mp4")).output().expect("run");
    assert_eq!((failed.status.code(), status(&failed)), (Some(1), json!("failed")));
    let mut nothing = Command::new(env!("CARGO_BIN_EXE_gpu-handler"));
    let nothing = nothing.args(["run", "/nowhere/job.json"]).output().expect("run");
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("the job cannot be read"));
    assert_eq!(place.work(), 0);
}

/// A job that is none is not run: what cannot be read has no report, what can be has one.
#[test]
fn a_job_that_is_none_is_refused() {
    let place = Place::new();
    let _ = place.run(&place.clip(1));
    let file = place.root.path().join("job.json");
    let whole = std::fs::read_to_string(&file).expect("written");
    let run = |text: &str| {
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-handler"));
        let work = place.root.path().join("work");
        command.arg("run").arg(&file).env("REELMILL_WORK_DIR", work).output().expect("run")
    };
    for text in ["", "null", &whole[..whole.len() / 2], &whole.replace("\"input\"", "\"in\"")] {
        let refused = run(text);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{text}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("the job is malformed"), "{said}");
    }
    let refused = run(&whole.replace("\"version\":1", "\"version\":2"));
    assert_eq!((refused.status.code(), status(&refused)), (Some(1), json!("failed")));
    let report: Value = serde_json::from_slice(&refused.stdout).expect("a report");
    assert_eq!(report["error"]["code"], "unsupported_job");
    assert_eq!(place.work(), 0);
}

/// Asked to end, it says what it leaves, and leaves nothing behind.
#[test]
fn reports_that_it_was_stopped() {
    let place = Place::new();
    let mut command = place.run(&place.clip(60));
    command.env("REELMILL_X264_PRESET", "veryslow").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut long = command.spawn().expect("started");
    let mut lines = BufReader::new(long.stderr.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text").starts_with("Encoding")), "it encodes");
    // The rest has to go somewhere.
    let rest = std::thread::spawn(move || lines.for_each(drop));
    let pid = rustix::process::Pid::from_child(&long);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    let stopped = long.wait_with_output().expect("ended");
    rest.join().expect("read");
    assert_eq!(stopped.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&stopped.stdout).expect("a report");
    assert_eq!(report["error"]["code"], "handler_stopped");
    assert_eq!(place.work(), 0);
}

/// Who is killed cannot tidy up: the next does, be it for one job only.
#[test]
fn removes_what_a_killed_run_left() {
    let place = Place::new();
    let mut long = place.run(&place.clip(60)).stderr(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(long.stderr.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text").starts_with("Encoding")), "it encodes");
    long.kill().expect("killed");
    long.wait().expect("gone");
    assert_eq!(place.work(), 1, "the directory of the killed run");
    let next = place.run(&place.clip(1)).output().expect("run");
    assert_eq!(next.status.code(), Some(0));
    assert_eq!(place.work(), 0);
}
