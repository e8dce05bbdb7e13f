//! Waking a worker while a source is on its way, on platforms where workers sleep.
//!
//! Best effort: nobody waits for it, and nothing depends on it. Each isolate asks a platform at most
//! once in [`WAKE_EVERY`]; across isolates the platform itself is what they share, since it tells of
//! workers that start and of messages that wait for one.

use std::{cell::Cell, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::media::{Class, State};
use worker::wasm_bindgen_futures::spawn_local;

use super::{Inner, log};
use crate::{clock, view::Record};

/// How often an isolate looks whether there is anybody to wake.
const WAKE_EVERY: SignedDuration = SignedDuration::from_secs(30);

thread_local! {
    static WOKEN: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

impl Inner {
    /// Has a worker woken for the source that is coming in, if its backend's workers sleep.
    pub(super) fn prewarm(&self, record: &Record) {
        let State::Uploading { ingest: None, .. } = record.media.state else { return };
        let Ok(config) = self.config() else { return };
        let class = Class::declared(record.media.details.content_type.as_deref());
        let Some(first) = config.rules.routes.of(class, None).into_iter().next() else { return };
        if !config.backends.get(&first).is_some_and(crate::dispatch::Backend::prewarms) {
            return;
        }
        let now = clock::now();
        if WOKEN.get().is_some_and(|woken| now < woken + WAKE_EVERY) {
            return;
        }
        WOKEN.set(Some(now));
        let config = Rc::clone(&config);
        spawn_local(async move {
            if let Some(backend) = config.backends.get(&first)
                && let Err(error) = backend.prewarm().await
            {
                log("prewarm", &error);
            }
        });
    }
}
