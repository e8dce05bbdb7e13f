//! A worker is killed at each stage of a job, and another goes on from there. Each message is hidden
//! for some seconds at a time, so that it comes again that soon.

use crate::{cloud::Cloud, wire::Seen};

const SHORT: [(&str, &str); 1] = [("REELMILL_SQS_VISIBILITY_SECONDS", "6")];

async fn fence(cloud: &Cloud) -> u64 {
    cloud.number(&cloud.gateway.job(1), "fence").await
}

/// Whether a write keeps a report.
fn is_finish(seen: &Seen) -> bool {
    seen.body["UpdateExpression"].as_str().is_some_and(|text| text.contains("report = "))
}

/// Before it has claimed: its claim is written, but it never knew.
#[tokio::test]
async fn killed_while_it_claims() {
    let cloud = Cloud::new(5).await;
    let (first, second) = (cloud.wire().await, cloud.wire().await);
    first.hold("UpdateItem");
    cloud.send(&cloud.gateway.job(1)).await;
    let worker = cloud.worker(&first, &SHORT);
    first.done("UpdateItem", 1).await;
    worker.crash().await;
    let _second = cloud.worker(&second, &SHORT);
    second.done("DeleteMessage", 1).await;
    assert_eq!((cloud.reports(1).await.len(), fence(&cloud).await), (1, 2));
}

#[tokio::test]
async fn killed_at_work() {
    let cloud = Cloud::new(5).await;
    let (first, second) = (cloud.wire().await, cloud.wire().await);
    cloud.send(&cloud.gateway.held_job(1)).await;
    let worker = cloud.worker(&first, &SHORT);
    cloud.until_fetched(1).await;
    worker.crash().await;
    let _second = cloud.worker(&second, &SHORT);
    cloud.until_fetched(2).await;
    cloud.gateway.release();
    second.done("DeleteMessage", 1).await;
    let reports = cloud.reports(1).await;
    assert_eq!((reports.len(), &reports[0]["status"]), (1, &"completed".into()));
    assert_eq!((fence(&cloud).await, cloud.count().await), (2, (0, 0)));
}

/// The work is done and kept: the next one sends the report, and works on nothing.
#[tokio::test]
async fn killed_before_it_has_reported() {
    let cloud = Cloud::new(5).await;
    let (first, second) = (cloud.wire().await, cloud.wire().await);
    cloud.gateway.hold("/report");
    cloud.send(&cloud.gateway.job(1)).await;
    let worker = cloud.worker(&first, &SHORT);
    let kept = first.until("UpdateItem", is_finish).await;
    worker.crash().await;
    cloud.gateway.release();
    let _second = cloud.worker(&second, &SHORT);
    second.done("DeleteMessage", 1).await;
    let kept = kept.body["ExpressionAttributeValues"][":value"]["S"].as_str().expect("text");
    let kept: serde_json::Value = serde_json::from_str(kept).expect("json");
    assert_eq!(cloud.reports(1).await.last(), Some(&kept));
    assert_eq!((fence(&cloud).await, cloud.gateway.fetched()), (1, 1));
}

/// Reported, but not deleted: the gateway hears the same once more, and takes it for what it is.
#[tokio::test]
async fn killed_before_it_has_deleted() {
    let cloud = Cloud::new(5).await;
    let (first, second) = (cloud.wire().await, cloud.wire().await);
    first.fail("DeleteMessage", usize::MAX, 500, "InternalFailure");
    cloud.send(&cloud.gateway.job(1)).await;
    let worker = cloud.worker(&first, &SHORT);
    first.until("DeleteMessage", |seen| seen.status == 500).await;
    worker.crash().await;
    let _second = cloud.worker(&second, &SHORT);
    second.done("DeleteMessage", 1).await;
    let reports = cloud.reports(2).await;
    assert_eq!((reports.len(), &reports[0], cloud.gateway.fetched()), (2, &reports[1], 1));
    assert_eq!(cloud.count().await, (0, 0));
}
