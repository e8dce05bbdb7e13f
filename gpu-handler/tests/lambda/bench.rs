//! A function, a gateway, and a queue before the function.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use handler_harness::{Gateway, SECRET, clips};
use lambda_emulator::{
    Invoked, Lambda, Mapping, Options, SharedQueue,
    queue::{Message, Queue},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

/// How a bench is set up.
pub(crate) struct Setup {
    timeout: Duration,
    environment: Vec<(String, String)>,
    clip: bool,
}

/// All of it.
pub(crate) struct Bench {
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) gateway: Gateway,
    pub(crate) directory: TempDir,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self { timeout: Duration::from_secs(120), environment: Vec::new(), clip: false }
    }

    pub(crate) fn timeout(self, seconds: u64) -> Self {
        Self { timeout: Duration::from_secs(seconds), ..self }
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a source that can be encoded.
    pub(crate) fn clip(self) -> Self {
        Self { clip: true, ..self }
    }

    pub(crate) async fn start(self) -> Bench {
        let directory = tempfile::tempdir().expect("a directory");
        let clip = match self.clip {
            true => clips::short(directory.path()),
            false => Bytes::new(),
        };
        let work = directory.path().join("tmp");
        std::fs::create_dir(&work).expect("a directory");
        let mut environment = vec![
            ("HANDLER_WEBHOOK_SECRET".to_owned(), SECRET.to_owned()),
            ("REELMILL_WORK_DIR".to_owned(), work.to_string_lossy().into_owned()),
        ];
        environment.extend(self.environment);
        let program = env!("CARGO_BIN_EXE_gpu-handler").into();
        let (timeout, memory_mb) = (self.timeout, 3008);
        let lambda = Arc::new(Lambda::new(Options { program, environment, timeout, memory_mb }));
        Bench { lambda, gateway: Gateway::start(clip).await, directory }
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Setup::new().start().await
    }

    /// Invokes the function directly.
    pub(crate) async fn invoke(&self, payload: &Value) -> Invoked {
        let invoked = self.lambda.invoke(payload.to_string().as_bytes()).await;
        invoked.expect("a machine").expect("an invocation")
    }

    /// The answer to a direct invocation.
    pub(crate) async fn answer(&self, payload: &Value) -> Value {
        match self.invoke(payload).await {
            Invoked::Answer(answer) => answer,
            Invoked::Error(error) => panic!("{error:#}\n{}", self.lambda.log()),
        }
    }

    /// The error of a direct invocation.
    pub(crate) async fn error(&self, payload: &Value) -> Value {
        match self.invoke(payload).await {
            Invoked::Answer(answer) => panic!("{answer:#}\n{}", self.lambda.log()),
            Invoked::Error(error) => error,
        }
    }

    /// A queue before the function, whose messages come again at once, three times in all.
    pub(crate) fn queue(&self, batch: usize) -> (SharedQueue, Mapping) {
        self.patient_queue(batch, 3)
    }

    /// The same with another number of times.
    pub(crate) fn patient_queue(&self, batch: usize, receives: u32) -> (SharedQueue, Mapping) {
        let queue = SharedQueue::new(Queue::new(Duration::from_millis(1), receives));
        let mapping = Mapping::start(queue.clone(), self.lambda.clone(), batch);
        (queue, mapping)
    }

    /// Checks that the function has kept to the protocol, and that nothing is left in `/tmp`.
    pub(crate) async fn check(&self) {
        self.lambda.check().await;
        let left = std::fs::read_dir(self.directory.path().join("tmp")).expect("there");
        let left: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// Messages of a queue as they are received for the first time.
pub(crate) fn messages(bodies: &[String]) -> Vec<Message> {
    let (mut queue, now) = (Queue::new(Duration::ZERO, 3), Instant::now());
    for body in bodies {
        queue.send(body, now);
    }
    queue.receive(bodies.len(), now)
}
