//! What a message leads to that a queue delivers at least once, and may deliver to two workers.
//!
//! ```text
//! read ─▶ claim ─▶ work (the claim is renewed) ─▶ keep the report ─▶ report ─▶ done with
//!   │       │        │ taken over: left alone       │ taken over: left alone
//!   │       │        │ stopped: given back, at once another's
//!   │       │ another's: again, when its lease is over
//!   │       │ over: the same report once more ─▶ done with
//!   │ no job: poisonous
//! ```
//!
//! The report is kept in the [ledger](crate::ledger) before it is sent. So whoever is cut off in
//! between is followed by one who sends the same report, and works on nothing; and whoever was taken
//! over reports nothing. Without a ledger the register of this worker's own attempts has to do.

mod message;

use std::{pin::pin, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use reelmill_shared::job::{Failure, FailureCode, Job, JobReport, Outcome, Progress, WarmSpec};
use tokio::{sync::watch, time::Instant};

use super::desk::{Desk, Performed, Told};
use crate::{
    jobs::{Admission, Phase},
    ledger::{Claim, Claimed, Key, Ledger, LedgerError},
    reporter::Delivery,
    stop::{Reason, Stop},
    tracker::Tracker,
};

pub use message::Message;

/// The shortest and the longest wait before a message that failed is delivered again; they double
/// from one to the other with each delivery.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15 * 60));
/// When a message comes again whose job this worker has in hand already.
const IN_HAND: Duration = Duration::from_secs(30);
/// How long a report is tried to be kept: losing it would mean working again.
const KEEPING: Duration = Duration::from_secs(10 * 60);

/// Where deliveries are taken.
#[derive(Debug, Clone)]
pub struct Counter {
    desk: Desk,
    ledger: Option<Ledger>,
    gives_back: bool,
}

/// What is to become of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The report was taken, or nobody waits for it: the message is done with. There is none of a
    /// message that only wakes.
    Done(Option<Box<JobReport>>),
    /// It is to be delivered again, after a while.
    Again(Duration),
    /// It is another worker's by now, who says what becomes of it.
    Leave,
    /// It holds no job, and never will.
    Poisonous(Failure),
}

/// A claim on the attempt in hand, where there is a ledger to claim it in.
type Held<'a> = Option<(&'a Ledger, Claim)>;

impl Counter {
    /// A counter in front of `desk`.
    pub const fn new(desk: Desk, ledger: Option<Ledger>) -> Self {
        Self { desk, ledger, gives_back: true }
    }

    /// The same where a message that is given back comes again only much later: a job that is stopped by
    /// a shutdown is reported instead, so that the gateway need not wait for it.
    #[must_use]
    pub fn reporting_shutdown(self) -> Self {
        Self { gives_back: false, ..self }
    }

    /// The desk behind it.
    pub const fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Does what a message asks for, and says what is to become of it. When `halt`, which is given the
    /// job's progress, is done first, the job is stopped for the reason that it gives; stopped for
    /// `Shutdown`, here or by the desk, it is not reported but given back, for another worker to begin it
    /// anew.
    pub async fn take<H: Future<Output = Reason>>(
        &self,
        message: Message<'_>,
        halt: impl FnOnce(watch::Receiver<Progress>) -> H,
    ) -> Verdict {
        let input = match message.input() {
            Ok(input) => input,
            Err(failure) => return Verdict::Poisonous(failure),
        };
        if WarmSpec::is(&input) {
            return Verdict::Done(None);
        }
        let job = match self.desk.read(input.clone()) {
            Ok(job) => job,
            Err(failure) => {
                let told = self.desk.refuse(&input, &failure).await;
                tracing::debug!(told, "whoever waits for it");
                return Verdict::Poisonous(failure);
            }
        };
        let mut held = match self.claim(&job, &message).await {
            Ok(held) => held,
            Err(verdict) => return verdict,
        };
        let (admission, id, stop) = self.desk.admit(message.id, &job, usize::MAX);
        match admission {
            Admission::New => self.work(&message, &job, &stop, &mut held, halt).await,
            Admission::Known => self.again(&message, &job, &id, &held).await,
            Admission::Full | Admission::Closed => {
                release(&held).await;
                Verdict::Again(Duration::ZERO)
            }
        }
    }

    /// Claims the attempt, or says what is to become of a message whose attempt it cannot have.
    async fn claim(&self, job: &Job, message: &Message<'_>) -> Result<Held<'_>, Verdict> {
        let Some(ledger) = &self.ledger else { return Ok(None) };
        let key = Key::of(job);
        match ledger.claim(&key).await {
            Ok(Claimed::Won(claim)) => {
                tracing::info!(attempt = %key, fence = claim.fence(), "claimed");
                Ok(Some((ledger, claim)))
            }
            Ok(Claimed::Held { wait }) => {
                let wait = message.held(wait.max(Duration::from_secs(1)));
                tracing::info!(attempt = %key, ?wait, "another worker is at it");
                Err(Verdict::Again(wait))
            }
            Ok(Claimed::Finished(report)) => {
                tracing::info!(attempt = %key, "it is over: the same report once more");
                let told = self.desk.tell_again(job, &report).await;
                Err(after(told, *report, message))
            }
            Err(error) => {
                let wait = message.wait();
                tracing::error!(attempt = %key, %error, ?wait, "not claimed");
                Err(Verdict::Again(wait))
            }
        }
    }

    async fn work<H: Future<Output = Reason>>(
        &self,
        message: &Message<'_>,
        job: &Job,
        stop: &Stop,
        held: &mut Held<'_>,
        halt: impl FnOnce(watch::Receiver<Progress>) -> H,
    ) -> Verdict {
        let (media, attempt) = job.attempt();
        let tracker = Arc::new(Tracker::new(media, attempt));
        let mut lost = false;
        let performed = {
            let mut work = pin!(self.desk.perform(message.id, job, stop, &tracker));
            let (mut kept, mut halt) = (pin!(keep(held)), pin!(halt(tracker.subscribe())));
            let mut halted = false;
            loop {
                tokio::select! {
                    biased;
                    performed = &mut work => break performed,
                    () = &mut kept, if !lost => {
                        lost = true;
                        stop.now(Reason::Stale);
                    }
                    reason = &mut halt, if !halted => {
                        halted = true;
                        stop.now(reason);
                    }
                }
            }
        };
        if lost {
            self.desk.jobs().forget(message.id);
            return Verdict::Leave;
        }
        if self.gives_back && given_back(stop, &performed.report) {
            tracing::info!(%media, attempt, "given back to the queue");
            self.desk.jobs().forget(message.id);
            release(held).await;
            return Verdict::Again(Duration::ZERO);
        }
        if unbegun(&performed.report) {
            let wait = message.wait();
            tracing::warn!(%media, attempt, ?wait, "not begun: the gateway could not be asked");
            self.desk.jobs().forget(message.id);
            release(held).await;
            return Verdict::Again(wait);
        }
        let verdict = self.end(message, performed, held).await;
        if stop.reason() == Some(Reason::Stale) {
            // Nobody waited for this one; whoever is given the attempt once more waits for another.
            self.desk.jobs().forget(message.id);
        }
        verdict
    }

    /// Keeps a report, and then sends it.
    async fn end(&self, message: &Message<'_>, performed: Performed, held: &Held<'_>) -> Verdict {
        match finish(held, &performed.report).await {
            Ok(()) => {
                let (report, told) = performed.tell().await;
                after(told, report, message)
            }
            Err(LedgerError::Lost) => {
                tracing::warn!("another worker took the attempt over: nothing is reported");
                self.desk.jobs().forget(message.id);
                Verdict::Leave
            }
            // Here it is still known: delivered again, it is kept and reported then.
            Err(error) => {
                tracing::error!(%error, "the report was not kept");
                Verdict::Again(message.wait())
            }
        }
    }

    /// What becomes of a message whose attempt this worker knows, under `id`.
    async fn again(&self, message: &Message<'_>, job: &Job, id: &str, held: &Held<'_>) -> Verdict {
        let Some(Phase::Ended(report)) = self.desk.jobs().get(id).map(|job| job.phase) else {
            tracing::info!(known = id, "the attempt is in hand already");
            release(held).await;
            return Verdict::Again(IN_HAND);
        };
        tracing::info!(known = id, "the attempt is over already");
        match finish(held, &report).await {
            Ok(()) => after(self.desk.tell_again(job, &report).await, *report, message),
            Err(LedgerError::Lost) => Verdict::Leave,
            Err(_) => Verdict::Again(message.wait()),
        }
    }
}

/// Renews a claim for as long as it is polled. Done when it is lost, or may be: when it could not be
/// renewed in time.
async fn keep(held: &mut Held<'_>) {
    let Some((ledger, claim)) = held else { return std::future::pending().await };
    let every = ledger.lease() / 3;
    let mut next = Instant::now() + every;
    loop {
        tokio::time::sleep_until(next).await;
        let until = claim.until();
        // No try may last longer than the claim.
        let renewed = tokio::time::timeout_at(until, ledger.renew(claim)).await;
        next = match renewed {
            Ok(Ok(())) => Instant::now() + every,
            Ok(Err(error)) if error != LedgerError::Lost && Instant::now() < until => {
                tracing::warn!(%error, "the claim was not renewed");
                Instant::now() + every / 4
            }
            Ok(Err(LedgerError::Lost)) => {
                tracing::warn!("another worker took the attempt over");
                return;
            }
            Ok(Err(_)) | Err(_) => {
                tracing::error!("the claim could not be renewed in time: another may take it");
                return;
            }
        };
    }
}

/// Keeps the report of an attempt. It is fenced, and so is safe to try for longer than the lease.
async fn finish(held: &Held<'_>, report: &JobReport) -> Result<(), LedgerError> {
    let Some((ledger, claim)) = held else { return Ok(()) };
    let end = Instant::now() + KEEPING;
    let mut waits = ExponentialBuilder::default()
        .with_max_delay(Duration::from_secs(20))
        .without_max_times()
        .with_jitter()
        .build();
    loop {
        let error = match ledger.finish(claim, report).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let wait = waits.next().unwrap_or(AGAIN.0);
        if !error.passes() || Instant::now() + wait >= end {
            return Err(error);
        }
        tracing::warn!(%error, ?wait, "the report is not kept yet");
        tokio::time::sleep(wait).await;
    }
}

/// Gives a claim back. If that fails, others wait for the lease to lapse.
async fn release(held: &Held<'_>) {
    let Some((ledger, claim)) = held else { return };
    if let Err(error) = ledger.release(claim).await {
        tracing::warn!(%error, "the claim was not given back");
    }
}

/// Whether a job was stopped so that another worker can begin it anew.
fn given_back(stop: &Stop, report: &JobReport) -> bool {
    let stopped = matches!(&report.outcome, Outcome::Failed { error }
        if error.code == FailureCode::HandlerStopped);
    stopped && stop.reason() == Some(Reason::Shutdown)
}

/// Whether the gateway could not be asked if the job is still wanted, so that nothing was done.
fn unbegun(report: &JobReport) -> bool {
    matches!(&report.outcome, Outcome::Failed { error } if error.code == FailureCode::DispatchFailed)
}

/// What becomes of a message whose report was sent, or was not.
fn after(told: Told, report: JobReport, message: &Message<'_>) -> Verdict {
    match told {
        // Of the refusals these say that there is no such media any more.
        Told::Nobody
        | Told::Sent(Delivery::Taken | Delivery::Stale | Delivery::Refused(404 | 410)) => {
            Verdict::Done(Some(Box::new(report)))
        }
        Told::Sent(Delivery::Refused(_) | Delivery::Failed) => Verdict::Again(message.wait()),
    }
}
