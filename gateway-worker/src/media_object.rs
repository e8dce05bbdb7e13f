//! One Durable Object a media: its state, outbox, alarm and live subscribers.
//!
//! It is thin: what happens to a media is decided by [`reelmill_shared::media`]. The object stores
//! the decision together with its effects ([`store`]), carries the effects out ([`outbox`]),
//! sends webhooks ([`deliveries`]) and tells live subscribers ([`live`]). Its one alarm stands at
//! the earliest time at which anything has to be done, so nothing waits for somebody to call.

mod billing;
mod class;
mod command;
mod commands;
mod creation;
mod deliveries;
mod direct;
mod live;
mod looking;
mod outbox;
mod resumable;
mod store;
mod waking;

use std::{cell::Cell, rc::Rc};

use jiff::Timestamp;
use reelmill_shared::{
    id::MessageId,
    job::RetryPolicy,
    media::{Announcement, Effect, Event, Media, Rules, State as MediaState},
    problem::ProblemCode,
};
use worker::{Env, Response, State, wasm_bindgen_futures::spawn_local};

pub use class::MediaObject;
pub use command::{
    Attached, Carried, Command, Created, Delivery, MediaStub, Reserved, UploadLock, decode_reply,
    encode_reply,
};

use self::{
    live::Live,
    store::{Store, StoredEvent, Task},
};
use crate::{
    clock,
    config::Config,
    error::{ApiError, ApiResult},
    log::log,
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
    /// When a backend was last asked because of a hint.
    looked: Cell<Option<Timestamp>>,
    /// How many deliveries are under way.
    delivering: Cell<u8>,
}

impl Inner {
    fn new(state: State, env: Env) -> Self {
        let store = Store::new(state.storage().sql());
        let (armed, told_progress, looked) = (Cell::new(None), Cell::new(None), Cell::new(None));
        let (live, delivering) = (Live::default(), Cell::new(0));
        Self { state, env, store, live, armed, told_progress, looked, delivering }
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
        let (now, config) = (clock::now(), self.config()?);
        let Record { media, origin, max_bytes, direct } = self.record()?;
        let failed = failure_before_retry(&media, &event, now, &config.rules);
        let job = media.running_job(&event);
        let (media, effects) = media.apply(event, now, &config.rules)?;
        let mut record = Record { media, origin, max_bytes, direct };
        let failed = failed.map(|media| Record { media, ..record.clone() });
        self.drop_unwanted_direct(&mut record, now)?;
        self.store.update(&record)?;
        if matches!(
            record.media.state,
            MediaState::Deleted { .. } | MediaState::Failed { source: None, .. }
        ) {
            self.drop_upload(now)?;
        }
        self.follow(&record, failed.as_ref(), &effects, now)?;
        if let Some(job) = job.filter(|job| record.media.has_left(job)) {
            self.bill_later(job, now)?;
        }
        Ok(record)
    }

    /// Stores the effects of a change, with the text of each announcement as of now, and tells
    /// live subscribers. `failed` is the media as a failure is announced, where it has already
    /// gone on to its automatic retry.
    fn follow(
        &self,
        record: &Record,
        failed: Option<&Record>,
        effects: &[Effect],
        now: Timestamp,
    ) -> ApiResult<()> {
        for effect in effects {
            if let Effect::Announce { kind, sequence } = effect {
                let announced = failed.filter(|_| *kind == Announcement::Failed).unwrap_or(record);
                self.store_message(*kind, *sequence, announced, now)?;
            }
            self.store.enqueue(&Task::Effect { effect: effect.clone() }, now)?;
        }
        if !effects.is_empty() {
            // Written at once by `after_change`; the task is for when that fails.
            self.store.enqueue(&Task::Index, now + outbox::INDEX_AFTER)?;
            if let Some(failed) = failed {
                self.tell("media", &failed.for_others())?;
            }
            self.tell("media", &record.for_others())?;
            if record.media.is_final() {
                self.live.close();
            }
        }
        Ok(())
    }

    fn store_message(
        &self,
        kind: Announcement,
        sequence: u64,
        record: &Record,
        now: Timestamp,
    ) -> ApiResult<()> {
        // Derived, so that announcing twice sends one message.
        let id = MessageId::derived(&[&record.media.id.to_string(), &sequence.to_string()]);
        let body = serde_json::json!({
            "type": kind,
            "timestamp": now,
            "data": {"sequence": sequence, "media": record.for_others()},
        });
        let values = vec![
            id.to_string().into(),
            kind.as_str().into(),
            sequence.cast_signed().into(),
            body.to_string().into(),
        ];
        Ok(self.store.run("INSERT INTO messages VALUES (?, ?, ?, ?)", values)?)
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
        // First of all, and before anything is awaited: so the alarm is stored in one with the
        // change, and a crash from here on delays what is to be done but cannot forget it.
        self.rearm().await;
        spawn_local(Rc::clone(self).drain());
        self.deliver_due();
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
        Ok(self.live.subscribe(&first, !record.media.is_final())?)
    }
}

/// The failed media that subscribers are to see, where `event` fails an attempt and the automatic
/// retry takes the media on in the same step.
fn failure_before_retry(
    media: &Media,
    event: &Event,
    now: Timestamp,
    rules: &Rules,
) -> Option<Media> {
    if media.details.pipeline.retry != RetryPolicy::Automatic {
        return None;
    }
    let (next, _) = media.clone().apply(event.clone(), now, rules).ok()?;
    let mut manual = media.clone();
    manual.details.pipeline.retry = RetryPolicy::Manual;
    let (mut failed, _) = manual.apply(event.clone(), now, rules).ok()?;
    failed.details = next.details;
    let retried = matches!(next.state, MediaState::Uploaded { .. } | MediaState::Uploading { .. })
        && matches!(failed.state, MediaState::Failed { .. });
    retried.then_some(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use reelmill_shared::media::{Details, Routes, Source};

    fn transcoding(retry: RetryPolicy) -> (Media, Timestamp, Rules) {
        let now = Timestamp::UNIX_EPOCH;
        let rules = Rules {
            upload: SignedDuration::from_hours(1),
            lease: SignedDuration::from_mins(1),
            queue: SignedDuration::from_hours(6),
            fallback: SignedDuration::from_mins(2),
            routes: Routes::only("handler"),
        };
        let mut details = Details::default();
        details.pipeline.retry = retry;
        let id = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id");
        let (mut media, _) = Media::create(id, details, now, &rules);
        let source = Source { size: 1, etag: "e".into(), sha256: None, content_type: None };
        for event in [Event::SourceStored(source), Event::Dispatched] {
            media = media.apply(event, now, &rules).expect("in order").0;
        }
        (media, now, rules)
    }

    #[test]
    fn a_failure_is_shown_although_the_retry_has_begun() {
        let (media, now, rules) = transcoding(RetryPolicy::Automatic);
        let event =
            Event::DispatchFailed { attempt: 1, dispatch: 0, message: "Nobody there.".into() };
        let failed = failure_before_retry(&media, &event, now, &rules).expect("retried");
        assert_eq!(failed.state.name(), "failed");
        assert_eq!(failed.details, media.details);
    }

    #[test]
    fn other_changes_are_shown_as_they_are() {
        let failure =
            Event::DispatchFailed { attempt: 1, dispatch: 0, message: "Nobody there.".into() };
        let (media, now, rules) = transcoding(RetryPolicy::Manual);
        assert_eq!(failure_before_retry(&media, &failure, now, &rules), None);
        let (media, now, rules) = transcoding(RetryPolicy::Automatic);
        assert_eq!(failure_before_retry(&media, &Event::Cancel, now, &rules), None);
    }
}
