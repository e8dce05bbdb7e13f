//! `sqs`: jobs come from a queue of Amazon's SQS, on any box that has credentials for it.
//!
//! ```text
//! ReceiveMessage            a long poll for one message, as long as there is a free slot
//! ChangeMessageVisibility   the heartbeat: hidden while it is in hand; and when it is to come again
//! DeleteMessage             once the report is taken, or nobody waits for it
//! SendMessage               to the dead letters, with the reason, if it holds no job
//! ```
//!
//! A message is an envelope here, and nothing else: what it leads to is [`delivery`](super::delivery)'s,
//! shared with Lambda, which is given messages of the same queues.

mod queue;

use std::{pin::pin, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    delivery::{Counter, Message, Verdict},
    desk::Desk,
};
use crate::{
    aws::AwsError,
    engine::Engine,
    ledger::{Ledger, LedgerError},
    stop::Reason,
};

pub use queue::Queue;
use queue::Received;

/// The shortest and the longest wait after the queue could not be asked.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The shortest time from one poll to the next, for a queue that does not hold them.
const FLOOR: Duration = Duration::from_millis(100);
/// For how long after it was received SQS lets a message be hidden.
const CEILING: Duration = Duration::from_secs(12 * 3600);
/// After how long a job is given back, to begin anew with the next delivery.
const LONGEST: Duration = Duration::from_secs(12 * 3600 - 600);

/// Why a worker cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The queue is not there, or not for this worker.
    #[error("the queue cannot be used: {0}")]
    Queue(#[source] AwsError),
    /// The ledger's table is not there, or not for this worker.
    #[error(transparent)]
    Ledger(LedgerError),
}

/// A worker.
#[derive(Debug, Clone)]
pub struct Worker {
    counter: Counter,
    queue: Queue,
    ledger: Option<Ledger>,
    longest: Duration,
    /// No more messages are to be taken.
    closing: CancellationToken,
}

/// The lease of claims whose messages are hidden for `visibility` at a time. Together with the margin
/// it is over when the message of a dead worker comes again, so that it need not come twice.
pub fn lease(visibility: Duration) -> Duration {
    visibility * 3 / 4
}

impl Worker {
    /// A worker at `queue`, whose jobs `engine` does.
    pub fn new(engine: Engine, queue: Queue, ledger: Option<Ledger>) -> Self {
        let counter = Counter::new(Desk::new(engine), ledger.clone());
        let closing = CancellationToken::new();
        Self { counter, queue, ledger, longest: LONGEST, closing }
    }

    /// The same that gives a job back after another time than nearly 12 hours.
    #[must_use]
    pub fn with_longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Works until `signal` is done; then takes no more messages, gives the jobs in hand their grace,
    /// gives the rest back to the queue, and returns.
    ///
    /// # Errors
    /// [`StartError`], before the first message is taken.
    pub async fn run(self, signal: impl Future<Output = ()>) -> Result<(), StartError> {
        let work = async {
            self.check().await?;
            tracing::info!(queue = %self.queue.url(), "taking jobs from SQS");
            self.receive().await;
            Ok(())
        };
        let mut work = pin!(work);
        tokio::select! {
            // A message that has just come is looked at before anything else.
            biased;
            ended = &mut work => return ended,
            () = signal => {}
        }
        self.closing.cancel();
        let desk = self.counter.desk();
        let grace = desk.engine().config().grace;
        // The queue may already have an answer to the poll under way: dropped, its message would be
        // hidden from everybody for a while.
        let (ended, ()) = tokio::join!(timeout(grace, work), desk.wind_down(Some(grace)));
        ended.unwrap_or(Ok(()))
    }

    /// Finds out whether queue and table can be used. Trouble that passes is waited out.
    async fn check(&self) -> Result<(), StartError> {
        let mut backoff = waits();
        loop {
            let trouble = match self.queue.check().await {
                _ if self.closing.is_cancelled() => return Ok(()),
                Ok(()) => break,
                Err(error) if error.trouble.passes() => error,
                Err(error) => return Err(StartError::Queue(error)),
            };
            self.pause(&mut backoff, &trouble).await;
        }
        let Some(ledger) = &self.ledger else {
            tracing::warn!(
                "REELMILL_LEDGER_TABLE is not set: only one worker may take jobs from this queue"
            );
            return Ok(());
        };
        loop {
            let trouble = match ledger.check().await {
                _ if self.closing.is_cancelled() => return Ok(()),
                Ok(()) => return Ok(()),
                Err(error) if error.passes() => error,
                Err(error) => return Err(StartError::Ledger(error)),
            };
            self.pause(&mut backoff, &trouble).await;
        }
    }

    /// Takes messages until it is to end, one after the other, as many as there are slots.
    async fn receive(&self) {
        let slots = Arc::new(Semaphore::new(self.counter.desk().engine().config().concurrency));
        let mut backoff = waits();
        loop {
            let slot = self.closing.run_until_cancelled(slots.clone().acquire_owned()).await;
            let Some(Ok(slot)) = slot else { return };
            let asked = Instant::now();
            match self.queue.receive().await {
                Ok(Some(message)) if self.closing.is_cancelled() => {
                    return self.show(&message, Duration::ZERO).await;
                }
                _ if self.closing.is_cancelled() => return,
                Ok(Some(message)) => {
                    let (worker, id) = (self.clone(), message.id.clone());
                    let work = async move {
                        worker.attend(message).await;
                        drop(slot);
                    };
                    let span = tracing::info_span!("message", id);
                    self.counter.desk().spawn(work.instrument(span));
                }
                Ok(None) => tokio::time::sleep(FLOOR.saturating_sub(asked.elapsed())).await,
                Err(error) => {
                    self.pause(&mut backoff, &error).await;
                    continue;
                }
            }
            backoff = waits();
        }
    }

    async fn pause(&self, waits: &mut Waits, error: &impl std::fmt::Display) {
        let wait = waits.next().unwrap_or(BACKOFF.1);
        tracing::error!(%error, ?wait, "no message could be asked for");
        self.closing.run_until_cancelled(tokio::time::sleep(wait)).await;
    }

    /// Does what a message asks for, and with the message what follows from that.
    async fn attend(&self, received: Received) {
        tracing::info!(deliveries = received.deliveries, "message taken");
        let received = &received;
        let deliveries = received.deliveries;
        let message = Message { id: &received.id, body: &received.body, deliveries };
        let ceiling = async |_| {
            tokio::time::sleep_until(received.at + self.longest).await;
            tracing::warn!("the message cannot be hidden any longer");
            Reason::Shutdown
        };
        let verdict = tokio::select! {
            biased;
            verdict = self.counter.take(message, ceiling) => verdict,
            () = self.hide(received) => unreachable!("a message is hidden for ever"),
        };
        match verdict {
            Verdict::Done(_) => self.delete(received).await,
            Verdict::Again(wait) => self.show(received, wait).await,
            Verdict::Leave => {}
            Verdict::Poisonous(failure) => {
                tracing::error!(%failure, "the message holds no job for this handler");
                match self.queue.bury(received, &failure).await {
                    Some(Ok(())) => self.delete(received).await,
                    Some(Err(error)) => {
                        tracing::error!(%error, "it could not be moved to the dead letters");
                        self.show(received, message.wait()).await;
                    }
                    None => self.show(received, message.wait()).await,
                }
            }
        }
    }

    /// Keeps a message hidden for as long as it is polled.
    async fn hide(&self, received: &Received) {
        let visibility = self.queue.visibility();
        let mut ticks = tokio::time::interval(visibility / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let left = CEILING.saturating_sub(received.at.elapsed());
            if let Err(error) = self.queue.hide(received, visibility.min(left)).await {
                // The next tick tries again; if it comes again in between, its claim is held.
                tracing::warn!(%error, "the message is not kept hidden");
            }
        }
    }

    /// Has a message come again after a while. If that fails, it does when it is no longer hidden.
    async fn show(&self, received: &Received, wait: Duration) {
        let left = CEILING.saturating_sub(received.at.elapsed());
        match self.queue.hide(received, wait.min(left)).await {
            Ok(()) => tracing::info!(?wait, "the message comes again"),
            Err(error) => tracing::warn!(%error, "the message comes again in its own time"),
        }
    }

    /// Deletes a message that is done with. If that fails, it comes again, and its report is sent again.
    async fn delete(&self, received: &Received) {
        match self.queue.delete(received).await {
            Ok(()) => tracing::info!("the message is deleted"),
            Err(error) => tracing::error!(%error, "the message was not deleted"),
        }
    }
}

type Waits = backon::ExponentialBackoff;

fn waits() -> Waits {
    ExponentialBuilder::default()
        .with_min_delay(BACKOFF.0)
        .with_max_delay(BACKOFF.1)
        .without_max_times()
        .with_jitter()
        .build()
}
