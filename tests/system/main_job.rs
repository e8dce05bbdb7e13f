//! The spine: a file goes in, and a player gets a signed stream.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{clips, receiver::Receiver, sse::Events, stack::Stack};
use serde_json::{Value, json};

use crate::{ENCODE, SOON};

#[tokio::test]
async fn a_file_becomes_a_signed_stream() -> Result<()> {
    let stack = Stack::temporary(|options| options).await?;
    let api = stack.api();
    let receiver = Receiver::start(&[]).await?;
    let endpoint = api.post("/api/webhooks", json!({ "url": receiver.url })).await?.expect(201)?;
    let secret = endpoint["secret"].as_str().context("the secret is shown once")?;

    let source = std::fs::read(clips::video(1280, 720, 10)?)?;
    let created = api
        .create(
            json!({ "filename": "pattern.mp4", "size": source.len(), "metadata": { "order": 7 } }),
        )
        .await?;
    let id = created["id"].as_str().context("an id")?.to_owned();
    assert_eq!(created["status"], "uploading");
    let events =
        Events::subscribe(&api, created["events"].as_str().context("events")?, None).await?;
    let length = source.len();
    api.put_source(&id, source).await?.expect(200)?;
    let ready = api.wait_status(&id, "ready", ENCODE).await?;

    assert_eq!(ready["source"]["size"], length);
    assert_eq!(ready["metadata"]["order"], 7);
    assert_eq!(ready["summary"]["renditions"], json!([720, 480, 360]));
    assert_eq!(ready["summary"]["audioTracks"], 1);
    let duration = ready["summary"]["duration"].as_f64().context("a duration")?;
    assert!((duration - 10.0).abs() < 0.2, "{duration}");
    assert_eq!(ready["playable"], true);

    let playback = api.playback(&id).await?;
    check_stream(&api, &playback).await?;
    check_extras(&api, &playback).await?;

    let messages = events.rest(SOON).await?;
    let statuses: Vec<_> = messages
        .iter()
        .filter(|message| message.kind == "media")
        .filter_map(|message| message.data["status"].as_str())
        .collect();
    assert_eq!(statuses.first(), Some(&"uploading"));
    assert_eq!(statuses.last(), Some(&"ready"));
    assert!(messages.windows(2).all(|pair| pair[0].id < pair[1].id), "ids count up");
    let percents: Vec<_> = messages
        .iter()
        .filter(|message| message.kind == "progress")
        .filter_map(|message| message.data["percent"].as_f64())
        .collect();
    assert!(!percents.is_empty(), "there was progress");
    assert!(percents.is_sorted(), "progress never falls: {percents:?}");

    let deliveries = receiver
        .wait("media.ready is delivered", SOON, |all| {
            all.iter().any(|delivery| delivery.kind() == "media.ready")
        })
        .await?;
    assert!(deliveries.iter().all(|delivery| delivery.is_signed_with(secret)));
    let mut sequences: Vec<_> = deliveries.iter().map(|delivery| delivery.sequence()).collect();
    sequences.sort_unstable();
    sequences.dedup();
    let expected: Vec<u64> = (1..=sequences.len() as u64).collect();
    assert_eq!(sequences, expected, "sequence numbers have no gaps");

    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    api.get(&format!("/api/media/{id}")).await?.expect_problem(410, "media_deleted")?;
    Ok(())
}

/// The stream is whole: every playlist and every segment that is named is there.
async fn check_stream(api: &e2e::api::Api, playback: &Value) -> Result<()> {
    let main_url = playback["hls"].as_str().context("hls")?;
    let main = api.get(main_url).await?;
    main.expect(200)?;
    assert_eq!(main.header("content-type"), "application/vnd.apple.mpegurl");
    let text = main.text();
    for attribute in [
        "BANDWIDTH=",
        "AVERAGE-BANDWIDTH=",
        "CODECS=",
        "RESOLUTION=1280x720",
        "FRAME-RATE=30.000",
        "TYPE=AUDIO",
        "EXT-X-I-FRAME-STREAM-INF",
    ] {
        assert!(text.contains(attribute), "{attribute} is missing:\n{text}");
    }
    let base = reqwest::Url::parse(main_url)?;
    let mut playlists: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(str::to_owned)
        .collect();
    playlists.extend(
        text.split("URI=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned),
    );
    assert!(playlists.len() >= 5, "three renditions, audio, I-frames:\n{text}");
    for playlist in playlists {
        let url = base.join(&playlist)?;
        let answer = api.get(url.as_str()).await?;
        answer.expect(200)?;
        let text = answer.text();
        assert!(text.contains("#EXT-X-ENDLIST"), "{playlist} is complete:\n{text}");
        let named = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let init = text.split("URI=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for file in named.chain(init) {
            let head = api.request(reqwest::Method::HEAD, url.join(file)?.as_str()).send().await?;
            assert_eq!(head.status(), 200, "{playlist}: {file}");
            count += 1;
        }
        assert!(count >= 2, "{playlist} names segments:\n{text}");
    }
    Ok(())
}

/// Poster, storyboard, waveform and metadata are there and are what they claim to be.
async fn check_extras(api: &e2e::api::Api, playback: &Value) -> Result<()> {
    let fetch = async |role: &str| -> Result<e2e::api::Answer> {
        let url = playback[role].as_str().with_context(|| format!("{role} in {playback}"))?;
        let answer = api.get(url).await?;
        answer.expect(200)?;
        Ok(answer)
    };
    assert!(fetch("poster").await?.body.starts_with(&[0xff, 0xd8, 0xff]), "a JPEG");
    let storyboard = fetch("storyboard").await?.text();
    assert!(storyboard.starts_with("WEBVTT") && storyboard.contains("#xywh="), "{storyboard}");
    let waveform = fetch("waveform").await?.json();
    assert_eq!(waveform["version"], 2);
    let points = waveform["data"].as_array().context("data")?.len() as u64;
    let (length, channels) = (waveform["length"].as_u64(), waveform["channels"].as_u64());
    assert_eq!(Some(points), length.zip(channels).map(|(length, channels)| 2 * length * channels));
    assert_eq!(&fetch("waveformDat").await?.body[..4], &2_i32.to_le_bytes());
    assert!(fetch("metadata").await?.json().is_object());
    Ok(())
}

#[tokio::test]
async fn it_plays_before_it_is_ready() -> Result<()> {
    // Slow enough to look at while it runs.
    let stack = Stack::temporary(|options| options.handler("REELMILL_X264_PRESET", "slow")).await?;
    let api = stack.api();
    let id = api.upload("long.mp4", std::fs::read(clips::video(1280, 720, 40)?)?).await?;
    let playable =
        api.wait_for(&id, "it is playable", ENCODE, |media| media["playable"] == true).await?;
    ensure!(playable["status"] == "transcoding", "playable only when ready: {playable}");
    let playback = api.playback(&id).await?;
    assert_eq!(playback["live"], true);
    let main_url = playback["hls"].as_str().context("hls")?;
    let main = api.get(main_url).await?;
    main.expect(200)?;
    let text = main.text();
    let variant = text.lines().find(|line| line.ends_with("index.m3u8") && !line.starts_with('#'));
    let variant_url = reqwest::Url::parse(main_url)?.join(variant.context("a variant")?)?;
    let growing = api.get(variant_url.as_str()).await?;
    growing.expect(200)?;
    let text = growing.text();
    assert!(!text.contains("#EXT-X-ENDLIST"), "it still grows:\n{text}");
    let first = text.lines().find(|line| !line.starts_with('#') && !line.is_empty());
    let first = variant_url.join(first.context("a first segment")?)?;
    api.get(first.as_str()).await?.expect(200)?;

    // Of the same token and the same URL: on `ready` the playlist is complete.
    api.wait_status(&id, "ready", ENCODE).await?;
    let complete = api.get(variant_url.as_str()).await?.text();
    assert!(complete.contains("#EXT-X-ENDLIST") && complete.contains("#EXTINF"));
    Ok(())
}

#[tokio::test]
async fn cancelling_ends_the_work_and_the_retry_makes_it_good() -> Result<()> {
    let stack = Stack::temporary(|options| options.handler("REELMILL_X264_PRESET", "slow")).await?;
    let api = stack.api();
    let id = api.upload("long.mp4", std::fs::read(clips::video(1280, 720, 40)?)?).await?;
    api.wait_for(&id, "it is encoding", ENCODE, |media| media["progress"]["stage"] == "encoding")
        .await?;
    api.post(&format!("/api/media/{id}/cancel"), json!({})).await?.expect(202)?;
    let failed = api.wait_status(&id, "failed", SOON).await?;
    assert_eq!(failed["error"]["code"], "cancelled");
    assert_eq!(failed["retriesLeft"], 1);
    api.post(&format!("/api/media/{id}/cancel"), json!({}))
        .await?
        .expect_problem(409, "not_cancellable")?;

    api.post(&format!("/api/media/{id}/retry"), json!({})).await?.expect(202)?;
    let ready = api.wait_status(&id, "ready", Duration::from_secs(180)).await?;
    assert_eq!((&ready["attempts"], &ready["retriesLeft"]), (&json!(2), &json!(0)));
    api.post(&format!("/api/media/{id}/retry"), json!({}))
        .await?
        .expect_problem(409, "not_failed")?;
    Ok(())
}
