//! The queue, in the words of SQS.

use std::time::Duration;

use aws_config::{Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client,
    config::Config,
    types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName},
};
use reelmill_shared::job::Failure;
use tokio::time::Instant;
use url::Url;

use crate::{
    aws::{AwsError, Trouble},
    config::aws::Sqs,
};

/// How long a poll is held by the queue, the longest that SQS knows, in seconds.
const POLL: i32 = 20;
/// How long a poll may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(30);
/// Most characters of a reason beside a dead letter.
const MAX_REASON: usize = 512;

/// A queue, and where its dead letters go.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    place: Sqs,
}

/// A message that is in hand, and hidden from others for a while.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) deliveries: u32,
    /// When it was asked for: what SQS counts from is later.
    pub(super) at: Instant,
    /// What this delivery of it is called by.
    handle: String,
}

impl Queue {
    /// The queue at `place`, in the account that `sdk` leads to. The region that the queue's URL tells
    /// goes before any other.
    pub fn new(sdk: &SdkConfig, place: Sqs) -> Self {
        let config = aws_sdk_sqs::config::Builder::from(sdk);
        let config = match place.region() {
            Some(region) => config.region(Region::new(region.to_owned())),
            None => config,
        };
        Self { client: Client::from_conf(config.build()), place }
    }

    pub(super) fn url(&self) -> &Url {
        &self.place.queue
    }

    /// How long a message is hidden at a time.
    pub(super) const fn visibility(&self) -> Duration {
        self.place.visibility
    }

    /// Finds out whether the queue is there and for us, and says what is strange about it.
    pub(super) async fn check(&self) -> Result<(), AwsError> {
        let asked = self
            .client
            .get_queue_attributes()
            .queue_url(self.place.queue.as_str())
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .attribute_names(QueueAttributeName::MessageRetentionPeriod)
            .send()
            .await;
        let answer = asked.map_err(|error| AwsError::new(&error))?;
        let attributes = answer.attributes.unwrap_or_default();
        if !attributes.contains_key(&QueueAttributeName::RedrivePolicy) {
            tracing::warn!(
                "the queue has no redrive policy: what fails comes again until it expires"
            );
        }
        Ok(())
    }

    /// Asks for a message, for as long as the queue holds the question.
    pub(super) async fn receive(&self) -> Result<Option<Received>, AwsError> {
        let at = Instant::now();
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(POLL_TIMEOUT).build();
        let asked = self
            .client
            .receive_message()
            .queue_url(self.place.queue.as_str())
            .max_number_of_messages(1)
            .wait_time_seconds(POLL)
            .visibility_timeout(seconds(self.place.visibility))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .customize()
            .config_override(Config::builder().timeout_config(timeouts))
            .send()
            .await;
        let answer = asked.map_err(|error| AwsError::new(&error))?;
        let Some(message) = answer.messages.unwrap_or_default().into_iter().next() else {
            return Ok(None);
        };
        let count = message
            .attributes
            .as_ref()
            .and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
        let deliveries = count.and_then(|count| count.parse().ok()).unwrap_or(1);
        let (Some(id), Some(handle)) = (message.message_id, message.receipt_handle) else {
            let message = "a message without an id or a receipt handle".to_owned();
            return Err(AwsError { trouble: Trouble::Unavailable, message });
        };
        let body = message.body.unwrap_or_default();
        Ok(Some(Received { id, body, deliveries, at, handle }))
    }

    /// Hides a message for so long from now on.
    pub(super) async fn hide(&self, received: &Received, time: Duration) -> Result<(), AwsError> {
        let asked = self
            .client
            .change_message_visibility()
            .queue_url(self.place.queue.as_str())
            .receipt_handle(&received.handle)
            .visibility_timeout(seconds(time))
            .send()
            .await;
        asked.map(drop).map_err(|error| AwsError::new(&error))
    }

    /// Deletes a message.
    pub(super) async fn delete(&self, received: &Received) -> Result<(), AwsError> {
        let asked = self
            .client
            .delete_message()
            .queue_url(self.place.queue.as_str())
            .receipt_handle(&received.handle)
            .send()
            .await;
        asked.map(drop).map_err(|error| AwsError::new(&error))
    }

    /// Copies a message to the dead letters, with the reason; `None` if there is no such place.
    pub(super) async fn bury(
        &self,
        received: &Received,
        failure: &Failure,
    ) -> Option<Result<(), AwsError>> {
        let place = self.place.dead_letters.as_ref()?;
        // What is quoted in a reason may hold what XML has no place for.
        let reason: String =
            failure.message.chars().filter(|char| !char.is_control()).take(MAX_REASON).collect();
        let asked = self
            .client
            .send_message()
            .queue_url(place.as_str())
            .message_body(&received.body)
            .message_attributes("code", text(failure.code.as_str()))
            .message_attributes("reason", text(&reason))
            .message_attributes("messageId", text(&received.id))
            .message_attributes("queue", text(self.place.queue.as_str()))
            .send()
            .await;
        Some(asked.map(drop).map_err(|error| AwsError::new(&error)))
    }
}

fn text(value: &str) -> MessageAttributeValue {
    let value = MessageAttributeValue::builder().data_type("String").string_value(value);
    value.build().expect("the data type is set")
}

/// Whole seconds, rather more than less.
fn seconds(time: Duration) -> i32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_not_cut_off() {
        let times = [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(43_200)];
        assert_eq!(times.map(seconds), [0, 1, 43_200]);
    }
}
