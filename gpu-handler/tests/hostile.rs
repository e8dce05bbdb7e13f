//! Every hostile file ends well: with a typed error or an honest result, soon, small, without a
//! request to anybody and without a byte of anybody else's file.

#[path = "support/media.rs"]
mod media;
#[path = "support/workbench.rs"]
mod workbench;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use media::media;
use reelmill_shared::job::{FailureCode, JobReport, Outcome, Pipeline};
use tokio::net::TcpListener;
use workbench::{Workbench, files};

const PATIENCE: Duration = Duration::from_secs(30);
const MOST_MEMORY: u64 = 1 << 30;
const MOST_OUTPUT: u64 = 50_000_000;
/// In every line of the file that must not leak.
const CANARY: &[u8] = b"CANARY-7f3a9c";
/// Where the hostile references point, absolutely.
const BAIT: &str = "/var/tmp/reelmill-canary";
/// The host and port that they name.
const CANARY_HOST: &[u8] = b"127.0.0.1:8099";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hostile_file_ends_well() {
    let Some(root) = media("hostile") else { return };
    std::fs::create_dir_all(BAIT).expect("a directory for the bait");
    for bait in ["CANARY.txt", "secret_other_tenant.ts"] {
        std::fs::copy(root.join("ssrf").join(bait), Path::new(BAIT).join(bait)).expect("laid");
    }
    let canary = canary().await;
    let host = canary.local_addr().expect("an address").to_string();
    let bench = Workbench::new().await;
    let all = files(&root);
    assert!(all.len() > 90, "the collection has shrunk to {}", all.len());
    let mut complaints = Vec::new();
    for name in all {
        let path = bench.root.path().join("hostile").join(&name);
        lay_out(&root.join(&name), &path, host.as_bytes());
        let case = Case { name: &name, path };
        tokio::select! {
            complaint = case.run(&bench) => complaints.extend(complaint),
            _ = canary.accept() => complaints.push(format!("{name}: called the canary")),
        }
    }
    let marks = files(bench.root.path());
    assert!(!marks.iter().any(|file| file.contains("PWNED")), "{marks:?}");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// A server on a free port of four digits, like the one that the files name.
async fn canary() -> TcpListener {
    for port in 2000..8000 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
    }
    panic!("no port of four digits is free")
}

/// Copies a file, such that it names `host` instead of the usual one: nothing else in it moves.
fn lay_out(from: &Path, to: &Path, host: &[u8]) {
    assert_eq!(host.len(), CANARY_HOST.len());
    let mut bytes = std::fs::read(from).expect("read");
    while let Some(at) = bytes.windows(host.len()).position(|window| window == CANARY_HOST) {
        bytes[at..at + host.len()].copy_from_slice(host);
    }
    std::fs::create_dir_all(to.parent().expect("a directory")).expect("made");
    std::fs::write(to, bytes).expect("written");
}

struct Case<'a> {
    name: &'a str,
    path: PathBuf,
}

impl Case<'_> {
    async fn run(&self, bench: &Workbench) -> Option<String> {
        let began = Instant::now();
        let (done, outputs) = bench.run(&self.path, Pipeline::default()).await;
        let took = began.elapsed();
        let code = failure(&done.report);
        eprintln!("{:45} {:>5.1} s {:?}", self.name, took.as_secs_f64(), code);
        let complaint = |what: String| Some(format!("{}: {what}", self.name));
        if took > PATIENCE {
            return complaint(format!("took {took:?}"));
        }
        if done.peak_memory > MOST_MEMORY {
            return complaint(format!("used {} bytes of memory", done.peak_memory));
        }
        if matches!(code, Some(FailureCode::Internal | FailureCode::TimedOut)) {
            return complaint(format!("is taken for our own fault: {:?}", done.report.outcome));
        }
        if must_be_refused(self.name) && code.is_none() {
            return complaint("was taken".to_owned());
        }
        let mut size = 0;
        for file in files(&outputs) {
            let bytes = std::fs::read(outputs.join(&file)).expect("an output");
            size += bytes.len() as u64;
            if leaks(&bytes) {
                return complaint(format!("leaked into {file}"));
            }
        }
        if size > MOST_OUTPUT {
            return complaint(format!("made {size} bytes"));
        }
        let report = serde_json::to_vec(&done.report).expect("json");
        let told = if self.name.ends_with("CANARY.txt") { "" } else { &done.log };
        if leaks(&report) || leaks(told.as_bytes()) {
            return complaint("leaked into its report or log".to_owned());
        }
        None
    }
}

fn failure(report: &JobReport) -> Option<FailureCode> {
    match &report.outcome {
        Outcome::Completed { .. } => None,
        Outcome::Failed { error } => Some(error.code),
    }
}

/// Whatever refers to something else is refused as a whole, but for an AVI whose pictures are fine.
fn must_be_refused(name: &str) -> bool {
    let harmless = ["ssrf/avi_gab2_hls_file.avi", "ssrf/secret_other_tenant.ts"];
    (name.starts_with("ssrf/") && !harmless.contains(&name))
        || name.starts_with("svg/")
        || name.starts_with("subs/")
        || name == "bomb/mp4_1e9_seconds.mp4"
}

fn leaks(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY)
}
