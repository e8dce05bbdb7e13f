//! One Durable Object a media: its state, outbox, alarm and live subscribers.
//!
//! It is thin: what happens to a media is decided by [`reelmill_shared::media`]. The object stores
//! the decision together with its effects ([`store`]), carries the effects out ([`outbox`]),
//! sends webhooks ([`deliveries`]) and tells live subscribers ([`live`]). Its one alarm stands at
//! the earliest time at which anything has to be done, so nothing waits for somebody to call.

mod class;
mod command;
mod commands;
mod deliveries;
mod live;
mod outbox;
mod store;

use std::{cell::Cell, rc::Rc};

use jiff::Timestamp;
use reelmill_shared::{
    id::MessageId,
    media::{Effect, Event},
    problem::ProblemCode,
};
use worker::{Env, Response, State, wasm_bindgen_futures::spawn_local};

pub use class::MediaObject;
pub use command::{Command, Created, Delivery, MediaStub, UploadLock};

use self::{
    live::Live,
    store::{Store, StoredEvent, Task},
};
use crate::{
    clock,
    config::Config,
    error::{ApiError, ApiResult},
    view::Record,
};

/// What outlives one request to the object.
struct Inner {
    state: State,
    env: Env,
    store: Store,
    live: Live,
    /// When the alarm is set for, as far as this instance knows.
    armed: Cell<Option<Timestamp>>,
    /// When subscribers last heard of progress.
    told_progress: Cell<Option<Timestamp>>,
}

impl Inner {
    fn new(state: State, env: Env) -> Self {
        let store = Store::new(state.storage().sql());
        let (armed, told_progress) = (Cell::new(None), Cell::new(None));
        Self { state, env, store, live: Live::default(), armed, told_progress }
    }

    fn config(&self) -> ApiResult<Rc<Config>> {
        Ok(Config::of(&self.env)?)
    }

    /// The media, or `media_not_found`. A deleted one is there, as a tombstone.
    fn record(&self) -> ApiResult<Record> {
        self.store.record()?.ok_or_else(|| ProblemCode::MediaNotFound.into())
    }

    /// Applies an event and stores what follows, in one transaction.
    fn apply(&self, event: Event) -> ApiResult<Record> {
        let now = clock::now();
        let Record { media, origin } = self.record()?;
        let (media, effects) = media.apply(event, now, self.config()?.timing)?;
        let record = Record { media, origin };
        self.store.update(&record)?;
        self.follow(&record, &effects, now)?;
        Ok(record)
    }

    /// Stores the effects of a change, with the text of each announcement as of now, and tells
    /// live subscribers.
    fn follow(&self, record: &Record, effects: &[Effect], now: Timestamp) -> ApiResult<()> {
        for effect in effects {
            if let Effect::Announce { kind, sequence } = effect {
                let id = MessageId::derived(&[&record.media.id.to_string(), &sequence.to_string()]);
                let body = serde_json::json!({
                    "type": kind,
                    "timestamp": now,
                    "data": {"sequence": sequence, "media": record.for_others()},
                });
                self.store.run(
                    "INSERT INTO messages VALUES (?, ?, ?, ?)",
                    vec![
                        id.to_string().into(),
                        kind.as_str().into(),
                        sequence.cast_signed().into(),
                        body.to_string().into(),
                    ],
                )?;
            }
            self.store.enqueue(&Task::Effect { effect: effect.clone() }, now)?;
        }
        if !effects.is_empty() {
            // Written at once by `after_change`; the task is for when that fails.
            self.store.enqueue(&Task::Index, now + outbox::INDEX_AFTER)?;
            self.tell("media", &record.for_others())?;
            if record.is_final() {
                self.live.close();
            }
        }
        Ok(())
    }

    /// Stores an event for subscribers and sends it to those who are there.
    fn tell(&self, kind: &str, data: &impl serde::Serialize) -> ApiResult<()> {
        let data = serde_json::to_string(data).map_err(ApiError::internal)?;
        let id = self.store.append_event(kind, &data)?;
        self.live.send(&StoredEvent { id, kind: kind.to_owned(), data });
        Ok(())
    }

    /// Begins to carry out what a change asked for, brings the catalogue up to date, and sets the
    /// alarm. Slow things go on after this returns.
    async fn after_change(self: &Rc<Self>) {
        spawn_local(Rc::clone(self).drain());
        spawn_local(Rc::clone(self).deliver_due());
        if let Err(error) = self.index().await {
            log("index", &error.problem().detail);
        }
        self.rearm().await;
    }

    /// Sets the alarm for the earliest thing to do.
    async fn rearm(&self) {
        if let Err(error) = self.try_rearm().await {
            log("rearm", &error.problem().detail);
        }
    }

    async fn try_rearm(&self) -> ApiResult<()> {
        let deadline = self.store.record()?.and_then(|record| record.media.deadline());
        let due = self.store.next_due()?.into_iter().chain(deadline.map(|(at, _)| at)).min();
        let Some(due) = due else { return Ok(()) };
        // An alarm that comes too early does no harm: it finds nothing to do and is set again.
        if self.armed.get().is_some_and(|armed| armed <= due) {
            return Ok(());
        }
        let wait = due.duration_since(clock::now()).as_millis().max(0);
        self.armed.set(Some(due));
        let wait = i64::try_from(wait).unwrap_or(i64::MAX);
        let set = self.state.storage().set_alarm(wait).await;
        if set.is_err() {
            self.armed.set(None);
        }
        Ok(set?)
    }

    /// Opens an event stream: what was missed since `last`, or the media as it is now.
    fn open_events(&self, last: Option<&str>) -> ApiResult<Response> {
        let record = self.record()?;
        let missed = match last.and_then(|last| last.parse().ok()) {
            Some(last) => self.store.events_after(last)?,
            None => None,
        };
        let first = match missed {
            Some(missed) => missed,
            None => vec![StoredEvent {
                id: self.store.last_event()?,
                kind: "media".into(),
                data: serde_json::to_string(&record.for_others()).map_err(ApiError::internal)?,
            }],
        };
        Ok(self.live.subscribe(&first, !record.is_final())?)
    }
}

/// Says what went wrong behind the scenes.
fn log(what: &str, message: &str) {
    worker::console_error!(
        "{}",
        serde_json::json!({"level": "error", "what": what, "message": message})
    );
}
