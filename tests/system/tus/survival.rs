//! Broken lines, crashes, and two clients at once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{stack::Stack, wait::until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{MIB, Tus, bytes, clause, client::nothing_in_r2, start};
use crate::SOON;

/// A `PATCH` that has sent its head and some of its body.
async fn begin(
    stack: &Stack,
    url: &str,
    offset: usize,
    body: &[u8],
    size: usize,
) -> Result<TcpStream> {
    let address = stack.url().replace("http://", "");
    let path = url.strip_prefix(&stack.url()).context("a URL of this gateway")?;
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {address}\r\nTus-Resumable: 1.0.0\r\n\
         Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\n\
         Content-Length: {size}\r\nConnection: close\r\n\r\n"
    );
    let mut socket = TcpStream::connect(&address).await?;
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await?;
    socket.flush().await?;
    Ok(socket)
}

async fn rest(mut socket: TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Asks until the offset is `wanted`: bytes are on their way for a moment.
async fn arrives(tus: &Tus, url: &str, wanted: usize) -> Result<()> {
    until(&format!("the offset is {wanted}"), SOON, async || {
        Ok((tus.offset(url).await? == wanted).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_broken_line() -> Result<()> {
    let (stack, handler, tus) = start().await?;
    let source = bytes(21 * MIB);
    let url = tus.create(source.len()).await?;

    clause(
        "Both Client and Server, SHOULD attempt to detect and handle network errors predictably. \
         … The Server SHOULD always attempt to store as much of the received data as possible.",
        async {
            // Less than a part, and more than two.
            for (from, to) in [(0, 1_000_003), (1_000_003, 20 * MIB + 9)] {
                let left = source.len() - from;
                let socket = begin(&stack, &url, from, &source[from..to], left).await?;
                drop(socket);
                // A client that lost its line asks at once, and what it is told stays true.
                let told = tus.offset(&url).await?;
                ensure!(told <= to);
                if told < to {
                    tus.append(&url, told, source[told..to].to_vec()).await?;
                }
                arrives(&tus, &url, to).await?;
            }
            Ok(())
        },
    )
    .await?;
    tus.append(&url, 20 * MIB + 9, source[20 * MIB + 9..].to_vec()).await?;
    assert!(tus.stored(&url, &handler).await? == source, "the bytes differ");
    Ok(())
}

#[tokio::test]
async fn two_clients() -> Result<()> {
    let (stack, handler, tus) = start().await?;
    let source = bytes(12 * MIB);
    let url = tus.create(source.len()).await?;
    let socket = begin(&stack, &url, 0, &source[..MIB], source.len()).await?;
    // The second one is kept out as soon as the first one's bytes come in.
    until("the upload is locked", SOON, async || {
        // At a wrong offset, so that it never holds the lock itself.
        let answer = tus.patch(&url, 1, "").await?;
        if answer.status == 409 {
            return Ok(None);
        }
        answer.expect_problem(423, "upload_locked").map(Some)
    })
    .await?;
    // Whoever asks for the offset ends the first one's request, and its bytes are kept.
    let offset = tus.offset(&url).await?;
    assert!(offset > 0 && offset <= MIB, "{offset}");
    let answer = rest(socket).await?;
    assert!(answer.contains("409") && answer.contains("upload_interrupted"), "{answer}");
    tus.append(&url, offset, source[offset..].to_vec()).await?;
    assert!(tus.stored(&url, &handler).await? == source, "the bytes differ");

    // Eight at once, at the same offset: one wins.
    let url = tus.create(2 * MIB).await?;
    let body = bytes(MIB);
    let racing = (0..8).map(|_| tus.patch(&url, 0, body.clone()));
    let answers = futures_util::future::try_join_all(racing).await?;
    let won = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(won, 1);
    assert!(answers.iter().all(|answer| [204, 409, 423].contains(&answer.status)));
    assert_eq!(tus.offset(&url).await?, MIB);
    Ok(())
}

/// `kill -9` in the middle of a chunk: what the offset says is there, and the rest makes it whole.
#[tokio::test]
async fn a_killed_gateway() -> Result<()> {
    let (mut stack, handler, tus) = start().await?;
    let source = bytes(30 * MIB + 12_345);
    let url = tus.create(source.len()).await?;
    tus.append(&url, 0, source[..3 * MIB].to_vec()).await?;
    let mut at = 3 * MIB;
    for until in [5 * MIB, 13 * MIB, 30 * MIB, source.len()] {
        let left = source.len() - at;
        let socket = begin(&stack, &url, at, &source[at..until], left).await?;
        stack.kill_gateway();
        drop(socket);
        stack.restart_gateway().await?;
        let told = tus.offset(&url).await?;
        ensure!(told >= at && told <= until, "told {told}, had {at}, sent {until}");
        at = told;
    }
    if at < source.len() {
        tus.append(&url, at, source[at..].to_vec()).await?;
    }
    assert!(tus.stored(&url, &handler).await? == source, "the bytes differ");
    let id = tus.head(&url).await?.header("reelmill-media-id").to_owned();
    let media = stack.api().media(&id).await?;
    assert_eq!(media["source"]["size"], source.len());
    stack.api().delete(&format!("/api/media/{id}")).await?.expect(204)?;
    nothing_in_r2(&stack).await
}

/// A client's chunks are its own affair: from one byte to more than two parts.
#[tokio::test]
async fn chunks_of_any_size() -> Result<()> {
    let (stack, handler, tus) = start().await?;
    let source = bytes(40 * MIB + 1);
    let url = tus.create(source.len()).await?;
    let sizes = [1, 2, 65_536, 65_537, 5 * MIB, 8 * MIB - 1, 1, 8 * MIB, 3, 17 * MIB, usize::MAX];
    let mut at = 0;
    for size in sizes {
        let to = size.saturating_add(at).min(source.len());
        assert_eq!(tus.append(&url, at, source[at..to].to_vec()).await?, to);
        at = to;
    }
    assert!(tus.stored(&url, &handler).await? == source, "the bytes differ");
    let id = tus.head(&url).await?.header("reelmill-media-id").to_owned();
    let media = stack
        .api()
        .wait_for(&id, "it is uploaded", Duration::from_secs(20), |media| {
            media["source"]["sha256"].is_string()
        })
        .await?;
    use sha2::{Digest, Sha256};
    let sha256: String = Sha256::digest(&source).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(media["source"]["sha256"], sha256.as_str());
    Ok(())
}
