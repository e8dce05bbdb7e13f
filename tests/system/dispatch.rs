//! Several backends: which gets a job, when the next one does, and that the one before does it no more.

mod sqs;

use anyhow::{Context, Result};
use e2e::{
    stack::{Options, Stack},
    stand_in::{Signing, StandIn},
    wait::until,
};
use jiff::{SignedDuration, Timestamp};
use reelmill_shared::job::{Failure, FailureCode, OutputRole};
use reqwest::Method;
use serde_json::json;

use crate::{SOON, publish};

/// After how many seconds a job that nobody takes goes on, here.
const FALLBACK: u64 = 2;

/// A gateway with the backends `a` and `b`.
async fn two(dispatch: &str) -> Result<(Stack, StandIn, StandIn)> {
    let (a, b) = (StandIn::start().await?, StandIn::start().await?);
    let stack =
        Stack::temporary(|options| over(options.stand_in(&a.url), &a, &b, dispatch)).await?;
    Ok((stack, a, b))
}

fn over(options: Options, a: &StandIn, b: &StandIn, dispatch: &str) -> Options {
    let backend =
        |stand_in: &StandIn| json!({"kind": "http", "url": format!("{}/v2/local", stand_in.url)});
    options
        .gateway("BACKENDS", json!({"a": backend(a), "b": backend(b)}))
        .gateway("BACKEND_KEYS", json!({"a": "the-key-to-a", "b": "the-key-to-b"}))
        .gateway("DISPATCH", dispatch)
        .gateway("DISPATCH_FALLBACK_SECONDS", FALLBACK)
}

/// The first takes the job into its queue and stays silent; the second gets it; then the first wakes up.
#[tokio::test]
async fn a_job_that_nobody_takes_is_done_elsewhere_and_only_there() -> Result<()> {
    let (stack, a, b) = two("video=a,b").await?;
    let (api, secret) = (stack.api(), stack.secrets.webhook_secret.clone());
    a.say("IN_QUEUE");
    let id = api.upload("a.mp4", "a source").await?;
    let first = a.job(1).await?;
    let second = b.job(1).await?;
    assert_eq!((first.spec.attempt, second.spec.attempt), (1, 1), "the same attempt");
    let callback = |job: &e2e::stand_in::Job| job.spec.callback.clone().context("a callback");
    assert_eq!(callback(&first)?.progress_url.query(), Some("dispatch=0"));
    assert_eq!(callback(&second)?.progress_url.query(), Some("dispatch=1"));
    assert_eq!(callback(&second)?.report_url.query(), Some("dispatch=1"));
    until("the first is cancelled", SOON, async || Ok((a.cancelled().len() == 1).then_some(())))
        .await?;

    // Whether it asks first, stores at once or reports, it is too late.
    let signing = Signing::now(&secret);
    let late = first.completed(&[(OutputRole::Hls, "hls/main.m3u8")]);
    let too_late = async || {
        let claim = first.send_progress(&first.progress(0.0, false), &signing).await?;
        claim.expect_problem(409, "stale_attempt")?;
        first.put("hls/main.m3u8", "late").await?.expect_problem(409, "stale_attempt")?;
        first.send_report(&late, &signing).await?.expect_problem(409, "stale_attempt")
    };
    too_late().await?;
    let failure = Failure::new(FailureCode::Internal, "The first has its own opinion.");
    first
        .send_report(&first.failed(failure), &signing)
        .await?
        .expect_problem(409, "stale_attempt")?;
    assert_eq!(api.media(&id).await?["status"], "transcoding");

    publish(&stack, &second).await?;
    let ready = api.media(&id).await?;
    assert_eq!((&ready["status"], &ready["attempts"]), (&json!("ready"), &json!(1)));
    too_late().await?;
    let playback = api.post(&format!("/api/media/{id}/playback"), json!({})).await?.expect(200)?;
    let playlist = playback["hls"].as_str().context("a playlist")?;
    let playlist = e2e::api::Answer::of(api.request(Method::GET, playlist).send().await?).await?;
    assert!(playlist.text().contains("v360/index.m3u8"), "{}", playlist.text());
    assert_eq!((a.jobs(), b.jobs()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_refusal_sends_a_job_on_and_the_last_one_fails_it() -> Result<()> {
    let (stack, a, b) = two("video=a,b").await?;
    let api = stack.api();
    a.refuse(true);
    let id = api.upload("a.mp4", "a source").await?;
    publish(&stack, &b.job(1).await?).await?;
    assert_eq!(api.media(&id).await?["status"], "ready");

    b.refuse(true);
    let id = api.upload("b.mp4", "a source").await?;
    let failed = api.wait_status(&id, "failed", SOON).await?;
    assert_eq!(failed["error"]["code"], "dispatch_failed");
    assert_eq!((&failed["attempts"], &failed["retriesLeft"]), (&json!(1), &json!(1)));
    // The retry begins with the first again.
    a.refuse(false);
    api.post(&format!("/api/media/{id}/retry"), json!({})).await?.expect(202)?;
    let job = a.job(1).await?;
    assert_eq!(job.spec.attempt, 2);
    publish(&stack, &job).await?;
    assert_eq!(api.media(&id).await?["status"], "ready");
    Ok(())
}

#[tokio::test]
async fn a_backend_that_is_away_is_passed_over() -> Result<()> {
    let (stack, a, b) = two("video=a,b").await?;
    let api = stack.api();
    let health = api.get("/health").await?.expect(200)?;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["backends"]["b"]["workers"]["idle"], 1);
    drop(a);
    let id = api.upload("a.mp4", "a source").await?;
    publish(&stack, &b.job(1).await?).await?;
    assert_eq!(api.media(&id).await?["status"], "ready");
    let health = api.get("/health").await?.expect(200)?;
    assert_eq!(health["status"], "degraded");
    assert!(health["backends"]["a"]["error"].is_string(), "{health}");
    assert!(!health.to_string().contains("the-key-to"), "{health}");
    Ok(())
}

#[tokio::test]
async fn what_a_worker_has_is_nobody_elses() -> Result<()> {
    let (stack, a, b) = two("video=a,b").await?;
    let (api, secret) = (stack.api(), stack.secrets.webhook_secret.clone());
    // By its own word, and by its backend's.
    let told = api.upload("a.mp4", "a source").await?;
    let first = a.job(1).await?;
    first.send_progress(&first.progress(1.0, false), &Signing::now(&secret)).await?.expect(200)?;
    api.upload("b.mp4", "a source").await?;
    a.job(2).await?;
    let before = Timestamp::now();
    let long = SignedDuration::from_secs(3 * FALLBACK.cast_signed());
    api.wait_for(&told, "a fallback would be over", SOON, |_| {
        Timestamp::now().duration_since(before) > long
    })
    .await?;
    assert_eq!((a.jobs(), b.jobs(), a.cancelled().len()), (2, 0, 0));
    publish(&stack, &first).await
}

#[tokio::test]
async fn each_class_goes_its_way_and_is_cancelled_there() -> Result<()> {
    let (stack, a, b) = two("video=a;audio=b,a").await?;
    let api = stack.api();
    let audio = api.upload("a.mp3", b"ID3\x04\0\0\0\0\0\0 a song".to_vec()).await?;
    let job = b.job(1).await?;
    assert_eq!(job.spec.media_id.to_string(), audio);
    let video = api.upload("a.mp4", "a source").await?;
    assert_eq!(a.job(1).await?.spec.media_id.to_string(), video);
    for id in [&audio, &video] {
        api.post(&format!("/api/media/{id}/cancel"), json!({})).await?.expect(202)?;
    }
    for (stand_in, id) in [(&b, &audio), (&a, &video)] {
        let cancelled = until("it is cancelled where it is", SOON, async || {
            Ok(Some(stand_in.cancelled()).filter(|jobs| !jobs.is_empty()))
        });
        assert_eq!(cancelled.await?, [format!("job-{id}-1")]);
    }
    Ok(())
}
