//! Keys, idempotency, lists: what every client of the API relies on.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use crate::with_stand_in;

#[tokio::test]
async fn keys_are_made_used_and_revoked() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let root = stack.api();
    let made = root.post("/api/keys", json!({ "name": "shop" })).await?.expect(201)?;
    let key = made["key"].as_str().context("the key is shown once")?;
    let list = root.get("/api/keys").await?;
    list.expect(200)?;
    assert!(!list.text().contains(key), "a key is shown once");
    assert!(list.text().contains("shop"));

    let shop = root.with_key(Some(key));
    shop.create(json!({})).await?;
    // Keys are the root key's business.
    shop.post("/api/keys", json!({ "name": "mine" })).await?.expect_problem(403, "forbidden")?;
    shop.get("/api/keys").await?.expect_problem(403, "forbidden")?;

    for bad in [None, Some(""), Some("nonsense"), Some(&key[..key.len() - 1]), Some("rk_0_0")] {
        let stranger = root.with_key(bad);
        stranger.get("/api/media").await?.expect_problem(401, "unauthorized")?;
        stranger.post("/api/media", json!({})).await?.expect_problem(401, "unauthorized")?;
    }
    let id = made["id"].as_str().context("an id")?;
    root.delete(&format!("/api/keys/{id}")).await?.expect(204)?;
    shop.get("/api/media").await?.expect_problem(401, "unauthorized")?;
    Ok(())
}

#[tokio::test]
async fn creation_is_idempotent_by_key() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let create = async |key: &str, body: Value| {
        let request = api.request(Method::POST, "/api/media").header("idempotency-key", key);
        e2e::api::Answer::of(request.json(&body).send().await?).await
    };
    let first = create("order-7", json!({ "filename": "a.mp4" })).await?.expect(201)?;
    let again = create("order-7", json!({ "filename": "a.mp4" })).await?.expect(200)?;
    assert_eq!(first["id"], again["id"]);
    create("order-7", json!({ "filename": "b.mp4" }))
        .await?
        .expect_problem(422, "idempotency_mismatch")?;
    let other = create("order-8", json!({ "filename": "a.mp4" })).await?.expect(201)?;
    assert_ne!(first["id"], other["id"]);
    create(&"x".repeat(256), json!({})).await?.expect_problem(400, "invalid_request")?;
    let list = api.get("/api/media").await?.expect(200)?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));

    // All at once: still one.
    let racing = (0..8).map(|_| create("order-9", json!({ "filename": "c.mp4" })));
    let answers = futures_util::future::try_join_all(racing).await?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let ids: Vec<_> = answers.iter().map(|answer| answer.json()["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.is_string()), "{ids:?}");
    Ok(())
}

#[tokio::test]
async fn lists_are_paged_filtered_and_bounded() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let mut made = Vec::new();
    for number in 0..7 {
        let media = api.create(json!({ "filename": format!("{number}.mp4") })).await?;
        made.push(media["id"].as_str().context("an id")?.to_owned());
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut path = "/api/media?limit=3".to_owned();
    loop {
        let page = api.get(&path).await?.expect(200)?;
        let items = page["items"].as_array().context("items")?;
        assert!(items.len() <= 3);
        seen.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/media?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, made, "every one once, newest first");

    api.put_source(&made[0], "a source").await?.expect(200)?;
    let waiting = api.get("/api/media?status=uploading").await?.expect(200)?;
    assert_eq!(waiting["items"].as_array().map(Vec::len), Some(6));
    let ready = api.get("/api/media?status=ready").await?.expect(200)?;
    assert_eq!(ready["items"].as_array().map(Vec::len), Some(0));
    for outside in ["limit=0", "limit=101", "limit=4000000000"] {
        let page = api.get(&format!("/api/media?{outside}")).await?.expect(200)?;
        let items = page["items"].as_array().map_or(0, Vec::len);
        assert!((1..=100).contains(&items), "{outside} is brought into bounds");
    }
    for bad in ["limit=x", "status=exploded", "cursor=%00%00"] {
        let answer = api.get(&format!("/api/media?{bad}")).await?;
        answer.expect_problem(400, "invalid_request").with_context(|| bad.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_is_typed_and_traceable() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let health = api.get("/health").await?;
    assert_eq!(health.expect(200)?["status"], "ok");
    assert!(!health.header("x-request-id").is_empty());

    api.get("/api/nothing").await?.expect_problem(404, "not_found")?;
    api.get("/api/media/med_nonsense").await?.expect_problem(400, "invalid_id")?;
    let unknown = "/api/media/med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
    api.get(unknown).await?.expect_problem(404, "media_not_found")?;
    let put = api.request(Method::PUT, "/api/media").send().await?;
    e2e::api::Answer::of(put).await?.expect_problem(405, "method_not_allowed")?;

    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for (body, status, code) in [
        ("{", 400, "invalid_request"),
        ("[]", 400, "invalid_request"),
        (r#"{"pipeline": {"segmentSeconds": 3}}"#, 400, "invalid_request"),
        (r#"{"pipeline": {"segmentFormat": "avi"}}"#, 400, "invalid_request"),
        (r#"{"pipeline": {"colour": "red"}}"#, 400, "invalid_request"),
        (r#"{"size": -1}"#, 400, "invalid_request"),
        (r#"{"filename": 7}"#, 400, "invalid_request"),
        (deep.as_str(), 400, "invalid_request"),
    ] {
        let request =
            api.request(Method::POST, "/api/media").header("content-type", "application/json");
        let answer = e2e::api::Answer::of(request.body(body.to_owned()).send().await?).await?;
        answer
            .expect_problem(status, code)
            .with_context(|| body.chars().take(60).collect::<String>())?;
        assert!(!answer.header("x-request-id").is_empty());
    }
    let long = json!({ "filename": "x".repeat(100_000) });
    api.post("/api/media", long).await?.expect_problem(413, "body_too_large")?;
    let hostile = "\u{202e}<script>alert(1)</script>/../../etc/passwd\u{0}.mp4";
    let media = api.post("/api/media", json!({ "filename": hostile })).await?;
    assert!(media.status == 201 || media.status == 400, "{}", media.text());
    Ok(())
}
