//! What a home is to a test: a place that takes messages and gives them to a worker.

use handler_harness::Worker;

/// A message, as whoever handed it in knows it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    /// The home's id of it; none if it was refused.
    pub(crate) id: Option<String>,
    /// What was handed in.
    pub(crate) body: Vec<u8>,
    /// Why it was refused: a stable code.
    pub(crate) refusal: Option<String>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The home takes it for done.
    Completed,
    /// The home has been told that it failed.
    Failed,
    /// The home has taken it back.
    Cancelled,
    /// It was refused at the door.
    Refused,
    /// The home does not know it: it is lost.
    Unknown,
    /// It waits, or is being worked on.
    Open,
    /// It is deleted from the queue: done with, one way or the other.
    Deleted,
    /// It is in the queue, to be delivered once more.
    ComesAgain,
    /// It is put aside, for people to look at.
    DeadLetter,
}

/// Whether the gateway hears from a worker that was asked to end, and had no time to finish a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Always.
    Told,
    /// If it can be told within the fractions of a second that the home allows.
    MayBeTold,
    /// Never: another worker begins the job anew.
    Silent,
}

/// The fates of messages in a home, by what they are and what is done with them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fates {
    /// A job that is done and reported.
    pub(crate) completed: Fate,
    /// A job that failed, for good or not, and is reported.
    pub(crate) failed: Fate,
    /// A job that the gateway waits for no longer.
    pub(crate) stale: Fate,
    /// A job that is done and of which nobody takes the report.
    pub(crate) unheard: Fate,
    /// A job whose worker was asked to end and had no time to finish it.
    pub(crate) stopped: Fate,
    /// Whether that is reported: certainly, or if there is time.
    pub(crate) reports_stop: Stopped,
    /// A message that nobody can read.
    pub(crate) poisonous: Fate,
    /// A job that this handler must not take, and that says whom to report to.
    pub(crate) refused: Fate,
    /// Whether those are reported.
    pub(crate) reports_refusals: bool,
    /// A message that is larger than any job.
    pub(crate) oversized: Fate,
    /// A job whose worker is gone, without a word.
    pub(crate) crashed: Fate,
}

/// A home that can take a message back.
pub(crate) trait Revoking: Home {
    /// Takes a message back.
    async fn take_back(&self, ticket: &Ticket);
}

/// A place that gives messages to a worker, and nothing of the handler's but that worker.
pub(crate) trait Home: Sized {
    /// What becomes of messages here.
    const FATES: Fates;

    /// Whether it keeps messages while there is no worker.
    const QUEUES: bool = true;

    /// The home, without a worker.
    async fn open() -> Self;

    /// What it tells a worker by its environment.
    fn environment(&self) -> Vec<(&'static str, String)>;

    /// Waits until a worker that has been started can be given messages.
    async fn ready(&mut self, worker: &Worker);

    /// Hands in a message.
    async fn hand_in(&self, body: &[u8]) -> Ticket;

    /// Hands the same message out once more, as homes do that deliver at least once.
    async fn again(&self, ticket: &Ticket) -> Ticket;

    /// Waits until a message has this fate, which it then keeps unless something happens.
    async fn until(&self, ticket: &Ticket, fate: Fate);

    /// Its worker is gone: what a home notices by itself, it notices now.
    async fn gone(&self) {}

    /// Its worker has crashed and a new one is [`ready`](Self::ready): does what there is to do for the
    /// message to come again.
    async fn recover(&self, ticket: &Ticket) -> Ticket;

    /// What is known of a message with this fate once the worker is gone.
    fn remembers(fate: Fate) -> Fate {
        fate
    }

    /// Checks that workers have kept to the home's protocol.
    fn check(&self) {}
}
