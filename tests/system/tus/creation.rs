//! Extensions Creation and Creation With Upload.

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Method;
use serde_json::json;

use super::{
    MIB, bytes, clause,
    client::{number, send},
    start,
};
use crate::with_stand_in;

/// Section “Creation”, lengths.
#[tokio::test]
async fn lengths() -> Result<()> {
    let (_stack, handler, tus) = start().await?;

    clause("The request MUST include one of: Upload-Length, Upload-Defer-Length: 1.", async {
        send(tus.creation()).await?.expect_problem(400, "invalid_upload_length")?;
        let both = tus.creation().header("upload-length", 5).header("upload-defer-length", 1);
        send(both).await?.expect_problem(400, "invalid_upload_length")
    })
    .await?;

    clause(
        "If the Upload-Defer-Length header contains any other value than 1 the server should \
         return a 400 Bad Request status.",
        async {
            for bad in ["0", "2", "true", ""] {
                let answer = send(tus.creation().header("upload-defer-length", bad)).await?;
                answer.expect_problem(400, "invalid_upload_length")?;
            }
            Ok(())
        },
    )
    .await?;

    clause(
        "If the length was deferred using Upload-Defer-Length: 1, the Client MUST set the \
         Upload-Length header in the next PATCH request, once the length is known. Once set the \
         length MUST NOT be changed. As long as the length of the upload is not known, the Server \
         MUST set Upload-Defer-Length: 1 in all responses to HEAD requests.",
        async {
            let url = tus.created(tus.creation().header("upload-defer-length", 1)).await?;
            for (offset, more) in [(0, "hello"), (5, " world")] {
                let answer = tus.head(&url).await?;
                ensure!(number(&answer, "upload-offset")? == offset);
                ensure!(answer.header("upload-defer-length") == "1");
                ensure!(answer.headers.get("upload-length").is_none());
                tus.append(&url, offset, more).await?;
            }
            let short = tus.patching(&url, 11).header("upload-length", 10).body("");
            send(short).await?.expect_problem(400, "invalid_upload_length")?;
            let told = tus.patching(&url, 11).header("upload-length", 13).body("!");
            send(told).await?.expect(204)?;
            let answer = tus.head(&url).await?;
            ensure!(number(&answer, "upload-length")? == 13);
            ensure!(answer.headers.get("upload-defer-length").is_none());
            let other = tus.patching(&url, 12).header("upload-length", 14).body("!");
            send(other).await?.expect_problem(400, "length_fixed")?;
            let same = tus.patching(&url, 12).header("upload-length", 13).body("!");
            send(same).await?.expect(204)?;
            ensure!(tus.stored(&url, &handler).await? == b"hello world!!");

            // The length may also come when there are no more bytes.
            let url = tus.created(tus.creation().header("upload-defer-length", 1)).await?;
            tus.append(&url, 0, "bye").await?;
            let told = tus.patching(&url, 3).header("upload-length", 3).body("");
            send(told).await?.expect(204)?;
            ensure!(tus.stored(&url, &handler).await? == b"bye");
            Ok(())
        },
    )
    .await?;

    clause(
        "The Upload-Length header MAY be set to 0 … Such an upload is immediately complete after \
         its creation without transferring data using PATCH requests.",
        async {
            let url = tus.create(0).await?;
            let answer = tus.head(&url).await?;
            ensure!(number(&answer, "upload-offset")? == 0);
            ensure!(number(&answer, "upload-length")? == 0);
            let id = answer.header("reelmill-media-id").to_owned();
            let media = handler.job_of(id.parse()?).await?;
            ensure!(media.input.size == 0);
            Ok(())
        },
    )
    .await?;

    clause(
        "If the length of the upload exceeds the maximum, which MAY be specified using the \
         Tus-Max-Size header, the Server MUST respond with the 413 Request Entity Too Large \
         status.",
        async {
            let most = number(&send(tus.bare(Method::OPTIONS, &tus.base)).await?, "tus-max-size")?;
            let answer = send(tus.creation().header("upload-length", most + 1)).await?;
            answer.expect_problem(413, "upload_too_large")?;
            tus.create(most).await.map(drop)
        },
    )
    .await
}

/// Section “Creation”, answers and metadata.
#[tokio::test]
async fn answers_and_metadata() -> Result<()> {
    let (stack, _handler, tus) = start().await?;
    let api = stack.api();

    clause(
        "The Server MUST acknowledge a successful upload creation with the 201 Created status. \
         The Server MUST set the Location header to the URL of the created resource.",
        async {
            let answer = send(tus.creation().header("upload-length", 7)).await?;
            answer.expect(201)?;
            let location = answer.header("location");
            ensure!(location.starts_with(&format!("{}/upl_", tus.base)), "{location}");
            ensure!(tus.offset(location).await? == 0);
            ensure!(answer.headers.get("upload-offset").is_none());
            Ok(())
        },
    )
    .await?;

    clause(
        "If an upload contains additional metadata, responses to HEAD requests MUST include the \
         Upload-Metadata header and its value as specified by the Client during the creation.",
        async {
            let base64 = |text: &str| BASE64_STANDARD.encode(text);
            let value = format!(
                "filename {},filetype {},is_confidential,pipeline {},metadata {},custom {}",
                base64("Ferien in Österreich.mp4"),
                base64("video/mp4"),
                base64(r#"{"segmentFormat":"ts"}"#),
                base64(r#"{"order":17}"#),
                BASE64_STANDARD.encode([0, 255, 13, 10]),
            );
            let request = tus.creation().header("upload-length", 7);
            let url = tus.created(request.header("upload-metadata", &value)).await?;
            let answer = tus.head(&url).await?;
            ensure!(answer.header("upload-metadata") == value);
            let media = api.media(answer.header("reelmill-media-id")).await?;
            ensure!(media["filename"] == "Ferien in Österreich.mp4", "{media}");
            ensure!(media["contentType"] == "video/mp4");
            ensure!(media["pipeline"]["segmentFormat"] == "ts");
            ensure!(media["metadata"]["order"] == 17 && media["size"] == 7);
            Ok(())
        },
    )
    .await?;

    clause(
        "The key and value MUST be separated by a space. The key MUST NOT contain spaces and \
         commas and MUST NOT be empty. … the value MUST be Base64 encoded. All keys MUST be \
         unique. The value MAY be empty.",
        async {
            let long = format!("filename {}", "A".repeat(20_000));
            let json = format!("pipeline {}", BASE64_STANDARD.encode("{"));
            let unknown = format!("pipeline {}", BASE64_STANDARD.encode(r#"{"x":1}"#));
            for bad in
                ["filename ***", "a YQ==,a Yg==", "a YQ==,,b", "a b c", &long, &json, &unknown]
            {
                let request = tus.creation().header("upload-length", 7);
                let answer = send(request.header("upload-metadata", bad)).await?;
                answer.expect_problem(400, "invalid_upload_metadata")?;
            }
            let request = tus.creation().header("upload-length", 7);
            let url = tus.created(request.header("upload-metadata", "empty ,bare")).await?;
            ensure!(tus.head(&url).await?.header("upload-metadata") == "empty ,bare");
            Ok(())
        },
    )
    .await?;
    // What was refused made no media.
    let all = api.get("/api/media?limit=100").await?.expect(200)?;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(3), "{all:#}");
    Ok(())
}

/// Section “Creation With Upload”.
#[tokio::test]
async fn with_upload() -> Result<()> {
    let (stack, handler, tus) = start().await?;

    clause(
        "The Client MAY include either the entirety or a chunk of the upload data in the body of \
         the POST request. … The Server SHOULD accept as many bytes as possible and MUST include \
         the Upload-Offset header in the response and MUST set its value to the offset of the \
         upload after applying the accepted bytes.",
        async {
            let with = |length: usize, body: Vec<u8>| {
                tus.creation()
                    .header("upload-length", length)
                    .header("content-type", "application/offset+octet-stream")
                    .body(body)
            };
            let answer = send(with(11, b"hello".into())).await?;
            answer.expect(201)?;
            ensure!(number(&answer, "upload-offset")? == 5);
            let url = answer.header("location").to_owned();
            tus.append(&url, 5, " world").await?;
            ensure!(tus.stored(&url, &handler).await? == b"hello world");

            let whole = bytes(9 * MIB + 5);
            let answer = send(with(whole.len(), whole.clone())).await?;
            answer.expect(201)?;
            ensure!(number(&answer, "upload-offset")? == whole.len());
            ensure!(tus.stored(answer.header("location"), &handler).await? == whole);

            let answer = send(with(3, b"four".into())).await?;
            answer.expect_problem(413, "length_exceeded")
        },
    )
    .await?;

    clause(
        "The Client MUST include the Content-Type: application/offset+octet-stream header.",
        async {
            let request = tus.creation().header("upload-length", 5);
            let answer = send(request.header("content-type", "text/plain").body("hello")).await?;
            answer.expect_problem(415, "unsupported_content_type")
        },
    )
    .await?;

    // “similar rules as for the `PATCH` request and response apply”: checksums too.
    let wrong = tus
        .creation()
        .header("upload-length", 5)
        .header("content-type", "application/offset+octet-stream")
        .header("upload-checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
        .body("hello");
    send(wrong).await?.expect_problem(460, "chunk_checksum_mismatch")?;
    let all = stack.api().get("/api/media").await?.expect(200)?;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(2), "{all:#}");
    Ok(())
}

/// Who may create, and for which media.
#[tokio::test]
async fn for_a_media_that_waits() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let (tus, api) = (super::Tus::new(&stack), stack.api());
    let anonymous = tus.request(Method::POST, &tus.base).header("upload-length", 5);
    send(anonymous).await?.expect_problem(401, "unauthorized")?;

    let media = api.create(json!({ "filename": "a.mp4", "size": 5 })).await?;
    let id = media["id"].as_str().context("an id")?;
    let token = media["upload"]["tus"]["url"].as_str().context("a URL")?;
    let create = |length: usize| tus.request(Method::POST, token).header("upload-length", length);
    send(create(6)).await?.expect_problem(400, "length_mismatch")?;
    let first = send(create(5)).await?;
    first.expect(201)?;
    assert_eq!(first.header("reelmill-media-id"), id);

    // A page that lost the first one's URL begins again: the newer one counts.
    let second = tus.created(create(5)).await?;
    let gone = tus.patch(first.header("location"), 0, "hello").await?;
    gone.expect_problem(410, "upload_gone")?;
    assert_eq!(tus.append(&second, 0, "hel").await?, 3);
    // While it is alive nothing comes another way.
    api.put_source(id, "hello").await?.expect_problem(409, "upload_in_progress")?;
    tus.append(&second, 3, "lo").await?;
    assert_eq!(tus.stored(&second, &handler).await?, b"hello");
    let source = &api.media(id).await?["source"];
    assert_eq!(source["size"], 5);
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(source["sha256"], sha256);
    send(create(5)).await?.expect_problem(409, "source_exists")?;

    // By key and id; a token for something else does not do.
    let media = api.create(json!({})).await?;
    let id = media["id"].as_str().context("an id")?;
    let named = format!("mediaId {}", BASE64_STANDARD.encode(id));
    let request = tus.creation().header("upload-length", 5).header("upload-metadata", named);
    let answer = send(request).await?;
    assert_eq!(answer.header("reelmill-media-id"), id);
    let events = media["events"].as_str().context("a URL")?;
    let (_, token) = events.split_once("token=").context("a token")?;
    let url = format!("{}?token={token}", tus.base);
    let request = tus.request(Method::POST, &url).header("upload-length", 5);
    send(request).await?.expect_problem(403, "token_invalid")
}

/// A creation whose answer was lost is sent again: one media, whose newest upload counts.
#[tokio::test]
async fn creation_is_idempotent_by_key() -> Result<()> {
    let (_stack, _handler, tus) = start().await?;
    let created = || tus.creation().header("idempotency-key", "order-17");

    let first = send(created().header("upload-length", 5)).await?;
    first.expect(201)?;
    let again = send(created().header("upload-length", 5)).await?;
    again.expect(201)?;
    let media = "reelmill-media-id";
    ensure!(first.header(media) == again.header(media), "two media");
    let gone = send(tus.request(Method::HEAD, first.header("location"))).await?;
    ensure!(gone.status == 410, "the first upload still counts: {}", gone.status);

    let other = send(created().header("upload-length", 6)).await?;
    other.expect_problem(422, "idempotency_mismatch")?;
    tus.append(again.header("location"), 0, "hello").await?;
    let late = send(created().header("upload-length", 5)).await?;
    late.expect_problem(409, "source_exists")?;
    ensure!(tus.head(again.header("location")).await?.status == 200, "it took the upload along");
    Ok(())
}
