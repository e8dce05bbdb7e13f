//! Everything a player may fetch, and everything that nobody may.

use anyhow::{Context, Result};
use e2e::{
    api::{Answer, Api},
    stack::Stack,
    wait::until,
};
use reqwest::Method;
use serde_json::json;

use crate::{SEGMENT, SOON, publish, segment, with_stand_in};

const PATH: &str = "hls/v360/000000.m4s";

async fn get(api: &Api, url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let request = headers.iter().fold(api.request(Method::GET, url), |request, (name, value)| {
        request.header(*name, *value)
    });
    Answer::of(request.send().await?).await
}

/// Raw bytes on the wire: an HTTP client would tidy up `..` and escapes.
async fn raw_status(stack: &Stack, target: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = stack.url().replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(&address).await?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn playback_is_what_players_and_caches_expect() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let id = api.upload("a.mp4", "a source that must stay private").await?;
    publish(&stack, &handler.job(1).await?).await?;
    let playback = api.playback(&id).await?;
    let token = playback["token"].as_str().context("a token")?;
    let url = format!("/play/{token}/{PATH}");
    let bytes = segment();

    // Whole, and again from the cache.
    for _ in 0..2 {
        let whole = get(&api, &url, &[]).await?;
        whole.expect(200)?;
        assert_eq!(whole.body, bytes);
        assert_eq!(whole.header("content-type"), "video/iso.segment");
        assert_eq!(whole.header("accept-ranges"), "bytes");
        assert_eq!(whole.header("content-length"), SEGMENT.to_string());
        assert!(whole.header("cache-control").contains("immutable"));
        assert_eq!(whole.header("access-control-allow-origin"), "*");
        assert_eq!(whole.header("x-content-type-options"), "nosniff");
    }
    let whole = get(&api, &url, &[]).await?;
    let etag = whole.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");

    // Ranges: from the start, in the middle, to the end, the last bytes, cut off at the end.
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=1000-1999", 1000..2000),
        ("bytes=99990-", 99_990..SEGMENT),
        ("bytes=-10", SEGMENT - 10..SEGMENT),
        ("bytes=99990-200000", 99_990..SEGMENT),
    ] {
        let part = get(&api, &url, &[("range", range)]).await?;
        part.expect(206)?;
        assert_eq!(part.body, &bytes[expected.clone()], "{range}");
        assert_eq!(
            part.header("content-range"),
            format!("bytes {}-{}/{SEGMENT}", expected.start, expected.end - 1)
        );
        assert_eq!(part.header("content-length"), expected.len().to_string());
    }
    let past = get(&api, &url, &[("range", "bytes=100000-")]).await?;
    past.expect_problem(416, "range_not_satisfiable")?;
    assert_eq!(past.header("content-range"), format!("bytes */{SEGMENT}"));
    // What is no range, or several, may be answered whole (RFC 9110 §14.2).
    get(&api, &url, &[("range", "pages=1-2")]).await?.expect(200)?;
    get(&api, &url, &[("range", "bytes=9-2")]).await?.expect(200)?;

    // Conditions.
    let unchanged = get(&api, &url, &[("if-none-match", &etag)]).await?;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), etag);
    get(&api, &url, &[("if-none-match", "\"another\"")]).await?.expect(200)?;
    let range = ("range", "bytes=0-9");
    get(&api, &url, &[range, ("if-range", &etag)]).await?.expect(206)?;
    get(&api, &url, &[range, ("if-range", "\"another\"")]).await?.expect(200)?;

    // HEAD has all headers and no body; playlists are revalidated.
    let head = Answer::of(api.request(Method::HEAD, &url).send().await?).await?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), SEGMENT.to_string());
    assert_eq!(head.header("etag"), etag);
    let main = get(&api, playback["hls"].as_str().context("hls")?, &[]).await?;
    main.expect(200)?;
    assert!(main.header("cache-control").contains("no-cache"), "{}", main.header("cache-control"));

    // CORS, as hls.js asks for it.
    let preflight = api
        .request(Method::OPTIONS, &url)
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "range");
    let preflight = Answer::of(preflight.send().await?).await?;
    assert!(preflight.status == 204 || preflight.status == 200);
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert!(preflight.header("access-control-allow-headers").to_lowercase().contains("range"));
    let exposed = whole.header("access-control-expose-headers").to_lowercase();
    assert!(exposed.contains("content-range") && exposed.contains("etag"), "{exposed}");

    let post = Answer::of(api.request(Method::POST, &url).send().await?).await?;
    post.expect_problem(405, "method_not_allowed")?;
    get(&api, &format!("/play/{token}/hls/v360/000001.m4s"), &[])
        .await?
        .expect_problem(404, "not_found")?;
    Ok(())
}

#[tokio::test]
async fn tokens_open_what_they_are_for_and_nothing_else() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let api = stack.api();
    let mine = api.upload("a.mp4", "a source that must stay private").await?;
    publish(&stack, &handler.job(1).await?).await?;
    let other = api.upload("b.mp4", "another source").await?;
    let job = handler.job(2).await?;
    let playback = api.playback(&mine).await?;
    let token = playback["token"].as_str().context("a token")?;

    // No way up or down the tree, however it is spelled.
    for path in [
        "../source",
        "../../a1/poster.jpg",
        "hls/../../source",
        "%2e%2e/source",
        "%2e%2e%2fsource",
        "hls%2f..%2f..%2fsource",
        "..%5csource",
        "hls//main.m3u8",
        "hls/main.m3u8%00",
        "hls%2fmain.m3u8%2f",
        "%252e%252e%252fsource",
        "source",
        "",
    ] {
        let answer = raw_status(&stack, &format!("/play/{token}/{path}")).await?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(!answer.contains("must stay private"), "{path} leaks");
        // A server may resolve dot segments by itself; what is left has no valid token then.
        assert!(["400", "403", "404"].contains(&status), "{path}: {answer}");
        assert!(answer.contains("application/problem+json") || status == "400", "{path}: {answer}");
    }

    // What a URL's own rules (WHATWG, dot segments) resolve to an output is that output.
    for path in ["hls/../poster.jpg", "hls/%2e%2e/poster.jpg"] {
        let answer = raw_status(&stack, &format!("/play/{token}/{path}")).await?;
        assert!(answer.contains(" 404 ") || answer.ends_with("not really a picture"), "{answer}");
    }

    // Altered at any place; cut short; of nothing.
    for at in [0, 1, 10, 30, token.len() / 2, token.len() - 2] {
        let mut altered = token.as_bytes().to_vec();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered)?;
        api.get(&format!("/play/{altered}/{PATH}")).await?.expect_problem(403, "token_invalid")?;
    }
    for bad in [&token[..token.len() - 4], "x", "null", &"A".repeat(4000)] {
        api.get(&format!("/play/{bad}/{PATH}")).await?.expect_problem(403, "token_invalid")?;
    }

    // Another media's token, and tokens for something else.
    job.put("hls/v360/000000.m4s", "the other media's segment").await?.expect(200)?;
    let theirs = api.get(&format!("/play/{token}/{PATH}")).await?;
    assert_eq!(theirs.body, segment(), "the token says whose segment it is");
    let created = api.create(json!({})).await?;
    let watch = created["events"].as_str().and_then(|url| url.split("token=").nth(1));
    let watch = watch.context("an events token")?;
    api.get(&format!("/play/{watch}/{PATH}")).await?.expect_problem(403, "token_invalid")?;
    let source = format!("/api/handler/source/{token}");
    Api::new(stack.url(), None).get(&source).await?.expect_problem(403, "token_invalid")?;
    let events = format!("/api/media/{other}/events?token={watch}");
    Api::new(stack.url(), None).get(&events).await?.expect_problem(403, "token_invalid")?;

    // Not before there is something to play, and not with a silly lifetime.
    api.post(&format!("/api/media/{other}/playback"), json!({}))
        .await?
        .expect_problem(409, "not_playable")?;
    for expires_in in [json!(0), json!(-5), json!("soon")] {
        api.post(&format!("/api/media/{mine}/playback"), json!({ "expiresIn": expires_in }))
            .await?
            .expect_problem(400, "invalid_request")?;
    }

    // Expired: says so.
    let short = api
        .post(&format!("/api/media/{mine}/playback"), json!({ "expiresIn": 1, "viewer": "anna" }))
        .await?
        .expect(200)?;
    let short = short["token"].as_str().context("a token")?.to_owned();
    let expired = until("the token expires", SOON, async || {
        let answer = api.get(&format!("/play/{short}/{PATH}")).await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await?;
    expired.expect_problem(403, "token_expired")?;
    Ok(())
}
