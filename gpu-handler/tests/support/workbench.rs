//! An engine on this machine, for jobs from file to directory.

use std::path::{Path, PathBuf};

use gpu_handler::{
    client::client,
    config::Config,
    engine::{Done, Engine},
    ffmpeg::Runner,
    host::Host,
    stop::Stop,
    tracker::Tracker,
};
use reelmill_shared::{
    id::MediaId,
    job::{Input, JobSpec, OutputTarget, Pipeline},
};
use url::Url;
use uuid::Uuid;

/// An engine and the directory that its jobs write to.
pub(crate) struct Workbench {
    pub(crate) engine: Engine,
    pub(crate) root: tempfile::TempDir,
}

impl Workbench {
    /// An engine as this machine has it.
    pub(crate) async fn new() -> Self {
        Self::on(|_| ()).await
    }

    /// An engine that takes its machine for another.
    pub(crate) async fn on(change: impl FnOnce(&mut Host)) -> Self {
        let mut bench = Self::with(env!("CARGO_BIN_EXE_gpu-handler").into(), &[]).await;
        let mut host = bench.engine.host().clone();
        change(&mut host);
        let config = bench.engine.config().clone();
        bench.engine = Engine::new(config, host, client().expect("a client"), true);
        bench
    }

    /// An engine whose tools are started by `launcher`, with these variables set.
    pub(crate) async fn with(launcher: PathBuf, variables: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let work = root.path().join("work");
        std::fs::create_dir(&work).expect("a directory");
        let work = work.to_str().expect("a path of ours");
        let set = [variables, &[("REELMILL_WORK_DIR", work)]].concat();
        let lookup = |name: &str| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let config = Config::read(&lookup, launcher).expect("a configuration");
        let host = Host::detect(&config, &Runner::new(config.tools.clone())).await;
        let host = host.expect("a working FFmpeg");
        let engine = Engine::new(config, host, client().expect("a client"), true);
        Self { engine, root }
    }

    /// Runs a job on a file; the outputs lie in the directory that comes back.
    pub(crate) async fn run(&self, source: &Path, pipeline: Pipeline) -> (Done, PathBuf) {
        let made = self.beside_others(source, pipeline).await;
        let left: Vec<_> =
            std::fs::read_dir(self.root.path().join("work")).expect("there").collect();
        assert!(left.is_empty(), "the work directory is not clean: {left:?}");
        made
    }

    /// The same, while other jobs may be running.
    pub(crate) async fn beside_others(&self, source: &Path, pipeline: Pipeline) -> (Done, PathBuf) {
        let media_id = MediaId::new(Uuid::now_v7());
        let outputs = self.root.path().join(media_id.to_string());
        let size = source.metadata().expect("a file").len();
        let spec = JobSpec {
            version: 1,
            media_id,
            attempt: 1,
            pipeline,
            input: Input {
                url: Url::from_file_path(source).expect("an absolute path"),
                size,
                etag: None,
                sha256: None,
            },
            output: OutputTarget {
                base_url: Url::from_directory_path(&outputs).expect("an absolute path"),
            },
            callback: None,
        };
        let tracker = Tracker::new(media_id, 1);
        let done = self.engine.run(&spec, &tracker, &Stop::default()).await;
        (done, outputs)
    }
}

/// Every file below a directory, relative to it, sorted.
pub(crate) fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(root).expect("below the root");
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}
