//! Extension Checksum.

use anyhow::{Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::{MIB, bytes, clause, client::send, start};

/// `Upload-Checksum` of bytes, by SHA-256.
fn sha256(bytes: &[u8]) -> String {
    format!("sha256 {}", BASE64_STANDARD.encode(Sha256::digest(bytes)))
}

#[tokio::test]
async fn chunks_are_verified() -> Result<()> {
    let (_stack, handler, tus) = start().await?;
    let url = tus.create(22).await?;
    let hello = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";
    let patch = |offset: usize, body: &'static str, checksum: &str| {
        send(tus.patching(&url, offset).header("upload-checksum", checksum).body(body))
    };

    clause(
        "The Server MUST support at least the SHA1 checksum algorithm identified by sha1. … 204 \
         No Content if the checksums match and the processing of the data succeeded.",
        async {
            patch(0, "hello world", hello).await?.expect(204)?;
            ensure!(tus.offset(&url).await? == 11);
            Ok(())
        },
    )
    .await?;

    clause(
        "460 Checksum Mismatch if the checksums mismatch … the uploaded chunk MUST be discarded, \
         and the upload and its offset MUST NOT be updated.",
        async {
            for checksum in [hello, &sha256(b"hello world")] {
                let answer = patch(11, "hullo world", checksum).await?;
                answer.expect_problem(460, "chunk_checksum_mismatch")?;
                ensure!(tus.offset(&url).await? == 11);
            }
            // Nor is the length that came with it.
            let deferred = tus.created(tus.creation().header("upload-defer-length", 1)).await?;
            let chunk = |body, length: usize| {
                let request = tus.patching(&deferred, 0).header("upload-checksum", hello);
                send(request.header("upload-length", length).body(body))
            };
            chunk("hullo world", 11).await?.expect_problem(460, "chunk_checksum_mismatch")?;
            ensure!(tus.head(&deferred).await?.header("upload-defer-length") == "1");
            chunk("hello world", 12).await?.expect(204)?;
            let answer = tus.head(&deferred).await?;
            ensure!(answer.header("upload-length") == "12");
            ensure!(answer.header("upload-offset") == "11");
            Ok(())
        },
    )
    .await?;

    clause(
        "400 Bad Request if the checksum algorithm is not supported by the server … The header \
         MUST consist of the name of the used checksum algorithm and the Base64 encoded checksum \
         separated by a space.",
        async {
            for bad in ["md5 XrY7u+Ae7tCTyyK7j1rNww==", "crc32 AAAAAA==", "sha1", "sha1 ***", ""] {
                let answer = patch(11, "hello world", bad).await?;
                answer.expect_problem(400, "invalid_upload_checksum")?;
            }
            ensure!(tus.offset(&url).await? == 11);
            Ok(())
        },
    )
    .await?;

    patch(11, "hello world", &sha256(b"hello world")).await?.expect(204)?;
    assert_eq!(tus.stored(&url, &handler).await?, b"hello worldhello world");
    Ok(())
}

/// A chunk of several parts is as if it had never been, although parts of it were sent to R2.
#[tokio::test]
async fn a_large_chunk_is_discarded_as_a_whole() -> Result<()> {
    let (_stack, handler, tus) = start().await?;
    let source = bytes(40 * MIB);
    let url = tus.create(source.len()).await?;
    let first = 3 * MIB;
    tus.append(&url, 0, source[..first].to_vec()).await?;
    let good = &source[first..];
    let mut bad = good.to_vec();
    bad[20 * MIB] ^= 1;
    let patch = |body: Vec<u8>| {
        send(tus.patching(&url, first).header("upload-checksum", sha256(good)).body(body))
    };
    patch(bad).await?.expect_problem(460, "chunk_checksum_mismatch")?;
    assert_eq!(tus.offset(&url).await?, first);
    patch(good.to_vec()).await?.expect(204)?;
    assert!(tus.stored(&url, &handler).await? == source, "the bytes differ");
    Ok(())
}
