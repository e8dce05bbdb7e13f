//! A worker that cannot work says why, and exits with 2.

use handler_harness::Worker;

use crate::cloud::{Cloud, start, stop};

async fn refused(mut worker: Worker) -> String {
    let words = worker.says("gpu-handler: ").await;
    assert_eq!(worker.ended().await.code(), Some(2), "{}", worker.log());
    words
}

#[tokio::test]
async fn without_its_queue() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let nowhere = cloud.queue.replace("jobs", "nowhere");
    let last = refused(cloud.worker(&wire, &[("REELMILL_SQS_QUEUE_URL", &nowhere)])).await;
    assert!(last.starts_with("the queue cannot be used: not found: "), "{last}");
}

#[tokio::test]
async fn without_its_table() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let last = refused(cloud.worker(&wire, &[("REELMILL_LEDGER_TABLE", "nowhere")])).await;
    assert!(last.starts_with("the ledger: not found: "), "{last}");
    assert!(wire.of("ReceiveMessage").is_empty(), "it takes no message");
}

#[tokio::test]
async fn without_leave() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    wire.fail("GetQueueAttributes", 9, 403, "InvalidClientTokenId");
    let last = refused(cloud.worker(&wire, &[])).await;
    assert!(last.contains("the queue cannot be used: refused: InvalidClientTokenId"), "{last}");
    wire.fail("GetQueueAttributes", 0, 403, "");
    wire.fail("GetItem", 9, 400, "AccessDeniedException");
    let last = refused(cloud.worker(&wire, &[])).await;
    assert!(last.contains("the ledger: refused: AccessDeniedException"), "{last}");
}

#[tokio::test]
async fn without_credentials() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let mut environment = cloud.environment(&wire);
    environment.remove("AWS_ACCESS_KEY_ID");
    let last = refused(start(environment)).await;
    assert!(last.contains("the queue cannot be used: refused: "), "{last}");
}

#[tokio::test]
async fn without_the_gateways_secret() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let last = refused(cloud.worker(&wire, &[("HANDLER_WEBHOOK_SECRET", "")])).await;
    assert_eq!(last, "HANDLER_WEBHOOK_SECRET must be set");
}

/// What passes is waited for: a box may have its network later than its handler.
#[tokio::test]
async fn with_patience() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    wire.fail("GetQueueAttributes", 4, 503, "ServiceUnavailable");
    let worker = cloud.worker(&wire, &[]);
    worker.says("taking jobs from SQS").await;
    stop(worker).await;
}
