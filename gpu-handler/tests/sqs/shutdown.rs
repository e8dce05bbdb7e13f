//! A worker is asked to end.

use rustix::process::Signal;

use crate::cloud::{Cloud, stop};

#[tokio::test]
async fn an_idle_worker_ends() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    for signal in [Signal::TERM, Signal::INT] {
        let mut worker = cloud.worker(&wire, &[]);
        worker.says("taking jobs from SQS").await;
        worker.tell(signal);
        assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
    }
}

/// A message that comes with the poll under way is not begun, and not kept from others.
#[tokio::test]
async fn what_comes_too_late_is_given_back() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    wire.hold("ReceiveMessage");
    cloud.send(&cloud.gateway.job(1)).await;
    let mut worker = cloud.worker(&wire, &[("REELMILL_GRACE_SECONDS", "600")]);
    wire.done("ReceiveMessage", 1).await;
    assert_eq!(cloud.count().await, (0, 1));
    worker.tell(Signal::TERM);
    worker.says("stopping").await;
    wire.mend("ReceiveMessage");
    assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
    assert_eq!((cloud.count().await, cloud.gateway.fetched()), ((1, 0), 0));
}

/// What can be finished within the grace is; nothing else is taken.
#[tokio::test]
async fn a_job_may_end_within_the_grace() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    cloud.send(&cloud.gateway.held_job(1)).await;
    let mut worker = cloud.worker(&wire, &[("REELMILL_GRACE_SECONDS", "600")]);
    cloud.until_fetched(1).await;
    worker.tell(Signal::TERM);
    worker.says("stopping").await;
    cloud.send(&cloud.gateway.job(2)).await;
    cloud.gateway.release();
    assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
    assert_eq!(cloud.count().await, (1, 0));
    assert_eq!(cloud.reports(1).await.len(), 1);
}

/// What cannot is given back: the message can be had at once, the claim as well, and the gateway is
/// told of no failure, since it is none.
#[tokio::test]
async fn a_job_in_hand_is_given_back() {
    let cloud = Cloud::new(5).await;
    let (first, second) = (cloud.wire().await, cloud.wire().await);
    cloud.send(&cloud.gateway.held_job(1)).await;
    // It would be hidden, and held, for longer than this test may take.
    let long = ("REELMILL_SQS_VISIBILITY_SECONDS", "3600");
    let worker = cloud.worker(&first, &[("REELMILL_GRACE_SECONDS", "0"), long]);
    cloud.until_fetched(1).await;
    stop(worker).await;
    assert_eq!(cloud.count().await, (1, 0));
    assert_eq!(cloud.number(&cloud.gateway.job(1), "leaseUntil").await, 0);
    let _second = cloud.worker(&second, &[]);
    cloud.until_fetched(2).await;
    cloud.gateway.release();
    second.done("DeleteMessage", 1).await;
    let reports = cloud.reports(1).await;
    assert_eq!((reports.len(), &reports[0]["status"]), (1, &"completed".into()));
}
