//! The jobs of an endpoint, and what can become of them.
//!
//! Time is an argument. Nothing here knows HTTP.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// How long the result of an ended job is kept.
const KEPT: Duration = Duration::from_secs(30 * 60);

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for a worker.
    InQueue,
    /// With a worker.
    InProgress,
    /// Over, with an output.
    Completed,
    /// Over, with an error.
    Failed,
    /// Taken back by the client.
    Cancelled,
    /// Taken back because it took too long.
    TimedOut,
}

impl State {
    /// As it is spelt.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InQueue => "IN_QUEUE",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// Whether nothing more happens by itself.
    pub const fn ended(self) -> bool {
        !matches!(self, Self::InQueue | Self::InProgress)
    }
}

/// How long a job may take.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Time with a worker.
    pub execution: Duration,
    /// Time from `/run` until the job is deleted, whatever its state.
    pub ttl: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { execution: Duration::from_secs(600), ttl: Duration::from_secs(86_400) }
    }
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What the client gave.
    pub input: Value,
    /// Where to tell of its end.
    pub webhook: Option<String>,
    /// How long it may take.
    pub policy: Policy,
    /// Where it stands.
    pub state: State,
    /// The worker that has it, or had it last.
    pub worker: Option<String>,
    /// What a worker sent as output, or last as progress.
    pub output: Option<Value>,
    /// What a worker sent as error.
    pub error: Option<String>,
    /// How often it was handed out.
    pub deliveries: u32,
    /// How often a result came for it.
    pub results: u32,
    /// How often its progress was told.
    pub progress: u32,
    created: Instant,
    started: Option<Instant>,
    ended: Option<Instant>,
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The job is over with it.
    First,
    /// The job was over before: nothing changed.
    Late(State),
    /// There is no such job any more.
    Unknown,
}

/// All jobs.
#[derive(Debug, Default)]
pub struct Ledger {
    jobs: BTreeMap<String, Job>,
    queue: Vec<String>,
    /// For each worker, the jobs that it has yet to be told to stop.
    stops: BTreeMap<String, BTreeSet<String>>,
    /// Jobs that were handed out again after they had been before.
    retried: u64,
}

impl Ledger {
    /// A job, unless it is deleted.
    pub fn get(&self, id: &str) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// All jobs, by id.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// Puts a job at the end of the queue.
    pub fn push(
        &mut self,
        id: &str,
        input: Value,
        webhook: Option<String>,
        policy: Policy,
        now: Instant,
    ) {
        let job = Job {
            id: id.to_owned(),
            input,
            webhook,
            policy,
            state: State::InQueue,
            worker: None,
            output: None,
            error: None,
            deliveries: 0,
            results: 0,
            progress: 0,
            created: now,
            started: None,
            ended: None,
        };
        self.jobs.insert(id.to_owned(), job);
        self.queue.push(id.to_owned());
    }

    /// Hands the first job of the queue to a worker, as the body of job-take.
    pub fn take(&mut self, worker: &str, now: Instant) -> Option<Value> {
        if self.queue.is_empty() {
            return None;
        }
        let id = self.queue.remove(0);
        let job = self.jobs.get_mut(&id)?;
        job.state = State::InProgress;
        job.worker = Some(worker.to_owned());
        job.started = Some(now);
        job.deliveries += 1;
        self.retried += u64::from(job.deliveries > 1);
        let mut message = Map::from_iter([
            ("id".to_owned(), json!(id)),
            ("input".to_owned(), job.input.clone()),
            // Chosen here: a field that no worker knows.
            ("delayTime".to_owned(), json!((now - job.created).as_millis() as u64)),
        ]);
        if let Some(webhook) = &job.webhook {
            message.insert("webhook".to_owned(), json!(webhook));
        }
        Some(Value::Object(message))
    }

    /// Puts a job back into the queue that is with a worker, as when that worker is thought to be
    /// gone: from now on two may have it.
    pub fn redeliver(&mut self, id: &str) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.state = State::InQueue;
            self.queue.push(id.to_owned());
        }
    }

    /// A worker tells how a job goes. Gives whether it still matters.
    pub fn progress(&mut self, id: &str, output: Value) -> bool {
        match self.jobs.get_mut(id) {
            Some(job) if !job.state.ended() => {
                job.progress += 1;
                job.output = Some(output);
                true
            }
            _ => false,
        }
    }

    /// A worker sends a job's result.
    pub fn result(
        &mut self,
        id: &str,
        output: Option<Value>,
        error: Option<String>,
        now: Instant,
    ) -> Taken {
        let Some(job) = self.jobs.get_mut(id) else { return Taken::Unknown };
        job.results += 1;
        if job.state.ended() {
            return Taken::Late(job.state);
        }
        job.state = if error.is_some() { State::Failed } else { State::Completed };
        (job.output, job.error, job.ended) = (output, error, Some(now));
        self.queue.retain(|waiting| waiting != id);
        Taken::First
    }

    /// The client takes a job back. Gives its state, or nothing if there is none.
    pub fn cancel(&mut self, id: &str, now: Instant) -> Option<State> {
        self.withdraw(id, State::Cancelled, now)
    }

    /// A job has been with its worker for too long.
    pub fn time_out(&mut self, id: &str, now: Instant) -> Option<State> {
        self.withdraw(id, State::TimedOut, now)
    }

    fn withdraw(&mut self, id: &str, state: State, now: Instant) -> Option<State> {
        let job = self.jobs.get_mut(id)?;
        if job.state == State::InProgress
            && let Some(worker) = &job.worker
        {
            self.stops.entry(worker.clone()).or_default().insert(id.to_owned());
        }
        if !job.state.ended() {
            (job.state, job.ended) = (state, Some(now));
            self.queue.retain(|waiting| waiting != id);
        }
        Some(job.state)
    }

    /// The jobs that a worker has to stop; it is told once.
    pub fn take_stops(&mut self, worker: &str) -> BTreeSet<String> {
        self.stops.remove(worker).unwrap_or_default()
    }

    /// Puts a job that failed or timed out back into the queue. Gives its state, and whether it was
    /// one of those.
    pub fn retry(&mut self, id: &str) -> Option<(State, bool)> {
        let job = self.jobs.get_mut(id)?;
        let again = matches!(job.state, State::Failed | State::TimedOut);
        if again {
            (job.output, job.error, job.ended) = (None, None, None);
            self.redeliver(id);
        }
        self.jobs.get(id).map(|job| (job.state, again))
    }

    /// Deletes a job, whatever its state: nobody is told, and nothing is known of it any more.
    pub fn expire(&mut self, id: &str) {
        self.jobs.remove(id);
        self.queue.retain(|waiting| waiting != id);
    }

    /// Lets the time pass that has passed. Gives when there will be something to do again.
    pub fn pass(&mut self, now: Instant) -> Option<Instant> {
        let dead = |job: &Job| {
            let forgotten = job.ended.is_some_and(|ended| ended + KEPT <= now);
            forgotten || job.created + job.policy.ttl <= now
        };
        let late = |job: &Job| {
            job.state == State::InProgress
                && job.started.is_some_and(|started| started + job.policy.execution <= now)
        };
        let ids = |of: &dyn Fn(&Job) -> bool| -> Vec<String> {
            self.jobs.values().filter(|job| of(job)).map(|job| job.id.clone()).collect()
        };
        let (dead, late) = (ids(&dead), ids(&late));
        for id in dead {
            self.expire(&id);
        }
        for id in late {
            self.time_out(&id, now);
        }
        let deadlines = self.jobs.values().flat_map(|job| {
            let running = job.started.filter(|_| job.state == State::InProgress);
            [Some(job.created + job.policy.ttl), running.map(|since| since + job.policy.execution)]
        });
        deadlines.flatten().min()
    }

    /// The account of a job that `/status` gives.
    pub fn status(&self, id: &str, now: Instant) -> Option<Value> {
        let job = self.jobs.get(id)?;
        let millis = |from: Instant, to: Instant| json!((to - from).as_millis() as u64);
        let end = job.ended.unwrap_or(now);
        let mut status = Map::from_iter([
            ("id".to_owned(), json!(id)),
            ("status".to_owned(), json!(job.state.as_str())),
            ("delayTime".to_owned(), millis(job.created, job.started.unwrap_or(end))),
        ]);
        let more = [
            ("executionTime", job.started.map(|started| millis(started, end))),
            ("workerId", job.worker.as_ref().map(|worker| json!(worker))),
            ("output", job.output.clone()),
            ("error", job.error.as_ref().map(|error| json!(error))),
        ];
        let more = more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        status.extend(more);
        Some(Value::Object(status))
    }

    /// How many jobs there are in a state.
    pub fn count(&self, state: State) -> usize {
        self.jobs.values().filter(|job| job.state == state).count()
    }

    /// How often a job was handed out again.
    pub const fn retried(&self) -> u64 {
        self.retried
    }
}

#[cfg(test)]
mod tests;
