//! The jobs that a serving handler knows: waiting, running, and ended for a while.
//!
//! One offer of one attempt of one media is one job, however often it is handed in. Jobs start in the order in
//! which they came, as many at a time as there are slots. Nothing here grows without bound.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reelmill_shared::{
    id::MediaId,
    job::{INGEST, JobReport},
};
use tokio::{sync::Notify, time::Instant};

use crate::stop::Stop;

/// How long an ended job is remembered.
const KEPT: Duration = Duration::from_secs(30 * 60);
/// How many ended jobs are remembered at most; the oldest go first.
const MOST_KEPT: usize = 1000;

/// The register of jobs.
#[derive(Debug, Clone, Default)]
pub struct Jobs {
    inner: Arc<Mutex<Inner>>,
    /// Whenever a job is over.
    over: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: HashMap<String, Job>,
    counts: Counts,
    closed: bool,
}

/// A job as it is told of.
#[derive(Debug, Clone)]
pub struct Job {
    /// The media and attempt that it works on.
    pub attempt: (MediaId, u8),
    /// Which offer of the attempt it is: what was handed in before may be over by now.
    dispatch: u8,
    /// How to stop it.
    pub stop: Stop,
    /// Where it stands.
    pub phase: Phase,
    queued_at: Instant,
    started_at: Option<Instant>,
    ended_at: Option<Instant>,
    /// FFmpeg's log, once it ended.
    pub log: String,
}

/// Where a job stands.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Waiting for a slot.
    Queued,
    /// Being worked on.
    Running,
    /// Over.
    Ended(Box<JobReport>),
}

/// Jobs by what became of them, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ended well.
    pub completed: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// Waiting.
    pub queued: u64,
    /// Running.
    pub running: u64,
}

/// What handing in a job led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is new, and is to be started.
    New,
    /// It is known under this id's key already.
    Known,
    /// Too many are known that are not over.
    Full,
    /// No jobs are taken any more.
    Closed,
}

impl Job {
    /// How long it waited, until now or until it began.
    pub fn delay(&self) -> Duration {
        self.started_at.or(self.ended_at).unwrap_or_else(Instant::now) - self.queued_at
    }

    /// How long it ran, until now or until it ended.
    pub fn execution(&self) -> Duration {
        let since = |start| self.ended_at.unwrap_or_else(Instant::now) - start;
        self.started_at.map(since).unwrap_or_default()
    }
}

impl Jobs {
    /// Hands in an offer of an attempt under a new `id`, with at most `room` of its kind waiting and running. Gives
    /// the id under which it is known.
    pub fn admit(
        &self,
        id: &str,
        (attempt, dispatch): ((MediaId, u8), u8),
        room: usize,
    ) -> (Admission, String, Stop) {
        let mut inner = self.lock();
        inner.forget_old();
        let same = |job: &Job| (job.attempt, job.dispatch) == (attempt, dispatch);
        if let Some((known, job)) = inner.jobs.iter().find(|(_, job)| same(job)) {
            return (Admission::Known, known.clone(), job.stop.clone());
        }
        let stop = Stop::default();
        let refusal = match inner.closed {
            true => Some(Admission::Closed),
            false => (inner.busy(attempt.1 > INGEST) >= room).then_some(Admission::Full),
        };
        if let Some(refusal) = refusal {
            return (refusal, id.to_owned(), stop);
        }
        let job = Job {
            attempt,
            dispatch,
            stop: stop.clone(),
            phase: Phase::Queued,
            queued_at: Instant::now(),
            started_at: None,
            ended_at: None,
            log: String::new(),
        };
        inner.counts.queued += 1;
        inner.jobs.insert(id.to_owned(), job);
        (Admission::New, id.to_owned(), stop)
    }

    /// The job has got its slot.
    pub fn started(&self, id: &str) {
        let inner = &mut *self.lock();
        if let Some(job) = inner.jobs.get_mut(id) {
            job.phase = Phase::Running;
            job.started_at = Some(Instant::now());
            inner.counts.queued -= 1;
            inner.counts.running += 1;
        }
    }

    /// The job is over.
    pub fn ended(&self, id: &str, report: JobReport, completed: bool, log: String) {
        let inner = &mut *self.lock();
        if let Some(job) = inner.jobs.get_mut(id) {
            match job.phase {
                Phase::Queued => inner.counts.queued -= 1,
                Phase::Running => inner.counts.running -= 1,
                Phase::Ended(_) => return,
            }
            job.phase = Phase::Ended(Box::new(report));
            job.ended_at = Some(Instant::now());
            job.log = log;
            if completed {
                inner.counts.completed += 1;
            } else {
                inner.counts.failed += 1;
            }
        }
        inner.forget_old();
        self.over.notify_waiters();
    }

    /// Waits until the job of an id is over, and gives its report; `None` if it is not known.
    pub async fn end_of(&self, id: &str) -> Option<JobReport> {
        loop {
            // Before looking, so that an end in between is not missed.
            let over = self.over.notified();
            if let Phase::Ended(report) = self.get(id)?.phase {
                return Some(*report);
            }
            over.await;
        }
    }

    /// The job of an id.
    pub fn get(&self, id: &str) -> Option<Job> {
        self.lock().jobs.get(id).cloned()
    }

    /// How many there are of each kind.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Forgets a job that is handed back without an end, so that it can be handed in anew.
    pub fn forget(&self, id: &str) {
        let inner = &mut *self.lock();
        let Some(job) = inner.jobs.remove(id) else { return };
        match job.phase {
            Phase::Queued => inner.counts.queued -= 1,
            Phase::Running => inner.counts.running -= 1,
            Phase::Ended(_) => {}
        }
        self.over.notify_waiters();
    }

    /// Takes no more jobs, and gives those that are not over yet.
    pub fn close(&self) -> Vec<Job> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.jobs.values().filter(|job| job.ended_at.is_none()).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked with the lock held had changed nothing by halves: counters and map are
        // set without anything in between that could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// How many are not over that bring sources, or that do not.
    fn busy(&self, ingests: bool) -> usize {
        let alike = |job: &&Job| job.ended_at.is_none() && (job.attempt.1 > INGEST) == ingests;
        self.jobs.values().filter(alike).count()
    }

    fn forget_old(&mut self) {
        self.jobs.retain(|_, job| job.ended_at.is_none_or(|at| at.elapsed() < KEPT));
        let mut ended: Vec<_> =
            self.jobs.iter().filter_map(|(id, job)| Some((job.ended_at?, id.clone()))).collect();
        if let Some(excess) = ended.len().checked_sub(MOST_KEPT) {
            ended.sort_unstable();
            for (_, id) in ended.into_iter().take(excess) {
                self.jobs.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelmill_shared::job::{Failure, FailureCode, Outcome};
    use uuid::Uuid;

    fn attempt(number: u128) -> ((MediaId, u8), u8) {
        ((MediaId::new(Uuid::from_u128(number)), 1), 0)
    }

    fn report(number: u128) -> JobReport {
        let error = Failure::new(FailureCode::Internal, "x");
        let ((media_id, attempt), _) = attempt(number);
        JobReport {
            media_id,
            attempt,
            outcome: Outcome::Failed { error },
            source_sha256: None,
            metrics: Default::default(),
        }
    }

    #[tokio::test]
    async fn one_attempt_is_one_job() {
        let jobs = Jobs::default();
        assert_eq!(jobs.admit("a", attempt(1), 10).0, Admission::New);
        let (admission, id, _) = jobs.admit("b", attempt(1), 10);
        assert_eq!((admission, id.as_str()), (Admission::Known, "a"));
        jobs.ended("a", report(1), false, String::new());
        assert_eq!(jobs.admit("c", attempt(1), 10).0, Admission::Known);
        // Offered anew after another backend had it, it is another job: the first is over.
        assert_eq!(jobs.admit("d", (attempt(1).0, 1), 10).0, Admission::New);
    }

    #[tokio::test]
    async fn what_is_handed_back_is_new_again() {
        let jobs = Jobs::default();
        for id in ["a", "b"] {
            assert_eq!(jobs.admit(id, attempt(1), 1).0, Admission::New);
            jobs.started(id);
            jobs.forget(id);
            assert!(jobs.get(id).is_none() && jobs.end_of(id).await.is_none());
        }
        assert_eq!(jobs.counts(), Counts::default());
    }

    #[tokio::test]
    async fn an_end_can_be_waited_for() {
        let jobs = Jobs::default();
        assert!(jobs.end_of("a").await.is_none());
        jobs.admit("a", attempt(1), 10);
        let ending = async { jobs.ended("a", report(1), false, String::new()) };
        let (told, ()) = tokio::join!(jobs.end_of("a"), ending);
        assert_eq!(told, Some(report(1)));
        assert_eq!(jobs.end_of("a").await, Some(report(1)));
    }

    #[tokio::test]
    async fn waits_in_bounds_and_closes() {
        let jobs = Jobs::default();
        assert_eq!(jobs.admit("a", attempt(1), 1).0, Admission::New);
        assert_eq!(jobs.admit("b", attempt(2), 1).0, Admission::Full);
        jobs.started("a");
        assert_eq!(jobs.admit("b", attempt(2), 1).0, Admission::Full);
        assert_eq!(jobs.admit("b", attempt(2), 2).0, Admission::New);
        let ingest = ((attempt(2).0.0, INGEST + 1), 0);
        assert_eq!(jobs.admit("d", ingest, 1).0, Admission::New, "downloads wait apart");
        assert_eq!(jobs.close().len(), 3);
        assert_eq!(jobs.admit("c", attempt(3), 1).0, Admission::Closed);
        assert_eq!(jobs.counts(), Counts { queued: 2, running: 1, ..Counts::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_after_half_an_hour_and_beyond_a_thousand() {
        let jobs = Jobs::default();
        for number in 0..1100 {
            let id = number.to_string();
            jobs.admit(&id, attempt(number), 1);
            tokio::time::advance(Duration::from_millis(1)).await;
            jobs.ended(&id, report(number), false, String::new());
        }
        assert!(jobs.get("99").is_none() && jobs.get("100").is_some());
        assert_eq!(jobs.counts().failed, 1100);
        tokio::time::advance(KEPT).await;
        jobs.admit("x", attempt(5000), 1);
        assert!(jobs.get("1099").is_none() && jobs.get("x").is_some());
    }
}
