//! Sources that come with the request that creates their media: forms and base64.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use e2e::{
    api::{Answer, Api},
    stack::Stack,
    stand_in::StandIn,
    wait::until,
};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{SOON, limits::key_of, with_stand_in};

const MIB: usize = 1024 * 1024;

/// Bytes that begin like an MP4 file and differ from place to place.
fn content(size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..size).map(|at| (at * 7 + at / 251) as u8).collect();
    let magic = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
    let length = magic.len().min(size);
    bytes[..length].copy_from_slice(&magic[..length]);
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// A form with the boundary `X`: text parts as given, and the file where its name is `file`.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in parts {
        let head = match *name {
            "file" => "name=\"file\"; filename=\"own.mp4\"\r\nContent-Type: video/quicktime",
            name => &format!("name=\"{name}\""),
        };
        body.extend(format!("--X\r\nContent-Disposition: form-data; {head}\r\n\r\n").bytes());
        body.extend(*value);
        body.extend(b"\r\n");
    }
    body.extend(b"--X--\r\n");
    body
}

async fn post_form(api: &Api, key: Option<&str>, body: Vec<u8>) -> Result<Answer> {
    let mut request = api
        .request(Method::POST, "/api/media")
        .header("content-type", "multipart/form-data; boundary=X");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Answer::of(request.body(body).send().await?).await
}

async fn post_data(api: &Api, key: Option<&str>, body: Value) -> Result<Answer> {
    let mut request = api.request(Method::POST, "/api/media");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Answer::of(request.json(&body).send().await?).await
}

/// What R2 holds, by the names of its local files: objects and parts of multipart uploads.
fn blobs(stack: &Stack) -> Result<usize> {
    fn count(directory: &std::path::Path) -> Result<usize> {
        let mut found = 0;
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                found += count(&entry.path())?;
            // Files that are being written, and those that a killed store left so.
            } else if !entry.file_name().to_string_lossy().starts_with('.') {
                found += 1;
            }
        }
        Ok(found)
    }
    let directory = stack.data().join("state/v3/r2/reelmill/blobs");
    if directory.is_dir() { count(&directory) } else { Ok(0) }
}

async fn media_count(api: &Api) -> Result<usize> {
    let list = api.get("/api/media").await?.expect(200)?;
    Ok(list["items"].as_array().context("items")?.len())
}

/// The handler gets a job with these very bytes.
async fn is_handed_on(handler: &StandIn, count: usize, bytes: &[u8]) -> Result<()> {
    let job = handler.job(count).await?;
    let answer = Answer::of(reqwest::get(job.spec.input.url.as_str()).await?).await?;
    answer.expect(200)?;
    ensure!(answer.body == bytes, "other bytes came out");
    ensure!(job.spec.input.sha256 == Some(sha256(bytes)));
    Ok(())
}

#[tokio::test]
async fn a_form_is_a_media_with_its_source_in_one_request() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    // One byte, a buffer to its last byte, one more, and several parts.
    for (number, size) in [1, 8 * MIB, 8 * MIB + 1, 20 * MIB].into_iter().enumerate() {
        let bytes = content(size);
        let body = form(&[
            ("file", &bytes),
            ("filename", "é.mp4".as_bytes()),
            ("metadata", br#"{"order": 17}"#),
            ("pipeline", br#"{"segmentSeconds": 6}"#),
        ]);
        let answer = post_form(&api, None, body).await?;
        let media = answer.expect(201).with_context(|| format!("{size} bytes"))?;
        assert!(answer.header("location").ends_with(media["id"].as_str().context("an id")?));
        assert_eq!(media["source"]["size"], size);
        assert_eq!(media["source"]["sha256"], sha256(&bytes));
        if size > 1 {
            assert_eq!(media["source"]["contentType"], "video/mp4");
        }
        assert_eq!(media["filename"], "é.mp4");
        assert_eq!(media["contentType"], "video/quicktime");
        assert_eq!(media["metadata"]["order"], 17);
        assert_eq!(media["pipeline"]["segmentSeconds"], 6);
        assert!(media.get("upload").is_none());
        is_handed_on(&handler, number + 1, &bytes).await?;
    }
    Ok(())
}

#[tokio::test]
async fn base64_is_a_media_with_its_source_in_one_request() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let small = content(1000);
    let data = BASE64_STANDARD.encode(&small);
    let body = json!({ "filename": "a.mp4", "source": { "data": data } });
    let media = post_data(&api, None, body).await?.expect(201)?;
    assert_eq!(media["source"]["sha256"], sha256(&small));
    assert_eq!(media["source"]["contentType"], "video/mp4");
    is_handed_on(&handler, 1, &small).await?;

    let large = content(9 * MIB);
    let data = format!("data:video/x-m4v;base64,{}", BASE64_STANDARD.encode(&large));
    let media = post_data(&api, None, json!({ "source": { "data": data } })).await?.expect(201)?;
    assert_eq!(media["source"]["size"], 9 * MIB);
    assert_eq!(media["contentType"], "video/x-m4v", "what the URL declares");
    is_handed_on(&handler, 2, &large).await
}

#[tokio::test]
async fn what_is_wrong_with_a_source_in_the_request_is_said_and_nothing_stays() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let file = ("file", b"0123456789".as_slice());
    let whole = form(&[file]);
    let cut = whole[..whole.len() - 20].to_vec();
    let other: Vec<u8> =
        whole.iter().map(|byte| if *byte == b'X' { b'Y' } else { *byte }).collect();
    let large = content(9 * MIB);
    for (body, code) in [
        (form(&[("filename", b"a")]), "file_missing"),
        (form(&[file, file]), "file_repeated"),
        (form(&[file, ("colour", b"red")]), "unknown_field"),
        (form(&[("file", &large), ("colour", b"red")]), "unknown_field"),
        (form(&[file, ("metadata", b"{")]), "invalid_field"),
        (form(&[file, ("pipeline", br#"{"segmentSeconds": 1}"#)]), "invalid_field"),
        (form(&[file, ("filename", "x".repeat(300).as_bytes())]), "invalid_request"),
        (form(&[("file", b"")]), "empty_upload"),
        (cut, "incomplete_form"),
        (other, "incomplete_form"),
        (Vec::new(), "incomplete_form"),
    ] {
        let answer = post_form(&api, None, body).await?;
        answer.expect_problem(400, code).context(code)?;
    }
    let request = api.request(Method::POST, "/api/media");
    let request = request.header("content-type", "multipart/form-data").body(whole);
    Answer::of(request.send().await?).await?.expect_problem(400, "invalid_form")?;

    for (source, code) in [
        (json!({ "data": "AAAA*AAA" }), "invalid_base64"),
        (json!({ "data": "data:video/mp4,hello" }), "invalid_base64"),
        (json!({ "data": "" }), "empty_upload"),
        (json!({ "data": "AAAA", "url": "https://example.com/" }), "invalid_request"),
    ] {
        let answer = post_data(&api, None, json!({ "source": source })).await?;
        answer.expect_problem(400, code).context(code)?;
    }
    let answer = post_data(&api, None, json!({ "size": 4, "source": { "data": "AAAA" } })).await?;
    answer.expect_problem(400, "length_mismatch")?;

    assert_eq!(media_count(&api).await?, 0);
    assert_eq!(handler.jobs(), 0);
    assert_eq!(blobs(&stack)?, 0, "objects or parts are left");
    Ok(())
}

#[tokio::test]
async fn what_is_too_large_for_one_request_is_told_the_resumable_way() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| {
        options
            .gateway("MAX_BODY_BYTES", 40 * MIB)
            .gateway("TIER_MAX_UPLOAD_BYTES", format!("free={MIB}"))
    })
    .await?;
    let api = stack.api();
    let tells = |answer: &Answer| {
        answer.expect_problem(413, "body_too_large")?;
        let problem = answer.json();
        ensure!(problem["resumable"] == format!("{}/api/uploads", stack.url()), "{problem}");
        ensure!(problem["detail"].as_str().is_some_and(|text| text.contains("/api/uploads")));
        Ok(())
    };
    tells(&post_form(&api, None, form(&[("file", &vec![1; 40 * MIB])])).await?)?;
    // Without a declared length, too.
    let body = form(&[("file", &vec![1; 41 * MIB])]);
    let chunks: Vec<_> =
        body.chunks(MIB).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    let request = api
        .request(Method::POST, "/api/media")
        .header("content-type", "multipart/form-data; boundary=X")
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks)));
    tells(&Answer::of(request.send().await?).await?)?;
    let data = BASE64_STANDARD.encode(vec![1; 17 * MIB]);
    tells(&post_data(&api, None, json!({ "source": { "data": data } })).await?)?;

    // A tier is another matter: no other way helps.
    let (free, _) = key_of(&api, Some("free")).await?;
    let answer = post_form(&free, None, form(&[("file", &vec![1; MIB + 1])])).await?;
    answer.expect_problem(413, "upload_too_large")?;
    let data = BASE64_STANDARD.encode(vec![1; MIB + 1]);
    let answer = post_data(&free, None, json!({ "source": { "data": data } })).await?;
    answer.expect_problem(413, "upload_too_large")?;
    let answer = post_form(&free, None, form(&[("file", &vec![1; MIB])])).await?;
    answer.expect(201)?;
    assert_eq!(media_count(&api).await?, 1);
    assert_eq!(blobs(&stack)?, 1);
    Ok(())
}

#[tokio::test]
async fn an_idempotency_key_covers_the_bytes() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let (one, other) = (content(9 * MIB), content(9 * MIB + 1));
    let first = post_form(&api, Some("a"), form(&[("file", &one)])).await?.expect(201)?;
    let again = post_form(&api, Some("a"), form(&[("file", &one)])).await?.expect(200)?;
    assert_eq!(first["id"], again["id"]);
    post_form(&api, Some("a"), form(&[("file", &other)]))
        .await?
        .expect_problem(422, "idempotency_mismatch")?;
    // The first one's source is what it was.
    is_handed_on(&handler, 1, &one).await?;

    let data = |bytes: &[u8]| json!({ "source": { "data": BASE64_STANDARD.encode(bytes) } });
    let first = post_data(&api, Some("b"), data(b"one")).await?.expect(201)?;
    let again = post_data(&api, Some("b"), data(b"one")).await?.expect(200)?;
    assert_eq!(first["id"], again["id"]);
    post_data(&api, Some("b"), data(b"two")).await?.expect_problem(422, "idempotency_mismatch")?;
    post_data(&api, Some("b"), json!({})).await?.expect_problem(422, "idempotency_mismatch")?;

    // A refused one leaves its key free.
    post_data(&api, Some("c"), json!({ "source": { "data": "*" } }))
        .await?
        .expect_problem(400, "invalid_base64")?;
    post_data(&api, Some("c"), data(b"one")).await?.expect(201)?;

    // All at once: one media, and who comes too soon is told so.
    let racing = (0..6).map(|_| post_form(&api, Some("d"), form(&[("file", &one)])));
    let answers = futures_util::future::try_join_all(racing).await?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status > 201) {
        answer.expect_problem(409, "upload_in_progress")?;
    }
    assert_eq!(media_count(&api).await?, 4);
    assert_eq!(blobs(&stack)?, 4 + 2, "the sources, two of them in two parts");
    Ok(())
}

#[tokio::test]
async fn a_form_that_breaks_off_leaves_nothing() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let body = form(&[("file", &content(12 * MIB))]);
    let address = stack.url().replace("http://", "");
    let mut socket = TcpStream::connect(&address).await?;
    let head = format!(
        "POST /api/media HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=X\r\nIdempotency-Key: broken\r\n\
         Content-Length: {}\r\n\r\n",
        stack.secrets.api_key,
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    // Past the first part, so that there is something to clean up.
    socket.write_all(&body[..11 * MIB]).await?;
    socket.shutdown().await?;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, socket.read_to_end(&mut rest)).await;
    drop(socket);

    // The reservation goes with it, at the latest after its time.
    let taken = until("the key is free again", SOON * 3, async || {
        let answer = post_form(&api, Some("broken"), form(&[("file", b"short")])).await?;
        Ok((answer.status != 409).then_some(answer))
    })
    .await?;
    assert_eq!(taken.expect(201)?["source"]["size"], 5);
    is_handed_on(&handler, 1, b"short").await?;
    assert_eq!(media_count(&api).await?, 1);
    assert_eq!(blobs(&stack)?, 1, "parts are left");
    Ok(())
}

/// `kill -9` between the first part and the rest: nobody is there to clean up but the alarm.
#[tokio::test]
async fn a_gateway_that_dies_over_a_form_cleans_up_once_it_is_back() -> Result<()> {
    let (mut stack, handler) = with_stand_in(|options| options).await?;
    let body = form(&[("file", &content(20 * MIB))]);
    let address = stack.url().replace("http://", "");
    let mut socket = TcpStream::connect(&address).await?;
    let head = format!(
        "POST /api/media HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=X\r\nContent-Length: {}\r\n\r\n",
        stack.secrets.api_key,
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&body[..17 * MIB]).await?;
    // The second part begins when the first is stored for good.
    until("two parts are there", SOON, async || Ok((blobs(&stack)? == 2).then_some(()))).await?;
    stack.kill_gateway();
    stack.restart_gateway().await?;
    assert_eq!(blobs(&stack)?, 2, "the parts outlive the gateway");
    // Of the second the local store may keep a file that it had not noted yet when it died.
    until("the parts are gone", SOON * 5, async || Ok((blobs(&stack)? <= 1).then_some(()))).await?;
    assert_eq!(media_count(&stack.api()).await?, 0);
    assert_eq!(handler.jobs(), 0);
    Ok(())
}
