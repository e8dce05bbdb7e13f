//! Messages of an SQS queue.

use lambda_emulator::{Invoked, event};
use serde_json::{Value, json};

use crate::bench::{Bench, Setup, messages};

#[tokio::test]
async fn a_message_is_deleted_once_its_report_is_taken() {
    let bench = Setup::new().clip().start().await;
    let (queue, mapping) = bench.queue(1);
    queue.send(&json!({"input": bench.gateway.job(1)}).to_string());
    queue.drained().await;
    assert_eq!(bench.gateway.record().reports[0].body["status"], "completed");
    // A failure is an end like any other: what follows it is the gateway's to decide.
    queue.send(&bench.gateway.job_of("/source", 2, 0).to_string());
    queue.drained().await;
    assert_eq!(bench.gateway.record().reports[1].body["status"], "failed");
    assert!(queue.look(|queue| queue.dead().is_empty()));
    drop(mapping);
    bench.check().await;
}

/// Of a batch only what has to come again does so, and what never can be read ends as a dead letter.
#[tokio::test]
async fn a_batch_is_settled_message_by_message() {
    let bench = Bench::new().await;
    let (queue, mapping) = bench.queue(10);
    let job = |attempt| bench.gateway.job_of("/source", attempt, 0).to_string();
    let half: String = job(9).chars().take(100).collect();
    let ours: Vec<String> = [job(1), half, job(2), "{}".to_owned(), String::new()].into();
    let ids: Vec<String> = ours.iter().map(|body| queue.send(body)).collect();
    queue.drained().await;
    let dead = queue.look(|queue| {
        let dead = queue.dead().iter();
        dead.map(|message| (message.id.clone(), message.receives)).collect::<Vec<_>>()
    });
    let expected = [&ids[1], &ids[3], &ids[4]].map(|id| (id.clone(), 3));
    assert_eq!(dead, expected, "{}", bench.lambda.log());
    let reports = bench.gateway.record().reports;
    let attempts: Vec<_> = reports.iter().map(|report| report.body["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2], "each once");
    drop(mapping);
    bench.check().await;
}

/// Who waits for a job that cannot be read is told, and people find it among the dead letters.
#[tokio::test]
async fn a_refused_job_is_told_of_and_put_aside() {
    let bench = Bench::new().await;
    let (queue, mapping) = bench.queue(1);
    let mut job = bench.gateway.job(1);
    job["version"] = json!(7);
    let id = queue.send(&job.to_string());
    queue.drained().await;
    assert_eq!(queue.look(|queue| queue.dead()[0].id.clone()), id);
    assert_eq!(bench.gateway.record().reports[0].body["error"]["code"], "unsupported_job");
    drop(mapping);
    bench.check().await;
}

/// A report that is refused comes again with its message, the same one, and the job is not run again.
#[tokio::test]
async fn a_report_that_is_not_taken_brings_the_message_again() {
    let bench = Setup::new().clip().start().await;
    bench.gateway.answer("/report", 422);
    let (queue, mapping) = bench.patient_queue(1, u32::MAX);
    queue.send(&bench.gateway.job(1).to_string());
    queue.until("received again", |queue| queue.messages()[0].receives >= 2).await;
    let fetched = bench.gateway.fetched();
    bench.gateway.answer("/report", 200);
    queue.drained().await;
    let record = bench.gateway.record();
    assert_eq!((record.fetched, record.reports.len()), (fetched, 1));
    assert_eq!(record.reports[0].body["status"], "completed");
    drop(mapping);
    bench.check().await;
}

/// A copy of a message whose job is in hand comes again, and finds it done.
#[tokio::test]
async fn a_duplicate_is_not_run() {
    let bench = Setup::new().clip().variable("REELMILL_CONCURRENCY", "2").start().await;
    let job = bench.gateway.job(1).to_string();
    let twice = messages(&[job.clone(), job]);
    let again = json!({"batchItemFailures": [{"itemIdentifier": "message-2"}]});
    assert_eq!(bench.answer(&event(&twice)).await, again);
    assert_eq!(bench.answer(&event(&twice[1..])).await, json!({"batchItemFailures": []}));
    let reports = bench.gateway.reports(2).await;
    assert_eq!(reports[0].body, reports[1].body);
    assert_eq!(bench.gateway.record().fetched, 1);
    bench.check().await;
}

#[tokio::test]
async fn an_event_without_messages_is_one() {
    let bench = Bench::new().await;
    assert_eq!(bench.answer(&event(&[])).await, json!({"batchItemFailures": []}));
}

/// Records of which none could be told apart fail as a whole: nothing is lost.
#[tokio::test]
async fn a_malformed_event_fails_as_a_whole() {
    let bench = Bench::new().await;
    let mut event = event(&messages(&["{}".to_owned()]));
    event["Records"][0]["messageId"] = Value::Null;
    let Invoked::Error(error) = bench.invoke(&event).await else { panic!("an answer") };
    assert_eq!(error["errorType"], "unsupported_event");
    bench.check().await;
}
