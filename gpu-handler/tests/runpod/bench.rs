//! A platform, a gateway, and a worker between them that waits for milliseconds where it would wait
//! for seconds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::body::Bytes;
use gpu_handler::{
    client::{client, patient_client},
    config::Config,
    engine::Engine,
    ffmpeg::Runner,
    host::Host,
    transport::runpod::{Pace, Worker},
};
use runpod_simulator::{Options, Simulator, Templates, ledger::State};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::gateway::{Gateway, SECRET};

pub(crate) const WORKER: &str = "worker-1";

/// How a bench is set up.
pub(crate) struct Setup {
    templates: Templates,
    environment: Vec<(&'static str, String)>,
    pace: Pace,
    clip: bool,
}

/// All three.
pub(crate) struct Bench {
    pub(crate) platform: Arc<Simulator>,
    pub(crate) gateway: Gateway,
    pub(crate) directory: TempDir,
    shutdown: Option<oneshot::Sender<()>>,
    worker: JoinHandle<()>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let millis = Duration::from_millis;
        let pace = Pace {
            poll: Duration::from_secs(20),
            floor: millis(1),
            debounce: millis(20),
            pause: millis(5),
            backoff: (millis(5), millis(20)),
            result: Duration::from_secs(30),
            progress: millis(20),
            request: Duration::from_secs(5),
        };
        Self { templates: Templates::WithQuery, environment: Vec::new(), pace, clip: false }
    }

    pub(crate) fn templates(self, templates: Templates) -> Self {
        Self { templates, ..self }
    }

    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub(crate) fn pace(mut self, change: impl FnOnce(&mut Pace)) -> Self {
        change(&mut self.pace);
        self
    }

    /// With a source that can be encoded.
    pub(crate) fn clip(self) -> Self {
        Self { clip: true, ..self }
    }

    pub(crate) async fn start(self) -> Bench {
        let options = Options { hold: Duration::from_millis(300), ..Options::default() };
        let platform = Arc::new(Simulator::start(options).await.expect("a free port"));
        let directory = tempfile::tempdir().expect("a directory");
        let clip = match self.clip {
            true => crate::gateway::clip(directory.path()),
            false => Bytes::new(),
        };
        let gateway = crate::gateway::beside(platform.clone(), clip).await;
        let work = work(&directory);
        std::fs::create_dir(&work).expect("a directory");
        let mut environment = platform.environment(WORKER, self.templates);
        environment.push(("HANDLER_WEBHOOK_SECRET", SECRET.to_owned()));
        environment.push(("REELMILL_WORK_DIR", work.to_string_lossy().into_owned()));
        environment.push(("RUNPOD_PING_INTERVAL", "100".to_owned()));
        environment.extend(self.environment);
        let lookup = |name: &str| {
            let found = environment.iter().rev().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.clone())
        };
        let launcher = env!("CARGO_BIN_EXE_gpu-handler").into();
        let config = Config::read(&lookup, launcher).expect("a configuration");
        let host = Host::detect(&config, &Runner::new(config.tools.clone())).await;
        let place = config.runpod.clone().expect("deployed on RunPod");
        let http = client().expect("a client");
        let engine = Engine::new(config, host.expect("a working FFmpeg"), http, false);
        let worker = Worker::new(engine, patient_client().expect("a client"), place, self.pace);
        let (shutdown, signal) = oneshot::channel();
        let signal = async { signal.await.unwrap_or_default() };
        let worker = tokio::spawn(worker.run(signal));
        Bench { platform, gateway, directory, shutdown: Some(shutdown), worker }
    }
}

/// The worker's own directory.
fn work(directory: &TempDir) -> PathBuf {
    directory.path().join("work")
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Setup::new().start().await
    }

    pub(crate) fn work(&self) -> PathBuf {
        work(&self.directory)
    }

    /// Waits until a job is in a state.
    pub(crate) async fn until(&self, id: &str, state: State) {
        let what = format!("{id} {}", state.as_str());
        self.platform.until(&what, |record| record.is(id, state)).await;
    }

    /// Waits until the worker has told that it has exactly these jobs in hand.
    pub(crate) async fn until_in_hand(&self, ids: &[&str]) {
        self.platform.until("in hand", |record| record.is_in_hand(ids)).await;
    }

    /// Asks the worker to end.
    pub(crate) fn shut_down(&mut self) {
        self.shutdown.take().expect("not yet").send(()).expect("it works");
    }

    /// Waits until the worker has ended by itself or since it was asked to, and checks what it did.
    pub(crate) async fn ended(self) -> Arc<Simulator> {
        self.worker.await.expect("it ends well");
        self.platform.check();
        self.platform
    }

    /// Shows that the worker still works, and checks what it did.
    pub(crate) async fn works(&self) {
        let id = self.platform.run(self.gateway.job_of("/source", 77, 0));
        self.until(&id, State::Failed).await;
        self.platform.check();
    }
}
