//! From a message to its result.

use std::sync::Arc;

use reelmill_shared::{
    id::MediaId,
    job::{Failure, FailureCode, Job, JobReport, Outcome, Progress},
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Worker, answer::Message, answer::Posted, hands::Hold};
use crate::{jobs::Admission, stop::Stop, tracker::Tracker};

/// What the platform keeps of a job that is completed. The gateway has it all from the report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    media_id: MediaId,
    attempt: u8,
    status: &'static str,
    /// Whether the gateway took the report.
    reported: bool,
}

impl Worker {
    /// Takes a job in hand. Gives the work, or nothing if there is none to do.
    pub(super) fn begin(self, message: Message) -> Option<impl Future<Output = ()> + Send> {
        let Message { id, input, other } = message;
        let (fields, batch) = (other.len(), other.get("batchId").and_then(Value::as_str));
        tracing::info!(fields, batch, "job taken");
        let input = input.unwrap_or_default();
        let job = self.desk.read(input.clone());
        let (job, admission, known, stop) = match job {
            // RunPod's queue is the queue: what was taken from it is never turned away.
            Ok(job) => {
                let (admission, known, stop) = self.desk.admit(&id, &job, usize::MAX);
                (Ok(job), admission, known, stop)
            }
            Err(failure) => (Err(failure), Admission::New, id.clone(), Stop::default()),
        };
        let hold = self.hands.hold(&id, stop.clone())?;
        Some(async move {
            match (job, admission) {
                (Err(failure), _) => self.refuse(&id, &input, &failure, &hold).await,
                (Ok(job), Admission::New) => self.work(&id, &job, &stop, &hold).await,
                (Ok(job), Admission::Known) => self.again(&id, &job, &known, &hold).await,
                (Ok(_), Admission::Full | Admission::Closed) => {
                    let message = "the handler is stopping";
                    let failure = Failure::new(FailureCode::HandlerStopped, message);
                    self.refuse(&id, &input, &failure, &hold).await;
                }
            }
        })
    }

    /// Answers a message that only wanted a worker to be awake.
    pub(super) async fn awake(&self, id: &str) {
        tracing::info!("a worker was wanted");
        let Some(hold) = self.hands.hold(id, Stop::default()) else { return };
        self.post(id, &json!({"output": {"status": "warm"}}), &hold).await;
    }

    async fn work(&self, id: &str, job: &Job, stop: &Stop, hold: &Hold) {
        let (media, attempt) = job.attempt();
        let tracker = Arc::new(Tracker::new(media, attempt));
        let over = CancellationToken::new();
        let work = async {
            let done = self.desk.work(id, job, stop, &tracker).await;
            over.cancel();
            done
        };
        // Ends before the result is sent, lest the platform take a job that is done for one that runs.
        let telling = self.tell_progress(id, tracker.subscribe(), &over, hold);
        let ((report, told), ()) = tokio::join!(work, telling);
        self.deliver(id, &report, told.taken(), hold).await;
    }

    /// Sends the result of an attempt that was handed out before: it is not run again.
    async fn again(&self, id: &str, job: &Job, known: &str, hold: &Hold) {
        tracing::info!(known, "the attempt is known already");
        let Some(report) = self.desk.jobs().end_of(known).await else { return };
        let told = self.desk.tell_again(job, &report).await;
        self.deliver(id, &report, told.taken(), hold).await;
    }

    /// Answers a message that holds no job for this handler.
    async fn refuse(&self, id: &str, input: &Value, failure: &Failure, hold: &Hold) {
        tracing::warn!(%failure, "the job is refused");
        let told = self.desk.refuse(input, failure).await;
        tracing::debug!(told, "whoever waits for it");
        self.post(id, &json!({"error": failure.to_string()}), hold).await;
    }

    async fn deliver(&self, id: &str, report: &JobReport, reported: bool, hold: &Hold) {
        let (mut result, fault) = match &report.outcome {
            Outcome::Completed { .. } => {
                let (media_id, attempt) = (report.media_id, report.attempt);
                let summary = Summary { media_id, attempt, status: "completed", reported };
                (json!({"output": summary}), false)
            }
            // A string, or the platform takes the job for completed.
            Outcome::Failed { error } => {
                (json!({"error": error.to_string()}), error.code == FailureCode::Internal)
            }
        };
        if self.refresh(fault) {
            result["stopPod"] = json!(true);
        }
        self.post(id, &result, hold).await;
    }

    async fn post(&self, id: &str, result: &Value, hold: &Hold) {
        let posting = self.platform.result(id, result);
        match hold.withdrawn.run_until_cancelled(posting).await {
            Some(Posted::Done) => tracing::info!("result delivered"),
            Some(posted) => tracing::error!(?posted, "the result was not taken"),
            None => tracing::info!("job stopped, no result"),
        }
    }

    /// Tells the platform how it goes, now and then, until it is `over`.
    async fn tell_progress(
        &self,
        id: &str,
        mut progress: watch::Receiver<Progress>,
        over: &CancellationToken,
        hold: &Hold,
    ) {
        let mut last = None;
        loop {
            // A message under way is waited for: dropped, it might arrive after the result.
            match over.run_until_cancelled(progress.changed()).await {
                Some(Ok(())) if !hold.withdrawn.is_cancelled() => {}
                _ => return,
            }
            let now = progress.borrow_and_update().clone();
            // Decimals are no news.
            let news = (now.stage, now.percent as u8, now.playable);
            if last.replace(news) != Some(news) {
                self.platform.progress(id, json!(now)).await;
                over.run_until_cancelled(tokio::time::sleep(self.pace.progress)).await;
            }
        }
    }
}
