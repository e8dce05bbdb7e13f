//! Bad input beyond the protocol's clauses: each with an answer of its own.

use anyhow::{Result, ensure};
use reqwest::{Body, Method};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{MIB, bytes, client::send, start};
use crate::SOON;

#[tokio::test]
async fn more_bytes_than_declared() -> Result<()> {
    let (_stack, handler, tus) = start().await?;
    let source = bytes(10 * MIB);
    let url = tus.create(source.len()).await?;
    let mut long = source.clone();
    long.push(7);
    tus.patch(&url, 0, long.clone()).await?.expect_problem(413, "length_exceeded")?;
    assert_eq!(tus.offset(&url).await?, 0);
    // Where nobody said how many there would be, it shows at the end; the upload stays unfinished.
    let chunks: Vec<_> =
        long.chunks(100_000).map(<[u8]>::to_vec).map(Ok::<_, std::io::Error>).collect();
    let body = Body::wrap_stream(futures_util::stream::iter(chunks));
    tus.patch(&url, 0, body).await?.expect_problem(413, "length_exceeded")?;
    let offset = tus.offset(&url).await?;
    assert!(offset < source.len());
    tus.append(&url, offset, source[offset..].to_vec()).await?;
    assert!(tus.stored(&url, &handler).await? == source, "the bytes differ");
    // After completion.
    let answer = tus.patch(&url, source.len(), "x").await?;
    answer.expect_problem(413, "length_exceeded")?;
    tus.patch(&url, 0, "x").await?.expect_problem(409, "offset_mismatch")
}

#[tokio::test]
async fn limits_hold_for_lengths_told_later() -> Result<()> {
    let (stack, _handler) =
        crate::with_stand_in(|options| options.gateway("MAX_UPLOAD_BYTES", 1000)).await?;
    let tus = super::Tus::new(&stack);
    let answer = send(tus.creation().header("upload-length", 1001)).await?;
    answer.expect_problem(413, "upload_too_large")?;
    let url = tus.created(tus.creation().header("upload-defer-length", 1)).await?;
    tus.patch(&url, 0, bytes(1001)).await?.expect_problem(413, "upload_too_large")?;
    tus.append(&url, 0, bytes(900)).await?;
    let told = tus.patching(&url, 900).header("upload-length", 1001).body("");
    send(told).await?.expect_problem(413, "upload_too_large")?;
    let answer = send(tus.bare(Method::OPTIONS, &tus.base)).await?;
    assert_eq!(answer.header("tus-max-size"), "1000");
    Ok(())
}

/// What is no request of the protocol.
#[tokio::test]
async fn other_methods_and_unknown_extensions() -> Result<()> {
    let (stack, _handler, tus) = start().await?;
    let url = tus.create(5).await?;
    for (method, url) in [
        (Method::GET, &url),
        (Method::PUT, &url),
        (Method::POST, &url),
        (Method::GET, &tus.base),
        (Method::PATCH, &tus.base),
        (Method::DELETE, &tus.base),
    ] {
        let answer = send(tus.request(method, url)).await?;
        answer.expect_problem(405, "method_not_allowed")?;
        let allowed =
            if *url == tus.base { "OPTIONS, POST" } else { "OPTIONS, HEAD, PATCH, DELETE" };
        assert_eq!(answer.header("allow"), allowed);
    }
    // An endpoint that is written with a slash at its end is the same.
    let slashed = format!("{}/", tus.base);
    send(tus.request(Method::POST, &slashed))
        .await?
        .expect_problem(400, "invalid_upload_length")?;
    // Headers of extensions that are not spoken here mean nothing.
    let strange = tus.patching(&url, 0).header("upload-parallel", "7").body("hello");
    send(strange).await?.expect(204)?;

    // An answer to HEAD ends with its headers, also where it is an error.
    let address = stack.url().replace("http://", "");
    for path in ["/api/uploads/x", url.split_once("/api").map_or("", |_| "/api/uploads")] {
        let mut socket = TcpStream::connect(&address).await?;
        let head = format!(
            "HEAD {path} HTTP/1.1\r\nHost: {address}\r\nTus-Resumable: 1.0.0\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await??;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(answer.ends_with("\r\n\r\n") && answer.starts_with("HTTP/1.1 40"), "{answer}");
    }
    Ok(())
}
