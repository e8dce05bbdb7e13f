//! The handle of a function: its invocations, and the environments behind them.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use axum::body::Bytes;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use crate::{
    environment::{Environment, exited},
    process::Log,
};

/// Largest payload of an invocation, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 6 << 20;

/// A function's configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary, which is started without arguments.
    pub program: PathBuf,
    /// The function's own variables.
    pub environment: Vec<(String, String)>,
    /// After which an invocation is cut off.
    pub timeout: Duration,
    /// Its memory, which is told and not enforced.
    pub memory_mb: u32,
}

/// What became of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Invoked {
    /// The function has answered.
    Answer(Value),
    /// A function error, with `errorType` and `errorMessage`.
    Error(Value),
}

impl Invoked {
    /// The `errorType` of an error.
    pub fn error_type(&self) -> Option<&str> {
        match self {
            Self::Answer(_) => None,
            Self::Error(error) => error["errorType"].as_str(),
        }
    }
}

/// How an environment ends in mid-event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As when its machine is lost.
    Crash,
    /// Asked to, as at the end of its life.
    Shutdown,
}

/// Why there was no invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The payload is beyond 6 MB: 413.
    TooLarge,
    /// The payload is no JSON: 400.
    NotJson,
}

/// A function. Its environments are gone when this is dropped.
#[derive(Debug)]
pub struct Lambda {
    options: Options,
    log: Log,
    /// Those that rest.
    warm: Mutex<Vec<Environment>>,
    violations: Mutex<Vec<String>>,
    ends: watch::Sender<End>,
}

impl Lambda {
    /// A function; nothing is started yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            log: Log::default(),
            warm: Mutex::default(),
            violations: Mutex::default(),
            ends: watch::Sender::new(End::Crash),
        }
    }

    /// Invokes the function, in an environment that rests or in a new one.
    ///
    /// # Errors
    /// Those of the machine: no process, no socket. The inner ones are Lambda's.
    pub async fn invoke(&self, payload: &[u8]) -> Result<Result<Invoked, Refused>> {
        if payload.len() > MAX_PAYLOAD {
            return Ok(Err(Refused::TooLarge));
        }
        if serde_json::from_slice::<Value>(payload).is_err() {
            return Ok(Err(Refused::NotJson));
        }
        self.invoke_in_one(Bytes::copy_from_slice(payload)).await.map(Ok)
    }

    async fn invoke_in_one(&self, payload: Bytes) -> Result<Invoked> {
        let warm = self.warm.lock().await.pop();
        let mut environment = match warm {
            Some(environment) => environment,
            None => match Environment::start(&self.options, &self.log).await? {
                Ok(environment) => environment,
                Err(error) => return Ok(error),
            },
        };
        let mut ends = self.ends.subscribe();
        let done = tokio::select! {
            done = environment.invoke(payload) => Some(done?),
            _ = ends.changed() => None,
        };
        match done {
            Some((invoked, true)) => {
                self.warm.lock().await.push(environment);
                Ok(invoked)
            }
            Some((invoked, false)) => {
                environment.kill();
                self.violations.lock().await.extend(environment.violations());
                Ok(invoked)
            }
            None => {
                if *ends.borrow() == End::Crash {
                    environment.kill();
                }
                let (ending, violations) = environment.shut_down().await?;
                self.violations.lock().await.extend(violations);
                Ok(exited(&ending))
            }
        }
    }

    /// Ends the environments that work, in mid-event, and waits for nothing.
    pub fn end(&self, end: End) {
        self.ends.send_replace(end);
    }

    /// Shuts down the environments that rest, as Lambda does after a while. Gives how each process
    /// ended, in words.
    ///
    /// # Errors
    /// Those of the machine.
    pub async fn shut_down(&self) -> Result<Vec<String>> {
        let mut endings = Vec::new();
        for environment in self.warm.lock().await.drain(..) {
            let (ending, violations) = environment.shut_down().await?;
            self.violations.lock().await.extend(violations);
            endings.push(ending);
        }
        Ok(endings)
    }

    /// How many environments rest.
    pub async fn warm(&self) -> usize {
        self.warm.lock().await.len()
    }

    /// What all of them wrote so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Checks that every environment has kept to the protocol so far.
    ///
    /// # Panics
    /// When one has not.
    pub async fn check(&self) {
        let mut violations = self.violations.lock().await.clone();
        for environment in self.warm.lock().await.iter() {
            violations.extend(environment.violations());
        }
        assert!(violations.is_empty(), "{violations:#?}\n{}", self.log());
    }
}
