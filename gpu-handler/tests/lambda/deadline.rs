//! The time that an invocation has, and the room.

use lambda_emulator::event;
use reelmill_shared::job::FailureCode;
use serde_json::json;

use crate::bench::{Bench, Setup, messages};

/// Time for a job, and a margin to report it in.
fn hurried() -> Setup {
    Setup::new().timeout(9).variable("REELMILL_DEADLINE_MARGIN_SECONDS", "4")
}

fn is_deadline(error: &serde_json::Value) -> bool {
    error["code"] == FailureCode::Deadline.as_str() && error["transient"] == true
}

/// The gateway is to hear of it before Lambda ends everything.
#[tokio::test]
async fn a_job_that_does_not_end_is_reported_before_the_deadline() {
    let bench = hurried().start().await;
    let answer = bench.answer(&bench.gateway.held_job(1)).await;
    assert!(is_deadline(&answer["error"]), "{answer}");
    let report = bench.gateway.reports(1).await[0].body.clone();
    assert!(is_deadline(&report["error"]), "{report}");
    assert_eq!(bench.lambda.warm().await, 1, "it was not cut off");
    bench.check().await;
}

/// Reported, the message is done with: the gateway decides where the next attempt is made.
#[tokio::test]
async fn a_message_of_such_a_job_is_deleted() {
    let bench = hurried().start().await;
    let (queue, mapping) = bench.queue(1);
    queue.send(&bench.gateway.held_job(1).to_string());
    queue.drained().await;
    assert!(is_deadline(&bench.gateway.record().reports[0].body["error"]));
    assert!(queue.look(|queue| queue.dead().is_empty()));
    drop(mapping);
    bench.check().await;
}

/// Also where the gateway does not answer any more: there is an answer, and the message comes again.
#[tokio::test]
async fn an_answer_is_given_in_time_whoever_else_is_slow() {
    let bench = hurried().start().await;
    bench.gateway.hold("/report");
    let event = event(&messages(&[bench.gateway.job(1).to_string()]));
    let again = json!({"batchItemFailures": [{"itemIdentifier": "message-1"}]});
    assert_eq!(bench.answer(&event).await, again);
    bench.gateway.release();
    assert_eq!(bench.answer(&event).await, json!({"batchItemFailures": []}));
    bench.check().await;
}

/// With the time of one invocation a job cannot even be begun: that will never be otherwise.
#[tokio::test]
async fn a_job_for_which_there_is_no_time_is_not_begun() {
    let bench = Setup::new().timeout(10).clip().start().await;
    let answer = bench.answer(&bench.gateway.job(1)).await;
    assert!(is_deadline(&answer["error"]), "{answer}");
    assert_eq!(bench.gateway.fetched(), 0);
    assert!(is_deadline(&bench.gateway.reports(1).await[0].body["error"]));
    bench.check().await;
}

/// A message whose time others have used goes back to the queue, and is begun when it comes again.
#[tokio::test]
async fn a_message_that_came_too_late_comes_again() {
    let bench = hurried().clip().start().await;
    let bodies = [bench.gateway.held_job(1).to_string(), bench.gateway.job(2).to_string()];
    let event = event(&messages(&bodies));
    let again = json!({"batchItemFailures": [{"itemIdentifier": "message-2"}]});
    assert_eq!(bench.answer(&event).await, again);
    assert_eq!(bench.gateway.record().reports.len(), 1, "of the first");
    assert_eq!(bench.answer(&bench.gateway.job(2)).await["status"], "completed");
    bench.check().await;
}

/// A source for which there is no room is not fetched; on a larger disk it may be.
#[tokio::test]
async fn a_job_for_which_there_is_no_room_is_not_begun() {
    let bench: Bench = Setup::new()
        .variable("REELMILL_MAX_SOURCE_BYTES", &(1_u64 << 44).to_string())
        .start()
        .await;
    let answer = bench.answer(&bench.gateway.job_of("/source", 1, 1 << 44)).await;
    assert_eq!(answer["error"]["code"], FailureCode::NoSpace.as_str(), "{answer}");
    assert_eq!((&answer["error"]["transient"], bench.gateway.fetched()), (&json!(true), 0));
    bench.check().await;
}
