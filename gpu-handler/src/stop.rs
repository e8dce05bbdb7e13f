//! How a job is told to stop, and why.

use std::sync::{Arc, OnceLock};

use reelmill_shared::job::{Failure, FailureCode};
use tokio_util::sync::CancellationToken;

/// A handle that everybody who works on a job holds. The first reason to stop is the one that counts.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
}

/// Why a job is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Somebody asked for it.
    Cancelled,
    /// The gateway waits for another attempt, or for none.
    Stale,
    /// The handler is shutting down.
    Shutdown,
    /// The time that the host gives is over, or is sure not to suffice.
    Deadline,
}

impl Reason {
    /// The failure that a job ends with which is stopped for this reason.
    pub fn failure(self) -> Failure {
        match self {
            Self::Cancelled => Failure::new(FailureCode::Cancelled, "the job was cancelled"),
            Self::Stale => {
                Failure::new(FailureCode::Cancelled, "nobody waits for this attempt any more")
            }
            Self::Shutdown => {
                Failure::new(FailureCode::HandlerStopped, "the handler was shut down")
            }
            Self::Deadline => {
                let message = "the time that the host gives does not suffice for the job";
                Failure::new(FailureCode::Deadline, message)
            }
        }
    }
}

impl Stop {
    /// Asks the job to stop.
    pub fn now(&self, reason: Reason) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    /// The token that fires, for waiting on.
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Why the job was asked to stop, if it was.
    pub fn reason(&self) -> Option<Reason> {
        self.reason.get().copied()
    }

    /// The failure that a stopped job ends with.
    pub fn failure(&self) -> Option<Failure> {
        self.reason().map(Reason::failure)
    }

    /// Runs `work` until it is done or the job is stopped. Dropped work cleans up after itself.
    ///
    /// # Errors
    /// Those of `work`, or why the job was stopped.
    pub async fn or<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match self.token.run_until_cancelled(work).await {
            Some(result) => result,
            None => Err(self.failure().expect("a stopped job has a reason")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts() {
        let stop = Stop::default();
        assert_eq!(stop.failure(), None);
        stop.now(Reason::Shutdown);
        stop.now(Reason::Cancelled);
        let result = stop.or(std::future::pending::<Result<(), Failure>>()).await;
        assert_eq!(result.map_err(|failure| failure.code), Err(FailureCode::HandlerStopped));
    }
}
