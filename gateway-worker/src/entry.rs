//! From the runtime's request to a route and back, with what every answer has: CORS headers, a
//! request id, and a problem in place of an empty error.

use std::cell::RefCell;

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::BodyExt;
use reelmill_shared::upload::protocol;
use tower_service::Service;
use url::Url;
use web_sys::ResponseInit;
use worker::{
    Context, Env, Result,
    js_sys::{Array, JsString, Uint8Array},
    wasm_bindgen::JsCast,
};

use crate::{
    app::{App, RawResponse},
    clock,
    config::Config,
    error::{ApiError, ApiResult},
    objects::js,
    routes,
};

/// Headers that a page's script may read, beside those of tus.
const EXPOSED: &str =
    "Content-Length, Content-Range, Accept-Ranges, ETag, Retry-After, X-Request-Id";

/// Headers that a page's script may send, beside those of tus.
const ALLOWED: &str = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Range, \
                       If-Match, If-None-Match, If-Range, Digest, Content-Digest, Repr-Digest, \
                       Cache-Control";

/// Headers of the answer to a preflight.
const PREFLIGHT: &[(&str, &str)] = &[
    ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    ("access-control-max-age", "86400"),
];

/// Answers one request.
pub async fn answer(
    request: web_sys::Request,
    env: Env,
    context: Context,
) -> Result<web_sys::Response> {
    let overridden = request.headers().has("x-http-method-override")?;
    let response = if request.method() == "OPTIONS" && !overridden {
        preflight(&request, &env)
    } else {
        let routed =
            route(&request, env, context).await.unwrap_or_else(IntoResponse::into_response);
        send(routed).await
    };
    let response = response.map_err(|error| worker::Error::RustError(error.problem().detail))?;
    let headers = response.headers();
    // Keys and tokens are never cookies, so any origin may ask.
    headers.set("access-control-allow-origin", "*")?;
    let exposed = format!("{EXPOSED}, {}", protocol::EXPOSED);
    headers.set("access-control-expose-headers", &exposed)?;
    headers.set("x-request-id", &request_id(&request)?)?;
    Ok(response)
}

/// Cloudflare's ray where there is one, so that logs can be joined; else an id of our own.
fn request_id(request: &web_sys::Request) -> Result<String> {
    let ray = request.headers().get("cf-ray")?;
    Ok(ray.unwrap_or_else(|| clock::fresh_uuid(clock::now()).simple().to_string()))
}

fn preflight(request: &web_sys::Request, env: &Env) -> ApiResult<web_sys::Response> {
    let headers = web_sys::Headers::new().map_err(js)?;
    for (name, value) in PREFLIGHT {
        headers.set(name, value).map_err(js)?;
    }
    let allowed = format!("{ALLOWED}, {}", protocol::ALLOWED);
    headers.set("access-control-allow-headers", &allowed).map_err(js)?;
    let url = Url::parse(&request.url()).map_err(ApiError::internal)?;
    if url.path().starts_with(routes::UPLOADS) {
        for (name, value) in routes::tus_abilities(&*Config::of(env)?) {
            headers.set(name, &value).map_err(js)?;
        }
    }
    crate::objects::respond(204, &headers, None)
}

async fn route(request: &web_sys::Request, env: Env, context: Context) -> ApiResult<Response> {
    thread_local! {
        // Built once an isolate: the table does not depend on the request.
        static TABLE: RefCell<Option<Router>> = const { RefCell::new(None) };
    }
    let config = Config::of(&env)?;
    let url = Url::parse(&request.url()).map_err(ApiError::internal)?;
    let app = App::new(env, context, config, &url, request.body());
    let request = translate(request, &url, app)?;
    let mut table =
        TABLE.with(|table| table.borrow_mut().get_or_insert_with(routes::table).clone());
    match table.call(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// The request as axum sees it: everything but the body, which is in [`App`].
fn translate(request: &web_sys::Request, url: &Url, app: App) -> ApiResult<Request<Body>> {
    let method = Method::from_bytes(request.method().as_bytes()).map_err(ApiError::internal)?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    // The router's own words about this would be no problem document.
    if percent_encoding::percent_decode_str(url.path()).decode_utf8().is_err() {
        return Err(ApiError::invalid("The URL's path is not UTF-8."));
    }
    let mut translated = Request::builder()
        .method(method)
        .uri(target)
        .body(Body::empty())
        .map_err(|_| ApiError::invalid("The URL is malformed."))?;
    for entry in request.headers().entries() {
        let entry: Array = entry.map_err(js)?.unchecked_into();
        let text = |at| String::from(entry.get(at).unchecked_into::<JsString>());
        // What is no header to us is none of ours.
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(text(0)), HeaderValue::try_from(text(1)))
        {
            translated.headers_mut().append(name, value);
        }
    }
    translated.extensions_mut().insert(app);
    Ok(translated)
}

/// The response as the runtime sends it.
async fn send(mut response: Response) -> ApiResult<web_sys::Response> {
    if let Some(RawResponse(raw)) = response.extensions_mut().remove() {
        return Ok(raw.0);
    }
    let (parts, body) = response.into_parts();
    let headers = web_sys::Headers::new().map_err(js)?;
    for (name, value) in &parts.headers {
        let value = value.to_str().map_err(ApiError::internal)?;
        headers.append(name.as_str(), value).map_err(js)?;
    }
    let init = ResponseInit::new();
    init.set_status(parts.status.as_u16());
    init.set_headers(&headers);
    let bytes = body.collect().await.map_err(ApiError::internal)?.to_bytes();
    if bytes.is_empty() {
        return web_sys::Response::new_with_opt_str_and_init(None, &init).map_err(js);
    }
    let array = Uint8Array::from(bytes.as_ref());
    web_sys::Response::new_with_opt_js_u8_array_and_init(Some(&array), &init).map_err(js)
}
