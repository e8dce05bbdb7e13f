//! What the network, the services, and other workers can do to one that works.

use std::time::Duration;

use gpu_handler::ledger::{Claimed, Key};
use reelmill_shared::job::Job;

use crate::cloud::{Cloud, stop};

#[tokio::test]
async fn throttled_it_waits_and_asks_again() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    // More than the SDK tries by itself.
    wire.fail("ReceiveMessage", 4, 400, "ThrottlingException");
    wire.fail("UpdateItem", 2, 400, "ProvisionedThroughputExceededException");
    cloud.send(&cloud.gateway.job(1)).await;
    let worker = cloud.worker(&wire, &[]);
    worker.says("throttled: ThrottlingException (400)").await;
    wire.done("DeleteMessage", 1).await;
    assert_eq!(cloud.reports(1).await[0]["status"], "completed");
}

#[tokio::test]
async fn without_the_ledger_nothing_is_begun() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    wire.fail("UpdateItem", usize::MAX, 500, "InternalServerError");
    cloud.send(&cloud.gateway.job(1)).await;
    let worker = cloud.worker(&wire, &[]);
    worker.says("not claimed").await;
    let shown = wire.until("ChangeMessageVisibility", |_| true).await;
    assert_eq!((&shown.body["VisibilityTimeout"], cloud.gateway.fetched()), (&5.into(), 0));
    wire.mend("UpdateItem");
    wire.done("DeleteMessage", 1).await;
    assert_eq!((cloud.reports(1).await.len(), cloud.gateway.fetched()), (1, 1));
}

/// Nor while the gateway cannot say whether the job is still wanted.
#[tokio::test]
async fn without_the_gateway_nothing_is_begun() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    cloud.gateway.answer("/progress", 503);
    let mut job = cloud.gateway.job(1);
    // It is asked for as long as the attempt counts as alive.
    job["callback"]["leaseSeconds"] = 1.into();
    cloud.send(&job).await;
    let worker = cloud.worker(&wire, &[]);
    worker.says("not begun").await;
    cloud.gateway.answer("/progress", 200);
    wire.done("DeleteMessage", 1).await;
    let reports = cloud.reports(1).await;
    assert_eq!((reports.len(), &reports[0]["status"]), (1, &"completed".into()));
    assert_eq!(cloud.number(&job, "fence").await, 2);
}

/// A report that the gateway does not take is kept, and sent with the next delivery.
#[tokio::test]
async fn a_report_that_is_not_taken_is_sent_again() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    cloud.gateway.answer("/report", 500);
    let mut job = cloud.gateway.job(1);
    // It is tried for twice as long as the attempt counts as alive.
    job["callback"]["leaseSeconds"] = 1.into();
    cloud.send(&job).await;
    let _worker = cloud.worker(&wire, &[]);
    wire.until("ChangeMessageVisibility", |seen| seen.body["VisibilityTimeout"] == 5).await;
    cloud.gateway.answer("/report", 200);
    wire.done("DeleteMessage", 1).await;
    assert_eq!((cloud.reports(1).await.len(), cloud.count().await), (1, (0, 0)));
    let record = cloud.gateway.record();
    assert!(record.refused > 0 && record.fetched == 1, "{record:?}");
}

/// Nothing is lost because the dead letters have no room for it.
#[tokio::test]
async fn what_cannot_be_put_aside_stays() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    wire.fail("SendMessage", 3, 500, "InternalFailure");
    cloud.send_text("{").await;
    let worker = cloud.worker(&wire, &[("REELMILL_SQS_DLQ_URL", &cloud.dead)]);
    worker.says("it could not be moved to the dead letters").await;
    assert!(wire.of("DeleteMessage").is_empty());
    wire.done("DeleteMessage", 1).await;
    assert_eq!((cloud.dead_letters(1).await.len(), cloud.count().await), (1, (0, 0)));
}

/// An operator deletes the queue, and makes it again: the worker says so, and goes on.
#[tokio::test]
async fn a_queue_may_go_and_come() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let worker = cloud.worker(&wire, &[]);
    worker.says("taking jobs from SQS").await;
    cloud.sqs.delete_queue().queue_url(&cloud.queue).send().await.expect("deleted");
    worker.says("no message could be asked for error=not found").await;
    cloud.sqs.create_queue().queue_name("jobs").send().await.expect("made");
    cloud.send(&cloud.gateway.job(1)).await;
    wire.done("DeleteMessage", 1).await;
    stop(worker).await;
}

/// Another worker has taken the attempt over: this one stops, reports nothing, and touches the message
/// no more.
#[tokio::test]
async fn a_worker_that_was_taken_over_stops() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let json = cloud.gateway.held_job(1);
    cloud.send(&json).await;
    let worker = cloud.worker(&wire, &[("REELMILL_SQS_VISIBILITY_SECONDS", "12")]);
    cloud.until_fetched(1).await;
    // One whose clock is an hour fast, which is more than any margin can do about.
    let another = cloud.ledger(Duration::from_secs(600), Duration::from_secs(3600));
    let key = Key::of(&Job::read(json).expect("a job"));
    let claimed = another.claim(&key).await.expect("the table is there");
    let Claimed::Won(claim) = claimed else { panic!("{claimed:?}") };
    assert_eq!(claim.fence(), 2);
    worker.says("another worker took the attempt over").await;
    cloud.gateway.release();
    let log = stop(worker).await;
    assert!(!log.contains("job completed"), "{log}");
    assert!(wire.of("DeleteMessage").is_empty() && cloud.gateway.record().reports.is_empty());
}

/// A worker that cannot reach the ledger stops before another could take the attempt over.
#[tokio::test]
async fn a_worker_that_is_cut_off_stops() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    cloud.send(&cloud.gateway.held_job(1)).await;
    let worker = cloud.worker(&wire, &[("REELMILL_SQS_VISIBILITY_SECONDS", "8")]);
    cloud.until_fetched(1).await;
    wire.fail("UpdateItem", usize::MAX, 503, "ServiceUnavailable");
    worker.says("the claim could not be renewed in time").await;
    // And begins anew once it can, with a new claim, since the message comes again.
    wire.mend("UpdateItem");
    cloud.until_fetched(2).await;
    cloud.gateway.release();
    wire.done("DeleteMessage", 1).await;
    assert_eq!(cloud.reports(1).await.len(), 1);
}
