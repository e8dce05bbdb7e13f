//! Media of every kind, where there is a collection of it (`REELMILL_TEST_MEDIA`).

use anyhow::{Context, Result};
use e2e::{clips, settings, stack::Stack, wait::until};
use serde_json::{Value, json};

use crate::ENCODE;

/// What a file must come out as; `None` for what is not asked.
struct Expected {
    path: &'static str,
    size: Option<(u64, u64)>,
    code: Option<&'static str>,
}

const fn shows(path: &'static str, width: u64, height: u64) -> Expected {
    Expected { path, size: Some((width, height)), code: None }
}

const fn fails(path: &'static str, code: &'static str) -> Expected {
    Expected { path, size: None, code: Some(code) }
}

const fn sounds(path: &'static str) -> Expected {
    Expected { path, size: None, code: None }
}

#[tokio::test]
async fn real_files_come_out_as_they_should() -> Result<()> {
    let Some(collection) = settings::test_media() else {
        println!("skipped: no ../shared/media and no REELMILL_TEST_MEDIA");
        return Ok(());
    };
    let stack = Stack::temporary(|options| options).await?;
    let api = stack.api();
    for expected in [
        shows("edge/rot90_720p_5s.mp4", 720, 1280),
        shows("edge/sar_2x1.mp4", 1280, 360),
        shows("edge/odd_518x488_vfr.mp4", 518, 488),
        shows("edge/portrait_720x1080.mp4", 720, 1080),
        shows("derived/interlaced_tff_29.97.mp4", 0, 0),
        shows("hdr/hlg_hevc10_1080p.mp4", 1920, 1080),
        shows("edge/nasa_2v_2a_2subs.mp4", 0, 0),
        sounds("audio/guitar_23s.mp3"),
        sounds("audio/flac_19.7s_art.flac"),
        fails("edge/theora_none_vvc.mp4", "unsupported_codec"),
        fails("hostile/basic/text.mp4", "unsupported_media"),
    ] {
        let path = collection.join(expected.path);
        if !path.is_file() {
            println!("skipped: {} is not in the collection", expected.path);
            continue;
        }
        let id = api.upload(expected.path, std::fs::read(&path)?).await?;
        let media = until("it ends", ENCODE, async || {
            let media = api.media(&id).await?;
            Ok(["ready", "failed"].iter().any(|end| media["status"] == *end).then_some(media))
        })
        .await
        .context(expected.path)?;
        println!("{}: {}", expected.path, outcome(&media));
        match (expected.code, expected.size) {
            (Some(code), _) => assert_eq!(media["error"]["code"], code, "{}", expected.path),
            (None, size) => {
                assert_eq!(media["status"], "ready", "{}: {}", expected.path, media["error"]);
                if let Some((width, height)) = size.filter(|size| size.0 > 0) {
                    let shown = (&media["summary"]["width"], &media["summary"]["height"]);
                    assert_eq!(shown, (&json!(width), &json!(height)), "{}", expected.path);
                }
                if size.is_none() {
                    assert_eq!(media["summary"]["renditions"], json!([]), "{}", expected.path);
                    let playback = api.playback(&id).await?;
                    let url = playback["waveform"].as_str().context("a waveform")?;
                    api.get(url).await?.expect(200)?;
                }
            }
        }
    }
    Ok(())
}

fn outcome(media: &Value) -> String {
    match media["error"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => format!("{} {}", media["status"], media["summary"]),
    }
}

#[tokio::test]
async fn sound_alone_and_transport_streams_work_too() -> Result<()> {
    let stack = Stack::temporary(|options| options).await?;
    let api = stack.api();
    let id = api.upload("tone.flac", std::fs::read(clips::tone(8)?)?).await?;
    let ready = api.wait_status(&id, "ready", ENCODE).await?;
    assert_eq!(ready["summary"]["renditions"], json!([]));
    assert_eq!(ready["summary"]["audioTracks"], 1);
    let playback = api.playback(&id).await?;
    assert!(playback["waveform"].is_string() && playback["hls"].is_string());
    assert!(playback.get("poster").is_none(), "nothing to see: {playback}");

    let media =
        api.create(json!({ "pipeline": { "segmentFormat": "ts", "segmentSeconds": 6 } })).await?;
    let id = media["id"].as_str().context("an id")?;
    api.put_source(id, std::fs::read(clips::video(640, 360, 8)?)?).await?.expect(200)?;
    api.wait_status(id, "ready", ENCODE).await?;
    let playback = api.playback(id).await?;
    let token = playback["token"].as_str().context("a token")?;
    let playlist = api.get(&format!("/play/{token}/hls/v360/index.m3u8")).await?;
    playlist.expect(200)?;
    let text = playlist.text();
    assert!(text.contains("000000.ts") && !text.contains("EXT-X-MAP"), "{text}");
    let segment = api.get(&format!("/play/{token}/hls/v360/000000.ts")).await?;
    assert_eq!(segment.header("content-type"), "video/mp2t");
    assert_eq!(segment.body.first(), Some(&0x47), "the sync byte of a transport stream");
    Ok(())
}
