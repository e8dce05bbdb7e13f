//! The console's page and what lies beside it. They come by way of the Worker so that a wrong method
//! or path is answered with a problem, as everywhere; the large files with immutable names, below
//! `/assets/`, do not (`run_worker_first` in `wrangler.toml`).

use axum::{body::Body, response::IntoResponse};
use http::{
    HeaderValue, Method, StatusCode,
    header::{ALLOW, IF_NONE_MATCH},
    request::Parts,
};
use http_body_util::BodyExt;
use reelmill_shared::problem::ProblemCode;
use worker::{Headers, RequestInit, RequestRedirect};

use super::method_not_allowed;
use crate::{app::App, error::ApiResult};

/// `GET|HEAD` of everything that is no other route.
#[worker::send]
pub(super) async fn serve(app: App, parts: Parts) -> ApiResult {
    let headers = Headers::new();
    if let Some(tag) = parts.headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok()) {
        headers.set(IF_NONE_MATCH.as_str(), tag)?;
    }
    let reading = [Method::GET, Method::HEAD].contains(&parts.method);
    // The router takes the body from the answer to HEAD.
    let method = if reading { worker::Method::Get } else { worker::Method::Head };
    let mut init = RequestInit::new();
    init.with_method(method).with_headers(headers).with_redirect(RequestRedirect::Manual);
    // Only the path counts; which host an asset is asked of does not matter.
    let url = format!("https://console{}", parts.uri);
    let asset = app.assets()?.fetch(url, Some(init)).await?;
    if asset.status() == StatusCode::NOT_FOUND {
        return Err(ProblemCode::NotFound.into());
    }
    if !reading {
        let mut refused = method_not_allowed(parts).await.into_response();
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
        return Ok(refused);
    }
    // Whole, so that the answer to HEAD has its length too. It is a few kilobytes.
    let (head, body) = asset.into_parts();
    let bytes = body.collect().await?.to_bytes();
    Ok(http::Response::from_parts(head, Body::from(bytes)))
}
