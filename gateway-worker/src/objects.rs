//! Serving objects from R2 (ranges and conditions of RFC 9110), and deleting them.

use futures_util::future::join_all;
use http::{HeaderMap, Method, header};
use reelmill_shared::{id::MediaId, object_key::ObjectKey, problem::ProblemCode};
use url::Url;
use web_sys::{ReadableStream, ResponseInit};
use worker::{Bucket, Cache, Object, Range, ResponseBody};

use crate::{
    error::{ApiError, ApiResult},
    range::{ByteRange, Slice, matches_etag},
};

/// How an object is served.
pub struct Served<'a> {
    /// Media type.
    pub content_type: &'a str,
    /// `Cache-Control`.
    pub cache_control: &'a str,
}

/// Answers a GET or HEAD for the object `key`.
pub async fn serve(
    bucket: &Bucket,
    key: &str,
    method: &Method,
    headers: &HeaderMap,
    served: &Served<'_>,
) -> ApiResult<web_sys::Response> {
    let header = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let range = header(header::RANGE).and_then(ByteRange::parse).filter(|_| method == Method::GET);
    // Past any object's end, and past what a JavaScript number holds.
    let representable = |at: u64| at < 1 << 53;
    let wanted = match range {
        Some(ByteRange::FromTo(first, last)) if representable(first) => {
            let length = last.saturating_sub(first).saturating_add(1).min(1 << 52);
            Some(Range::OffsetWithLength { offset: first, length })
        }
        Some(ByteRange::From(first)) if representable(first) => {
            Some(Range::OffsetToEnd { offset: first })
        }
        Some(ByteRange::Last(length)) if length > 0 => {
            Some(Range::Suffix { suffix: length.min(1 << 52) })
        }
        Some(_) => return Err(unsatisfiable(bucket, key).await),
        None => None,
    };
    // `If-Range` and ranges that R2 refuses are rare: they are read in full and cut here.
    let object = if method == Method::HEAD {
        bucket.head(key).await?
    } else {
        let mut get = bucket.get(key);
        if let Some(range) = wanted.filter(|_| header(header::IF_RANGE).is_none()) {
            get = get.range(range);
        }
        match get.execute().await {
            Ok(object) => object,
            Err(error) if error.to_string().contains("10039") => {
                return Err(unsatisfiable(bucket, key).await);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let object = object.ok_or(ProblemCode::NotFound)?;
    let (size, etag) = (object.size(), object.http_etag());

    if header(header::IF_MATCH).is_some_and(|wanted| !matches_etag(wanted, &etag)) {
        discard(&object);
        return Err(ProblemCode::PreconditionFailed.into());
    }
    let base = base_headers(served, &etag)?;
    if header(header::IF_NONE_MATCH).is_some_and(|known| matches_etag(known, &etag)) {
        discard(&object);
        return respond(304, &base, None);
    }
    if let Some(validator) = header(header::IF_RANGE)
        && let Some(range) = wanted_if_same(range, validator, &etag)
    {
        discard(&object);
        let slice = range.slice(size).ok_or_else(|| ApiError::range(size))?;
        let part = Range::OffsetWithLength { offset: slice.offset, length: slice.length };
        let object = bucket.get(key).range(part).execute().await?.ok_or(ProblemCode::NotFound)?;
        return partial(&object, slice, size, &base);
    }
    match range.filter(|_| header(header::IF_RANGE).is_none()) {
        Some(range) => {
            let slice = range.slice(size).ok_or_else(|| ApiError::range(size))?;
            partial(&object, slice, size, &base)
        }
        None => {
            base.set("content-length", &size.to_string()).map_err(js)?;
            respond(200, &base, stream(&object)?.as_ref())
        }
    }
}

/// `If-Range` asks for the part only if the object is still the one it knows (strong comparison).
fn wanted_if_same(range: Option<ByteRange>, validator: &str, etag: &str) -> Option<ByteRange> {
    range.filter(|_| validator.trim() == etag)
}

fn partial(
    object: &Object,
    slice: Slice,
    size: u64,
    headers: &web_sys::Headers,
) -> ApiResult<web_sys::Response> {
    let last = slice.offset + slice.length - 1;
    let range = format!("bytes {}-{last}/{size}", slice.offset);
    headers.set("content-range", &range).map_err(js)?;
    headers.set("content-length", &slice.length.to_string()).map_err(js)?;
    respond(206, headers, stream(object)?.as_ref())
}

async fn unsatisfiable(bucket: &Bucket, key: &str) -> ApiError {
    match bucket.head(key).await {
        Ok(Some(object)) => ApiError::range(object.size()),
        Ok(None) => ProblemCode::NotFound.into(),
        Err(error) => error.into(),
    }
}

fn base_headers(served: &Served<'_>, etag: &str) -> ApiResult<web_sys::Headers> {
    let headers = web_sys::Headers::new().map_err(js)?;
    for (name, value) in [
        ("content-type", served.content_type),
        ("cache-control", served.cache_control),
        ("etag", etag),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.set(name, value).map_err(js)?;
    }
    Ok(headers)
}

fn stream(object: &Object) -> ApiResult<Option<ReadableStream>> {
    match object.body().map(worker::ObjectBody::response_body).transpose()? {
        Some(ResponseBody::Stream(stream)) => Ok(Some(stream)),
        _ => Ok(None),
    }
}

/// Lets go of a body that nobody will read.
fn discard(object: &Object) {
    if let Ok(Some(stream)) = stream(object) {
        let _ = stream.cancel();
    }
}

/// A response with a native stream for its body.
pub fn respond(
    status: u16,
    headers: &web_sys::Headers,
    body: Option<&ReadableStream>,
) -> ApiResult<web_sys::Response> {
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(headers);
    web_sys::Response::new_with_opt_readable_stream_and_init(body, &init).map_err(js)
}

/// Reports what JavaScript threw.
pub fn js(thrown: worker::wasm_bindgen::JsValue) -> ApiError {
    worker::Error::from(thrown).into()
}

/// Under which URL an output is kept in the edge cache, whoever's token it was fetched with.
pub fn cache_url(origin: &Url, key: &str) -> String {
    format!("{origin}play/{key}")
}

/// Deletes every object of a media, a thousand at a time, and drops them from the cache of the data
/// centre at hand. Other caches forget them by their short lifetime.
pub async fn delete_all(bucket: &Bucket, media: MediaId, origin: &Url) -> ApiResult<()> {
    let prefix = ObjectKey::media_prefix(media);
    let cache = Cache::default();
    loop {
        // What was listed is deleted, so the next page is the first one again.
        let keys: Vec<String> = bucket
            .list()
            .prefix(&prefix)
            .execute()
            .await?
            .objects()
            .iter()
            .map(Object::key)
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let dropped = keys.iter().map(|key| cache.delete(cache_url(origin, key), true));
        join_all(dropped).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        bucket.delete_multiple(keys).await?;
    }
}
