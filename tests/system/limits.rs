//! One accounting for every way in: tiers, what a body may have, what a source is by its bytes.

use anyhow::{Context, Result};
use e2e::api::{Answer, Api};
use reqwest::{Method, header::CONTENT_LENGTH};
use serde_json::{Value, json};

use crate::with_stand_in;

/// A client with a fresh key of `tier`, or of the default one.
pub(crate) async fn key_of(root: &Api, tier: Option<&str>) -> Result<(Api, Value)> {
    let body = match tier {
        Some(tier) => json!({ "name": "shop", "tier": tier }),
        None => json!({ "name": "shop" }),
    };
    let made = root.post("/api/keys", body).await?.expect(201)?;
    let key = made["key"].as_str().context("the key is shown once")?;
    Ok((root.with_key(Some(key)), made))
}

#[tokio::test]
async fn a_key_has_a_tier_and_the_tier_a_limit() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| {
        options.gateway("TIER_MAX_UPLOAD_BYTES", "free=1000").gateway("MAX_UPLOAD_BYTES", 30_000)
    })
    .await?;
    let root = stack.api();
    for (tier, name, limit) in [
        (Some("free"), "free", 1000),
        (None, "standard", 30_000),
        (Some("unlimited"), "unlimited", 30_000),
    ] {
        let (api, made) = key_of(&root, tier).await?;
        assert_eq!(made["tier"], name);
        let limits = api.get("/api/limits").await?.expect(200)?;
        assert_eq!(limits["tier"], name);
        assert_eq!(limits["maxUploadBytes"], limit, "{name}");
        assert_eq!(limits["tus"]["url"], format!("{}/api/uploads", stack.url()));
        assert_eq!(limits["direct"], false);
        api.create(json!({ "size": limit })).await?;
        let beyond = api.post("/api/media", json!({ "size": limit + 1 })).await?;
        beyond.expect_problem(413, "upload_too_large")?;
    }
    let list = root.get("/api/keys").await?.expect(200)?;
    let tiers: Vec<_> = list["items"].as_array().context("items")?.iter().collect();
    assert_eq!(tiers.iter().map(|key| &key["tier"]).filter(|tier| *tier == "free").count(), 1);
    assert_eq!(root.get("/api/limits").await?.expect(200)?["tier"], "unlimited");
    root.with_key(None).get("/api/limits").await?.expect_problem(401, "unauthorized")?;
    let gold = root.post("/api/keys", json!({ "name": "x", "tier": "gold" })).await?;
    gold.expect_problem(400, "invalid_request")
}

#[tokio::test]
async fn an_upload_by_token_is_held_to_the_limit_of_who_made_the_media() -> Result<()> {
    let (stack, _handler) =
        with_stand_in(|options| options.gateway("TIER_MAX_UPLOAD_BYTES", "free=1000")).await?;
    let (free, _) = key_of(&stack.api(), Some("free")).await?;
    let media = free.create(json!({})).await?;
    let url = media["upload"]["put"]["url"].as_str().context("a URL")?;
    let nobody = stack.api().with_key(None);
    let put = async |bytes: usize| {
        let request = nobody.request(Method::PUT, url).header(CONTENT_LENGTH, bytes);
        Answer::of(request.body(vec![1; bytes]).send().await?).await
    };
    put(1001).await?.expect_problem(413, "upload_too_large")?;
    // Whoever holds a larger key is held to it as well: the limit is the media's.
    let id = media["id"].as_str().context("an id")?;
    stack.api().put_source(id, vec![1; 1001]).await?.expect_problem(413, "upload_too_large")?;
    assert_eq!(put(1000).await?.expect(200)?["source"]["size"], 1000);
    Ok(())
}

#[tokio::test]
async fn a_body_beyond_the_platform_is_told_the_resumable_way() -> Result<()> {
    let (stack, _handler) =
        with_stand_in(|options| options.gateway("MAX_BODY_BYTES", 100_000)).await?;
    let api = stack.api();
    let media = api.create(json!({})).await?;
    assert_eq!(api.get("/api/limits").await?.expect(200)?["maxBodyBytes"], 100_000);
    let id = media["id"].as_str().context("an id")?;
    let answer = api.put_source(id, vec![1; 100_001]).await?;
    answer.expect_problem(413, "body_too_large")?;
    let problem = answer.json();
    assert!(problem["detail"].as_str().context("a detail")?.contains("/api/uploads"));
    let resumable = problem["resumable"].as_str().context("a URL")?;
    assert!(resumable.starts_with(&format!("{}/api/uploads?token=", stack.url())), "{resumable}");
    api.put_source(id, vec![1; 100_000]).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_a_source_is_is_told_by_its_bytes() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let create = async |bytes: Vec<u8>| -> Result<Value> {
        let body = json!({ "filename": "holiday.mp3", "contentType": "audio/mpeg" });
        let media = api.create(body).await?;
        let id = media["id"].as_str().context("an id")?;
        api.put_source(id, bytes).await?.expect(200)
    };
    let mut mp4 = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41".to_vec();
    mp4.resize(10_000, 0);
    let stored = create(mp4).await?;
    assert_eq!(stored["source"]["contentType"], "video/mp4");
    assert_eq!(stored["contentType"], "audio/mpeg", "what was declared is shown as it was");
    let stored = create(b"just some words".to_vec()).await?;
    assert!(stored["source"].get("contentType").is_none(), "{stored}");
    Ok(())
}
