//! The event source mapping: hands a queue's messages to a function, and deletes what it is done with.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    lambda::{Invoked, Lambda},
    queue::{Message, Queue},
};

/// How long anything that a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue that a test and a mapping share.
#[derive(Debug, Clone)]
pub struct SharedQueue(watch::Sender<Queue>);

impl SharedQueue {
    /// Shares a queue.
    pub fn new(queue: Queue) -> Self {
        Self(watch::Sender::new(queue))
    }

    /// Sends a message; gives its id.
    pub fn send(&self, body: &str) -> String {
        let mut id = String::new();
        self.0.send_modify(|queue| id = queue.send(body, Instant::now()));
        id
    }

    /// Looks at it.
    pub fn look<T>(&self, look: impl FnOnce(&Queue) -> T) -> T {
        look(&self.0.borrow())
    }

    /// Waits until something has happened.
    ///
    /// # Panics
    /// When it has not within a minute; with all that there is instead.
    pub async fn until(&self, what: &str, happened: impl Fn(&Queue) -> bool) {
        let mut changes = self.0.subscribe();
        let waiting = changes.wait_for(|queue| happened(queue));
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("never {what}: {:#?}", *self.0.borrow());
        }
    }

    /// Waits until every message was deleted or is dead.
    pub async fn drained(&self) {
        self.until("drained", |queue| queue.messages().is_empty()).await;
    }

    async fn receive(&self, most: usize) -> Vec<Message> {
        let mut changes = self.0.subscribe();
        loop {
            changes.mark_unchanged();
            let mut received = Vec::new();
            self.0.send_if_modified(|queue| {
                let before = queue.messages().len();
                received = queue.receive(most, Instant::now());
                !received.is_empty() || queue.messages().len() < before
            });
            if !received.is_empty() {
                return received;
            }
            let next = self.look(Queue::next_at);
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn delete(&self, ids: impl Iterator<Item = String>) {
        self.0.send_modify(|queue| ids.for_each(|id| queue.delete(&id)));
    }
}

/// The mapping. It ends when this is dropped.
#[derive(Debug)]
pub struct Mapping {
    _polling: AbortOnDropHandle<()>,
}

impl Mapping {
    /// Maps `queue` to `lambda`, with up to `batch` messages an event and partial batch responses
    /// (`ReportBatchItemFailures`). One poller: the next batch is received when one is done.
    pub fn start(queue: SharedQueue, lambda: Arc<Lambda>, batch: usize) -> Self {
        let polling = tokio::spawn(async move {
            loop {
                let messages = queue.receive(batch).await;
                let invoked = lambda.invoke(event(&messages).to_string().as_bytes()).await;
                let Ok(Ok(invoked)) = invoked else { continue };
                let done = done(&messages, &invoked);
                queue.delete(done.into_iter());
            }
        });
        Self { _polling: AbortOnDropHandle::new(polling) }
    }
}

/// The event that a function gets.
pub fn event(messages: &[Message]) -> Value {
    let record = |message: &Message| {
        json!({"messageId": message.id, "receiptHandle": format!("receipt of {}", message.id),
            "body": message.body, "messageAttributes": {}, "md5OfBody": "",
            "attributes": {"ApproximateReceiveCount": message.receives.to_string(),
                "SentTimestamp": "1790000000000", "SenderId": "AIDAEMULATED",
                "ApproximateFirstReceiveTimestamp": "1790000000001"},
            "eventSource": "aws:sqs", "awsRegion": "eu-central-1",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:emulated"})
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

/// The messages that a function is done with: all of the batch but those that it names, none if it
/// failed, or names what Lambda cannot make anything of.
fn done(messages: &[Message], invoked: &Invoked) -> Vec<String> {
    let Invoked::Answer(answer) = invoked else { return Vec::new() };
    let ids: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => &Vec::new(),
        Some(Value::Array(failures)) => failures,
        Some(_) => return Vec::new(),
    };
    let named: Option<BTreeSet<&str>> = failures
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().filter(|id| ids.contains(id)))
        .collect();
    let Some(named) = named else { return Vec::new() };
    ids.difference(&named).map(|id| (*id).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(json!(null), &["message-1", "message-2"])]
    #[case::no_failures(json!({"batchItemFailures": []}), &["message-1", "message-2"])]
    #[case::one(json!({"batchItemFailures": [{"itemIdentifier": "message-1"}]}), &["message-2"])]
    #[case::an_unknown_one(json!({"batchItemFailures": [{"itemIdentifier": "x"}]}), &[])]
    #[case::an_empty_one(json!({"batchItemFailures": [{"itemIdentifier": ""}]}), &[])]
    #[case::malformed(json!({"batchItemFailures": "message-1"}), &[])]
    fn a_partial_response_deletes_the_rest(#[case] answer: Value, #[case] expected: &[&str]) {
        let (mut queue, now) = (Queue::new(Duration::ZERO, 2), Instant::now());
        queue.send("a", now);
        queue.send("b", now);
        let messages = queue.receive(10, now);
        assert_eq!(done(&messages, &Invoked::Answer(answer)), expected);
        assert_eq!(done(&messages, &Invoked::Error(json!({}))), [""; 0]);
    }
}
