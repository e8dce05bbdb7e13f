//! What the handler may say, and what somebody who only claims to be it may not.

use anyhow::{Context, Result};
use e2e::{
    sse::Events,
    stand_in::{Signing, StandIn},
};
use jiff::{SignedDuration, Timestamp};
use reelmill_shared::job::{Failure, FailureCode, OutputRole};
use serde_json::{Value, json};

use crate::{SOON, publish, with_stand_in};

#[tokio::test]
async fn only_signed_reports_of_the_running_attempt_count() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let secret = stack.secrets.webhook_secret.clone();
    let id = api.upload("a.mp4", "a source").await?;
    let job = handler.job(1).await?;
    let callback = job.spec.callback.clone().context("a callback")?;
    let report_url = callback.report_url.as_str();
    let failed = job.failed(Failure::new(FailureCode::Internal, "made up"));
    let body = serde_json::to_vec(&failed)?;

    // Unsigned, forged, and signed for another body, another id or another time.
    let unsigned = api.request(reqwest::Method::POST, report_url).body(body.clone());
    let unsigned = e2e::api::Answer::of(unsigned.send().await?).await?;
    unsigned.expect_problem(401, "signature_invalid")?;
    let other = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    job.send_report(&failed, &Signing::now(other))
        .await?
        .expect_problem(401, "signature_invalid")?;
    let hour = SignedDuration::from_hours(1);
    for at in [Timestamp::now() - hour, Timestamp::now() + hour] {
        let signing = Signing { at, ..Signing::now(&secret) };
        job.send_report(&failed, &signing).await?.expect_problem(401, "timestamp_out_of_range")?;
    }
    // The signature comes first: nothing of an unsigned body is looked at.
    job.send(report_url, b"no json", &Signing::now(other))
        .await?
        .expect_problem(401, "signature_invalid")?;
    job.send(report_url, b"no json", &Signing::now(&secret))
        .await?
        .expect_problem(400, "invalid_request")?;

    // For another attempt: one that never was, and one that is no number of an attempt.
    for attempt in [0, 2, 255] {
        let mut stale = failed.clone();
        stale.attempt = attempt;
        job.send_report(&stale, &Signing::now(&secret))
            .await?
            .expect_problem(409, "stale_attempt")?;
        let mut progress = job.progress(50.0, true);
        progress.attempt = attempt;
        job.send_progress(&progress, &Signing::now(&secret))
            .await?
            .expect_problem(409, "stale_attempt")?;
    }
    let media = api.media(&id).await?;
    assert_eq!((&media["status"], &media["attempts"]), (&json!("transcoding"), &json!(1)));

    // The true report counts; its repetition changes nothing and is no error.
    publish(&stack, &job).await?;
    let ready = as_it_is(api.media(&id).await?);
    assert_eq!(ready["status"], "ready");
    let report =
        job.completed(&[(OutputRole::Hls, "hls/main.m3u8"), (OutputRole::Poster, "poster.jpg")]);
    job.send_report(&report, &Signing::now(&secret)).await?.expect(200)?;
    // A late word to the contrary does not.
    let late = job.send_report(&failed, &Signing::now(&secret)).await?;
    assert!(late.status == 409 || late.status == 200, "{}", late.text());
    job.send_progress(&job.progress(10.0, true), &Signing::now(&secret))
        .await?
        .expect_problem(409, "stale_attempt")?;
    job.put("hls/v360/000009.m4s", "late").await?.expect_problem(409, "stale_attempt")?;
    assert_eq!(as_it_is(api.media(&id).await?), ready, "nothing changed");
    Ok(())
}

/// A media without the URL whose token is minted anew for every answer.
fn as_it_is(mut media: Value) -> Value {
    media["events"].take();
    media
}

#[tokio::test]
async fn one_retry_and_no_third_attempt() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let secret = stack.secrets.webhook_secret.clone();
    let id = api.upload("a.mp4", "a source").await?;
    let retry = format!("/api/media/{id}/retry");

    let first = handler.job(1).await?;
    assert_eq!(first.spec.attempt, 1);
    api.post(&retry, json!({})).await?.expect_problem(409, "not_failed")?;
    let failure = Failure::new(FailureCode::Internal, "The first try went wrong.");
    first.send_report(&first.failed(failure.clone()), &Signing::now(&secret)).await?.expect(200)?;
    let failed = api.media(&id).await?;
    assert_eq!(failed["error"]["code"], "internal");
    assert_eq!((&failed["attempts"], &failed["retriesLeft"]), (&json!(1), &json!(1)));

    api.post(&retry, json!({})).await?.expect(202)?;
    let second = handler.job(2).await?;
    assert_eq!(second.spec.attempt, 2);
    assert_ne!(first.spec.output, second.spec.output, "attempts write to different places");
    // The first attempt's handler wakes up again: nothing it does matters now.
    first.put("hls/main.m3u8", "late").await?.expect_problem(409, "stale_attempt")?;
    let late = first.completed(&[(OutputRole::Hls, "hls/main.m3u8")]);
    first.send_report(&late, &Signing::now(&secret)).await?.expect_problem(409, "stale_attempt")?;
    assert_eq!(api.media(&id).await?["status"], "transcoding");

    second.send_report(&second.failed(failure), &Signing::now(&secret)).await?.expect(200)?;
    api.post(&retry, json!({})).await?.expect_problem(409, "retry_exhausted")?;
    let failed = api.media(&id).await?;
    assert_eq!((&failed["attempts"], &failed["retriesLeft"]), (&json!(2), &json!(0)));
    assert_eq!(handler.jobs(), 2);
    // It still can be read and deleted.
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    Ok(())
}

#[tokio::test]
async fn an_automatic_retry_follows_a_transient_failure_once() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let secret = stack.secrets.webhook_secret.clone();
    let media = api.create(json!({ "pipeline": { "retry": "automatic" } })).await?;
    let id = media["id"].as_str().context("an id")?;
    api.put_source(id, "a source").await?.expect(200)?;
    let failure = Failure::new(FailureCode::Internal, "The disk is full.");
    for attempt in [1, 2] {
        let job = handler.job(attempt).await?;
        job.send_report(&job.failed(failure.clone()), &Signing::now(&secret)).await?.expect(200)?;
    }
    let failed = api
        .wait_for(id, "both attempts failed", SOON, |media| {
            media["status"] == "failed" && media["attempts"] == 2
        })
        .await?;
    assert_eq!(failed["error"]["code"], "internal");
    assert_eq!(handler.jobs(), 2);

    // A permanent failure is not retried by itself.
    let media = api.create(json!({ "pipeline": { "retry": "automatic" } })).await?;
    let id = media["id"].as_str().context("an id")?;
    api.put_source(id, "a source").await?.expect(200)?;
    let job = handler.job(3).await?;
    let failure = Failure::new(FailureCode::CorruptMedia, "It is damaged.");
    job.send_report(&job.failed(failure), &Signing::now(&secret)).await?.expect(200)?;
    let failed = api.media(id).await?;
    assert_eq!((&failed["status"], &failed["attempts"]), (&json!("failed"), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn a_silent_handler_is_lost_and_a_refusing_one_is_no_handler() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options.gateway("LEASE_SECONDS", 2)).await?;
    let api = stack.api();
    let secret = stack.secrets.webhook_secret.clone();

    // Silent after a first sign of life.
    let id = api.upload("a.mp4", "a source").await?;
    let job = handler.job(1).await?;
    job.send_progress(&job.progress(1.0, false), &Signing::now(&secret)).await?.expect(200)?;
    let lost = api.wait_status(&id, "failed", SOON).await?;
    assert_eq!(lost["error"]["code"], "handler_lost");
    assert_eq!(lost["error"]["transient"], true);
    job.send_progress(&job.progress(2.0, false), &Signing::now(&secret))
        .await?
        .expect_problem(409, "stale_attempt")?;

    // Never a word, and its own status says that the job is dead.
    handler.say("FAILED");
    let id = api.upload("b.mp4", "a source").await?;
    handler.job(2).await?;
    assert_eq!(api.wait_status(&id, "failed", SOON).await?["error"]["code"], "handler_lost");

    // Still in the queue: that is no silence.
    handler.say("IN_QUEUE");
    let id = api.upload("c.mp4", "a source").await?;
    let job = handler.job(3).await?;
    let before = Timestamp::now();
    let waiting = api
        .wait_for(&id, "two leases are over", SOON, |_| {
            Timestamp::now().duration_since(before) > SignedDuration::from_secs(5)
        })
        .await?;
    assert_eq!(waiting["status"], "transcoding");
    publish(&stack, &job).await?;
    assert_eq!(api.media(&id).await?["status"], "ready");

    // Refused for good.
    handler.refuse(true);
    let id = api.upload("d.mp4", "a source").await?;
    let failed = api.wait_status(&id, "failed", SOON).await?;
    assert_eq!(failed["error"]["code"], "dispatch_failed");
    handler.refuse(false);
    api.post(&format!("/api/media/{id}/retry"), json!({})).await?.expect(202)?;
    publish(&stack, &handler.job(4).await?).await?;
    assert_eq!(api.media(&id).await?["status"], "ready");
    Ok(())
}

#[tokio::test]
async fn events_are_fresh_and_resume_where_they_broke_off() -> Result<()> {
    let (stack, handler): (_, StandIn) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let secret = stack.secrets.webhook_secret.clone();
    let id = api.upload("a.mp4", "a source").await?;
    let job = handler.job(1).await?;
    let url = format!("/api/media/{id}/events");

    let mut events = Events::subscribe(&api, &url, None).await?;
    let first = events.next(SOON).await?.context("the current media comes first")?;
    assert_eq!((first.kind.as_str(), &first.data["status"]), ("media", &json!("transcoding")));
    job.send_progress(&job.progress(25.0, false), &Signing::now(&secret)).await?.expect(200)?;
    let sent = Timestamp::now();
    let progress = events.next(SOON).await?.context("progress")?;
    assert!(Timestamp::now().duration_since(sent) < SignedDuration::from_secs(1), "stale progress");
    assert_eq!(progress.kind, "progress");
    assert_eq!(progress.data["percent"], 25.0);
    assert_eq!(progress.data["stage"], "encoding");
    assert_eq!(progress.data["speed"], 2.0);
    assert_eq!(progress.data["etaSeconds"], 10.0);
    drop(events);

    // Missed while nobody listened, and delivered to who asks from where it stopped.
    publish(&stack, &job).await?;
    let missed = Events::subscribe(&api, &url, Some(progress.id)).await?.rest(SOON).await?;
    assert!(missed.iter().all(|message| message.id > progress.id));
    assert!(missed.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(missed.last().context("something was missed")?.data["status"], "ready");

    // Nobody follows without a key or token.
    let nobody = api.with_key(None);
    nobody.get(&url).await?.expect_problem(401, "unauthorized")?;
    Ok(())
}
