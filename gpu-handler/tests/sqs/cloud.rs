//! A queue with its dead letters, a table, a gateway, and workers that come and go.

use std::{collections::HashMap, path::Path, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use gpu_handler::ledger::Ledger;
use handler_harness::{Gateway, Moto, SECRET, Worker, clips};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wire::Wire;

pub(crate) const TABLE: &str = "ledger";

/// An account, and a gateway that hands jobs to its queue.
pub(crate) struct Cloud {
    pub(crate) gateway: Gateway,
    pub(crate) directory: TempDir,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) dynamo: aws_sdk_dynamodb::Client,
    pub(crate) queue: String,
    pub(crate) dead: String,
    pub(crate) moto: Moto,
}

impl Cloud {
    /// An account whose queue gives a message up after so many deliveries.
    pub(crate) async fn new(deliveries: u32) -> Self {
        let moto = Moto::start().await;
        moto.ledger(TABLE).await;
        let (queue, dead) = moto.queue("jobs", deliveries).await;
        let sdk = moto.sdk();
        let (sqs, dynamo) = (aws_sdk_sqs::Client::new(&sdk), aws_sdk_dynamodb::Client::new(&sdk));
        let directory = tempfile::tempdir().expect("a directory");
        let gateway = Gateway::start(clips::short(directory.path())).await;
        Self { gateway, directory, sqs, dynamo, queue, dead, moto }
    }

    pub(crate) async fn wire(&self) -> Wire {
        Wire::start(&self.moto).await
    }

    /// The environment of a worker at the end of `wire`, with a queue and a ledger.
    pub(crate) fn environment(&self, wire: &Wire) -> HashMap<&'static str, String> {
        let work = self.directory.path().to_string_lossy().into_owned();
        let ours = [
            ("HANDLER_WEBHOOK_SECRET", SECRET.to_owned()),
            ("REELMILL_SQS_QUEUE_URL", self.queue.clone()),
            ("REELMILL_LEDGER_TABLE", TABLE.to_owned()),
            ("REELMILL_WORK_DIR", work),
            // An idle worker that is to end waits no longer for the poll that is under way.
            ("REELMILL_GRACE_SECONDS", "1".to_owned()),
        ];
        Moto::environment(wire.url().as_str()).into_iter().chain(ours).collect()
    }

    /// A worker at the end of `wire`, with `more` in its environment.
    pub(crate) fn worker(&self, wire: &Wire, more: &[(&'static str, &str)]) -> Worker {
        let mut environment = self.environment(wire);
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        start(environment)
    }

    /// Hands a job to the queue, as the gateway does.
    pub(crate) async fn send(&self, job: &Value) {
        self.send_text(&json!({"input": job}).to_string()).await;
    }

    pub(crate) async fn send_text(&self, body: &str) {
        let sent = self.sqs.send_message().queue_url(&self.queue).message_body(body).send().await;
        sent.expect("sent");
    }

    /// How many messages of the queue there are to be had, and how many are hidden.
    pub(crate) async fn count(&self) -> (u32, u32) {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesNotVisible as Hidden,
        };
        let asked = self.sqs.get_queue_attributes().queue_url(&self.queue);
        let asked = asked.attribute_names(Visible).attribute_names(Hidden).send().await;
        let told = asked.expect("told").attributes.expect("told");
        let number = |name| told[name].parse().expect("a number");
        (number(&Visible), number(&Hidden))
    }

    /// The dead letters, once there are so many.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<Message> {
        let mut letters = Vec::new();
        while letters.len() < count {
            let asked = self.sqs.receive_message().queue_url(&self.dead).wait_time_seconds(20);
            let asked = asked.message_attribute_names("All").max_number_of_messages(10);
            let got = asked.visibility_timeout(3600).send().await;
            letters.extend(got.expect("told").messages.unwrap_or_default());
        }
        letters
    }

    /// What the ledger says of a job, which has no dispatch.
    pub(crate) async fn entry(&self, job: &Value) -> Option<HashMap<String, AttributeValue>> {
        let media = job["mediaId"].as_str().expect("an id");
        self.entry_of(&format!("{media}#{}", job["attempt"])).await
    }

    pub(crate) async fn entry_of(&self, key: &str) -> Option<HashMap<String, AttributeValue>> {
        let got = self.dynamo.get_item().table_name(TABLE).consistent_read(true);
        let got = got.key("job", AttributeValue::S(key.to_owned())).send().await;
        got.expect("told").item
    }

    /// A number that the ledger has of a job.
    pub(crate) async fn number(&self, job: &Value, name: &str) -> u64 {
        let entry = self.entry(job).await.expect("an entry");
        entry[name].as_n().expect("a number").parse().expect("whole")
    }

    /// Another worker's view of the ledger, with a clock that is fast by so much.
    pub(crate) fn ledger(&self, lease: Duration, fast: Duration) -> Ledger {
        let ledger =
            Ledger::new(self.dynamo.clone(), TABLE.to_owned(), "another".to_owned(), lease);
        ledger.with_clock(move || jiff::Timestamp::now() + fast)
    }

    /// Waits until sources were asked for so often.
    pub(crate) async fn until_fetched(&self, count: usize) {
        self.gateway.until("fetched", |record| record.fetched >= count).await;
    }

    /// The bodies of the reports, once there are so many.
    pub(crate) async fn reports(&self, count: usize) -> Vec<Value> {
        let reports = self.gateway.reports(count).await;
        reports.into_iter().map(|report| report.body).collect()
    }
}

/// Starts the binary without arguments, with this environment and none of ours.
pub(crate) fn start(environment: HashMap<&'static str, String>) -> Worker {
    Worker::start(Path::new(env!("CARGO_BIN_EXE_gpu-handler")), environment)
}

/// Asks a worker to end, and gives its log once it has, well.
pub(crate) async fn stop(mut worker: Worker) -> String {
    worker.tell(Signal::TERM);
    assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
    worker.log()
}
