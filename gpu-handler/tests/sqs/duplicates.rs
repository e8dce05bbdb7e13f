//! One attempt, delivered more than once.

use handler_harness::PATIENCE;

use crate::cloud::{Cloud, stop};

/// Two messages of one attempt and two workers: one of them works; the other waits for the end of its
/// lease, and in the end sends the same report.
#[tokio::test]
async fn a_duplicate_waits_while_another_worker_is_at_it() {
    let cloud = Cloud::new(50).await;
    let (first, second) = (cloud.wire().await, cloud.wire().await);
    let quick = [("REELMILL_SQS_VISIBILITY_SECONDS", "12")];
    cloud.send(&cloud.gateway.held_job(1)).await;
    let _first = cloud.worker(&first, &quick);
    cloud.until_fetched(1).await;
    cloud.send(&cloud.gateway.held_job(1)).await;
    let _second = cloud.worker(&second, &quick);
    let shown = second.until("ChangeMessageVisibility", |_| true).await;
    let wait = shown.body["VisibilityTimeout"].as_u64().expect("seconds");
    // A lease of nine seconds, of which three may have passed, and a margin of two and a quarter.
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!(cloud.gateway.fetched(), 1);
    cloud.gateway.release();
    first.done("DeleteMessage", 1).await;
    let reports = cloud.reports(2).await;
    assert_eq!(reports[0], reports[1], "the same report once more");
    // By whichever of the two the message was delivered to next.
    let all = async {
        while cloud.count().await != (0, 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("both are deleted");
    assert_eq!((cloud.gateway.fetched(), cloud.reports(2).await.len()), (1, 2));
    assert_eq!(cloud.number(&cloud.gateway.job(1), "fence").await, 1);
}

/// After the end, by a worker that knows nothing of it but what the ledger says.
#[tokio::test]
async fn a_duplicate_after_the_end_gets_the_same_report() {
    let cloud = Cloud::new(5).await;
    let (first, second) = (cloud.wire().await, cloud.wire().await);
    cloud.send(&cloud.gateway.job(1)).await;
    let worker = cloud.worker(&first, &[]);
    first.done("DeleteMessage", 1).await;
    stop(worker).await;
    cloud.send(&cloud.gateway.job(1)).await;
    let _worker = cloud.worker(&second, &[]);
    second.done("DeleteMessage", 1).await;
    let reports = cloud.reports(2).await;
    assert_eq!((&reports[0], cloud.gateway.fetched()), (&reports[1], 1));
}

/// The same attempt handed over once more by the gateway is another piece of work.
#[tokio::test]
async fn another_dispatch_is_another_claim() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let mut job = cloud.gateway.job(1);
    let report = job["callback"]["reportUrl"].as_str().expect("a URL").to_owned();
    job["callback"]["reportUrl"] = format!("{report}?dispatch=2").into();
    cloud.send(&job).await;
    let _worker = cloud.worker(&wire, &[]);
    wire.done("DeleteMessage", 1).await;
    let media = job["mediaId"].as_str().expect("an id");
    assert!(cloud.entry_of(&format!("{media}#1#2")).await.is_some());
    assert!(cloud.entry(&job).await.is_none());
}

/// Alone, and without a ledger, a worker still knows what it has done itself.
#[tokio::test]
async fn one_worker_does_without_a_ledger() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let worker = cloud.worker(&wire, &[("REELMILL_LEDGER_TABLE", "")]);
    worker.says("only one worker may take jobs from this queue").await;
    for count in 1..=2 {
        cloud.send(&cloud.gateway.job(1)).await;
        wire.done("DeleteMessage", count).await;
    }
    let reports = cloud.reports(2).await;
    assert_eq!((&reports[0], cloud.gateway.fetched()), (&reports[1], 1));
    assert!(wire.of("UpdateItem").is_empty());
}
