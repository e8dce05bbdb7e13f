//! Webhooks to downstream services: signed, in order, again and again until they are taken.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::receiver::Receiver;
use serde_json::{Value, json};

use crate::{SOON, publish, with_stand_in};

#[tokio::test]
async fn failed_deliveries_are_repeated_and_logged() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let receiver = Receiver::start(&[500]).await?;
    let endpoint = api
        .post("/api/webhooks", json!({ "url": receiver.url, "events": ["media.ready"] }))
        .await?
        .expect(201)?;
    let secret = endpoint["secret"].as_str().context("a secret")?;
    let id = api.upload("a.mp4", "a source").await?;
    publish(&stack, &handler.job(1).await?).await?;

    // The second try follows five seconds after the first, as the same message.
    let tries = receiver.wait("the message is sent again", SOON, |all| all.len() >= 2).await?;
    assert_eq!((tries[0].answered, tries[1].answered), (500, 200));
    assert_eq!((&tries[0].id, &tries[0].body), (&tries[1].id, &tries[1].body));
    assert_ne!(tries[0].timestamp, tries[1].timestamp);
    assert!(tries[1].is_signed_with(secret));
    assert!(
        tries.iter().all(|delivery| delivery.kind() == "media.ready"),
        "only what was asked for"
    );

    // The log tells the story.
    let path = format!("/api/media/{id}/deliveries");
    let logged = e2e::wait::until("the delivery is logged", SOON, async || {
        let log = api.get(&path).await?.expect(200)?;
        let item = log["items"].as_array().and_then(|items| {
            items.iter().find(|item| item["attempts"].as_array().is_some_and(|all| all.len() >= 2))
        });
        Ok(item.cloned())
    })
    .await?;
    assert_eq!(logged["attempts"][0]["status"], 500);
    assert_eq!(logged["attempts"][1]["status"], 200);

    // Redelivered on request, as the same message.
    let message = &tries[0].id;
    api.post(&format!("{path}/{message}/redeliver"), Value::Null).await?.expect(202)?;
    let again = receiver.wait("it is redelivered", SOON, |all| all.len() >= 3).await?;
    assert_eq!((&again[2].id, &again[2].body), (&tries[0].id, &tries[0].body));
    assert!(again[2].is_signed_with(secret));
    let unknown = "msg_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
    let answer = api.post(&format!("{path}/{unknown}/redeliver"), Value::Null).await?;
    answer.expect_problem(404, "not_found")?;
    Ok(())
}

#[tokio::test]
async fn every_endpoint_gets_every_message_in_numbered_order() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let (one, two) = (Receiver::start(&[]).await?, Receiver::start(&[]).await?);
    let mut secrets = Vec::new();
    for url in [&one.url, &two.url] {
        let endpoint = api.post("/api/webhooks", json!({ "url": url })).await?.expect(201)?;
        secrets.push(endpoint["secret"].as_str().context("a secret")?.to_owned());
    }
    assert_ne!(secrets[0], secrets[1]);
    let id = api.upload("a.mp4", "a source").await?;
    publish(&stack, &handler.job(1).await?).await?;
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    for (receiver, secret) in [(&one, &secrets[0]), (&two, &secrets[1])] {
        let deliveries = receiver
            .wait("media.deleted is delivered", SOON, |all| {
                all.iter().any(|delivery| delivery.kind() == "media.deleted") && all.len() >= 5
            })
            .await?;
        let mut order: Vec<_> =
            deliveries.iter().map(|delivery| (delivery.sequence(), delivery.kind())).collect();
        order.sort();
        let expected = [
            "media.created",
            "media.uploaded",
            "media.transcoding",
            "media.ready",
            "media.deleted",
        ];
        let expected: Vec<_> = (1..).zip(expected.map(str::to_owned)).collect();
        assert_eq!(order, expected);
        for delivery in &deliveries {
            assert!(delivery.is_signed_with(secret));
            assert_eq!(delivery.json()["data"]["media"]["id"], id.as_str());
        }
    }
    Ok(())
}

#[tokio::test]
async fn endpoints_are_managed_rotated_and_disabled() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let receiver = Receiver::start(&[]).await?;
    let endpoint = api.post("/api/webhooks", json!({ "url": receiver.url })).await?.expect(201)?;
    let (path, old) = (
        format!("/api/webhooks/{}", endpoint["id"].as_str().context("an id")?),
        endpoint["secret"].as_str().context("a secret")?.to_owned(),
    );
    // The secret is shown once.
    let shown = api.get(&path).await?.expect(200)?;
    assert_eq!(shown["url"], receiver.url.as_str());
    assert!(shown.get("secret").is_none());
    let list = api.get("/api/webhooks").await?;
    assert!(!list.text().contains(&old));
    assert_eq!(list.expect(200)?["items"].as_array().map(Vec::len), Some(1));

    // Rotation: whoever holds either secret can check.
    let rotated = api.post(&format!("{path}/rotate"), Value::Null).await?.expect(200)?;
    let new = rotated["secret"].as_str().context("a secret")?.to_owned();
    assert_ne!(old, new);
    let id = api.upload("a.mp4", "a source").await?;
    let deliveries = receiver.wait("three messages come", SOON, |all| all.len() >= 3).await?;
    for delivery in deliveries {
        assert!(delivery.is_signed_with(&old) && delivery.is_signed_with(&new));
    }

    // 410 disables, for good.
    let gone = Receiver::start(&[410]).await?;
    let endpoint = api
        .post(
            "/api/webhooks",
            json!({ "url": gone.url, "events": ["media.ready", "media.deleted"] }),
        )
        .await?
        .expect(201)?;
    publish(&stack, &handler.job(1).await?).await?;
    gone.wait("media.ready comes", SOON, |all| all.len() == 1).await?;
    let gone_path = format!("/api/webhooks/{}", endpoint["id"].as_str().context("an id")?);
    e2e::wait::until("the endpoint is disabled", SOON, async || {
        let shown = api.get(&gone_path).await?.expect(200)?;
        Ok((shown["enabled"] == false || shown["disabledAt"].is_string()).then_some(()))
    })
    .await?;
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    receiver
        .wait("the other endpoint gets media.deleted", SOON, |all| {
            all.iter().any(|delivery| delivery.kind() == "media.deleted")
        })
        .await?;
    assert_eq!(gone.deliveries().len(), 1);

    api.delete(&path).await?.expect(204)?;
    api.get(&path).await?.expect_problem(404, "not_found")?;
    Ok(())
}

#[tokio::test]
async fn webhooks_go_to_public_https_addresses_only() -> Result<()> {
    // As deployed: without the exception for this machine.
    let (stack, _handler) =
        with_stand_in(|options| options.gateway("ALLOW_PRIVATE_WEBHOOKS", "false")).await?;
    let api = stack.api();
    for url in [
        "http://shop.example/hook",
        "https://localhost/hook",
        "https://127.0.0.1/hook",
        "https://127.1/hook",
        "https://0x7f000001/hook",
        "https://2130706433/hook",
        "https://10.0.0.8/hook",
        "https://172.16.3.4/hook",
        "https://192.168.1.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/hook",
        "https://[::1]/hook",
        "https://[::ffff:127.0.0.1]/hook",
        "https://[fd00::1]/hook",
        "https://[fe80::1]/hook",
        "https://printer.local/hook",
        "https://db.internal/hook",
        "https://user:password@shop.example/hook",
        "ftp://shop.example/hook",
        "file:///etc/passwd",
        "shop.example/hook",
        "",
    ] {
        let answer = api.post("/api/webhooks", json!({ "url": url })).await?;
        answer.expect_problem(400, "invalid_request").with_context(|| url.to_owned())?;
    }
    let fine = json!({ "url": "https://shop.example/hook", "events": ["media.ready"] });
    api.post("/api/webhooks", fine).await?.expect(201)?;
    let unknown = json!({ "url": "https://shop.example/hook", "events": ["media.exploded"] });
    api.post("/api/webhooks", unknown).await?.expect_problem(400, "invalid_request")?;
    Ok(())
}

#[tokio::test]
async fn four_deliveries_are_under_way_at_a_time_and_none_is_forgotten() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let receiver = Receiver::holding(&[]).await?;
    for _ in 0..6 {
        api.post("/api/webhooks", json!({ "url": receiver.url })).await?.expect(201)?;
    }
    // Four changes of state, each of which begins what is due by then.
    let id = api.upload("a.mp4", "a source").await?;
    publish(&stack, &handler.job(1).await?).await?;
    let path = format!("/api/media/{id}/deliveries");
    let all = async |wanted: fn(&Value) -> bool| {
        let log = api.get(&path).await?.expect(200)?;
        let items = log["items"].as_array().map_or(&[][..], Vec::as_slice);
        Ok((items.len() == 24 && items.iter().all(wanted)).then(|| items.to_vec()))
    };
    e2e::wait::until("all are queued", SOON, async || all(|_| true).await).await?;
    receiver.release();
    let items = e2e::wait::until("all are delivered", SOON, async || {
        all(|item| item["state"] == "delivered").await
    })
    .await?;
    assert!(items.iter().all(|item| item["attempts"].as_array().map(Vec::len) == Some(1)));
    assert_eq!(receiver.deliveries().len(), 24);
    assert_eq!(receiver.most_under_way(), 4);
    Ok(())
}

#[tokio::test]
async fn a_dead_endpoint_holds_nothing_up() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let dead = Receiver::start(&[]).await?;
    let url = dead.url.clone();
    drop(dead);
    api.post("/api/webhooks", json!({ "url": url })).await?.expect(201)?;
    let living = Receiver::start(&[]).await?;
    api.post("/api/webhooks", json!({ "url": living.url })).await?.expect(201)?;
    let id = api.upload("a.mp4", "a source").await?;
    publish(&stack, &handler.job(1).await?).await?;
    api.wait_status(&id, "ready", Duration::from_secs(5)).await?;
    living
        .wait("the living endpoint gets media.ready", SOON, |all| {
            all.iter().any(|delivery| delivery.kind() == "media.ready")
        })
        .await?;
    Ok(())
}
