//! A message as a queue delivers it, and the job in it.

use std::time::Duration;

use reelmill_shared::job::{Failure, FailureCode};
use serde_json::Value;

use super::AGAIN;

/// Largest message that is read, in bytes: SQS takes none that is larger.
const LARGEST: usize = 1 << 20;

/// A message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The queue's id of it: the same whenever it is delivered.
    pub id: &'a str,
    /// What it says: a job, or an object with a job as its `input`, as `POST /run` takes it.
    pub body: &'a str,
    /// How often it was delivered, this time included.
    pub deliveries: u32,
}

impl Message<'_> {
    /// The job, before it is read as one.
    ///
    /// # Errors
    /// `unsupported_job`, and why.
    pub(super) fn input(&self) -> Result<Value, Failure> {
        let refuse = |message: &str| Err(Failure::new(FailureCode::UnsupportedJob, message));
        if self.body.len() > LARGEST {
            return refuse("the message is larger than 1 MiB");
        }
        let mut body: Value = match serde_json::from_str(self.body) {
            Ok(body) => body,
            Err(error) => return refuse(&format!("the message is no JSON: {error}")),
        };
        match &mut body {
            Value::Object(members) => match members.remove("input") {
                // A job has an `input` of its own, which names a source.
                Some(input) if !members.contains_key("version") => Ok(input),
                Some(input) => {
                    members.insert("input".to_owned(), input);
                    Ok(body)
                }
                None if is_event(members) => refuse("the message is an event of AWS's, no job"),
                None => Ok(body),
            },
            _ => refuse("the message is no JSON object"),
        }
    }

    /// How long to wait before it is delivered again: longer each time.
    pub fn wait(&self) -> Duration {
        doubled(AGAIN.0, self.deliveries.saturating_sub(1))
    }

    /// The same where another worker is at it for at least `first`: longer from the third time on, since
    /// a queue gives a message up that is delivered too often.
    pub(super) fn held(&self, first: Duration) -> Duration {
        doubled(first, self.deliveries.saturating_sub(2))
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(AGAIN.1)
}

/// Whether it is what S3 sends to a queue as a test or for an object, or EventBridge or SNS for
/// anything.
fn is_event(members: &serde_json::Map<String, Value>) -> bool {
    ["Records", "Event", "detail-type", "TopicArn"].iter().any(|name| members.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn message(body: &str, deliveries: u32) -> Message<'_> {
        Message { id: "m", body, deliveries }
    }

    #[test]
    fn a_job_comes_bare_or_in_an_envelope() {
        let job = json!({"version": 1, "input": {"url": "https://a.example/"}});
        let ingest = json!({"version": 1, "kind": "ingest"});
        for job in [job, ingest] {
            let envelope = json!({"input": job, "policy": {}}).to_string();
            assert_eq!(message(&envelope, 1).input().expect("a job"), job);
            assert_eq!(message(&job.to_string(), 1).input().expect("a job"), job);
        }
    }

    #[rstest]
    #[case::half(r#"{"input": {"version": 1, "#, "the message is no JSON")]
    #[case::nothing("", "the message is no JSON")]
    #[case::list("[]", "the message is no JSON object")]
    #[case::deep(&"[".repeat(1000), "the message is no JSON: recursion limit")]
    #[case::large(&" ".repeat(LARGEST + 1), "the message is larger than 1 MiB")]
    #[case::s3_test(r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#, "the message is an event")]
    #[case::s3(r#"{"Records":[]}"#, "the message is an event")]
    #[case::event_bridge(r#"{"version":"0","detail-type":"x"}"#, "the message is an event")]
    fn what_is_none_is_told(#[case] body: &str, #[case] expected: &str) {
        let failure = message(body, 1).input().expect_err("no job");
        assert_eq!(failure.code, FailureCode::UnsupportedJob);
        assert!(failure.message.starts_with(expected), "{failure}");
    }

    #[test]
    fn waits_longer_and_longer() {
        let waits = [0, 1, 2, 3, 8, 9, 100, u32::MAX].map(|count| message("", count).wait());
        assert_eq!(waits.map(|wait| wait.as_secs()), [5, 5, 10, 20, 640, 900, 900, 900]);
        let held = |count| message("", count).held(Duration::from_secs(55)).as_secs();
        assert_eq!([1, 2, 3, 4, 9].map(held), [55, 55, 110, 220, 900]);
    }
}
