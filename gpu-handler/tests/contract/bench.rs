//! A home, a worker in it, and the gateway that the worker reports to.

use std::{path::PathBuf, process::ExitStatus};

use handler_harness::{Gateway, Record, SECRET, Worker, clips, until_nothing_runs_in};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::home::{Fate, Home, Ticket};

/// The handler's binary.
pub(crate) const HANDLER: &str = env!("CARGO_BIN_EXE_gpu-handler");

/// The kind of a source.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// Encoded at once.
    Short,
    /// Encoded for seconds.
    Long,
    /// No media.
    Junk,
}

/// All of them. The worker is started by [`start`](Self::start).
pub(crate) struct Bench<H> {
    pub(crate) home: H,
    pub(crate) gateway: Gateway,
    worker: Option<Worker>,
    directory: TempDir,
}

impl<H: Home> Bench<H> {
    /// A home with a worker in it.
    pub(crate) async fn new(source: Source) -> Self {
        let mut bench = Self::without_worker(source).await;
        bench.start(&[]).await;
        bench
    }

    /// A home in which nobody works yet.
    pub(crate) async fn without_worker(source: Source) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clip = match source {
            Source::Short => clips::short(directory.path()),
            Source::Long => clips::long(directory.path()),
            Source::Junk => clips::junk(),
        };
        std::fs::create_dir(directory.path().join("work")).expect("a directory");
        let gateway = Gateway::start(clip).await;
        Self { home: H::open().await, gateway, worker: None, directory }
    }

    /// Where the worker works.
    pub(crate) fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// Where a test may keep something.
    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Starts a worker with these variables besides, whether or not it can work.
    pub(crate) fn launch(&mut self, more: &[(&'static str, &str)]) -> &mut Worker {
        let own = [
            ("HANDLER_WEBHOOK_SECRET", SECRET.to_owned()),
            ("REELMILL_WORK_DIR", self.work().to_string_lossy().into_owned()),
            ("REELMILL_X264_PRESET", "ultrafast".to_owned()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let environment = self.home.environment().into_iter().chain(own).chain(more);
        self.worker.insert(Worker::start(HANDLER.as_ref(), environment))
    }

    /// Starts a worker with these variables besides, and waits until it can be given messages.
    pub(crate) async fn start(&mut self, more: &[(&'static str, &str)]) {
        self.launch(more);
        let worker = self.worker.as_ref().expect("just started");
        self.home.ready(worker).await;
    }

    /// Hands in a job, as the gateway does.
    pub(crate) async fn run(&self, job: &Value) -> Ticket {
        self.home.hand_in(json!({"input": job}).to_string().as_bytes()).await
    }

    /// Waits until the worker has said something in its log.
    pub(crate) async fn says(&self, words: &str) {
        self.worker.as_ref().expect("it works").says(words).await;
    }

    /// Sends the worker a signal.
    pub(crate) fn tell(&self, signal: Signal) {
        self.worker.as_ref().expect("it works").tell(signal);
    }

    /// Waits until the worker has ended by itself.
    pub(crate) async fn worker_ended(&mut self) -> ExitStatus {
        let status = self.worker.as_mut().expect("it works").ended().await;
        self.home.gone().await;
        status
    }

    /// Has the worker crash. Nothing that it started lives on.
    pub(crate) async fn crash(&mut self) {
        self.worker.take().expect("it works").crash().await;
        self.home.gone().await;
        until_nothing_runs_in(self.directory.path()).await;
    }

    /// Shows that the worker still works, and ends well: another job is done as if nothing had been.
    /// Gives all that the gateway has seen but this.
    pub(crate) async fn end(self) -> Record {
        let before = self.gateway.record();
        let ticket = self.run(&self.gateway.job_of("/source", 99, 0)).await;
        self.home.until(&ticket, H::FATES.failed).await;
        let of_probe = |record: &Record| {
            let reports = record.reports.iter().filter(|report| report.body["attempt"] == 99);
            reports.map(|report| report.body["error"]["code"].clone()).collect::<Vec<_>>()
        };
        let told = self.gateway.until("told", |record| !of_probe(record).is_empty()).await;
        assert_eq!(of_probe(&told), [json!("unsupported_media")]);
        assert_eq!(told.reports.len(), before.reports.len() + 1, "nothing else is reported");
        self.stop().await;
        let completed = before.reports.iter().filter(|report| report.body["status"] == "completed");
        let mut attempts = completed.map(|report| &report.body["attempt"]);
        let first = attempts.next();
        assert!(attempts.all(|attempt| Some(attempt) == first), "two attempts are complete");
        before
    }

    /// Ends the worker, and checks what it leaves.
    pub(crate) async fn stop(mut self) {
        self.tell(Signal::TERM);
        assert_eq!(self.worker_ended().await.code(), Some(0));
        self.check_rest().await;
    }

    /// Checks what a worker left that has ended.
    pub(crate) async fn check_rest(&self) {
        until_nothing_runs_in(self.directory.path()).await;
        let left: Vec<_> = std::fs::read_dir(self.work()).expect("there").flatten().collect();
        assert!(left.is_empty(), "the work directory is not clean: {left:?}");
        self.home.check();
        let log = self.worker.as_ref().map(Worker::log).unwrap_or_default();
        assert!(!log.contains(SECRET), "a secret in the log: {log}");
    }

    /// Waits until a message has a fate.
    pub(crate) async fn until(&self, ticket: &Ticket, fate: Fate) {
        self.home.until(ticket, fate).await;
    }
}

/// The code and the transience of a report, or nothing of one that tells of success.
pub(crate) fn error(report: &Value) -> Option<(&str, bool)> {
    let error = report.get("error")?;
    Some((error["code"].as_str()?, error["transient"].as_bool()?))
}
