//! An SQS queue: jobs are sent to it as messages, and that is all. Who takes them, `gpu-handler sqs` or
//! a Lambda function, says everything else to the gateway itself.
//!
//! The AWS JSON protocol (`X-Amz-Target: AmazonSQS.…`), signed with SigV4 ([`signing`]). What a queue
//! cannot do follows from there being nobody to ask: a job that was sent waits, until a worker claims
//! it; and it cannot be taken back, but a worker whose job is nobody's any more does not begin it.

mod signing;

use std::time::Duration;

use jiff::Timestamp;
use reelmill_shared::job::Job;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use worker::Method;

use super::Start;
use crate::{
    clock,
    outgoing::{self, Answer},
};

pub use signing::AwsKey;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long `/health` waits for the queue.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ANSWER: usize = 64 * 1024;
/// Largest message that SQS takes, attributes included, in bytes.
const MAX_MESSAGE: usize = 1024 * 1024;
/// What stands in a message beside its body and the values of its attributes: their names and types.
const MESSAGE_MARGIN: usize = 1024;
/// Longest error code that is told on, in characters.
const MAX_CODE: usize = 80;

/// A queue, and the key to it.
#[derive(Debug)]
pub struct Sqs {
    queue: Url,
    region: String,
    key: AwsKey,
}

/// Why SQS did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// It will not, until somebody changes something.
    Refused(String),
    /// It may later.
    Passing(String),
    /// The key is good, but not for this.
    NotAllowed,
}

impl Sqs {
    /// The queue at `queue`, which is in `region`.
    pub const fn new(queue: Url, region: String, key: AwsKey) -> Self {
        Self { queue, region, key }
    }

    /// The region in the host of a queue's URL, as AWS itself writes it.
    pub fn region_of(queue: &Url) -> Option<&str> {
        let mut labels = queue.host_str()?.split('.');
        let (service, region, rest) = (labels.next()?, labels.next()?, labels.next()?);
        (service == "sqs" && rest == "amazonaws").then_some(region)
    }

    /// Sends a job. Its id is that of the message.
    pub async fn start(&self, job: &Job) -> Start {
        let request = match self.message(job) {
            Ok(request) => request,
            Err(refusal) => return Start::Refused(refusal),
        };
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Sent {
            message_id: String,
        }
        match self.call("SendMessage", &request, TIMEOUT).await {
            Ok(answer) => match serde_json::from_value::<Sent>(answer) {
                Ok(sent) => Start::Accepted(sent.message_id),
                Err(_) => Start::Unreachable("The queue's answer names no message.".into()),
            },
            Err(Trouble::Refused(message)) => Start::Refused(message),
            Err(Trouble::Passing(message)) => Start::Unreachable(message),
            Err(Trouble::NotAllowed) => {
                Start::Refused("The queue's key may not send messages to it.".into())
            }
        }
    }

    /// What the queue says of itself: how many jobs are in it, where the key may know that.
    ///
    /// # Errors
    /// A sentence that says why nothing can be sent to it.
    pub async fn health(&self) -> Result<Value, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Account {
            #[serde(default)]
            attributes: Attributes,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        struct Attributes {
            approximate_number_of_messages: Option<String>,
            approximate_number_of_messages_not_visible: Option<String>,
        }
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let request = json!({"QueueUrl": self.queue, "AttributeNames": names});
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
        match self.call("GetQueueAttributes", &request, HEALTH_TIMEOUT).await {
            Ok(answer) => {
                let account = serde_json::from_value::<Account>(answer);
                let attributes =
                    account.map_err(|_| "The queue's answer is none.".to_owned())?.attributes;
                Ok(json!({"queue": self.name(), "region": self.region, "jobs": {
                    "inQueue": number(attributes.approximate_number_of_messages),
                    "inProgress": number(attributes.approximate_number_of_messages_not_visible),
                }}))
            }
            // To send it need not look.
            Err(Trouble::NotAllowed) => Ok(json!({"queue": self.name(), "region": self.region})),
            Err(Trouble::Refused(message) | Trouble::Passing(message)) => Err(message),
        }
    }

    fn name(&self) -> &str {
        self.queue.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default()
    }

    /// The request that sends a job: the same JSON as `POST run` takes.
    fn message(&self, job: &Job) -> Result<Value, String> {
        let ((media, attempt), dispatch) = (job.attempt(), job.dispatch());
        let body = json!({ "input": job }).to_string();
        if body.len() > MAX_MESSAGE - MESSAGE_MARGIN {
            let length = body.len();
            return Err(format!(
                "The job has {length} bytes, more than a message of SQS may have."
            ));
        }
        let mut request = json!({
            "QueueUrl": self.queue,
            "MessageBody": body,
            "MessageAttributes": {
                "mediaId": {"DataType": "String", "StringValue": media.to_string()},
                "attempt": {"DataType": "Number", "StringValue": attempt.to_string()},
            },
        });
        if self.name().ends_with(".fifo") {
            request["MessageGroupId"] = json!(media);
            // A message whose answer was lost is sent again.
            request["MessageDeduplicationId"] = json!(format!("{media}-{attempt}-{dispatch}"));
        }
        Ok(request)
    }

    async fn call(&self, action: &str, body: &Value, wait: Duration) -> Result<Value, Trouble> {
        let body = body.to_string();
        let target = format!("AmazonSQS.{action}");
        let endpoint = self.queue.join("/").expect("a URL with a host has a root");
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", target),
        ];
        headers.extend(self.signature(&endpoint, &headers, &body, clock::now())?);
        let method = Method::Post;
        outgoing::send(method, endpoint.as_str(), &headers, Some(body), wait, MAX_ANSWER)
            .await
            .map_err(Trouble::Passing)
            .and_then(|answer| judge(&answer))
    }

    fn signature(
        &self,
        endpoint: &Url,
        headers: &[(&'static str, String)],
        body: &str,
        now: Timestamp,
    ) -> Result<Vec<(&'static str, String)>, Trouble> {
        let signed = self.key.sign("sqs", &self.region, endpoint, headers, body.as_bytes(), now);
        signed.ok_or_else(|| Trouble::Refused("The queue's requests cannot be signed.".into()))
    }
}

fn judge(answer: &Answer) -> Result<Value, Trouble> {
    if answer.status == 200 {
        let body = serde_json::from_slice(&answer.body);
        return body.map_err(|_| Trouble::Passing("The queue's answer is no JSON.".into()));
    }
    let code = code(&answer.body);
    let is = |words: &[&str]| words.iter().any(|word| code.contains(word));
    let told = if code.is_empty() { format!("status {}", answer.status) } else { code.clone() };
    Err(match answer.status {
        _ if is(&["Throttl", "RequestLimitExceeded", "ServiceUnavailable", "InternalFailure"]) => {
            Trouble::Passing(format!("The queue is too busy ({told})."))
        }
        408 | 429 | 500.. => Trouble::Passing(format!("The queue answered with {told}.")),
        _ if is(&["QueueDoesNotExist", "NonExistentQueue"]) => {
            Trouble::Refused("The queue does not exist.".into())
        }
        _ if is(&["AccessDenied"]) => Trouble::NotAllowed,
        401 | 403 => Trouble::Refused(format!("The queue refuses its key ({told}).")),
        _ => Trouble::Refused(format!("The queue refused the job ({told}).")),
    })
}

/// The error's code in an answer of the JSON protocol (`"__type": "com.amazonaws.sqs#Code"`), as far as
/// it is made of what codes are made of. The message beside it may show more than is to be told.
fn code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Wrong {
        #[serde(rename = "__type")]
        kind: String,
    }
    let Ok(Wrong { kind }) = serde_json::from_slice(body) else { return String::new() };
    let code = kind.rsplit('#').next().unwrap_or_default();
    code.chars().filter(|c| c.is_ascii_alphanumeric() || "._".contains(*c)).take(MAX_CODE).collect()
}

#[cfg(test)]
mod tests;
