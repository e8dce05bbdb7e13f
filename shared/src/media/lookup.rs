//! What to make of a backend's own account of a job.
//!
//! It is a hint, never the truth: only a signed report ends an attempt well, and a signed sign of life
//! outweighs whatever the backend says. But a job that the backend has lost, or that ended without a
//! report, is found out here, long before its lease could tell. A backend is asked
//!
//! * when a lease lapses, or the time is over within which a worker was to take the job;
//! * after [`LOOK_EVERY`] of silence, where the lease is longer than that;
//! * when somebody hints that there is news (RunPod's unsigned webhook).
//!
//! | it says | what follows |
//! |---|---|
//! | the job waits | it goes on waiting, for as long as jobs may wait at most |
//! | a worker has it | one more lease; if that goes by without a word from the worker, it is lost |
//! | it has ended, or is unknown | the report has [`REPORT_GRACE`] to come; then the attempt is lost |
//! | nothing: it cannot be asked | a job that no worker is known to have gets up to [`OUTAGE`] leases |

use jiff::{SignedDuration, Timestamp};

use super::{Attempt, Event, Rules};
use crate::job::{Failure, FailureCode};

/// How long a silent job is left alone at most. Platforms forget results after half an hour: no job
/// may get lost in between.
pub const LOOK_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// How long a report may still be on its way once the job is said to be over. Handlers send it before
/// they tell the platform.
pub const REPORT_GRACE: SignedDuration = SignedDuration::from_secs(10);
/// For how many leases a backend may be out of reach before the jobs in its queue count as lost.
pub const OUTAGE: i32 = 3;
/// Most characters of a platform's words that are told on.
const MAX_WORDS: usize = 200;
/// Longest word of theirs: what is longer is a path, a key, or noise.
const MAX_WORD: usize = 40;

/// What a backend says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// It waits for a worker.
    Waiting,
    /// A worker has it.
    Running,
    /// It is over.
    Ended(Ending),
    /// There is no such job: lost, or forgotten at the end of its time to live.
    Unknown,
    /// The backend cannot be asked.
    NoAnswer,
}

/// How a job ended, as its platform sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With an output.
    Completed,
    /// With an error, in these words.
    Failed(Option<String>),
    /// Somebody took it back.
    Cancelled,
    /// It took longer than the platform lets a job run.
    TimedOut,
}

impl Attempt {
    /// The event that is to be applied in place of `due`, after the backend said `status` of the job.
    pub fn judge(&self, due: Event, status: &JobStatus, now: Timestamp, rules: &Rules) -> Event {
        let (attempt, dispatch) = self.id();
        let waited_enough = now.duration_since(self.waiting_since()) >= rules.queue;
        let not_taken = matches!(due, Event::NotTaken { .. });
        // A signed word counts for more than the platform's.
        let unheard = self.progress.is_none();
        match status {
            JobStatus::Ended(_) | JobStatus::Unknown if self.over.is_some() => due,
            // Nobody had it: the next backend may have it at once.
            JobStatus::Unknown if not_taken => due,
            JobStatus::Ended(ending) => Event::Ended { attempt, dispatch, error: ending.failure() },
            JobStatus::Unknown => Event::Ended { attempt, dispatch, error: unknown() },
            JobStatus::Running if !self.taken && (unheard || not_taken) => {
                Event::Taken { attempt, dispatch }
            }
            JobStatus::Waiting if unheard && !self.taken && !waited_enough && !not_taken => {
                Event::StillQueued { attempt, dispatch }
            }
            JobStatus::NoAnswer
                if unheard && !self.taken && !not_taken && self.may_be_out(now, rules) =>
            {
                Event::NoAnswer { attempt, dispatch }
            }
            JobStatus::Waiting | JobStatus::Running | JobStatus::NoAnswer => due,
        }
    }

    fn may_be_out(&self, now: Timestamp, rules: &Rules) -> bool {
        let answered = self.answered_at.unwrap_or_else(|| self.waiting_since());
        now.duration_since(answered) < rules.lease * OUTAGE
    }
}

impl Ending {
    /// The failure that it is, if no report of it comes.
    fn failure(&self) -> Failure {
        let lost = |message: &str| Failure::new(FailureCode::HandlerLost, message);
        match self {
            Self::Completed => {
                lost("The platform says that the job is done, but no report of it came.")
            }
            Self::Failed(words) => {
                let words = words.as_deref().map(plain).filter(|words| !words.is_empty());
                match words {
                    Some(words) => lost(&format!("The platform says that the job failed: {words}")),
                    None => lost("The platform says that the job failed, and not why."),
                }
            }
            Self::Cancelled => lost("The platform says that the job was cancelled there."),
            Self::TimedOut => {
                let message = "The platform stopped the job at the end of its execution timeout.";
                Failure::new(FailureCode::TimedOut, message)
            }
        }
    }
}

fn unknown() -> Failure {
    let message = "The platform does not know the job any more: it was lost, or its time was over.";
    Failure::new(FailureCode::HandlerLost, message)
}

/// A stranger's words on one line of bounded length, without what might be a path, a URL or a key.
fn plain(words: &str) -> String {
    let hide =
        |word: &str| word.chars().count() > MAX_WORD || word.contains('/') || word.contains('\\');
    let printable = |word: &str| word.chars().filter(|c| !c.is_control()).collect::<String>();
    let mut line = String::new();
    // Bounded before it is looked at: it may be long.
    for word in words.split_whitespace().take(MAX_WORDS) {
        let word = if hide(word) { "…".to_owned() } else { printable(word) };
        if line.chars().count() + word.chars().count() >= MAX_WORDS {
            line.push('…');
            break;
        }
        if !line.is_empty() && !word.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    line
}
