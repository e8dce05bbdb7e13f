//! One worker at a queue, when all goes well, and when jobs do not.

use crate::cloud::{Cloud, stop};

#[tokio::test]
async fn a_job_is_done_reported_and_deleted() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    cloud.send(&cloud.gateway.job(1)).await;
    let worker = cloud.worker(&wire, &[]);
    wire.done("DeleteMessage", 1).await;
    let reports = cloud.reports(1).await;
    assert_eq!((reports.len(), &reports[0]["status"]), (1, &"completed".into()));
    assert_eq!(cloud.count().await, (0, 0));
    let entry = cloud.entry(&cloud.gateway.job(1)).await.expect("an entry");
    let kept: serde_json::Value =
        serde_json::from_str(entry["report"].as_s().expect("text")).expect("json");
    assert_eq!(kept, reports[0], "the ledger keeps what was reported");
    let poll = &wire.of("ReceiveMessage")[0].body;
    assert_eq!((&poll["WaitTimeSeconds"], &poll["MaxNumberOfMessages"]), (&20.into(), &1.into()));
    assert_eq!(poll["VisibilityTimeout"], 60);
    let log = stop(worker).await;
    assert!(!log.contains("the-secret-access-key") && !log.contains("whsec_"), "{log}");
}

/// A job that cannot succeed is over too: its report says why, and nobody needs the message again.
#[tokio::test]
async fn a_failed_job_is_over() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let mut job = cloud.gateway.job(1);
    job["input"]["size"] = 1.into();
    // Without an envelope, which is as good.
    cloud.send_text(&job.to_string()).await;
    let _worker = cloud.worker(&wire, &[]);
    wire.done("DeleteMessage", 1).await;
    let reports = cloud.reports(1).await;
    assert_eq!(reports[0]["error"]["code"], "source_mismatch");
    assert_eq!(cloud.count().await, (0, 0));
}

/// A message that only wakes a worker is done at once.
#[tokio::test]
async fn a_worker_can_be_woken() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    cloud.send(&serde_json::json!({"version": 1, "kind": "warm"})).await;
    let _worker = cloud.worker(&wire, &[]);
    wire.done("DeleteMessage", 1).await;
    assert!(wire.of("UpdateItem").is_empty(), "there is nothing to claim");
}

#[tokio::test]
async fn a_message_is_kept_hidden_while_its_job_runs() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    cloud.send(&cloud.gateway.held_job(1)).await;
    let _worker = cloud.worker(&wire, &[("REELMILL_SQS_VISIBILITY_SECONDS", "6")]);
    cloud.until_fetched(1).await;
    // Three beats are as long as it was hidden at first.
    wire.done("ChangeMessageVisibility", 4).await;
    assert_eq!(cloud.count().await, (0, 1));
    let beats = wire.of("ChangeMessageVisibility");
    assert!(beats.iter().all(|beat| beat.body["VisibilityTimeout"] == 6), "{beats:?}");
    // The ledger is told as often.
    assert!(wire.of("UpdateItem").len() >= 4);
    cloud.gateway.release();
    wire.done("DeleteMessage", 1).await;
    assert_eq!(cloud.reports(1).await.len(), 1);
}

/// No message is taken for which there is no slot, so that another worker can have it.
#[tokio::test]
async fn a_worker_takes_no_more_than_it_can_do() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    for attempt in 1..=3 {
        cloud.send(&cloud.gateway.held_job(attempt)).await;
    }
    let worker = cloud.worker(&wire, &[("REELMILL_CONCURRENCY", "2")]);
    cloud.until_fetched(2).await;
    assert_eq!(cloud.count().await, (1, 2));
    assert_eq!(wire.of("ReceiveMessage").len(), 2);
    cloud.gateway.release();
    wire.done("DeleteMessage", 3).await;
    stop(worker).await;
}

/// What holds no job is put where a person finds it, with the reason, and reported if it says where to.
#[tokio::test]
async fn poisonous_messages_are_put_aside() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    let mut unknown = cloud.gateway.job(1);
    unknown["version"] = 99.into();
    let cases = [
        (r#"{"input": {"version": 1, "media"#.to_owned(), "no JSON"),
        (serde_json::json!({"input": unknown}).to_string(), "version 99"),
        (r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#.to_owned(), "an event of AWS's"),
        (r#"{"version": 1, "kind": "ingest"}"#.to_owned(), "missing field"),
    ];
    for (body, _) in &cases {
        cloud.send_text(body).await;
    }
    let _worker = cloud.worker(&wire, &[("REELMILL_SQS_DLQ_URL", &cloud.dead)]);
    let letters = cloud.dead_letters(cases.len()).await;
    for (body, reason) in &cases {
        let letter = letters.iter().find(|letter| letter.body.as_ref() == Some(body));
        let attributes = letter.expect("as it was").message_attributes.as_ref().expect("some");
        let text = |name: &str| attributes[name].string_value.clone().unwrap_or_default();
        assert_eq!(text("code"), "unsupported_job");
        assert!(text("reason").contains(reason), "{}", text("reason"));
    }
    wire.done("DeleteMessage", cases.len()).await;
    assert_eq!(cloud.count().await, (0, 0));
    let reports = cloud.reports(1).await;
    assert_eq!((reports.len(), &reports[0]["error"]["code"]), (1, &"unsupported_job".into()));
}

/// Without a place of their own, the queue's redrive policy moves them after a while.
#[tokio::test]
async fn poisonous_messages_are_left_to_the_queue() {
    let cloud = Cloud::new(1).await;
    let wire = cloud.wire().await;
    cloud.send_text("{").await;
    let _worker = cloud.worker(&wire, &[]);
    assert_eq!(cloud.dead_letters(1).await[0].body.as_deref(), Some("{"));
    assert!(wire.of("DeleteMessage").is_empty() && wire.of("SendMessage").is_empty());
}

/// Who hears that nobody waits any more stops, and deletes the message.
#[tokio::test]
async fn what_nobody_waits_for_is_dropped() {
    let cloud = Cloud::new(5).await;
    let wire = cloud.wire().await;
    cloud.gateway.answer_progress(409);
    cloud.send(&cloud.gateway.held_job(1)).await;
    let _worker = cloud.worker(&wire, &[]);
    wire.done("DeleteMessage", 1).await;
    assert_eq!(cloud.count().await, (0, 0));
}
