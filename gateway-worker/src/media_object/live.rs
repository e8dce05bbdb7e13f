//! Live subscribers of a media: server-sent events (WHATWG HTML §9.2).

use std::{cell::RefCell, time::Duration};

use futures_channel::mpsc;
use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
    stream,
};
use worker::{Delay, Headers, Response, Result};

use super::store::StoredEvent;

/// How many events a subscriber may lag behind before it is cut off; it can resume by
/// `Last-Event-ID`.
const MAX_LAG: usize = 64;
/// Silence after which a comment shows that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The open event streams of one media.
#[derive(Default)]
pub(super) struct Live(RefCell<Vec<mpsc::Sender<Vec<u8>>>>);

impl Live {
    /// Sends an event to everybody and cuts off who does not keep up or has gone.
    pub(super) fn send(&self, event: &StoredEvent) {
        let bytes = encode(event);
        self.0.borrow_mut().retain_mut(|subscriber| subscriber.try_send(bytes.clone()).is_ok());
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.0.borrow_mut().clear();
    }

    /// An answer that begins with `first`, and goes on with what is sent from now on if `stay`.
    pub(super) fn subscribe(&self, first: &[StoredEvent], stay: bool) -> Result<Response> {
        let first: Vec<u8> = first.iter().flat_map(encode).collect();
        let (sender, receiver) = mpsc::channel(MAX_LAG);
        if stay {
            self.0.borrow_mut().push(sender);
        }
        let rest = stream::unfold(receiver, |mut receiver| async move {
            let event = select(receiver.next(), Delay::from(KEEP_ALIVE).boxed_local()).await;
            let bytes = match event {
                Either::Left((event, _)) => event?,
                Either::Right(_) => b": keep-alive\n\n".to_vec(),
            };
            Some((bytes, receiver))
        });
        // The comment opens the stream at once even where there is nothing to tell yet.
        let opening = [b": connected\n\n".as_slice(), &first].concat();
        let body = stream::once(async { opening }).chain(rest).map(Ok::<_, worker::Error>);
        let headers = Headers::new();
        headers.set("content-type", "text/event-stream; charset=utf-8")?;
        headers.set("cache-control", "no-store")?;
        Ok(Response::from_stream(body)?.with_headers(headers))
    }
}

fn encode(event: &StoredEvent) -> Vec<u8> {
    // JSON has no line breaks outside its escapes, so one data line is enough.
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.data).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_pinned() {
        let event = StoredEvent { id: 7, kind: "media".into(), data: "{}".into() };
        assert_eq!(encode(&event), b"id: 7\nevent: media\ndata: {}\n\n");
    }

    #[test]
    fn who_does_not_keep_up_is_cut_off() {
        let live = Live::default();
        let (sender, receiver) = mpsc::channel(MAX_LAG);
        live.0.borrow_mut().push(sender);
        let event = StoredEvent { id: 7, kind: "media".into(), data: "{}".into() };
        // The channel holds MAX_LAG messages and one for its one sender.
        for _ in 0..=MAX_LAG {
            live.send(&event);
        }
        assert_eq!(live.0.borrow().len(), 1);
        live.send(&event);
        assert_eq!(live.0.borrow().len(), 0);
        drop(receiver);
    }
}
