//! Sources put straight into the bucket by presigned part URLs.

mod bucket;

use anyhow::{Context, Result, ensure};
use e2e::{
    api::{Answer, Api},
    clips,
    stack::Stack,
    stand_in::StandIn,
    wait::until,
};
use reqwest::{Client, Method, header::CONTENT_LENGTH};
use rusty_s3::S3Action;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::bucket::Bucket;
use crate::{ENCODE, SOON, with_stand_in};

const MIB: usize = 1024 * 1024;
/// Two whole parts and a bit.
const SIZE: usize = 17 * MIB + 3;

/// Bytes that begin like an MP4 file and differ from place to place.
fn content() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..SIZE).map(|at| (at * 7 + at / 251) as u8).collect();
    let magic = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
    bytes[..magic.len()].copy_from_slice(magic);
    bytes
}

async fn system() -> Result<(Stack, StandIn, Bucket)> {
    let bucket = Bucket::start().await?;
    let (stack, handler) = with_stand_in(|options| bucket.configure(options)).await?;
    Ok((stack, handler, bucket))
}

/// Puts bytes to a part URL, as a browser would: without a key of ours.
async fn put(url: &str, bytes: &[u8]) -> Result<Answer> {
    let request = Client::new().put(url).header(CONTENT_LENGTH, bytes.len());
    Answer::of(request.body(bytes.to_vec()).send().await?).await
}

/// Puts every part of `bytes`; answers with what `complete` is to be told.
async fn put_all(media: &Value, bytes: &[u8]) -> Result<Vec<Value>> {
    let mut done = Vec::new();
    let mut rest = bytes;
    for part in media["upload"]["multipart"]["parts"].as_array().context("parts")? {
        let size = usize::try_from(part["size"].as_u64().context("a size")?)?;
        let (now, later) = rest.split_at(size);
        let answer = put(part["url"].as_str().context("a URL")?, now).await?;
        answer.expect(200)?;
        done.push(json!({ "number": part["number"], "etag": answer.header("etag") }));
        rest = later;
    }
    ensure!(rest.is_empty(), "the parts are not the whole");
    Ok(done)
}

fn url<'a>(media: &'a Value, what: &str) -> Result<&'a str> {
    media["upload"]["multipart"][what].as_str().context("a URL")
}

async fn complete(api: &Api, media: &Value, parts: &[Value]) -> Result<Answer> {
    api.post(url(media, "complete")?, json!({ "parts": parts })).await
}

#[tokio::test]
async fn parts_go_past_the_worker_and_become_the_source() -> Result<()> {
    let (stack, handler, bucket) = system().await?;
    let api = stack.api();
    assert_eq!(api.get("/api/limits").await?.expect(200)?["direct"], true);
    let bytes = content();
    let media = api.create(json!({ "size": SIZE })).await?;
    let multipart = &media["upload"]["multipart"];
    assert_eq!(multipart["partCount"], 3);
    assert_eq!(multipart["partSize"], 8 * MIB);
    assert!(multipart.get("next").is_none(), "all of it is here");
    // Whoever uploads has the URLs and no key.
    let nobody = api.with_key(None);
    let parts = put_all(&media, &bytes).await?;

    // What is there can be listed, to go on after a break.
    let listed = nobody.get(url(&media, "list")?).await?.expect(200)?;
    let sizes: Vec<_> = listed["parts"].as_array().context("parts")?.iter().collect();
    assert_eq!(sizes.len(), 3);
    assert_eq!(sizes[2]["size"], SIZE - 16 * MIB);

    let stored = complete(&nobody, &media, &parts).await?.expect(200)?;
    assert_eq!(stored["source"]["size"], SIZE);
    assert_eq!(stored["source"]["contentType"], "video/mp4");
    assert!(stored["source"].get("sha256").is_none(), "the handler finds out");
    assert!(stored["source"]["etag"].as_str().is_some_and(|etag| etag.ends_with("-3")));
    assert!(stored.get("upload").is_none());

    // The handler fetches it past the Worker, too.
    let job = handler.job(1).await?;
    assert_eq!((job.spec.input.size, job.spec.input.sha256), (SIZE as u64, None));
    assert!(job.spec.input.url.as_str().starts_with(&bucket.url));
    let request = Client::new().get(job.spec.input.url).header("range", "bytes=8388600-8388620");
    let part = Answer::of(request.send().await?).await?;
    assert_eq!((part.status, part.body.as_ref()), (206, &bytes[8_388_600..=8_388_620]));

    // Again: the same answer. Another list: another matter.
    let again = complete(&nobody, &media, &parts).await?.expect(200)?;
    assert_eq!(again["source"], stored["source"]);
    complete(&nobody, &media, &parts[..2]).await?.expect_problem(400, "parts_invalid")?;
    let mut other = parts.clone();
    other[1] = json!({ "number": 2, "etag": "0".repeat(32) });
    complete(&nobody, &media, &other).await?.expect_problem(409, "source_exists")?;

    // A deleted media leaves nothing.
    let id = media["id"].as_str().context("an id")?;
    api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
    is_empty(&bucket).await
}

async fn is_empty(bucket: &Bucket) -> Result<()> {
    until("the bucket is empty", SOON, async || Ok(bucket.files()?.is_empty().then_some(())))
        .await
        .with_context(|| format!("{:?}", bucket.files()))
}

#[tokio::test]
async fn a_declared_checksum_is_the_handlers_to_check() -> Result<()> {
    let (stack, handler, _bucket) = system().await?;
    let api = stack.api();
    let bytes = content();
    let media = api.create(json!({ "size": SIZE })).await?;
    let parts = put_all(&media, &bytes).await?;
    let path = url(&media, "complete")?;
    let malformed = api.post(path, json!({ "parts": parts, "sha256": "abc" })).await?;
    malformed.expect_problem(400, "invalid_request")?;
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    // As the S3 SDKs name things.
    let named: Vec<_> = parts
        .iter()
        .map(|part| json!({ "PartNumber": part["number"], "ETag": part["etag"] }))
        .collect();
    api.post(path, json!({ "parts": named, "sha256": sha256 })).await?.expect(200)?;
    assert_eq!(handler.job(1).await?.spec.input.sha256, Some(sha256));
    Ok(())
}

#[tokio::test]
async fn what_is_not_the_whole_is_refused_and_can_be_mended() -> Result<()> {
    let (stack, _handler, _bucket) = system().await?;
    let api = stack.api();
    let bytes = content();
    let media = api.create(json!({ "size": SIZE })).await?;
    let all = media["upload"]["multipart"]["parts"].as_array().context("parts")?;
    let part_url = |at: usize| all[at]["url"].as_str().context("a URL");
    let (first, second) = (put(part_url(0)?, &bytes[..8 * MIB]).await?, &bytes[8 * MIB..16 * MIB]);
    let tag = |answer: &Answer| answer.header("etag").to_owned();
    let part = |number: usize, etag: &str| json!({ "number": number, "etag": etag });
    let refused = async |parts: &[Value]| {
        complete(&api, &media, parts).await?.expect_problem(400, "parts_invalid")
    };
    let x = "0".repeat(32);

    refused(&[]).await?;
    refused(&[part(1, &tag(&first))]).await?;
    refused(&[part(2, &x), part(1, &tag(&first)), part(3, &x)]).await?;
    refused(&[part(1, &tag(&first)), part(2, "nonsense"), part(3, &x)]).await?;
    // Named, but never uploaded.
    refused(&[part(1, &tag(&first)), part(2, &x), part(3, &x)]).await?;
    // Too short, by one byte.
    let short = put(part_url(1)?, &second[1..]).await?;
    let last = put(part_url(2)?, &bytes[16 * MIB..]).await?;
    refused(&[part(1, &tag(&first)), part(2, &tag(&short)), part(3, &tag(&last))]).await?;
    // Uploaded again since, and named as it was.
    let good = put(part_url(1)?, second).await?;
    refused(&[part(1, &tag(&first)), part(2, &tag(&short)), part(3, &tag(&last))]).await?;
    for body in [json!({}), json!({ "parts": 7 }), json!({ "parts": [{ "number": 70_000 }] })] {
        api.post(url(&media, "complete")?, body).await?.expect_problem(400, "invalid_request")?;
    }

    let parts = [part(1, &tag(&first)), part(2, &tag(&good)), part(3, &tag(&last))];
    let stored = complete(&api, &media, &parts).await?.expect(200)?;
    assert_eq!(stored["source"]["size"], SIZE);
    Ok(())
}

#[tokio::test]
async fn only_what_was_signed_is_taken() -> Result<()> {
    let bucket = Bucket::start().await?;
    let configure = |options| bucket.configure(options).gateway("UPLOAD_TTL_SECONDS", 4);
    let (stack, _handler) = with_stand_in(configure).await?;
    let api = stack.api();
    let media = api.create(json!({ "size": SIZE })).await?;
    let parts = media["upload"]["multipart"]["parts"].as_array().context("parts")?;
    let (first, second) = (&parts[0]["url"], &parts[1]["url"]);
    let (first, second) = (first.as_str().context("a URL")?, second.as_str().context("a URL")?);
    let bytes = content();

    let signature = first.rsplit_once('=').context("a signature")?.1;
    let flipped = if signature.ends_with('0') { '1' } else { '0' };
    let altered = format!("{}{flipped}", &first[..first.len() - 1]);
    let elsewhere = first.replace("/source?", "/a1/hls/main.m3u8?");
    let another = second.rsplit_once('=').context("a signature")?.0;
    let lent = format!("{another}={signature}");
    let longer = first.replace("X-Amz-Expires=", "X-Amz-Expires=9");
    for url in [altered, elsewhere, lent, longer] {
        let answer = put(&url, &bytes[..8 * MIB]).await?;
        assert_eq!(answer.status, 403, "{url}: {}", answer.text());
    }
    // And in time, nothing any more.
    until("the URL has expired", SOON, async || {
        Ok((put(first, &bytes[..8 * MIB]).await?.status == 403).then_some(()))
    })
    .await?;
    let id = media["id"].as_str().context("an id")?;
    api.wait_status(id, "failed", SOON).await?;
    complete(&api.with_key(None), &media, &[]).await?.expect_problem(403, "token_expired")?;
    complete_by_key(&api, id).await?.expect_problem(409, "upload_closed")?;
    is_empty(&bucket).await
}

async fn complete_by_key(api: &Api, id: &str) -> Result<Answer> {
    api.post(&format!("/api/media/{id}/multipart/complete"), json!({ "parts": [] })).await
}

#[tokio::test]
async fn a_store_that_refuses_the_gateways_key_is_no_obstacle() -> Result<()> {
    let bucket = Bucket::start().await?;
    let configure =
        |options| bucket.configure(options).gateway("S3_SECRET_ACCESS_KEY", "another one");
    let (stack, _handler) = with_stand_in(configure).await?;
    let media = stack.api().create(json!({ "size": 3 })).await?;
    assert!(media["upload"].get("multipart").is_none(), "{media}");
    let id = media["id"].as_str().context("an id")?;
    let multipart = format!("/api/media/{id}/multipart");
    stack.api().get(&multipart).await?.expect_problem(404, "multipart_not_found")?;
    stack.api().put_source(id, "abc").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn whatever_ends_the_wait_drops_the_parts() -> Result<()> {
    let (stack, _handler, bucket) = system().await?;
    let api = stack.api();
    let bytes = content();
    for ending in ["abort", "cancel", "delete", "put"] {
        let media = api.create(json!({ "size": SIZE })).await?;
        let parts = put_all(&media, &bytes).await?;
        let id = media["id"].as_str().context("an id")?;
        assert!(!bucket.files()?.is_empty());
        match ending {
            "abort" => {
                api.delete(url(&media, "abort")?).await?.expect(204)?;
                api.delete(url(&media, "abort")?).await?.expect(204)?;
                let gone = complete(&api, &media, &parts).await?;
                gone.expect_problem(404, "multipart_not_found")?;
                // The other ways are open.
                let media = api.media(id).await?;
                assert!(media["upload"].get("multipart").is_none());
                assert!(media["upload"]["tus"]["url"].is_string());
            }
            "cancel" => {
                api.post(&format!("/api/media/{id}/cancel"), json!({})).await?.expect(202)?;
                let late = complete(&api, &media, &parts).await?;
                late.expect_problem(409, "upload_closed")?;
            }
            "delete" => {
                api.delete(&format!("/api/media/{id}")).await?.expect(204)?;
                let late = complete(&api, &media, &parts).await?;
                late.expect_problem(410, "media_deleted")?;
            }
            _ => {
                api.put_source(id, bytes.clone()).await?.expect(200)?;
                let late = complete(&api, &media, &parts).await?;
                late.expect_problem(409, "source_exists")?;
            }
        }
        is_empty(&bucket).await.context(ending)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_completion_that_nobody_heard_of_is_found() -> Result<()> {
    let (stack, _handler, bucket) = system().await?;
    let api = stack.api();
    let media = api.create(json!({ "size": SIZE })).await?;
    let parts = put_all(&media, &content()).await?;
    // As a gateway does that dies before it can say so.
    let (store, credentials) = bucket.client()?;
    let first = media["upload"]["multipart"]["parts"][0]["url"].as_str().context("a URL")?;
    let first: url::Url = first.parse()?;
    let upload = first.query_pairs().find(|(name, _)| name == "uploadId").context("an id")?.1;
    let key = format!("media/{}/source", media["id"].as_str().context("an id")?);
    let tags: Vec<_> = parts.iter().filter_map(|part| part["etag"].as_str()).collect();
    let action =
        store.complete_multipart_upload(Some(&credentials), &key, &upload, tags.iter().copied());
    let signed = action.sign(std::time::Duration::from_secs(60));
    let answer = Client::new().post(signed).body(action.body()).send().await?;
    assert_eq!(answer.status(), 200);

    let stored = complete(&api, &media, &parts).await?.expect(200)?;
    assert_eq!(stored["source"]["size"], SIZE);
    assert_eq!(stored["status"], "uploaded");
    Ok(())
}

#[tokio::test]
async fn ten_thousand_parts_come_by_the_page() -> Result<()> {
    let (stack, _handler, _bucket) = system().await?;
    let api = stack.api();
    // A tebibyte: nobody has to send it to see how it would be cut.
    let size: u64 = 1 << 40;
    let media = api.create(json!({ "size": size })).await?;
    let multipart = &media["upload"]["multipart"];
    let count = multipart["partCount"].as_u64().context("a number")?;
    let (mut sum, mut seen) = (0, 0);
    let nobody = api.with_key(None);
    let mut page = multipart.clone();
    loop {
        for part in page["parts"].as_array().context("parts")? {
            seen += 1;
            assert_eq!(part["number"], seen);
            sum += part["size"].as_u64().context("a size")?;
        }
        let Some(next) = page["next"].as_str() else { break };
        let next = next.replace("limit=100", "limit=1000");
        page = nobody.get(&next).await?.expect(200)?;
    }
    assert_eq!((seen, sum), (count, size));
    assert!((9_000..=10_000).contains(&count), "{count}");

    let id = media["id"].as_str().context("an id")?;
    for bad in ["from=0", "from=x", "limit=0", "from=70000"] {
        let answer = api.get(&format!("/api/media/{id}/multipart/parts?{bad}")).await?;
        answer.expect_problem(400, "invalid_request").with_context(|| bad.to_owned())?;
    }
    // Lists carry no signatures.
    let list = api.get("/api/media").await?.expect(200)?;
    let listed = &list["items"][0]["upload"]["multipart"];
    assert_eq!(listed["partCount"], count);
    assert!(listed.get("parts").is_none() && listed["next"].is_string());
    // Without a size there is nothing to cut.
    let media = api.create(json!({})).await?;
    assert!(media["upload"].get("multipart").is_none());
    // A token of another media opens nothing.
    let foreign = url(&json!({ "upload": { "multipart": multipart } }), "list")?
        .replace(id, media["id"].as_str().context("an id")?);
    nobody.get(&foreign).await?.expect_problem(403, "token_invalid")?;
    let request = api.request(Method::PUT, &format!("/api/media/{id}/multipart"));
    Answer::of(request.send().await?).await?.expect_problem(405, "method_not_allowed")
}

/// With the real handler: it fetches past the Worker as well, and finds out what nobody knew.
#[tokio::test]
async fn the_handler_makes_a_stream_of_what_went_past_the_worker() -> Result<()> {
    let bucket = Bucket::start().await?;
    let stack = Stack::temporary(|options| bucket.configure(options)).await?;
    let api = stack.api();
    let bytes = std::fs::read(clips::video(320, 180, 2)?)?;
    let create = async || {
        let media = api.create(json!({ "size": bytes.len() })).await?;
        let parts = media["upload"]["multipart"]["parts"].as_array().context("parts")?;
        ensure!(parts.len() == 1, "a small file is one part");
        let answer = put(parts[0]["url"].as_str().context("a URL")?, &bytes).await?;
        Ok((media, json!([{ "number": 1, "etag": answer.header("etag") }])))
    };
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();

    let (media, parts) = create().await?;
    api.post(url(&media, "complete")?, json!({ "parts": parts })).await?.expect(200)?;
    let id = media["id"].as_str().context("an id")?;
    let ready = api.wait_status(id, "ready", ENCODE).await?;
    assert_eq!(ready["source"]["sha256"], sha256);

    let (media, parts) = create().await?;
    let lie = json!({ "parts": parts, "sha256": "0".repeat(64) });
    api.post(url(&media, "complete")?, lie).await?.expect(200)?;
    let id = media["id"].as_str().context("an id")?;
    let failed = api.wait_status(id, "failed", ENCODE).await?;
    assert_eq!(failed["error"]["code"], "source_mismatch");
    Ok(())
}
