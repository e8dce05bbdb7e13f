//! Sources that have a URL of their own: the handler fetches them and uploads them to the gateway.

use anyhow::{Context, Result};
use e2e::{
    api::{Answer, Api},
    clips,
    origin::Origin,
    stack::{Options, Stack},
    wait::until,
};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{ENCODE, SOON};

/// A handler that may fetch from this machine.
fn private(options: Options) -> Options {
    options.handler("REELMILL_ALLOW_PRIVATE_SOURCES", true)
}

fn film() -> Result<Vec<u8>> {
    Ok(std::fs::read(clips::video(640, 360, 3)?)?)
}

/// The same with 20 MiB at its end that players skip (ISO/IEC 14496-12 §8.1.2), so that some of it is
/// stored before the rest has come.
fn large() -> Result<Vec<u8>> {
    const FREE: u32 = 20 << 20;
    let mut film = film()?;
    film.extend(FREE.to_be_bytes());
    film.extend(b"free");
    film.resize(film.len() + FREE as usize - 8, 0);
    Ok(film)
}

/// Creates a media whose source is at `url`, and waits until its download shows.
async fn downloading(api: &Api, url: &str) -> Result<(String, Value)> {
    let media = api.create(json!({ "filename": "a.mp4", "source": { "url": url } })).await?;
    let id = media["id"].as_str().context("an id")?.to_owned();
    let shown = api
        .wait_for(&id, "it is downloading", SOON, |media| {
            media["progress"]["stage"] == "downloading" && media["progress"]["bytes"].is_u64()
        })
        .await?;
    Ok((id, shown))
}

#[tokio::test]
async fn a_url_becomes_a_ready_media() -> Result<()> {
    let film = film()?;
    let origin = Origin::start(film.clone(), film.len() / 2).await?;
    let stack = Stack::temporary(private).await?;
    let api = stack.api();
    let (id, media) = downloading(&api, &format!("{}?signature=s3cret#t=1", origin.url)).await?;
    assert_eq!(media["status"], "uploading");
    assert_eq!(media["sourceUrl"], origin.url.as_str(), "without its query");
    assert!(media.get("upload").is_none(), "nobody else is to upload it: {media}");
    // All that its server sends, by bytes and by share.
    let half = api
        .wait_for(&id, "half of it came", SOON, |media| {
            media["progress"]["bytes"].as_u64() == Some(film.len() as u64 / 2)
        })
        .await?;
    assert!((49.0..=51.0).contains(&half["progress"]["percent"].as_f64().context("percent")?));
    assert_eq!(half["attempts"], 0, "no attempt at making anything: {half}");

    // Nor may they: neither at once nor resumably.
    api.put_source(&id, "another source").await?.expect_problem(409, "upload_in_progress")?;
    let bound = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &id);
    let creation = api
        .request(Method::POST, "/api/uploads")
        .header("tus-resumable", "1.0.0")
        .header("upload-length", 5)
        .header("upload-metadata", format!("mediaId {bound}"));
    Answer::of(creation.send().await?).await?.expect_problem(409, "upload_in_progress")?;

    origin.let_go();
    let ready = api.wait_status(&id, "ready", ENCODE).await?;
    let sha256: String = Sha256::digest(&film).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(ready["source"]["sha256"], sha256.as_str());
    assert_eq!(ready["source"]["size"], film.len());
    assert_eq!(ready["source"]["contentType"], "video/mp4", "by its bytes, not by its server");
    assert_eq!((&ready["attempts"], &ready["sourceUrl"]), (&json!(1), &json!(origin.url)));
    assert_eq!(origin.requests(), 1);
    for log in ["gateway.log", "handler.log"] {
        let log = std::fs::read_to_string(stack.data().join("logs").join(log))?;
        assert!(!log.contains("s3cret"), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_private_address_is_refused_and_so_is_its_retry() -> Result<()> {
    let origin = Origin::start(film()?, usize::MAX).await?;
    let stack = Stack::temporary(|options| options).await?;
    let api = stack.api();
    let media = api.create(json!({ "source": { "url": origin.url } })).await?;
    let id = media["id"].as_str().context("an id")?;
    let refused = async |left: u64| {
        until("it is refused", SOON, async || {
            let media = api.media(id).await?;
            let failed = media["status"] == "failed" && media["retriesLeft"] == left;
            Ok(failed.then_some(media["error"].clone()))
        })
        .await
    };
    let error = refused(1).await?;
    assert_eq!(error["code"], "source_url_refused");
    assert_eq!(error["transient"], false);
    assert!(!error["message"].as_str().context("a message")?.contains("127.0.0.1"), "{error}");
    api.post(&format!("/api/media/{id}/retry"), json!({})).await?.expect(202)?;
    assert_eq!(refused(0).await?["code"], "source_url_refused");
    let again = api.post(&format!("/api/media/{id}/retry"), json!({})).await?;
    again.expect_problem(409, "retry_exhausted")?;
    assert_eq!(origin.requests(), 0, "nobody connected to it");
    assert!(stack.stored()?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_handler_killed_in_mid_download_is_lost_and_the_retry_makes_it_good() -> Result<()> {
    let film = large()?;
    let origin = Origin::start(film.clone(), 12 << 20).await?;
    let mut stack =
        Stack::temporary(|options| private(options).gateway("LEASE_SECONDS", 5)).await?;
    let api = stack.api();
    let (id, _) = downloading(&api, &origin.url).await?;
    stack.kill_handler();
    let failed = until("it is given up", SOON, async || {
        Ok(Some(api.media(&id).await?).filter(|media| media["status"] == "failed"))
    })
    .await?;
    assert_eq!(failed["error"]["code"], "handler_lost");
    assert_eq!(failed["retriesLeft"], 1);

    stack.restart_handler().await?;
    origin.let_go();
    api.post(&format!("/api/media/{id}/retry"), json!({})).await?.expect(202)?;
    let ready = api.wait_status(&id, "ready", ENCODE).await?;
    assert_eq!(ready["source"]["size"], film.len());
    assert_eq!(ready["attempts"], 1);
    Ok(())
}

#[tokio::test]
async fn a_gateway_killed_in_mid_download_goes_on_with_it() -> Result<()> {
    let film = large()?;
    let origin = Origin::start(film.clone(), 12 << 20).await?;
    let mut stack = Stack::temporary(private).await?;
    let api = stack.api();
    let (id, _) = downloading(&api, &origin.url).await?;
    stack.kill_gateway();
    stack.restart_gateway().await?;
    origin.let_go();
    let ready = api.wait_status(&id, "ready", ENCODE).await?;
    assert_eq!(ready["source"]["size"], film.len());
    assert_eq!(origin.requests(), 1, "the handler never stopped fetching");
    Ok(())
}

#[tokio::test]
async fn a_media_deleted_in_mid_download_leaves_nothing() -> Result<()> {
    let film = large()?;
    let origin = Origin::start(film.clone(), 12 << 20).await?;
    let stack = Stack::temporary(private).await?;
    let api = stack.api();
    let (id, _) = downloading(&api, &origin.url).await?;
    assert_eq!(origin.open(), 1);
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    until("the handler lets go", SOON, async || Ok((origin.open() == 0).then_some(()))).await?;
    api.get(&format!("/api/media/{id}")).await?.expect_problem(410, "media_deleted")?;
    until("nothing is stored", SOON, async || Ok(stack.stored()?.is_empty().then_some(()))).await?;
    Ok(())
}

#[tokio::test]
async fn a_cancelled_download_may_be_asked_for_once_more() -> Result<()> {
    let film = film()?;
    let origin = Origin::start(film.clone(), film.len() / 2).await?;
    let stack = Stack::temporary(private).await?;
    let api = stack.api();
    let (id, _) = downloading(&api, &origin.url).await?;
    let cancelled = api.post(&format!("/api/media/{id}/cancel"), json!({})).await?.expect(202)?;
    assert_eq!((&cancelled["status"], &cancelled["retriesLeft"]), (&json!("failed"), &json!(1)));
    until("the handler lets go", SOON, async || Ok((origin.open() == 0).then_some(()))).await?;
    origin.let_go();
    api.post(&format!("/api/media/{id}/retry"), json!({})).await?.expect(202)?;
    api.wait_status(&id, "ready", ENCODE).await?;
    Ok(())
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_at_once() -> Result<()> {
    let stack = Stack::temporary(|options| options).await?;
    let api = stack.api();
    let long = format!("https://example.com/{}", "a".repeat(2048));
    for url in ["", "film.mp4", "file:///etc/passwd", "ftp://example.com/a", "https://", &long] {
        let answer = api.post("/api/media", json!({ "source": { "url": url } })).await?;
        answer.expect_problem(400, "source_url_invalid")?;
    }
    let answer = api
        .post("/api/media", json!({ "source": { "url": "https://me:s3cret@example.com/a.mp4" } }))
        .await?;
    answer.expect_problem(400, "source_url_credentials")?;
    assert!(!answer.text().contains("s3cret"));
    Ok(())
}
