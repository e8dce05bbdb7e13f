//! The time that an invocation has, and what it means for its jobs.

use std::time::Duration;

use reelmill_shared::job::{Progress, Stage};
use tokio::{sync::watch, time::Instant};

use crate::stop::Reason;

/// The first moment that a deadline can be, in milliseconds since 1970: before Lambda was there. An
/// emulator that counts from the invocation's beginning stays below it.
const FIRST: u64 = 1_000_000_000_000;

/// How an invocation's time is divided.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long before the deadline a job is stopped, so that it can be reported.
    pub margin: Duration,
    /// How long a job has to have been encoding before its estimate counts.
    pub measured: Duration,
    /// How many times the time that is left the estimate has to be for the job to be hopeless.
    pub slack: f32,
}

impl Timing {
    /// With this margin, and careful about estimates.
    pub const fn new(margin: Duration) -> Self {
        Self { margin, measured: Duration::from_secs(45), slack: 1.5 }
    }

    /// Whether a job that has been encoding for so long is sure not to end in what is `left`.
    fn hopeless(&self, encoding: Duration, eta_seconds: f32, left: Duration) -> bool {
        encoding >= self.measured && eta_seconds > left.as_secs_f32() * self.slack
    }
}

/// The time that one invocation has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allotted {
    timing: Timing,
    /// When jobs are stopped.
    stop: Instant,
    /// When there has to be an answer, whatever is still under way.
    pub(super) end: Instant,
}

impl Allotted {
    /// The time until `deadline`, both in milliseconds since 1970.
    pub(super) fn new(timing: Timing, deadline: u64, now: u64) -> Self {
        let left = match deadline < FIRST {
            true => deadline,
            false => deadline.saturating_sub(now),
        };
        let (left, now) = (Duration::from_millis(left), Instant::now());
        // Enough to send the answer, and to be read.
        let answer = (timing.margin / 4).min(Duration::from_secs(1));
        Self {
            timing,
            stop: now + left.saturating_sub(timing.margin),
            end: now + left.saturating_sub(answer),
        }
    }

    /// Whether it is worth while to begin a job: it could run at least as long as its report may take.
    pub(super) fn suffices(&self) -> bool {
        self.left() >= self.timing.margin
    }

    /// How long a job may still run.
    fn left(&self) -> Duration {
        self.stop.saturating_duration_since(Instant::now())
    }

    /// Done when a job is to be stopped: its time is over, or is sure not to suffice.
    pub(super) async fn over(self, mut progress: watch::Receiver<Progress>) -> Reason {
        let hopeless = self.until_hopeless(&mut progress);
        let _ = tokio::time::timeout_at(self.stop, hopeless).await;
        Reason::Deadline
    }

    /// Ends when the job tells that it is sure not to end in time.
    async fn until_hopeless(&self, progress: &mut watch::Receiver<Progress>) {
        let mut began = None;
        while progress.changed().await.is_ok() {
            let (stage, eta) = {
                let now = progress.borrow_and_update();
                (now.stage, now.eta_seconds)
            };
            if stage != Stage::Encoding {
                continue;
            }
            let encoding = began.get_or_insert_with(Instant::now).elapsed();
            let left = self.left();
            if eta.is_some_and(|eta| self.timing.hopeless(encoding, eta, left)) {
                tracing::warn!(?eta, ?left, "the job will not end in time");
                return;
            }
        }
        // It is over, or as good as.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::Tracker;
    use rstest::rstest;

    const NOW: u64 = 1_790_000_000_000;

    fn timing() -> Timing {
        Timing::new(Duration::from_secs(15))
    }

    fn tracker() -> Tracker {
        Tracker::new("med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id"), 1)
    }

    #[rstest]
    #[case::plenty(NOW + 900_000, true)]
    #[case::just_enough(NOW + 30_000, true)]
    #[case::too_little(NOW + 29_000, false)]
    #[case::past(NOW - 1, false)]
    #[case::of_an_emulator(600_000, true)]
    #[tokio::test(start_paused = true)]
    async fn a_job_is_begun_if_there_is_time(#[case] deadline: u64, #[case] begun: bool) {
        assert_eq!(Allotted::new(timing(), deadline, NOW).suffices(), begun);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_stopped_before_the_deadline() {
        let began = Instant::now();
        let allotted = Allotted::new(timing(), NOW + 60_000, NOW);
        assert_eq!(allotted.over(tracker().subscribe()).await, Reason::Deadline);
        assert_eq!(began.elapsed().as_secs(), 45);
        assert_eq!((allotted.end - began).as_secs(), 59);
    }

    #[rstest]
    #[case::hopeless(0.02, 45)]
    #[case::close(0.3, 185)]
    #[tokio::test(start_paused = true)]
    async fn a_hopeless_job_is_stopped_early(#[case] pace: f32, #[case] stopped_at: u64) {
        let began = Instant::now();
        let allotted = Allotted::new(timing(), NOW + 200_000, NOW);
        let tracker = tracker();
        let encoding = async {
            tracker.enter(Stage::Encoding);
            for second in 1.. {
                tokio::time::sleep(Duration::from_secs(1)).await;
                // Nothing counts before there is something to go by.
                tracker.encoded(pace * second as f32 / 45.0, None);
            }
        };
        tokio::select! {
            reason = allotted.over(tracker.subscribe()) => assert_eq!(reason, Reason::Deadline),
            () = encoding => unreachable!("it is stopped"),
        }
        let stopped = began.elapsed().as_secs();
        assert!((stopped_at..stopped_at + 2).contains(&stopped), "after {stopped} s");
    }
}
