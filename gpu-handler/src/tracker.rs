//! What a job knows about its own progress. The newest state wins; nobody who reads it can hold the
//! work up.

use reelmill_shared::{
    id::MediaId,
    job::{Progress, Stage},
};
use tokio::{sync::watch, time::Instant};

/// Where each stage begins, in percent of the job.
const FETCHING: f32 = 0.0;
const ENCODING: f32 = 8.0;
const PUBLISHING: f32 = 98.0;

/// The writing end of a job's progress.
#[derive(Debug)]
pub struct Tracker {
    sender: watch::Sender<Progress>,
    encoding_since: std::sync::OnceLock<Instant>,
}

impl Tracker {
    /// Progress of an attempt that waits for its turn.
    pub fn new(media_id: MediaId, attempt: u8) -> Self {
        let progress = Progress {
            media_id,
            attempt,
            stage: Stage::Queued,
            percent: 0.0,
            speed: None,
            eta_seconds: None,
            playable: false,
        };
        Self { sender: watch::Sender::new(progress), encoding_since: Default::default() }
    }

    /// The reading end.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.sender.subscribe()
    }

    /// Enters a stage.
    pub fn enter(&self, stage: Stage) {
        let percent = match stage {
            Stage::Queued | Stage::Fetching => FETCHING,
            Stage::Probing | Stage::Encoding => ENCODING,
            Stage::Publishing => PUBLISHING,
        };
        if stage == Stage::Encoding {
            let _ = self.encoding_since.set(Instant::now());
        }
        self.sender.send_modify(|progress| {
            progress.stage = stage;
            progress.percent = progress.percent.max(percent);
            if stage != Stage::Encoding {
                (progress.speed, progress.eta_seconds) = (None, None);
            }
        });
    }

    /// So much of the source is here, 0 to 1.
    pub fn fetched(&self, share: f32) {
        self.advance(FETCHING + share.clamp(0.0, 1.0) * (ENCODING - FETCHING));
    }

    /// So much is encoded, 0 to 1, at `speed` times real time.
    pub fn encoded(&self, share: f32, speed: Option<f32>) {
        let share = share.clamp(0.0, 1.0);
        let elapsed = self.encoding_since.get().map(Instant::elapsed).unwrap_or_default();
        // Of the first per cent nothing can be told.
        let eta = (share > 0.01).then(|| elapsed.as_secs_f32() * (1.0 - share) / share);
        self.sender.send_modify(|progress| (progress.speed, progress.eta_seconds) = (speed, eta));
        self.advance(ENCODING + share * (PUBLISHING - ENCODING));
    }

    /// The outputs can be played from now on.
    pub fn playable(&self) {
        self.sender.send_modify(|progress| progress.playable = true);
    }

    fn advance(&self, percent: f32) {
        self.sender.send_modify(|progress| progress.percent = progress.percent.max(percent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn percent_never_falls() {
        let media = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id");
        let tracker = Tracker::new(media, 1);
        let seen = tracker.subscribe();
        let mut last = 0.0;
        let steps: [&dyn Fn(); 9] = [
            &|| tracker.enter(Stage::Fetching),
            &|| tracker.fetched(0.5),
            &|| tracker.fetched(0.2),
            &|| tracker.enter(Stage::Probing),
            &|| tracker.enter(Stage::Encoding),
            &|| tracker.encoded(0.5, Some(2.0)),
            &|| tracker.encoded(0.1, None),
            &|| tracker.encoded(f32::NAN, None),
            &|| tracker.enter(Stage::Publishing),
        ];
        for step in steps {
            step();
            let percent = seen.borrow().percent;
            assert!((last..=100.0).contains(&percent), "{percent} after {last}");
            last = percent;
        }
        assert!(!seen.borrow().playable);
        tracker.playable();
        assert!(seen.borrow().playable);
    }
}
