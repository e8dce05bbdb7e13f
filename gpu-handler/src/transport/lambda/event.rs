//! The two kinds of events, and their answers.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use lambda_runtime::Diagnostic;
use reelmill_shared::{
    id::MediaId,
    job::{Failure, JobReport, Outcome},
};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::Instrument;

use super::{Function, time::Allotted};
use crate::transport::delivery::{Message, Verdict};

/// Where messages of a queue say that they come from.
const SQS: &str = "aws:sqs";

/// Why an invocation fails: asynchronous ones are retried and then put aside, and the messages of a
/// batch all come again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct FunctionError {
    /// Stable code: a failure's, `unsettled` or `unsupported_event`.
    pub code: &'static str,
    /// One sentence for a person.
    pub message: String,
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.code.to_owned(), error_message: error.message }
    }
}

/// What became of a job that was handed in directly.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "status")]
enum Answer {
    #[serde(rename_all = "camelCase")]
    Completed { media_id: MediaId, attempt: u8 },
    #[serde(rename_all = "camelCase")]
    Failed { media_id: MediaId, attempt: u8, error: Failure },
    /// It only wanted the function to be awake.
    Warm,
}

impl Answer {
    fn new(report: Option<Box<JobReport>>) -> Self {
        let Some(report) = report else { return Self::Warm };
        let JobReport { media_id, attempt, outcome, .. } = *report;
        match outcome {
            Outcome::Completed { .. } => Self::Completed { media_id, attempt },
            Outcome::Failed { error } => Self::Failed { media_id, attempt, error },
        }
    }
}

impl Function {
    /// A job by itself; `id` is the request's, which stays the same when Lambda retries it.
    pub(super) async fn direct(
        &self,
        id: &str,
        payload: Value,
        time: &Allotted,
    ) -> Result<Value, FunctionError> {
        let message = Message { id, body: &payload.to_string(), deliveries: 1 };
        match self.take(message, time).await {
            Verdict::Done(report) => Ok(json!(Answer::new(report))),
            Verdict::Poisonous(failure) => {
                Err(FunctionError { code: failure.code.as_str(), message: failure.message })
            }
            Verdict::Again(_) | Verdict::Leave => {
                let message = "the report was not taken, or the attempt is another's";
                Err(FunctionError { code: "unsettled", message: message.to_owned() })
            }
        }
    }

    /// Messages of a queue, as many at a time as there are slots.
    pub(super) async fn batch(
        &self,
        payload: Value,
        time: &Allotted,
    ) -> Result<Value, FunctionError> {
        let messages = messages(payload)?;
        let slots = self.counter.desk().engine().config().concurrency;
        let failures = stream::iter(messages.into_iter().enumerate())
            .map(|(index, (id, message))| self.message(id, message, time, index < slots))
            .buffer_unordered(slots)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = failures;
        Ok(json!(response))
    }

    /// One message; gives what the queue is told if it has to come again. Whether it is one of the
    /// `first` decides what a want of time means: to those that come later another invocation gives
    /// more, and for the first it will never be enough.
    async fn message(
        &self,
        id: String,
        message: SqsMessage,
        time: &Allotted,
        first: bool,
    ) -> Option<BatchItemFailure> {
        let deliveries = message.attributes.get("ApproximateReceiveCount");
        let deliveries = deliveries.and_then(|count| count.parse().ok()).unwrap_or(1);
        let span = tracing::info_span!("message", id, deliveries);
        let body = message.body.unwrap_or_default();
        let message = Message { id: &id, body: &body, deliveries };
        let attend = async {
            if !first && !time.suffices() {
                tracing::warn!("too little time is left: the message has to come again");
                return false;
            }
            match self.take(message, time).await {
                Verdict::Done(_) => true,
                Verdict::Again(_) | Verdict::Leave => {
                    tracing::warn!("the message has to come again");
                    false
                }
                // Until the queue's redrive policy puts it aside.
                Verdict::Poisonous(failure) => {
                    tracing::error!(%failure, "the message holds no job for this handler");
                    false
                }
            }
        };
        if attend.instrument(span).await {
            return None;
        }
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        Some(failure)
    }
}

/// The messages of an event with their ids, without which none could be told apart.
fn messages(payload: Value) -> Result<Vec<(String, SqsMessage)>, FunctionError> {
    let refuse = |message: String| FunctionError { code: "unsupported_event", message };
    let event: SqsEvent = serde_json::from_value(payload)
        .map_err(|error| refuse(format!("the event's records are malformed: {error}")))?;
    let identify = |message: SqsMessage| {
        if message.event_source.as_deref() != Some(SQS) {
            return Err(refuse("an event of this source is not taken, only SQS's".to_owned()));
        }
        let id = message.message_id.clone().filter(|id| !id.is_empty());
        Ok((id.ok_or_else(|| refuse("a message has no id".to_owned()))?, message))
    };
    event.records.into_iter().map(identify).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn messages_have_ids() {
        let record = json!({"messageId": "m-1", "body": "{}", "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": "2"}, "eventSourceARN": "arn:aws:sqs:x"});
        let messages = messages(json!({"Records": [record]})).expect("of a queue");
        assert_eq!((messages.len(), messages[0].0.as_str()), (1, "m-1"));
    }

    #[rstest]
    #[case::of_a_bucket(json!([{"eventSource": "aws:s3", "s3": {}}]))]
    #[case::of_a_topic(json!([{"EventSource": "aws:sns", "Sns": {}}]))]
    #[case::without_an_id(json!([{"eventSource": "aws:sqs", "body": "{}"}]))]
    #[case::no_list(json!({"a": 1}))]
    #[case::no_record(json!([1]))]
    fn other_events_are_refused(#[case] records: Value) {
        let error = messages(json!({"Records": records})).expect_err("no messages");
        assert_eq!(error.code, "unsupported_event");
        assert_eq!(Diagnostic::from(error).error_type, "unsupported_event");
    }
}
