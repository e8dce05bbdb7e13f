//! Either half killed in mid-job: nothing is left hanging, and nothing is lost.

use anyhow::{Context, Result};
use e2e::{clips, receiver::Receiver, stack::Stack, stand_in::Signing};
use serde_json::json;

use crate::{ENCODE, SOON, publish, with_stand_in};

#[tokio::test]
async fn a_killed_handler_is_lost_and_the_retry_makes_it_good() -> Result<()> {
    let mut stack = Stack::temporary(|options| {
        options.gateway("LEASE_SECONDS", 5).handler("REELMILL_X264_PRESET", "slow")
    })
    .await?;
    let api = stack.api();
    let id = api.upload("long.mp4", std::fs::read(clips::video(1280, 720, 20)?)?).await?;
    api.wait_for(&id, "it is encoding", ENCODE, |media| media["progress"]["stage"] == "encoding")
        .await?;
    stack.kill_handler();
    let failed = api.wait_status(&id, "failed", SOON).await?;
    assert_eq!(failed["error"]["code"], "handler_lost");
    assert_eq!(failed["retriesLeft"], 1);

    stack.restart_handler().await?;
    api.post(&format!("/api/media/{id}/retry"), json!({})).await?.expect(202)?;
    let ready = api.wait_status(&id, "ready", ENCODE).await?;
    assert_eq!(ready["attempts"], 2);
    Ok(())
}

#[tokio::test]
async fn a_killed_gateway_goes_on_where_it_was() -> Result<()> {
    let mut stack =
        Stack::temporary(|options| options.handler("REELMILL_X264_PRESET", "slow")).await?;
    let api = stack.api();
    let id = api.upload("long.mp4", std::fs::read(clips::video(1280, 720, 20)?)?).await?;
    api.wait_for(&id, "it is encoding", ENCODE, |media| media["progress"]["stage"] == "encoding")
        .await?;
    stack.kill_gateway();
    stack.restart_gateway().await?;
    let ready = api.wait_status(&id, "ready", ENCODE).await?;
    assert_eq!(ready["attempts"], 1, "the same attempt: {ready}");
    let hls = api.playback(&id).await?["hls"].as_str().context("hls")?.to_owned();
    api.get(&hls).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_was_decided_before_a_crash_is_done_after_it() -> Result<()> {
    let (mut stack, handler) = with_stand_in(|options| options.gateway("LEASE_SECONDS", 8)).await?;
    let api = stack.api();
    // Both tries before the crash fail, so that the message is still due after it.
    let receiver = Receiver::start(&[500]).await?;
    let wanted = json!({ "url": receiver.url, "events": ["media.ready", "media.failed"] });
    api.post("/api/webhooks", wanted).await?.expect(201)?;
    let id = api.upload("a.mp4", "a source").await?;
    publish(&stack, &handler.job(1).await?).await?;
    receiver.wait("a first try fails", SOON, |all| all.len() == 1).await?;

    // And one in mid-job, whose handler falls silent while nobody is there to see it.
    let silent = api.upload("b.mp4", "a source").await?;
    let job = handler.job(2).await?;
    let signing = Signing::now(&stack.secrets.webhook_secret);
    job.send_progress(&job.progress(1.0, false), &signing).await?.expect(200)?;
    stack.kill_gateway();
    stack.restart_gateway().await?;

    assert_eq!(api.media(&id).await?["status"], "ready");
    let lost = api.wait_status(&silent, "failed", SOON).await?;
    assert_eq!(lost["error"]["code"], "handler_lost");
    let deliveries = receiver
        .wait("both messages arrive", SOON, |all| {
            all.iter().filter(|delivery| delivery.answered == 200).count() >= 2
        })
        .await?;
    assert_eq!(deliveries[0].kind(), "media.ready");
    assert!(deliveries.iter().any(|delivery| delivery.kind() == "media.failed"));
    Ok(())
}
