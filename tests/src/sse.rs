//! The gateway's event stream.

use std::{pin::Pin, time::Duration};

use anyhow::{Context, Result, bail};
use eventsource_stream::{Event, Eventsource};
use futures_util::{Stream, StreamExt};
use serde_json::Value;

use crate::api::Api;

/// One event.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its number within the media's stream.
    pub id: u64,
    /// `media` or `progress`.
    pub kind: String,
    /// Its JSON.
    pub data: Value,
}

/// A subscription to one media.
pub struct Events(Pin<Box<dyn Stream<Item = Result<Event>> + Send>>);

impl Events {
    /// Subscribes at a URL or path, after the event with id `after` if there is one.
    pub async fn subscribe(api: &Api, url: &str, after: Option<u64>) -> Result<Self> {
        let mut request =
            api.request(reqwest::Method::GET, url).header("accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after.to_string());
        }
        let response = request.send().await?;
        if response.status() != 200 {
            bail!("no event stream: {} {}", response.status(), response.text().await?);
        }
        let events = response.bytes_stream().eventsource().map(|event| Ok(event?));
        Ok(Self(Box::pin(events)))
    }

    /// The next event, or `None` at the end of the stream.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<Message>> {
        let event = tokio::time::timeout(limit, self.0.next())
            .await
            .with_context(|| format!("no event within {} s", limit.as_secs()))?;
        let Some(event) = event.transpose()? else { return Ok(None) };
        Ok(Some(Message {
            id: event.id.parse().with_context(|| format!("an event's id: {:?}", event.id))?,
            kind: event.event,
            data: serde_json::from_str(&event.data)?,
        }))
    }

    /// All events to the stream's end.
    pub async fn rest(mut self, limit: Duration) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        while let Some(message) = self.next(limit).await? {
            messages.push(message);
        }
        Ok(messages)
    }
}
