//! `lambda`: a function of AWS Lambda's, invoked directly or by an SQS queue.
//!
//! * Directly, the payload is a job as for `POST /run`, or the job alone; the answer tells how it
//!   ended. What cannot be told to the gateway is a function error, so that an asynchronous
//!   invocation is retried.
//! * Of an event with `Records`, each message is a job; those that have to come again are told as
//!   `batchItemFailures`. Messages that never can be read come again until the queue's redrive policy
//!   puts them aside.
//!
//! An invocation has a deadline, after which Lambda kills the process: [`time`] stops jobs before it.
//! Between invocations the process is frozen: nothing goes on after an answer, and nothing is left in
//! `/tmp`.

mod event;
mod time;

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::timeout_at;

use super::{
    delivery::{Counter, Message, Verdict},
    desk::Desk,
};
use crate::{engine::Engine, jobs::Phase, ledger::Ledger, workplace};

pub use event::FunctionError;
pub use time::Timing;

/// The lease of claims: another environment takes over what is left of one that crashed. Its message
/// comes again later than that.
pub const LEASE: Duration = Duration::from_secs(45);

/// How long jobs in hand have after SIGTERM; Lambda kills after 500 ms.
const LAST_WORDS: Duration = Duration::from_millis(400);
/// What the error of a function that cannot start is called; Lambda wants `category.reason`.
const CANNOT_START: &str = "Handler.CannotStart";
/// How long the message of a function that cannot start may take.
const LAST_MESSAGE: Duration = Duration::from_secs(2);

/// A function.
#[derive(Debug, Clone)]
pub struct Function {
    counter: Counter,
    timing: Timing,
}

impl Function {
    /// A function that `engine` works for. Without a `ledger` each environment knows only what it has
    /// done itself.
    pub fn new(engine: Engine, ledger: Option<Ledger>, timing: Timing) -> Self {
        // A queue's message comes again only when its visibility timeout is over, which is longer than
        // any invocation.
        Self { counter: Counter::new(Desk::new(engine), ledger).reporting_shutdown(), timing }
    }

    /// Takes invocations until the process is told to end.
    ///
    /// # Errors
    /// The Runtime API cannot be spoken to.
    pub async fn run(self) -> Result<(), Error> {
        let stopping = self.clone();
        let hook = move || async move { stopping.stop().await };
        // It panics where no extension can be registered, without which Lambda sends no SIGTERM.
        let graceful = lambda_runtime::spawn_graceful_shutdown_handler(hook);
        if tokio::spawn(graceful).await.is_err() {
            tracing::warn!("no extension could be registered: there will be no graceful shutdown");
        }
        let function = &self;
        lambda_runtime::run(service_fn(|event| function.invoke(event))).await
    }

    /// One invocation.
    ///
    /// # Errors
    /// [`FunctionError`]: the event is none of ours, or what became of it has not been told.
    pub async fn invoke(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let LambdaEvent { payload, context } = event;
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        let time = time::Allotted::new(self.timing, context.deadline, now);
        let work = async {
            match payload.get("Records") {
                Some(_) => self.batch(payload, &time).await,
                None => self.direct(&context.request_id, payload, &time).await,
            }
        };
        let desk = self.counter.desk();
        let answer = desk.track(work).await;
        // Of this process alone, which works on one event at a time: these are leftovers.
        workplace::sweep(&desk.engine().config().work_dir);
        answer
    }

    /// Does what a message asks for, within the time that there is.
    async fn take(&self, message: Message<'_>, time: &time::Allotted) -> Verdict {
        let taken = self.counter.take(message, |progress| time.over(progress));
        if let Ok(verdict) = timeout_at(time.end, taken).await {
            return verdict;
        }
        tracing::error!("the time is over: what became of the job could not be told");
        // Cut off, it is to begin anew when it comes again; its report, if there is one, to be sent.
        let jobs = self.counter.desk().jobs();
        if !jobs.get(message.id).is_some_and(|job| matches!(job.phase, Phase::Ended(_))) {
            jobs.forget(message.id);
        }
        Verdict::Again(Duration::ZERO)
    }

    /// Stops what is in hand, and has it reported as far as the time suffices.
    async fn stop(&self) {
        let stopping = self.counter.desk().wind_down(Some(Duration::ZERO));
        let _ = tokio::time::timeout(LAST_WORDS, stopping).await;
    }
}

/// Tells Lambda why the function cannot start; best effort, and within two seconds.
pub async fn init_error(client: &Client, runtime_api: &str, message: &str) {
    let url = format!("{runtime_api}/2018-06-01/runtime/init/error");
    let body = json!({"errorType": CANNOT_START, "errorMessage": message, "stackTrace": []});
    let request = client
        .post(url)
        .timeout(LAST_MESSAGE)
        .header("Lambda-Runtime-Function-Error-Type", CANNOT_START)
        .header("Content-Type", "application/json")
        .body(body.to_string());
    if let Err(error) = request.send().await {
        tracing::warn!(reason = %error.without_url(), "the Runtime API was not reached");
    }
}
