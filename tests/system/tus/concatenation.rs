//! Extension Concatenation.

use anyhow::{Result, ensure};
use e2e::{api::Answer, wait::until};
use reqwest::Method;

use super::{
    MIB, Tus, bytes, clause,
    client::{nothing_in_r2, number, send},
    start,
};
use crate::SOON;

async fn partial(tus: &Tus, body: Vec<u8>) -> Result<String> {
    let request = tus.creation().header("upload-concat", "partial");
    let url = tus.created(request.header("upload-length", body.len())).await?;
    tus.append(&url, 0, body).await?;
    Ok(url)
}

async fn join(tus: &Tus, pieces: &[&str]) -> Result<Answer> {
    let value = format!("final;{}", pieces.join(" "));
    send(tus.creation().header("upload-concat", value)).await
}

async fn done(tus: &Tus, url: &str) -> Result<usize> {
    until("the pieces are put together", SOON, async || {
        let answer = tus.head(url).await?;
        answer.expect(200)?;
        Ok(answer.headers.contains_key("upload-offset").then(|| number(&answer, "upload-offset")))
    })
    .await?
}

#[tokio::test]
async fn small_pieces() -> Result<()> {
    let (_stack, handler, tus) = start().await?;
    let a = partial(&tus, b"hello".to_vec()).await?;
    let b = partial(&tus, b" world".to_vec()).await?;

    clause(
        "The response to a HEAD request for a partial upload MUST contain the Upload-Offset \
         header. … Response to HEAD request against partial or final upload MUST include the \
         Upload-Concat header and its value as received in the upload creation request.",
        async {
            let answer = tus.head(&a).await?;
            ensure!(number(&answer, "upload-offset")? == 5);
            ensure!(number(&answer, "upload-length")? == 5);
            ensure!(answer.header("upload-concat") == "partial");
            Ok(())
        },
    )
    .await?;

    clause(
        "The Server SHOULD NOT process these partial uploads until they are concatenated to form \
         a final upload.",
        async {
            ensure!(tus.head(&a).await?.headers.get("reelmill-media-id").is_none());
            ensure!(handler.jobs() == 0);
            Ok(())
        },
    )
    .await?;

    // The last of the paths is enough, and one piece may be there twice.
    let relative = b.strip_prefix(tus.base.trim_end_matches("/api/uploads")).unwrap_or(&b);
    let value = format!("final;{a} {relative} {a}");
    let url = tus.created(tus.creation().header("upload-concat", &value)).await?;

    clause(
        "The length of the final upload MUST be the sum of the length of all partial uploads. The \
         partial uploads MUST be concatenated as per the order specified in the list. … The same \
         partial upload MAY be present multiple times in the Upload-Concat header.",
        async {
            ensure!(number(&tus.head(&url).await?, "upload-length")? == 16);
            ensure!(done(&tus, &url).await? == 16);
            ensure!(tus.stored(&url, &handler).await? == b"hello worldhello");
            Ok(())
        },
    )
    .await?;

    clause(
        "After successful concatenation, the Upload-Offset and Upload-Length MUST be set and \
         their values MUST be equal. … its value as received in the upload creation request.",
        async {
            let answer = tus.head(&url).await?;
            ensure!(answer.header("upload-offset") == answer.header("upload-length"));
            ensure!(answer.header("upload-concat") == value);
            Ok(())
        },
    )
    .await?;

    clause(
        "The Server MUST respond with the 403 Forbidden status to PATCH requests against a final \
         upload URL and MUST NOT modify the final or its partial uploads.",
        async {
            tus.patch(&url, 16, "x").await?.expect_problem(403, "final_upload")?;
            tus.patch(&url, 0, "x").await?.expect_problem(403, "final_upload")
        },
    )
    .await?;

    clause("The Server MAY delete partial uploads after concatenation.", async {
        until("the pieces are deleted", SOON, async || {
            let gone = tus.head(&a).await?.status == 410 && tus.head(&b).await?.status == 410;
            Ok(gone.then_some(()))
        })
        .await?;
        join(&tus, &[&a]).await?.expect_problem(400, "partial_upload_missing")
    })
    .await
}

#[tokio::test]
async fn what_cannot_be_joined() -> Result<()> {
    let (stack, handler, tus) = start().await?;
    let whole = partial(&tus, b"hello".to_vec()).await?;
    let request = tus.creation().header("upload-concat", "partial").header("upload-length", 5);
    let half = tus.created(request).await?;
    tus.append(&half, 0, "he").await?;

    clause(
        "This concatenation request SHOULD happen after all … partial uploads are completed.",
        async {
            // `concatenation-unfinished` is not announced.
            join(&tus, &[&whole, &half]).await?.expect_problem(400, "partial_upload_missing")
        },
    )
    .await?;

    clause(
        "The Client MUST NOT include the Upload-Length header in the final upload creation.",
        async {
            let value = format!("final;{whole}");
            let request = tus.creation().header("upload-concat", value).header("upload-length", 5);
            send(request).await?.expect_problem(400, "invalid_upload_length")
        },
    )
    .await?;

    clause("Upload-Concat … value MUST be partial … final followed by a semicolon", async {
        for bad in ["final", "final;", "final;x", "Partial", ""] {
            let request = tus.creation().header("upload-concat", bad).header("upload-length", 5);
            send(request).await?.expect_problem(400, "invalid_upload_concat")?;
        }
        Ok(())
    })
    .await?;

    let unknown = format!("{}/upl_{}", tus.base, "0".repeat(32));
    join(&tus, &[&whole, &unknown]).await?.expect_problem(400, "partial_upload_missing")?;
    let ordinary = tus.create(5).await?;
    tus.append(&ordinary, 0, "hello").await?;
    join(&tus, &[&ordinary]).await?.expect_problem(400, "partial_upload_missing")?;
    let anonymous = tus.request(Method::POST, &tus.base).header("upload-concat", "partial");
    send(anonymous.header("upload-length", 5)).await?.expect_problem(401, "unauthorized")?;

    // A refusal has done the pieces no harm.
    tus.append(&half, 2, "llo").await?;
    let joined = join(&tus, &[&whole, &half]).await?;
    joined.expect(201)?;
    assert_eq!(tus.stored(joined.header("location"), &handler).await?, b"hellohello");
    let id = joined.header("reelmill-media-id");
    stack.api().delete(&format!("/api/media/{id}")).await?.expect(204)?;
    Ok(())
}

/// Pieces whose borders are nowhere near those of parts, sent all at once, through a crash.
#[tokio::test]
async fn large_pieces_in_parallel() -> Result<()> {
    let (mut stack, handler, tus) = start().await?;
    let source = bytes(45 * MIB + 77);
    let borders = [0, 11 * MIB + 3, 12 * MIB, 30 * MIB + 1, source.len()];
    let pieces = borders.windows(2).map(|two| partial(&tus, source[two[0]..two[1]].to_vec()));
    let pieces = futures_util::future::try_join_all(pieces).await?;
    let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
    let joined = join(&tus, &pieces).await?;
    joined.expect(201)?;
    stack.kill_gateway();
    stack.restart_gateway().await?;
    let url = joined.header("location");
    assert_eq!(done(&tus, url).await?, source.len());
    assert!(tus.stored(url, &handler).await? == source, "the bytes differ");
    let id = joined.header("reelmill-media-id");
    stack.api().delete(&format!("/api/media/{id}")).await?.expect(204)?;
    nothing_in_r2(&stack).await
}

/// What ends while its pieces are being put together leaves nothing, however far that has come.
#[tokio::test]
async fn ended_while_it_is_put_together() -> Result<()> {
    let (stack, _handler, tus) = start().await?;
    let piece = partial(&tus, bytes(20 * MIB)).await?;
    for _ in 0..3 {
        // One piece, many times: far from done when its end comes.
        let joined = join(&tus, &[piece.as_str(); 50]).await?;
        joined.expect(201)?;
        let id = joined.header("reelmill-media-id");
        stack.api().delete(&format!("/api/media/{id}")).await?.expect(204)?;
        until("the final upload is over", SOON, async || {
            Ok((tus.head(joined.header("location")).await?.status == 410).then_some(()))
        })
        .await?;
        let alive = tus.head(&piece).await?;
        ensure!(alive.status == 200, "the piece went with it: {}", alive.status);
    }
    // Without its piece a final upload ends too, and its media waits for another one.
    let joined = join(&tus, &[piece.as_str(); 50]).await?;
    joined.expect(201)?;
    tus.delete(&piece).await?.expect(204)?;
    until("the final upload is over", SOON, async || {
        Ok((tus.head(joined.header("location")).await?.status == 410).then_some(()))
    })
    .await?;
    let id = joined.header("reelmill-media-id");
    stack.api().delete(&format!("/api/media/{id}")).await?.expect(204)?;
    nothing_in_r2(&stack).await
}
