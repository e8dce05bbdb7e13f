//! What can happen to a media while an attempt makes its outputs.

use jiff::Timestamp;

use super::{
    Announcement, Attempt, Effect, Event, MAX_ATTEMPTS, Media, Rejected, Source, State, Timing,
};
use crate::job::{Failure, FailureCode, Outcome, RetryPolicy};

impl Media {
    pub(super) fn while_transcoding(
        mut self,
        mut source: Source,
        mut attempt: Attempt,
        event: Event,
        now: Timestamp,
        timing: Timing,
    ) -> Result<(Self, Vec<Effect>), Rejected> {
        let running = attempt.number;
        let mut effects = Vec::new();
        match event {
            Event::JobAccepted { attempt: number, job } if number == running => {
                attempt.job = Some(job);
                attempt.renew(now, timing);
                self.state = State::Transcoding { source, attempt };
            }
            Event::StillQueued { attempt: number } if number == running => {
                attempt.renew(now, timing);
                self.state = State::Transcoding { source, attempt };
            }
            Event::Progressed(progress) if progress.attempt == running => {
                let before = attempt.playable();
                attempt.progressed(progress, now, timing);
                if !before && attempt.playable() {
                    effects.push(self.announce(Announcement::Playable));
                }
                self.state = State::Transcoding { source, attempt };
            }
            Event::Reported(report) if report.attempt == running => {
                // What the handler has read it knows, even if it could make nothing of it.
                source.sha256 = source.sha256.or_else(|| report.source_sha256.clone());
                match report.outcome {
                    Outcome::Completed { .. } => {
                        self.state = State::Ready { source, report };
                        effects.push(self.announce(Announcement::Ready));
                    }
                    Outcome::Failed { error } => effects = self.attempt_failed(source, error),
                }
            }
            Event::DispatchFailed { attempt: number, message } if number == running => {
                effects =
                    self.attempt_failed(source, Failure::new(FailureCode::DispatchFailed, message));
            }
            Event::LeaseExpired { attempt: number }
                if number == running && now >= attempt.lease_until =>
            {
                let error =
                    Failure::new(FailureCode::HandlerLost, "The handler fell silent in mid-job.");
                effects = self.attempt_failed(source, error);
                effects.extend(attempt.job.map(|job| Effect::CancelJob { job }));
            }
            Event::Cancel => {
                effects = self.cancelled(Some(source));
                effects.extend(attempt.job.map(|job| Effect::CancelJob { job }));
            }
            Event::Delete => {
                effects = self.deleted(now);
                effects.extend(attempt.job.map(|job| Effect::CancelJob { job }));
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
