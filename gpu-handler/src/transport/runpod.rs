//! `runpod`: a worker of RunPod's serverless platform, which takes its jobs from the platform's queue.
//!
//! ```text
//! GET  job-take   a long poll: one job or none            ┐
//! GET  job-stop   a long poll: jobs to stop               │ side by side, until the
//! GET  ping       the heartbeat, with the jobs in hand    │ worker is to end
//! POST job-done   progress, and one result for each job   ┘
//! ```
//!
//! A job is a message here, and nothing else: what is done with it, and the signed report that is the
//! truth about it, are the [desk](super::desk)'s. The result that the platform keeps is a few words,
//! sent after the report. A job that the platform takes back gets no result. A job that it hands out
//! twice runs once, and its result is sent again.

mod answer;
mod hands;
mod job;
pub mod log;
mod platform;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use reelmill_shared::job::WarmSpec;
use reqwest::Client;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use super::desk::Desk;
use crate::{
    config::runpod::{Refresh, Runpod},
    engine::Engine,
};

pub use answer::Pace;
use answer::{Pause, Taken};
use backon::BackoffBuilder;
use hands::Hands;
use platform::Platform;

/// A worker.
#[derive(Debug, Clone)]
pub struct Worker {
    desk: Desk,
    platform: Platform,
    hands: Hands,
    place: Runpod,
    pace: Pace,
    /// No more jobs are to be taken.
    closing: CancellationToken,
    /// Another worker is to follow this one.
    refreshing: Arc<AtomicBool>,
}

impl Worker {
    /// A worker at `place`, whose jobs `engine` does. `client` must not give up long polls.
    pub fn new(engine: Engine, client: Client, place: Runpod, pace: Pace) -> Self {
        let platform = Platform::new(client, place.clone(), pace);
        Self {
            desk: Desk::new(engine),
            platform,
            hands: Hands::default(),
            place,
            pace,
            closing: CancellationToken::new(),
            refreshing: Arc::default(),
        }
    }

    /// Works until `signal` is done, or a new worker is wanted; then takes no more jobs, finishes
    /// those in hand, and returns.
    pub async fn run(self, signal: impl Future<Output = ()>) {
        tracing::info!(worker = self.place.worker, "taking jobs from RunPod");
        // Both go on while jobs are finished: these can still be taken back, and have to be told of.
        let (beating, listening) = (self.clone(), self.clone());
        let _heartbeat = AbortOnDropHandle::new(tokio::spawn(async move { beating.beat().await }));
        let _stops = AbortOnDropHandle::new(tokio::spawn(async move { listening.listen().await }));
        tokio::select! {
            // A job that has just come is looked at before anything else.
            biased;
            () = self.take() => {}
            () = signal => {}
            () = self.closing.cancelled() => {}
        }
        self.desk.wind_down(self.place.grace).await;
    }

    /// Takes jobs for as long as it is polled, one after the other, as many as there are slots.
    async fn take(&self) {
        let slots = Arc::new(Semaphore::new(self.desk.engine().config().concurrency));
        let mut backoff = platform::backoff(&self.pace).build();
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let asked = Instant::now();
            let taken = self.platform.take(self.hands.count() > 0).await;
            let failed = matches!(taken, Taken::Failed(_));
            let wait = match taken {
                Taken::Job(message) => {
                    self.receive(*message, slot);
                    continue;
                }
                Taken::Nothing => self.pace.floor.saturating_sub(asked.elapsed()),
                Taken::Unreadable(reason) => {
                    tracing::warn!(reason, "the platform sent no job");
                    self.pace.pause
                }
                Taken::TooMany => self.pace.debounce,
                Taken::Failed(reason) => {
                    let wait = backoff.next().unwrap_or(self.pace.backoff.1);
                    tracing::warn!(reason, ?wait, "no job could be asked for");
                    wait
                }
            };
            if !failed {
                backoff = platform::backoff(&self.pace).build();
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Begins what a message asks for; it keeps its slot until its result is delivered.
    fn receive(&self, message: answer::Message, slot: OwnedSemaphorePermit) {
        let span = tracing::info_span!("job", requestId = message.id);
        if self.hands.has(&message.id) {
            span.in_scope(|| tracing::info!("the job is in hand already"));
            return;
        }
        let worker = self.clone();
        if message.input.as_ref().is_some_and(WarmSpec::is) {
            // Nothing is to be done: the slot is free again at once.
            self.desk.spawn(async move { worker.awake(&message.id).await }.instrument(span));
            return;
        }
        let Some(work) = span.in_scope(|| worker.begin(message)) else { return };
        let work = async move {
            work.await;
            drop(slot);
        };
        self.desk.spawn(work.instrument(span));
    }

    /// Says for as long as it is polled that this worker lives, and with which jobs.
    async fn beat(&self) {
        if !self.platform.pings() {
            tracing::info!("no heartbeat: RUNPOD_WEBHOOK_PING, _POD_ID or _AI_API_KEY is not set");
            return;
        }
        let mut ticks = tokio::time::interval(self.place.ping_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.platform.ping(self.hands.list().as_deref()).await;
        }
    }

    /// Stops jobs as the platform says, for as long as it is polled.
    async fn listen(&self) {
        loop {
            let wait = match self.platform.stops().await {
                Ok(ids) => {
                    for id in &ids {
                        let in_hand = self.hands.withdraw(id);
                        tracing::info!(requestId = id, in_hand, "the platform takes a job back");
                    }
                    if ids.is_empty() { self.pace.pause } else { self.pace.floor }
                }
                Err((pause, reason)) => {
                    tracing::warn!(reason, "the stop channel did not answer");
                    match pause {
                        Pause::Short => self.pace.pause,
                        Pause::Debounce => self.pace.debounce,
                    }
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Notes after a job whether another worker is to follow this one, and takes no more jobs then.
    /// Gives whether to ask for it now: with the last job in hand, since the others would go with it.
    fn refresh(&self, fault: bool) -> bool {
        let wanted = match self.place.refresh {
            Refresh::Never => false,
            Refresh::AfterFault => fault,
            Refresh::Always => true,
        };
        if wanted && !self.refreshing.swap(true, Ordering::Relaxed) {
            tracing::info!("a new worker is to follow this one");
            self.closing.cancel();
        }
        self.refreshing.load(Ordering::Relaxed) && self.hands.count() == 1
    }
}

/// Tells the platform why this worker cannot start; best effort, and within two seconds.
pub async fn unhealthy(client: Client, place: Runpod, check: &str, reason: &str) {
    Platform::new(client, place, Pace::default()).unhealthy(check, reason).await;
}
