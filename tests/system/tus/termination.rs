//! Extension Termination, and other ends of an upload.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    MIB, bytes, clause,
    client::{nothing_in_r2, send},
    start,
};

#[tokio::test]
async fn termination() -> Result<()> {
    let (stack, handler, tus) = start().await?;
    let api = stack.api();
    let media = api.create(json!({})).await?;
    let id = media["id"].as_str().context("an id")?;
    let token = media["upload"]["tus"]["url"].as_str().context("a URL")?;
    let create = || tus.request(reqwest::Method::POST, token).header("upload-length", 20 * MIB);

    clause(
        "When receiving a DELETE request for an existing upload the Server SHOULD free associated \
         resources and MUST respond with the 204 No Content status confirming that the upload was \
         terminated. For all future requests to this URL, the Server SHOULD respond with the 404 \
         Not Found or 410 Gone status.",
        async {
            let url = tus.created(create()).await?;
            tus.append(&url, 0, bytes(17 * MIB)).await?;
            tus.delete(&url).await?.expect(204)?;
            ensure!(tus.head(&url).await?.status == 410);
            tus.patch(&url, 0, "x").await?.expect_problem(410, "upload_gone")?;
            tus.delete(&url).await?.expect_problem(410, "upload_gone")?;
            nothing_in_r2(&stack).await
        },
    )
    .await?;
    let unknown = format!("{}/upl_{}", tus.base, "0".repeat(32));
    tus.delete(&unknown).await?.expect_problem(404, "upload_not_found")?;

    // The media waits on, and takes another upload.
    assert_eq!(api.media(id).await?["status"], "uploading");
    let url = tus.created(create()).await?;
    let source = bytes(20 * MIB);
    tus.append(&url, 0, source.clone()).await?;
    assert!(tus.stored(&url, &handler).await? == source, "the bytes differ");
    // “terminate completed and unfinished uploads”: the source is the media's by now.
    tus.delete(&url).await?.expect(204)?;
    assert_eq!(tus.head(&url).await?.status, 410);
    assert_eq!(api.media(id).await?["source"]["size"], 20 * MIB);
    let job = handler.job_of(id.parse()?).await?;
    assert_eq!(reqwest::get(job.input.url.clone()).await?.bytes().await?.len(), 20 * MIB);
    Ok(())
}

#[tokio::test]
async fn a_media_takes_its_upload_along() -> Result<()> {
    let (stack, _handler, tus) = start().await?;
    let api = stack.api();
    for end in ["delete", "cancel"] {
        let url = tus.create(20 * MIB).await?;
        tus.append(&url, 0, bytes(17 * MIB)).await?;
        let id = tus.head(&url).await?.header("reelmill-media-id").to_owned();
        match end {
            "delete" => drop(api.delete(&format!("/api/media/{id}")).await?.expect(204)?),
            _ => drop(api.post(&format!("/api/media/{id}/cancel"), json!({})).await?.expect(202)?),
        }
        e2e::wait::until("the upload is gone", crate::SOON, async || {
            Ok((tus.head(&url).await?.status == 410).then_some(()))
        })
        .await?;
        let answer = tus.patch(&url, 17 * MIB, bytes(3 * MIB)).await?;
        answer.expect_problem(410, "upload_gone")?;
        nothing_in_r2(&stack).await?;
    }
    // A finished upload goes with its media too.
    let url = tus.create(5).await?;
    tus.append(&url, 0, "hello").await?;
    let id = tus.head(&url).await?.header("reelmill-media-id").to_owned();
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    nothing_in_r2(&stack).await?;
    let other = send(tus.creation().header("upload-length", 5).header(
        "upload-metadata",
        format!("mediaId {}", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &id)),
    ));
    other.await?.expect_problem(410, "media_deleted")
}
