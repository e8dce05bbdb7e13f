//! What can happen to a media while an attempt makes its outputs.

use jiff::Timestamp;

use super::{
    Announcement, Attempt, Effect, Event, MAX_ATTEMPTS, Media, Rejected, Rules, Source, State,
};
use crate::job::{Failure, FailureCode, Outcome, RetryPolicy};

impl Media {
    pub(super) fn while_transcoding(
        mut self,
        mut source: Source,
        mut attempt: Box<Attempt>,
        event: Event,
        now: Timestamp,
        rules: &Rules,
    ) -> Result<(Self, Vec<Effect>), Rejected> {
        let ours = event.attempt() == Some(attempt.id());
        let before = attempt.playable();
        if let Some(mut effects) = attempt.hear(&event, now, rules) {
            if !before && attempt.playable() {
                effects.push(self.announce(Announcement::Playable));
            }
            self.state = State::Transcoding { source, attempt };
            self.updated_at = now;
            return Ok((self, effects));
        }
        self.last_dispatch = attempt.dispatch;
        let mut effects = Vec::new();
        match event {
            Event::Reported { report, .. } if ours => {
                // What the handler has read it knows, even if it could make nothing of it.
                source.sha256 = source.sha256.or_else(|| report.source_sha256.clone());
                match report.outcome {
                    Outcome::Completed { .. } => {
                        self.state = State::Ready { source, report };
                        effects.push(self.announce(Announcement::Ready));
                    }
                    Outcome::Failed { error } => {
                        self.note_missed(&attempt, &error);
                        effects = self.attempt_failed(source, error);
                    }
                }
            }
            // One that a worker has taken is not refused by anybody.
            Event::DispatchFailed { message, .. } if ours && !attempt.taken => {
                effects =
                    self.attempt_failed(source, Failure::new(FailureCode::DispatchFailed, message));
            }
            Event::LeaseExpired { .. } if ours && now >= attempt.lease_until => {
                let error = attempt.lost("The handler fell silent in mid-job.");
                effects = self.attempt_failed(source, error);
                effects.extend(attempt.cancel());
            }
            Event::Cancel => {
                effects = self.cancelled(Some(source));
                effects.extend(attempt.cancel());
            }
            Event::Delete => {
                effects = self.deleted(now);
                effects.extend(attempt.cancel());
            }
            Event::SourceStored(_) => return Err(Rejected::SourceExists),
            Event::Retry => return Err(Rejected::NotFailed),
            _ => return Err(Rejected::Stale),
        }
        self.updated_at = now;
        Ok((self, effects))
    }

    fn attempt_failed(&mut self, source: Source, error: Failure) -> Vec<Effect> {
        let again = error.transient
            && self.details.pipeline.retry == RetryPolicy::Automatic
            && self.attempts < MAX_ATTEMPTS;
        self.state = State::Failed { source: Some(source.clone()), error };
        let mut effects = vec![self.announce(Announcement::Failed)];
        if again {
            self.state = State::Uploaded { source };
            effects.push(Effect::Dispatch);
        }
        effects
    }
}
