//! One execution environment: it is started, gets one event after the other, and is shut down.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    api,
    lambda::{Invoked, Options},
    process::{Log, Process},
};

/// How long a function may take to ask for its first event.
const INIT: Duration = Duration::from_secs(10);
/// How long a process may go on after SIGTERM where only internal extensions are registered.
const GRACE: Duration = Duration::from_millis(500);

/// An event for the runtime.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) payload: Bytes,
    /// In milliseconds since 1970.
    pub(crate) deadline: i64,
}

/// What runtime and extensions have done so far.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Whether the first event has been asked for.
    pub(crate) initialised: bool,
    /// Whether the runtime has asked for an event and waits.
    pub(crate) asking: bool,
    /// Extensions by their identifier, and whether they wait for an event.
    pub(crate) extensions: BTreeMap<String, bool>,
    /// To be handed out.
    pub(crate) event: Option<Event>,
    /// Handed out, and not yet answered.
    pub(crate) current: Option<String>,
    pub(crate) answer: Option<Invoked>,
    /// What the function says of why it cannot start.
    pub(crate) init_error: Option<Invoked>,
    pub(crate) violations: Vec<String>,
}

impl State {
    /// Whether all have done their part and wait.
    fn rests(&self) -> bool {
        self.asking && self.current.is_none() && self.extensions.values().all(|waits| *waits)
    }
}

/// What an environment and its API share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked over it is a failed one anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and tells those who wait for changes.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changes.send_replace(());
        result
    }

    /// Waits until something can be had from the state.
    pub(crate) async fn wait<T>(&self, mut find: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let found = find(&mut self.state());
            if let Some(found) = found {
                self.changes.send_replace(());
                return found;
            }
            let _ = changes.changed().await;
        }
    }
}

/// An environment.
#[derive(Debug)]
pub(crate) struct Environment {
    shared: Arc<Shared>,
    process: Process,
    _serving: AbortOnDropHandle<()>,
}

impl Environment {
    /// Starts the function's process and waits until it has initialised itself.
    ///
    /// # Errors
    /// Those of sockets and processes; the function's own are the inner ones.
    pub(crate) async fn start(options: &Options, log: &Log) -> Result<Result<Self, Invoked>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            options: options.clone(),
            state: Mutex::default(),
            changes: watch::Sender::new(()),
        });
        let app = api::routes(shared.clone());
        let serving = tokio::spawn(async move {
            // Ends with the environment.
            let _ = axum::serve(listener, app).await;
        });
        let mut process = Process::start(command(options, &address.to_string()), log)?;
        let ready = shared.wait(|state| {
            state.initialised |= state.rests();
            state.initialised.then_some(())
        });
        let result = tokio::select! {
            biased;
            () = ready => Ok(()),
            ended = process.ended() => {
                let told = shared.state().init_error.take();
                Err(told.unwrap_or(exited(&ended?.to_string())))
            }
            () = tokio::time::sleep(INIT) => Err(error("Sandbox.Timedout", "the init phase timed out")),
        };
        if let Err(error) = result {
            return Ok(Err(error));
        }
        let environment = Self { shared, process, _serving: AbortOnDropHandle::new(serving) };
        environment.rest();
        Ok(Ok(environment))
    }

    /// Hands out an event and waits for the answer, and until the runtime asks for another event. Gives
    /// whether the environment can be used again.
    pub(crate) async fn invoke(&mut self, payload: Bytes) -> Result<(Invoked, bool)> {
        let id = Uuid::new_v4().to_string();
        let timeout = self.shared.options.timeout;
        let deadline = Timestamp::now().as_millisecond() + i64::try_from(timeout.as_millis())?;
        let end = Instant::now() + timeout;
        self.process.thaw();
        self.shared.change(|state| {
            state.answer = None;
            state.event = Some(Event { id: id.clone(), payload, deadline });
        });
        let done = self.shared.wait(|state| match state.event.is_none() && state.rests() {
            true => state.answer.take(),
            false => None,
        });
        let result = tokio::select! {
            biased;
            answer = done => Ok(answer),
            ended = self.process.ended() => Err(exited(&ended?.to_string())),
            () = tokio::time::sleep_until(end) => {
                self.process.kill();
                let after = format!("Task timed out after {:.2} seconds", timeout.as_secs_f64());
                Err(error("Sandbox.Timedout", &after))
            }
        };
        match result {
            Ok(answer) => {
                self.rest();
                Ok((answer, true))
            }
            // An answer stands, even if the process has ended since.
            Err(ending) => Ok((self.shared.state().answer.take().unwrap_or(ending), false)),
        }
    }

    /// Shuts it down: whoever has an extension is asked to end, and killed after the grace. Gives how
    /// the process ended.
    pub(crate) async fn shut_down(mut self) -> Result<(String, Vec<String>)> {
        self.process.thaw();
        if self.shared.state().extensions.is_empty() {
            self.process.kill();
        } else {
            self.process.terminate();
        }
        let status = match tokio::time::timeout(GRACE, self.process.ended()).await {
            Ok(status) => status?,
            Err(_) => {
                self.process.kill();
                self.process.ended().await?
            }
        };
        Ok((status.to_string(), self.violations()))
    }

    /// Ends it at once, as when its machine is lost.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// What has been done that Lambda does not expect.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.shared.state().violations.clone()
    }

    /// Freezes it. What it has left running would go on at some time in the future.
    fn rest(&self) {
        for child in self.process.children() {
            let violation = format!("a process is left running: {child}");
            self.shared.change(|state| state.violations.push(violation));
        }
        self.process.freeze();
    }
}

/// The process as Lambda starts it: with an environment of its own, and nothing of ours.
#[expect(clippy::disallowed_methods, reason = "here is where a function is started")]
fn command(options: &Options, api: &str) -> Command {
    let mut command = Command::new(&options.program);
    command
        .env_clear()
        .envs([
            ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_LAMBDA_FUNCTION_NAME", api::NAME),
            ("AWS_LAMBDA_FUNCTION_VERSION", api::VERSION),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_RUNTIME_API", api),
        ])
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", options.memory_mb.to_string())
        .envs(options.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// The error of a process that ends in mid-event.
pub(crate) fn exited(status: &str) -> Invoked {
    let message = format!("Error: Runtime exited with error: {status}");
    error("Runtime.ExitError", &message)
}

/// An error as Lambda words it itself.
pub(crate) fn error(kind: &str, message: &str) -> Invoked {
    Invoked::Error(json!({"errorType": kind, "errorMessage": message}))
}

/// The body of an error as the function words it; what is no object is kept all the same.
pub(crate) fn error_body(body: &[u8]) -> Invoked {
    Invoked::Error(serde_json::from_slice(body).unwrap_or(Value::Null))
}
