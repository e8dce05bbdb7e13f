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
            bytes: None,
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
            Stage::Queued | Stage::Downloading | Stage::Fetching => FETCHING,
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

    /// A job that only downloads has brought so many bytes, of so many if that is known.
    pub fn downloaded(&self, bytes: u64, of: Option<u64>) {
        self.sender.send_modify(|progress| progress.bytes = Some(bytes));
        let share = of.map_or(0.0, |all| bytes as f32 / all.max(1) as f32);
        self.advance(100.0 * share.clamp(0.0, 1.0));
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

    #[test]
    fn a_download_of_unknown_length_tells_its_bytes() {
        let media = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id");
        let tracker = Tracker::new(media, 1);
        let told = || {
            let progress = tracker.subscribe().borrow().clone();
            (progress.bytes, progress.percent)
        };
        tracker.enter(Stage::Downloading);
        assert_eq!(told(), (None, 0.0));
        tracker.downloaded(5000, None);
        assert_eq!(told(), (Some(5000), 0.0));
        tracker.downloaded(6000, Some(8000));
        assert_eq!(told(), (Some(6000), 75.0));
    }

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
