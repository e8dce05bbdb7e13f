//! How a media comes by a source that has a URL of its own.
//!
//! The media waits in `uploading` as for any upload, with a running attempt beside: the handler
//! fetches the source and uploads it. What ends the wait is the stored source. The attempt's lease,
//! its report and its refusal matter only where there is none; then one retry is left.

use jiff::Timestamp;

use super::{Announcement, Attempt, Class, Effect, Event, Media, Rejected, Rules, State};
use crate::job::{Failure, FailureCode, INGEST, Outcome, RetryPolicy};

/// Attempts at bringing a source from its URL: the first and one retry.
pub const MAX_INGESTS: u8 = 2;

impl Media {
    /// The number of the last attempt at bringing the source; of no attempt if there was none.
    pub(super) const fn last_ingest(&self) -> u8 {
        INGEST + self.ingests
    }

    /// Begins an attempt at bringing the source from its URL.
    pub(super) fn begin_ingest(&mut self, now: Timestamp, rules: &Rules) -> Effect {
        self.ingests += 1;
        let route = rules.routes.of(Class::Ingest, self.missed.as_deref());
        let attempt = Attempt::begin(self.last_ingest(), route, now, rules);
        self.state =
            State::Uploading { expires_at: now + rules.upload, ingest: Some(Box::new(attempt)) };
        Effect::StartJob { attempt: self.last_ingest(), dispatch: 0 }
    }

    pub(super) fn while_ingesting(
        mut self,
        expires_at: Timestamp,
        mut attempt: Box<Attempt>,
        event: Event,
        now: Timestamp,
        rules: &Rules,
    ) -> Result<(Self, Vec<Effect>), Rejected> {
        let ours = event.attempt() == Some(attempt.id());
        if let Some(effects) = attempt.hear(&event, now, rules) {
            self.state = State::Uploading { expires_at, ingest: Some(attempt) };
            self.updated_at = now;
            return Ok((self, effects));
        }
        self.last_ingest_dispatch = attempt.dispatch;
        let mut effects = Vec::new();
        match event {
            Event::SourceStored(source) => effects = self.source_stored(source),
            Event::UploadKept { until } => {
                let expires_at = expires_at.max(until);
                self.state = State::Uploading { expires_at, ingest: Some(attempt) };
            }
            Event::Reported { report, .. } if ours => match report.outcome {
                // The stored source is about to be heard of; it has one more lease's time.
                Outcome::Completed { .. } => {
                    attempt.renew(now, rules);
                    self.state = State::Uploading { expires_at, ingest: Some(attempt) };
                }
                // The job is over: there is none to cancel.
                Outcome::Failed { error } => {
                    self.note_missed(&attempt, &error);
                    effects = self.ingest_failed(error, None, now, rules);
                }
            },
            Event::DispatchFailed { message, .. } if ours && !attempt.taken => {
                let error = Failure::new(FailureCode::DispatchFailed, message);
                effects = self.ingest_failed(error, None, now, rules);
            }
            Event::LeaseExpired { .. } if ours && now >= attempt.lease_until => {
                let error = attempt.lost("The handler fell silent in mid-download.");
                effects = self.ingest_failed(error, attempt.cancel(), now, rules);
            }
            Event::UploadExpired if now >= expires_at => {
                effects =
                    self.ingest_failed(Failure::upload_expired(), attempt.cancel(), now, rules);
            }
            Event::Cancel => {
                let error = Failure::new(FailureCode::Cancelled, "The media was cancelled.");
                effects = self.ingest_failed(error, attempt.cancel(), now, rules);
            }
            Event::Delete => {
                effects = self.deleted(now);
                effects.extend(attempt.cancel());
            }
            Event::Retry => return Err(Rejected::NotFailed),
            _ => return Err(Rejected::Stale),
        }
        self.updated_at = now;
        Ok((self, effects))
    }

    fn ingest_failed(
        &mut self,
        error: Failure,
        cancel: Option<Effect>,
        now: Timestamp,
        rules: &Rules,
    ) -> Vec<Effect> {
        let again = error.transient
            && self.details.pipeline.retry == RetryPolicy::Automatic
            && self.ingests < MAX_INGESTS;
        self.state = State::Failed { source: None, error };
        let mut effects = vec![Effect::DeleteObjects, self.announce(Announcement::Failed)];
        effects.extend(cancel);
        if again {
            effects.push(self.begin_ingest(now, rules));
        }
        effects
    }
}
