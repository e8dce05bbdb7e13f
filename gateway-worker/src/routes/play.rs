//! `GET|HEAD /play/{token}/{path}`: the hot path. One HMAC, then the edge cache, then R2; no
//! lookup of anything else.
//!
//! The cache's key is the object's and never contains the token, so one copy serves every viewer,
//! and only after their token was verified. Copies live at most [`EDGE_SECONDS`], which bounds how
//! long a deleted media may still be played.

use http::{HeaderMap, Method, header, request::Parts};
use reelmill_shared::{
    object_key::{ObjectKey, OutputPath},
    problem::ProblemCode,
    token::Grant,
};
use worker::{Cache, Response};

use crate::{
    app::{App, raw},
    error::ApiResult,
    objects::{self, Served, cache_url, js, respond},
    range::{ByteRange, matches_etag},
};

/// How long data centres keep an object.
const EDGE_SECONDS: u32 = 600;

/// `GET|HEAD /play/{token}/{path}`
#[worker::send]
pub(super) async fn serve(app: App, parts: Parts) -> ApiResult {
    let (grant, path) = split(parts.uri.path()).ok_or(ProblemCode::NotFound)?;
    let token = app.config().tokens.verify(grant, app.now())?;
    let Grant::Play { attempt } = token.grant else {
        return Err(ProblemCode::TokenInvalid.into());
    };
    let key = ObjectKey::Output(token.media, attempt, path.clone()).to_string();
    let cacheable = !path.is_mutable();
    if cacheable && let Some(response) = from_cache(&app, &parts, &key).await? {
        return Ok(raw(response));
    }
    let cache_control = edge_cache_control(&path);
    let served = Served { content_type: path.content_type(), cache_control: &cache_control };
    let response =
        objects::serve(&app.bucket()?, &key, &parts.method, &parts.headers, &served).await?;
    if cacheable && parts.method == Method::GET && response.status() == 200 {
        let copy: Response = response.clone().map_err(js)?.into();
        let url = cache_url(app.origin(), &key);
        app.wait_until(async move {
            // The cache is a help and no more: without it the object comes from R2 again.
            let _ = Cache::default().put(url, copy).await;
        });
    }
    Ok(raw(response))
}

/// Token and path, as they stand in the URL: no output path has a character that needs escaping,
/// so whatever is escaped is none.
fn split(path: &str) -> Option<(&str, OutputPath)> {
    let (token, path) = path.strip_prefix("/play/")?.split_once('/')?;
    Some((token, path.parse().ok()?))
}

fn edge_cache_control(path: &OutputPath) -> String {
    if path.is_mutable() {
        return path.cache_control().to_owned();
    }
    format!("{}, s-maxage={EDGE_SECONDS}", path.cache_control())
}

async fn from_cache(app: &App, parts: &Parts, key: &str) -> ApiResult<Option<web_sys::Response>> {
    // `If-Range` needs the object's tag first: rare, and R2's business.
    if parts.headers.contains_key(header::IF_RANGE) || parts.method != Method::GET {
        return Ok(None);
    }
    let url = cache_url(app.origin(), key);
    // Only what we ourselves take for a range: several ranges are answered in full.
    let range = text(&parts.headers, header::RANGE);
    let cached = match range.filter(|range| ByteRange::parse(range).is_some()) {
        None => Cache::default().get(url, true).await?,
        Some(range) => {
            let mut request = worker::Request::new(&url, worker::Method::Get)?;
            request.headers_mut()?.set("range", range)?;
            Cache::default().get(&request, true).await?
        }
    };
    let Some(cached) = cached else { return Ok(None) };
    let cached: web_sys::Response = cached.into();
    // Whatever is not a plain hit is answered in full by R2, with its own problem if need be.
    if !matches!(cached.status(), 200 | 206) {
        return Ok(None);
    }
    let headers = web_sys::Headers::new_with_headers(&cached.headers()).map_err(js)?;
    let known = text(&parts.headers, header::IF_NONE_MATCH);
    let etag = headers.get("etag").map_err(js)?;
    if let (Some(known), Some(etag)) = (known, &etag)
        && matches_etag(known, etag)
    {
        if let Some(body) = cached.body() {
            let _ = body.cancel();
        }
        headers.delete("content-length").map_err(js)?;
        return respond(304, &headers, None).map(Some);
    }
    respond(cached.status(), &headers, cached.body().as_ref()).map(Some)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn splits_token_and_path() {
        let (token, path) = split("/play/abc/hls/main.m3u8").expect("a path");
        assert_eq!((token, path.as_str()), ("abc", "hls/main.m3u8"));
    }

    #[rstest]
    #[case("/play/abc")]
    #[case("/play/abc/")]
    #[case("/play/abc/../source")]
    #[case("/play/abc/hls/..%2f..%2fsource")]
    #[case("/play/abc/hls%2fmain.m3u8")]
    #[case("/play/abc/hls/%6dain.m3u8")]
    #[case("/play/abc/hls/%2e%2e/poster.jpg")]
    #[case("/play/abc//hls/main.m3u8")]
    #[case("/play/abc/hls\\main.m3u8")]
    fn is_nothing_to_play(#[case] path: &str) {
        assert!(split(path).is_none());
    }

    #[test]
    fn the_edge_forgets_what_browsers_keep() {
        let segment = "hls/v720/000000.m4s".parse().expect("a path");
        assert_eq!(
            edge_cache_control(&segment),
            "public, max-age=31536000, immutable, s-maxage=600"
        );
        assert_eq!(edge_cache_control(&"hls/main.m3u8".parse().expect("a path")), "no-cache");
    }
}
