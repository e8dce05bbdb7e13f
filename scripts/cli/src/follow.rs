//! A media's way to its end, by the gateway's server-sent events.

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use reelmill_shared::id::MediaId;
use reqwest::{Method, header::ACCEPT};
use serde_json::Value;

use crate::{
    board::Line,
    failure::{Failure, Kind},
    http::{Api, Trouble, succeeded},
    tus::Observer,
};

/// Follows a media until it is ready, or failed for good; answers with it as it then is.
///
/// # Errors
/// It is gone, or the gateway cannot be reached for long.
pub(crate) async fn follow(api: &Api, id: MediaId, line: &Line) -> Result<Value, Failure> {
    let mut stream = Stream { api, id, line, last: None, moved: false };
    let mut pauses = api.patience().pauses();
    loop {
        let ended = stream.watch().await;
        // The events say when to look; the media itself says what is so.
        let media = api.get(&format!("/api/media/{id}")).await?;
        if is_settled(&media) {
            return Ok(media);
        }
        if std::mem::take(&mut stream.moved) {
            pauses = api.patience().pauses();
        }
        let early = || {
            let failure = Failure::new(Kind::Unreachable, "the event stream broke off");
            Trouble::Passing { failure, after: None }
        };
        let trouble = ended.err().unwrap_or_else(early);
        if let Trouble::Passing { failure, .. } = &trouble {
            line.trouble(Some(failure));
        }
        pauses.sit_out(trouble).await?;
    }
}

/// Whether nothing more will happen to a media by itself.
fn is_settled(media: &Value) -> bool {
    match media["status"].as_str() {
        Some("ready") => true,
        Some("failed") => {
            let retries = media["pipeline"]["retry"] == "automatic"
                && media["error"]["transient"] == true
                && media["retriesLeft"].as_u64() > Some(0);
            !retries
        }
        _ => false,
    }
}

struct Stream<'a> {
    api: &'a Api,
    id: MediaId,
    line: &'a Line,
    /// The event to go on after.
    last: Option<String>,
    /// Whether anything was heard since this was last looked at.
    moved: bool,
}

impl Stream<'_> {
    /// Shows what happens until the stream ends, or tells of an end.
    async fn watch(&mut self) -> Result<(), Trouble> {
        let mut request = self.api.request(Method::GET, &format!("/api/media/{}/events", self.id));
        request = request.header(ACCEPT, "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        let mut events = succeeded(request.send().await?).await?.bytes_stream().eventsource();
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| Trouble::Passing {
                failure: Failure::new(
                    Kind::Unreachable,
                    format!("the event stream broke: {error}"),
                ),
                after: None,
            })?;
            self.moved = true;
            self.last = Some(event.id);
            let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
            match event.event.as_str() {
                "progress" => self.line.progress(&data),
                _ if data["status"] == "failed" || data["status"] == "ready" => return Ok(()),
                _ => self.line.stage(data["status"].as_str().unwrap_or_default()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!({"status": "ready"}), true)]
    #[case(json!({"status": "transcoding"}), false)]
    #[case(json!({"status": "failed", "error": {"transient": true}, "retriesLeft": 1}), true)]
    #[case(json!({"status": "failed", "error": {"transient": true}, "retriesLeft": 1, "pipeline": {"retry": "automatic"}}), false)]
    #[case(json!({"status": "failed", "error": {"transient": true}, "retriesLeft": 0, "pipeline": {"retry": "automatic"}}), true)]
    #[case(json!({"status": "failed", "error": {"transient": false}, "retriesLeft": 1, "pipeline": {"retry": "automatic"}}), true)]
    fn knows_when_to_stop_waiting(#[case] media: Value, #[case] settled: bool) {
        assert_eq!(is_settled(&media), settled);
    }
}
