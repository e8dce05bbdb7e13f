//! A function of AWS Lambda's whose messages come from a queue, one in an event.
//!
//! Lambda's side is [`service`]: as much of it as a message needs that is delivered, and comes again, so
//! that the process is the bench's to start and to kill. The rest of Lambda, which starts, freezes and
//! kills processes itself, is `tests/lambda`.
//! The clock of the queue is the test's: a message that was not done with comes again when
//! [`recover`](Home::recover) says so. There is no ledger: an environment works on one event at a time.

mod service;

use handler_harness::Worker;

use crate::home::{Fate, Fates, Home, Stopped, Ticket};
use service::{Place, Service};

/// Largest message that a queue takes, in bytes.
const LARGEST: usize = 1 << 20;
/// Without it, what a function's own client needs is missing.
const FUNCTION: [(&str, &str); 5] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "handler"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "4096"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
];

/// The function and its queue.
pub(crate) struct Lambda {
    service: Service,
}

impl Lambda {
    /// Has a message come again until the queue has had enough of it.
    async fn until_put_aside(&self, id: &str) {
        let over = |at: Place| matches!(at, Place::Hidden | Place::Dead);
        loop {
            let queue = self.service.until("tried", |queue| over(queue.place(id))).await;
            if queue.place(id) == Place::Dead {
                return;
            }
            self.service.show(id);
        }
    }
}

impl Home for Lambda {
    const FATES: Fates = Fates {
        completed: Fate::Deleted,
        failed: Fate::Deleted,
        stale: Fate::Deleted,
        unheard: Fate::ComesAgain,
        stopped: Fate::ComesAgain,
        reports_stop: Stopped::MayBeTold,
        crashed: Fate::ComesAgain,
        refused: Fate::DeadLetter,
        reports_refusals: true,
        poisonous: Fate::DeadLetter,
        oversized: Fate::Refused,
    };

    async fn open() -> Self {
        Self { service: Service::start().await }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let api = ("AWS_LAMBDA_RUNTIME_API", self.service.address());
        let function = FUNCTION.map(|(name, value)| (name, value.to_owned()));
        [api].into_iter().chain(function).collect()
    }

    async fn ready(&mut self, _: &Worker) {
        let ready = |queue: &service::Queue| queue.asking > 0 && queue.listening > 0;
        self.service.until("ready", ready).await;
    }

    async fn hand_in(&self, body: &[u8]) -> Ticket {
        let text = String::from_utf8_lossy(body).into_owned();
        let id = (body.len() <= LARGEST).then(|| self.service.send(text));
        Ticket { id, body: body.to_vec(), refusal: None }
    }

    async fn again(&self, ticket: &Ticket) -> Ticket {
        self.hand_in(&ticket.body).await
    }

    async fn until(&self, ticket: &Ticket, fate: Fate) {
        let Some(id) = &ticket.id else {
            assert_eq!(fate, Fate::Refused);
            return;
        };
        let place = match fate {
            Fate::Deleted => Place::Deleted,
            Fate::ComesAgain => Place::Hidden,
            Fate::DeadLetter => return self.until_put_aside(id).await,
            _ => panic!("a queue knows no {fate:?}"),
        };
        self.service.until(&format!("{fate:?}"), |queue| queue.place(id) == place).await;
    }

    async fn recover(&self, ticket: &Ticket) -> Ticket {
        self.service.show(ticket.id.as_ref().expect("it was taken"));
        ticket.clone()
    }

    async fn gone(&self) {
        self.service.environment_is_gone();
    }
}
