//! A running attempt: which backend has it, whether a worker has taken it, and how far it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Effect, Event, LOOK_EVERY, REPORT_GRACE, Rules, none_yet};
use crate::job::{Failure, FailureCode, Progress, Stage};

/// A running attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number: from 1, or beyond [`INGEST`](crate::job::INGEST) where it brings the source.
    pub number: u8,
    /// How many backends were offered it before this one. With the number it fences everything that
    /// is said of the attempt.
    #[serde(default, skip_serializing_if = "none_yet")]
    pub dispatch: u8,
    /// The backend that it is offered; empty where that was before backends had names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
    /// The backends that are left if no worker of this one takes it, the next one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// When it was dispatched.
    pub dispatched_at: Timestamp,
    /// When this backend was offered it, if another one was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_at: Option<Timestamp>,
    /// When the next backend is offered it unless a worker has taken it; absent once one has, and
    /// where no backend is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_at: Option<Timestamp>,
    /// When it counts as lost unless the handler gives a sign of life.
    pub lease_until: Timestamp,
    /// The backend's id for it, once the backend has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Whether a worker has taken it: one that only waits in a queue has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken: bool,
    /// The last sign of life, once there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When its backend last told something of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// When its backend is to be asked, should it be silent until then; absent where the lease lapses
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    /// What it fails as when its lease lapses, once its backend has said that it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Failure>,
}

impl Attempt {
    /// An attempt that is dispatched now, over a route of at least one backend.
    pub(super) fn begin(number: u8, route: Vec<String>, now: Timestamp, rules: &Rules) -> Self {
        let mut next = route;
        let backend = if next.is_empty() { String::new() } else { next.remove(0) };
        Self {
            number,
            dispatch: 0,
            backend,
            fallback_at: (!next.is_empty()).then(|| now + rules.fallback),
            next,
            dispatched_at: now,
            offered_at: None,
            lease_until: now + rules.lease,
            job: None,
            taken: false,
            progress: None,
            answered_at: None,
            look_at: None,
            over: None,
        }
    }

    /// What everything that is said of it has to name: its number and its dispatch.
    pub const fn id(&self) -> (u8, u8) {
        (self.number, self.dispatch)
    }

    /// Since when its backend has been offered it.
    pub fn waiting_since(&self) -> Timestamp {
        self.offered_at.unwrap_or(self.dispatched_at)
    }

    /// Takes an event after which the attempt goes on, here or at the next backend. `None`: it is
    /// about another one, changes nothing, or ends the attempt.
    pub(super) fn hear(
        &mut self,
        event: &Event,
        now: Timestamp,
        rules: &Rules,
    ) -> Option<Vec<Effect>> {
        if event.attempt() != Some(self.id()) {
            return None;
        }
        match event {
            Event::JobAccepted { job, .. } => {
                self.job = Some(job.clone());
                self.answered_at = Some(now);
            }
            Event::StillQueued { .. } => self.answered_at = Some(now),
            Event::NoAnswer { .. } => {}
            Event::LookDue { .. } if self.look_at.is_some_and(|at| at <= now) => {
                self.look_at = Some(now + LOOK_EVERY);
                return Some(vec![]);
            }
            Event::Ended { error, .. } if self.over.is_none() => {
                self.over = Some(error.clone());
                (self.lease_until, self.look_at) = (now + REPORT_GRACE, None);
                return Some(vec![]);
            }
            Event::Taken { .. } => {
                self.take();
                self.answered_at = Some(now);
            }
            Event::Progressed { progress, .. } => self.progressed(progress.clone()),
            Event::NotTaken { .. } if self.fallback_at.is_some_and(|at| at <= now) => {
                return self.hand_over(now, rules);
            }
            Event::DispatchFailed { .. } => return self.hand_over(now, rules),
            Event::LeaseExpired { .. } if now >= self.lease_until => {
                return self.hand_over(now, rules);
            }
            _ => return None,
        }
        // Whoever said that it was over has been given the lie.
        self.over = None;
        self.renew(now, rules);
        Some(vec![])
    }

    /// Goes to the next backend, if no worker has taken it and one is left.
    fn hand_over(&mut self, now: Timestamp, rules: &Rules) -> Option<Vec<Effect>> {
        if self.taken || self.next.is_empty() {
            return None;
        }
        let mut effects = Vec::from_iter(self.cancel());
        self.backend = self.next.remove(0);
        self.dispatch += 1;
        self.offered_at = Some(now);
        self.fallback_at = (!self.next.is_empty()).then(|| now + rules.fallback);
        (self.job, self.progress) = (None, None);
        (self.answered_at, self.over) = (None, None);
        self.renew(now, rules);
        effects.push(Effect::StartJob { attempt: self.number, dispatch: self.dispatch });
        Some(effects)
    }

    /// What stops it where it is, if its backend has it.
    pub(super) fn cancel(&self) -> Option<Effect> {
        let job = self.job.clone()?;
        Some(Effect::CancelJob { backend: self.backend.clone(), job })
    }

    /// Takes a sign of life.
    pub(super) fn renew(&mut self, now: Timestamp, rules: &Rules) {
        self.lease_until = now + rules.lease;
        self.look_at = (rules.lease > LOOK_EVERY).then(|| now + LOOK_EVERY);
    }

    /// Why it is given up when its lease lapses.
    pub(super) fn lost(&self, silent: &str) -> Failure {
        let silent = || Failure::new(FailureCode::HandlerLost, silent);
        self.over.clone().unwrap_or_else(silent)
    }

    /// A worker has it: from now on it is nobody else's.
    fn take(&mut self) {
        self.taken = true;
        self.fallback_at = None;
    }

    /// Takes a sign of life that tells how far the job is.
    fn progressed(&mut self, mut progress: Progress) {
        if progress.stage != Stage::Queued {
            self.take();
        }
        // Requests can overtake each other: what was reached stays reached.
        if let Some(last) = &self.progress {
            progress.playable |= last.playable;
            progress.percent = progress.percent.max(last.percent);
            progress.bytes = progress.bytes.max(last.bytes);
        }
        self.progress = Some(progress);
    }

    /// Whether the attempt's outputs can be played while they grow.
    pub fn playable(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.playable)
    }
}
