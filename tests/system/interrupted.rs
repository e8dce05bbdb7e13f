//! Uploads that are not wanted any more, and systems that get into each other's way.

use anyhow::{Context, Result};
use e2e::{
    api::Answer,
    stack::{Options, Stack},
    wait::until,
};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{SOON, with_stand_in};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn an_upload_to_a_cancelled_media_is_refused_to_its_end() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let media = api.create(json!({})).await?;
    let id = media["id"].as_str().context("an id")?;

    let address = stack.url().replace("http://", "");
    let mut socket = TcpStream::connect(&address).await?;
    let head = format!(
        "PUT /api/media/{id}/source HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        stack.secrets.api_key,
        2 * MIB
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&vec![7; MIB]).await?;
    api.post(&format!("/api/media/{id}/cancel"), json!({})).await?.expect(202)?;
    socket.write_all(&vec![7; MIB]).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("409 Conflict") && answer.contains("upload_closed"), "{answer}");

    // Nor does another one begin.
    api.put_source(id, "a source").await?.expect_problem(409, "upload_closed")?;
    assert_eq!(api.media(id).await?["status"], "failed");
    assert_eq!(handler.jobs(), 0);
    Ok(())
}

#[tokio::test]
async fn an_output_that_comes_in_while_its_media_is_deleted_leaves_nothing() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let id = api.upload("a.mp4", "a source").await?;
    let job = handler.job(1).await?;
    let output = job.spec.output.base_url.join("hls/v360/000000.m4s")?;

    let address = stack.url().replace("http://", "");
    let mut socket = TcpStream::connect(&address).await?;
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {MIB}\r\nConnection: close\r\n\r\n",
        output.path()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&vec![7; MIB / 2]).await?;
    // Its beginning is in the bucket's hands before the media goes.
    until("the output comes in", SOON, async || Ok((stack.stored()?.len() == 2).then_some(())))
        .await?;
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    let source = "a source".len() as u64;
    until("the deletion has looked", SOON, async || {
        Ok((!stack.stored()?.contains(&source)).then_some(()))
    })
    .await?;
    socket.write_all(&vec![7; MIB / 2]).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("409 Conflict") && answer.contains("stale_attempt"), "{answer}");
    until("nothing is left", SOON, async || Ok(stack.stored()?.is_empty().then_some(()))).await
}

#[tokio::test]
async fn one_directory_has_one_system() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let options = Options::new(stack.data()).stand_in(&handler.url);
    let error = Stack::start(options).await.err().context("a second system")?;
    assert!(format!("{error:#}").contains("is in use"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_problem() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let request = stack.api().request(Method::GET, "/api/media/%FF");
    Answer::of(request.send().await?).await?.expect_problem(400, "invalid_request")
}

#[tokio::test]
async fn a_second_start_finds_its_own_handler() -> Result<()> {
    let directory = tempfile::tempdir()?;
    // The first run's log is still there, with the port that its handler had.
    std::fs::create_dir(directory.path().join("logs"))?;
    let log = directory.path().join("logs/handler.log");
    std::fs::write(log, "listening on http://127.0.0.1:1\n")?;
    let stack = Stack::start(Options::new(directory.path())).await?;
    assert_ne!(stack.handler_url(), "http://127.0.0.1:1");
    assert_eq!(stack.api().get("/health").await?.expect(200)?["status"], "ok");
    Ok(())
}
