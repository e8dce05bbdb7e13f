//! Bytes on their way in.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::api::{Answer, Api};
use futures_util::{StreamExt, stream};
use reqwest::{Body, Method, header::CONTENT_LENGTH};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{SOON, with_stand_in};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn sixty_four_megabytes_are_streamed_and_read_back_by_the_handler() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let chunk =
        |number: usize| -> Vec<u8> { (0..MIB).map(|at| (at ^ (number * 31)) as u8).collect() };
    let media = api.create(json!({ "filename": "large.mp4", "size": 64 * MIB })).await?;
    let upload = &media["upload"]["put"];
    let url = upload["url"].as_str().context("an upload URL")?;
    let body = stream::iter(0..64).map(move |number| Ok::<_, std::io::Error>(chunk(number)));
    // By the URL alone: a browser holds no key.
    let request = Api::new(stack.url(), None)
        .request(Method::PUT, url)
        .header(CONTENT_LENGTH, 64 * MIB)
        .body(Body::wrap_stream(body));
    let answer = Answer::of(request.send().await?).await?;
    let stored = answer.expect(200)?;

    let mut hash = Sha256::new();
    (0..64).for_each(|number| hash.update(chunk(number)));
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(stored["source"]["sha256"], sha256.as_str());
    assert_eq!(stored["source"]["size"], 64 * MIB);

    // The handler reads ranges of one version of it.
    let job = handler.job(1).await?;
    assert_eq!(job.spec.input.size, 64 * MIB as u64);
    assert_eq!(job.spec.input.sha256.as_deref(), Some(sha256.as_str()));
    let source = job.spec.input.url.as_str();
    let etag = job.spec.input.etag.as_deref().context("an entity tag")?;
    let part = api
        .request(Method::GET, source)
        .header("range", format!("bytes={}-{}", 5 * MIB, 6 * MIB - 1))
        .header("if-match", etag);
    let part = Answer::of(part.send().await?).await?;
    part.expect(206)?;
    assert_eq!(part.body, chunk(5));
    let changed = api.request(Method::GET, source).header("if-match", "\"another\"");
    Answer::of(changed.send().await?).await?.expect_problem(412, "precondition_failed")?;
    Ok(())
}

#[tokio::test]
async fn a_broken_upload_leaves_room_for_another() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let media = api.create(json!({ "size": 2 * MIB })).await?;
    let id = media["id"].as_str().context("an id")?;

    // Half of what was promised, and then the line goes dead.
    let address = stack.url().replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(&address).await?;
    let head = format!(
        "PUT /api/media/{id}/source HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        stack.secrets.api_key,
        2 * MIB
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&vec![7; MIB]).await?;
    socket.shutdown().await?;
    let mut rest = Vec::new();
    // However the server ends it: nothing must count.
    let _ = tokio::time::timeout(SOON, socket.read_to_end(&mut rest)).await;
    drop(socket);

    let after = api.media(id).await?;
    assert_eq!(after["status"], "uploading", "{after}");
    assert!(after.get("source").is_none());
    // The lock of the broken upload goes with it, at the latest after its time.
    let stored = e2e::wait::until("another upload is taken", Duration::from_secs(90), async || {
        let answer = api.put_source(id, vec![8; 2 * MIB]).await?;
        if answer.status == 409 {
            answer.expect_problem(409, "upload_in_progress")?;
            return Ok(None);
        }
        answer.expect(200).map(Some)
    })
    .await?;
    assert_eq!(stored["source"]["size"], 2 * MIB);
    Ok(())
}

#[tokio::test]
async fn an_upload_that_never_comes_expires() -> Result<()> {
    let (stack, _handler) =
        with_stand_in(|options| options.gateway("UPLOAD_TTL_SECONDS", 2)).await?;
    let api = stack.api();
    let media = api.create(json!({})).await?;
    let id = media["id"].as_str().context("an id")?;
    let failed = api.wait_status(id, "failed", SOON).await?;
    assert_eq!(failed["error"]["code"], "upload_expired");
    api.post(&format!("/api/media/{id}/retry"), json!({}))
        .await?
        .expect_problem(409, "no_source")?;
    Ok(())
}
