//! The handle of a running simulator.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use axum::Router;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    client_side,
    faults::{Fault, Script},
    ledger::{Ledger, Policy, State},
    server,
    traffic::{Route, Seen},
    webhook, worker_side,
};

/// The endpoint's id.
const ENDPOINT: &str = "simulated";
/// How long anything that a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a simulator behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a long poll is held.
    pub hold: Duration,
    /// The key that workers have to show, as it is.
    pub worker_key: String,
    /// The key that clients have to show, as a bearer.
    pub client_key: String,
    /// The waits before the webhook is tried for the second and the third time.
    pub webhook_waits: [Duration; 2],
    /// The time within which clients may do only so much.
    pub window: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(10),
            worker_key: "the-workers-key".to_owned(),
            client_key: "the-clients-key".to_owned(),
            webhook_waits: [Duration::from_secs(10); 2],
            window: Duration::from_secs(10),
        }
    }
}

/// The form of the URL templates that a worker gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Templates {
    /// With a query string, as RunPod has them.
    WithQuery,
    /// Without any.
    Bare,
}

/// All that has happened.
#[derive(Debug, Default)]
pub struct Record {
    /// The jobs.
    pub ledger: Ledger,
    /// The requests, in the order in which they came.
    pub seen: Vec<Seen>,
    /// What workers did that the platform does not expect.
    pub violations: Vec<String>,
    /// The jobs in hand, as workers told last.
    pub pinged: BTreeMap<String, BTreeSet<String>>,
    /// Workers that asked to be replaced.
    pub replaced: BTreeSet<String>,
    pub(crate) script: Script,
    /// When jobs were handed in of late.
    pub(crate) runs: Vec<Instant>,
    /// When jobs were cancelled of late.
    pub(crate) cancels: Vec<Instant>,
    /// Workers that have a job-take open.
    pub(crate) asking: BTreeSet<String>,
    /// How often a job had a worker started, since there was none.
    pub wakes: usize,
    /// Whether a worker was started that has not asked for a job yet.
    pub(crate) starting: bool,
}

impl Record {
    /// The requests for one thing.
    pub fn of(&self, route: Route) -> impl DoubleEndedIterator<Item = &Seen> {
        self.seen.iter().filter(move |seen| seen.route == route)
    }

    /// How much is left to go wrong with a route.
    pub fn script_left(&self, route: Route) -> usize {
        self.script.left(route)
    }

    /// A job was handed in: unless it is of low priority, a worker is started if there is none.
    pub(crate) fn wake(&mut self, low_priority: bool) {
        let there = self.starting || !self.asking.is_empty() || !self.pinged.is_empty();
        if !low_priority && !there {
            self.wakes += 1;
            self.starting = true;
        }
    }

    /// Whether a worker is on its way.
    pub fn is_starting(&self) -> bool {
        self.starting
    }

    /// Whether a worker asks for a job right now.
    pub fn is_asking(&self) -> bool {
        !self.asking.is_empty()
    }

    /// Whether a worker has told that it has exactly these jobs in hand.
    pub fn is_in_hand(&self, ids: &[&str]) -> bool {
        let ids: BTreeSet<&str> = ids.iter().copied().collect();
        self.pinged.values().any(|jobs| jobs.iter().map(String::as_str).eq(ids.iter().copied()))
    }

    /// Whether a job is in a state.
    pub fn is(&self, id: &str, state: State) -> bool {
        self.ledger.get(id).is_some_and(|job| job.state == state)
    }
}

/// What both APIs share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) client: reqwest::Client,
    record: Mutex<Record>,
    changes: watch::Sender<()>,
}

impl Shared {
    /// Looks at the record and lets it not change in between.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        // A test that panicked over it is a failed one anyway.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the record, and tells those who wait for changes. Time passes first.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut record = self.record();
        record.ledger.pass(Instant::now());
        let result = change(&mut record);
        drop(record);
        self.changes.send_replace(());
        result
    }

    /// Waits until something can be had from the record, or until `end`.
    pub(crate) async fn wait<T>(
        &self,
        end: Instant,
        mut find: impl FnMut(&mut Record) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let due = {
                let mut record = self.record();
                let due = record.ledger.pass(Instant::now());
                if let Some(found) = find(&mut record) {
                    drop(record);
                    self.changes.send_replace(());
                    return Some(found);
                }
                due
            };
            if Instant::now() >= end {
                return None;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(due.map_or(end, |due| due.min(end))) => {}
            }
        }
    }
}

/// A platform of one endpoint. It is gone when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

impl Simulator {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn start(options: Options) -> Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), options).await
    }

    /// Starts one at an address.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn start_on(address: SocketAddr, options: Options) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            options,
            client: reqwest::Client::builder().no_proxy().build()?,
            record: Mutex::default(),
            changes: watch::Sender::new(()),
        });
        let app = Router::new()
            .nest(&format!("/v2/{ENDPOINT}"), client_side::routes().merge(worker_side::routes()))
            .with_state(shared.clone());
        let serving = tokio::spawn(server::serve(listener, app));
        Ok(Self { address, shared, _serving: AbortOnDropHandle::new(serving) })
    }

    /// The base URL for clients.
    pub fn api(&self) -> String {
        format!("http://{}/v2/{ENDPOINT}", self.address)
    }

    /// The environment that the platform gives a worker.
    pub fn environment(&self, worker: &str, templates: Templates) -> Vec<(&'static str, String)> {
        let query = match templates {
            Templates::WithQuery => "?gpu=$RUNPOD_GPU_TYPE_ID",
            Templates::Bare => "",
        };
        let api = self.api();
        vec![
            ("RUNPOD_WEBHOOK_GET_JOB", format!("{api}/job-take/$ID{query}")),
            ("RUNPOD_WEBHOOK_POST_OUTPUT", format!("{api}/job-done/$RUNPOD_POD_ID/$ID{query}")),
            ("RUNPOD_WEBHOOK_PING", format!("{api}/ping/$RUNPOD_POD_ID{query}")),
            ("RUNPOD_PING_INTERVAL", "1000".to_owned()),
            ("RUNPOD_AI_API_KEY", self.shared.options.worker_key.clone()),
            ("RUNPOD_POD_ID", worker.to_owned()),
            ("RUNPOD_GPU_TYPE_ID", worker_side::GPU.to_owned()),
            ("RUNPOD_ENDPOINT_ID", ENDPOINT.to_owned()),
        ]
    }

    /// Hands in a job, as a client does; gives its id.
    pub fn run(&self, input: Value) -> String {
        self.run_with(input, Policy::default())
    }

    /// The same with a policy.
    pub fn run_with(&self, input: Value, policy: Policy) -> String {
        let id = new_id();
        self.shared.change(|record| record.ledger.push(&id, input, None, policy, Instant::now()));
        id
    }

    /// Takes the first job of the queue, as a worker does; gives its message.
    pub fn take(&self, worker: &str) -> Option<Value> {
        self.shared.change(|record| {
            record.starting = false;
            record.ledger.take(worker, Instant::now())
        })
    }

    /// Ends a job with an output, or with an error, as its worker does.
    pub fn end(&self, id: &str, result: std::result::Result<Value, &str>) {
        let (output, error) = match result {
            Ok(output) => (Some(output), None),
            Err(error) => (None, Some(error.to_owned())),
        };
        let state = self.shared.change(|record| {
            record.ledger.result(id, output, error, Instant::now());
            record.ledger.get(id).map(|job| job.state)
        });
        webhook::tell(&self.shared, id, state);
    }

    /// Takes a job back.
    pub fn cancel(&self, id: &str) {
        let state = self.shared.change(|record| record.ledger.cancel(id, Instant::now()));
        webhook::tell(&self.shared, id, state);
    }

    /// Declares a job too long with its worker.
    pub fn time_out(&self, id: &str) {
        let state = self.shared.change(|record| record.ledger.time_out(id, Instant::now()));
        webhook::tell(&self.shared, id, state);
    }

    /// Hands a job out once more although a worker has it.
    pub fn redeliver(&self, id: &str) {
        self.shared.change(|record| record.ledger.redeliver(id));
    }

    /// Deletes a job as at the end of its time to live.
    pub fn expire(&self, id: &str) {
        self.shared.change(|record| record.ledger.expire(id));
    }

    /// Has something go wrong with the next requests of a route.
    pub fn fail(&self, route: Route, faults: impl IntoIterator<Item = Fault>) {
        self.shared.change(|record| record.script.add(route, faults));
    }

    /// Looks at what has happened.
    pub fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.shared.record())
    }

    /// What `/status` says of a job.
    pub fn status(&self, id: &str) -> Option<Value> {
        self.look(|record| record.ledger.status(id, Instant::now()))
    }

    /// Waits for something, however long it takes.
    pub async fn happens(&self, happened: impl Fn(&Record) -> bool) {
        let never = Instant::now() + Duration::from_secs(365 * 86_400);
        while self.shared.wait(never, |record| happened(record).then_some(())).await.is_none() {}
    }

    /// Waits until something has happened.
    ///
    /// # Panics
    /// When it has not within a minute; with all that has happened instead.
    pub async fn until(&self, what: &str, happened: impl Fn(&Record) -> bool) {
        let end = Instant::now() + PATIENCE;
        let found = self.shared.wait(end, |record| happened(record).then_some(())).await;
        assert!(found.is_some(), "never {what}: {:#?}", *self.shared.record());
    }

    /// Checks that every worker has kept to the protocol so far.
    ///
    /// # Panics
    /// When one has not.
    pub fn check(&self) {
        let violations = self.look(|record| record.violations.clone());
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

/// An id such as RunPod makes.
pub(crate) fn new_id() -> String {
    format!("{}-u1", Uuid::new_v4())
}
