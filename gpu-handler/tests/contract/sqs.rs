//! A queue of SQS's with its dead letters, and the table of the ledger, as moto has them.
//!
//! What becomes of a message is told by where it is: one test has few of them.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use aws_sdk_sqs::{Client, types::QueueAttributeName};
use handler_harness::{Moto, PATIENCE, Worker};
use tokio::time::Instant;

use crate::home::{Fate, Fates, Home, Stopped, Ticket};

const TABLE: &str = "ledger";
/// How long a message is hidden at a time, in seconds: after a crash it comes again this late.
const VISIBILITY: &str = "8";
/// How often a message is delivered before it is put aside.
const DELIVERIES: u32 = 10;

/// An account with a queue.
pub(crate) struct Sqs {
    moto: Moto,
    client: Client,
    queue: String,
    dead: String,
    /// Messages that have been found among the dead letters.
    buried: AtomicU32,
}

impl Sqs {
    /// How many messages a queue has, hidden ones included.
    async fn count(&self, queue: &str) -> u32 {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesNotVisible as Hidden,
        };
        let asked = self.client.get_queue_attributes().queue_url(queue);
        let asked = asked.attribute_names(Visible).attribute_names(Hidden).send().await;
        let told = asked.expect("told").attributes.expect("told");
        [Visible, Hidden].map(|name| told[&name].parse::<u32>().expect("a number")).iter().sum()
    }

    /// Whether this is where the only message is that matters now.
    async fn is(&self, fate: Fate) -> bool {
        let (waiting, dead) = (self.count(&self.queue).await, self.count(&self.dead).await);
        let buried = self.buried.load(Ordering::Relaxed);
        match fate {
            Fate::Deleted => waiting == 0 && dead == buried,
            Fate::DeadLetter => waiting == 0 && dead == buried + 1,
            Fate::ComesAgain => waiting == 1 && dead == buried,
            _ => panic!("SQS knows no {fate:?}"),
        }
    }
}

impl Home for Sqs {
    const FATES: Fates = Fates {
        completed: Fate::Deleted,
        failed: Fate::Deleted,
        stale: Fate::Deleted,
        unheard: Fate::ComesAgain,
        stopped: Fate::ComesAgain,
        reports_stop: Stopped::Silent,
        crashed: Fate::ComesAgain,
        refused: Fate::DeadLetter,
        reports_refusals: true,
        poisonous: Fate::DeadLetter,
        oversized: Fate::Refused,
    };

    async fn open() -> Self {
        let moto = Moto::start().await;
        moto.ledger(TABLE).await;
        let (queue, dead) = moto.queue("jobs", DELIVERIES).await;
        Self { client: Client::new(&moto.sdk()), moto, queue, dead, buried: AtomicU32::new(0) }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let ours = [
            ("REELMILL_SQS_QUEUE_URL", self.queue.clone()),
            ("REELMILL_SQS_DLQ_URL", self.dead.clone()),
            ("REELMILL_SQS_VISIBILITY_SECONDS", VISIBILITY.to_owned()),
            ("REELMILL_LEDGER_TABLE", TABLE.to_owned()),
            // An idle worker that is to end waits no longer for the poll that is under way.
            ("REELMILL_GRACE_SECONDS", "1".to_owned()),
        ];
        let account = Moto::environment(self.moto.endpoint.as_str());
        account.into_iter().chain(ours).collect()
    }

    async fn ready(&mut self, worker: &Worker) {
        worker.says("taking jobs from SQS").await;
    }

    async fn hand_in(&self, body: &[u8]) -> Ticket {
        let text = String::from_utf8_lossy(body);
        let sent = self.client.send_message().queue_url(&self.queue).message_body(text);
        let sent = sent.send().await;
        let id = sent.ok().map(|sent| sent.message_id.expect("an id"));
        Ticket { id, body: body.to_vec(), refusal: None }
    }

    async fn again(&self, ticket: &Ticket) -> Ticket {
        self.hand_in(&ticket.body).await
    }

    async fn until(&self, ticket: &Ticket, fate: Fate) {
        if ticket.id.is_none() {
            assert_eq!(fate, Fate::Refused);
            return;
        }
        let end = Instant::now() + PATIENCE;
        while !self.is(fate).await {
            assert!(Instant::now() < end, "not {fate:?}");
            // A queue tells its producers nothing.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.buried.fetch_add(u32::from(fate == Fate::DeadLetter), Ordering::Relaxed);
    }

    /// It comes by itself, once it is no longer hidden.
    async fn recover(&self, ticket: &Ticket) -> Ticket {
        ticket.clone()
    }
}
