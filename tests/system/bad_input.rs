//! What goes wrong at the door and inside: each with its own code, nothing lost, nothing leaked.

use anyhow::{Context, Result};
use e2e::{
    api::{Answer, Api},
    clips,
    stack::Stack,
    wait::until,
};
use futures_util::stream;
use reqwest::{Body, Method, header::CONTENT_LENGTH};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{ENCODE, SOON, with_stand_in};

#[tokio::test]
async fn uploads_that_are_refused_leave_the_media_as_it_was() -> Result<()> {
    let (stack, handler) =
        with_stand_in(|options| options.gateway("MAX_UPLOAD_BYTES", 1000)).await?;
    let api = stack.api();
    let media = api.create(json!({ "size": 10 })).await?;
    let id = media["id"].as_str().context("an id")?;
    let path = format!("/api/media/{id}/source");

    api.put_source(id, "").await?.expect_problem(400, "empty_upload")?;
    api.put_source(id, "eleven bytes").await?.expect_problem(400, "length_mismatch")?;
    api.put_source(id, "nine byte").await?.expect_problem(400, "length_mismatch")?;
    let chunked = stream::iter([Ok::<_, std::io::Error>("0123456789")]);
    let chunked = api.request(Method::PUT, &path).body(Body::wrap_stream(chunked));
    Answer::of(chunked.send().await?).await?.expect_problem(411, "length_required")?;

    let large = api.create(json!({})).await?;
    let large = large["id"].as_str().context("an id")?;
    let refused = api.put_source(large, vec![1; 1001]).await?;
    refused.expect_problem(413, "upload_too_large")?;
    assert!(refused.text().contains("1000"), "it names the limit: {}", refused.text());
    api.post("/api/media", json!({ "size": 1001 }))
        .await?
        .expect_problem(413, "upload_too_large")?;
    api.post("/api/media", json!({ "size": 0 })).await?.expect_problem(400, "empty_upload")?;

    // Longer than its Content-Length: only as much as was announced can be read.
    let address = stack.url().replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(&address).await?;
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 4\r\nConnection: close\r\n\r\n0123456789"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    assert!(String::from_utf8_lossy(&answer).contains(" 401 "), "no key, no upload");

    // Other people's keys and other media's tokens.
    let nobody = Api::new(stack.url(), None);
    nobody.put_source(id, "0123456789").await?.expect_problem(401, "unauthorized")?;
    let theirs = large_token(&api, large).await?;
    let wrong = nobody
        .request(Method::PUT, &format!("{path}?token={theirs}"))
        .header(CONTENT_LENGTH, 10)
        .body("0123456789");
    Answer::of(wrong.send().await?).await?.expect_problem(403, "token_invalid")?;

    assert_eq!(api.media(id).await?["status"], "uploading", "still waiting for its source");
    let wrong = api
        .request(Method::PUT, &path)
        .header("repr-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")
        .header(CONTENT_LENGTH, 10)
        .body("0123456789");
    Answer::of(wrong.send().await?).await?.expect_problem(400, "checksum_mismatch")?;
    api.put_source(id, "0123456789").await?.expect(200)?;
    handler.job(1).await?;
    api.put_source(id, "9876543210").await?.expect_problem(409, "source_exists")?;
    assert_eq!(api.media(id).await?["source"]["size"], 10);

    let deleted = format!("/api/media/{large}");
    api.delete(&deleted).await?.expect(204)?;
    api.put_source(large, "late").await?.expect_problem(410, "media_deleted")?;
    Ok(())
}

async fn large_token(api: &Api, id: &str) -> Result<String> {
    let media = api.media(id).await?;
    let url = media["upload"]["put"]["url"].as_str().context("an upload URL")?.to_owned();
    Ok(url.split("token=").nth(1).context("a token")?.to_owned())
}

#[tokio::test]
async fn files_that_are_no_media_fail_with_their_own_code() -> Result<()> {
    let stack = Stack::temporary(|options| options).await?;
    let api = stack.api();
    let clip = std::fs::read(clips::video(640, 360, 6)?)?;

    // Cut off in the middle of its index.
    let cut = &clip[..4096.min(clip.len())];
    let unknown = renamed(&renamed(&clip, b"avc1", b"zzz1"), b"mp4a", b"zzz2");
    let playlist = "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
    for (name, bytes, expected) in [
        ("text.mp4", b"This is a text and no film.".repeat(50), &["unsupported_media"][..]),
        ("one.mp4", b"x".to_vec(), &["unsupported_media"]),
        ("cut.mp4", cut.to_vec(), &["unsupported_media", "corrupt_media"]),
        ("bare.mp4", without_streams(), &["no_streams", "unsupported_media"]),
        ("unknown.mp4", unknown, &["unsupported_codec"]),
        ("list.mp4", playlist.as_bytes().to_vec(), &["unsupported_media"]),
    ] {
        let id = api.upload(name, bytes).await?;
        let failed = api.wait_status(&id, "failed", ENCODE).await?;
        let code = failed["error"]["code"].as_str().unwrap_or_default();
        assert!(expected.contains(&code), "{name}: {failed}");
        assert_eq!(failed["error"]["transient"], false, "{name}");
        let message = failed["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty() && !message.contains('/'), "{name}: {message}");
        assert_eq!(failed["retriesLeft"], 1, "{name} can be tried once more");
    }

    // Half of it: an honest part, or an honest error, but an end.
    let id = api.upload("half.mp4", clip[..clip.len() / 2].to_vec()).await?;
    let ended = until("a truncated file ends", ENCODE, async || {
        let media = api.media(&id).await?;
        Ok(["ready", "failed"].iter().any(|end| media["status"] == *end).then_some(media))
    })
    .await?;
    if ended["status"] == "ready" {
        assert!(
            ended["summary"]["warnings"].as_array().is_some_and(|all| !all.is_empty()),
            "{ended}"
        );
    } else {
        assert_eq!(ended["error"]["code"], "corrupt_media");
    }

    // The handler is as well as before.
    let id = api.upload("fine.mp4", clip).await?;
    api.wait_status(&id, "ready", ENCODE).await?;
    assert_eq!(api.get("/health").await?.expect(200)?["status"], "ok");
    Ok(())
}

/// The same bytes with every `from` written as `to`.
fn renamed(bytes: &[u8], from: &[u8; 4], to: &[u8; 4]) -> Vec<u8> {
    let mut renamed = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(3) {
        if &bytes[at..at + 4] == from {
            renamed[at..at + 4].copy_from_slice(to);
        }
    }
    renamed
}

/// A well-formed MP4 (ISO/IEC 14496-12) with a movie header and no track at all.
fn without_streams() -> Vec<u8> {
    let make = |kind: &[u8; 4], content: &[u8]| -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).expect("a small box");
        [&size.to_be_bytes()[..], kind, content].concat()
    };
    let mut header = vec![0; 100];
    header[15] = 1; // One unit a second,
    header[19] = 1; // and one second long.
    header[20..22].copy_from_slice(&[0, 1]);
    header[99] = 1;
    let movie = make(b"moov", &make(b"mvhd", &header));
    [make(b"ftyp", b"isom\0\0\x02\0isomiso2mp41"), movie].concat()
}

#[tokio::test]
async fn deletion_takes_every_byte_with_it() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let id = api.upload("a.mp4", "a source").await?;
    let job = handler.job(1).await?;
    let source = job.spec.input.url.clone();
    crate::publish(&stack, &job).await?;
    let playback = api.playback(&id).await?;
    let hls = playback["hls"].as_str().context("hls")?.to_owned();
    api.get(&hls).await?.expect(200)?;
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    until("nothing can be played any more", SOON, async || {
        let answers = [api.get(&hls).await?, api.get(source.as_str()).await?];
        Ok(answers.iter().all(|answer| [404, 409, 410].contains(&answer.status)).then_some(()))
    })
    .await?;
    api.post(&format!("/api/media/{id}/playback"), json!({}))
        .await?
        .expect_problem(410, "media_deleted")?;
    api.post(&format!("/api/media/{id}/retry"), json!({}))
        .await?
        .expect_problem(410, "media_deleted")?;
    let list = api.get("/api/media").await?.expect(200)?;
    assert_eq!(list["items"], json!([]));

    // In mid-job: the handler is told, and what it still sends is not kept.
    let id = api.upload("b.mp4", "a source").await?;
    let job = handler.job(2).await?;
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    until("the job is cancelled", SOON, async || {
        Ok(handler.cancelled().iter().any(|job| job.contains(&id)).then_some(()))
    })
    .await?;
    let late = job.put("hls/main.m3u8", "late").await?;
    assert!([409, 410].contains(&late.status), "{}", late.text());
    Ok(())
}

#[tokio::test]
async fn the_page_is_read_and_nothing_else() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let send = async |method: Method, path: &str| {
        Answer::of(api.request(method, path).send().await?).await
    };
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let refused = send(method, "/").await?;
        refused.expect_problem(405, "method_not_allowed")?;
        assert_eq!(refused.header("allow"), "GET,HEAD");
    }
    send(Method::OPTIONS, "/").await?.expect(204)?;
    for path in ["/nothing-here", "/_headers"] {
        send(Method::GET, path).await?.expect_problem(404, "not_found")?;
        send(Method::POST, path).await?.expect_problem(404, "not_found")?;
    }
    // The page itself has its policy, and a browser that has it need not load it again.
    let page = send(Method::GET, "/").await?;
    page.expect(200)?;
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let head = send(Method::HEAD, "/").await?;
    assert_eq!(head.header("etag"), page.header("etag"));
    assert_eq!(head.header("content-length"), page.body.len().to_string());
    let again = api.request(Method::GET, "/").header("if-none-match", page.header("etag"));
    let again = Answer::of(again.send().await?).await?;
    assert_eq!((again.status, again.body.len()), (304, 0));
    // Its scripts come straight from the platform's store, for good.
    let text = page.text();
    let (_, script) = text.split_once("src=\"/assets/").context("a script")?;
    let (script, _) = script.split_once('"').context("a script")?;
    let script = send(Method::GET, &format!("/assets/{script}")).await?;
    script.expect(200)?;
    assert!(script.header("cache-control").contains("immutable"));
    assert!(script.header("content-security-policy").contains("default-src 'none'"));
    Ok(())
}
