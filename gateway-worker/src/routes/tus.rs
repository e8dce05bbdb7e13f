//! `/api/uploads`: resumable uploads by tus 1.0. This reads requests and writes answers; what an
//! upload does is its Durable Object's business.
//!
//! Every answer carries `Tus-Resumable`, errors too, and an answer to `HEAD` never has a body.

mod creation;

use axum::{
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use reelmill_shared::{
    id::UploadId,
    problem::ProblemCode,
    upload::{
        checksum::{Algorithm, Checksum},
        layout::MAX_OBJECT,
        protocol,
    },
};

use crate::{
    app::App,
    config::Config,
    error::{ApiError, ApiResult},
    upload_object::{Chunk, Command, Patch, View, drain},
};

/// `/api/uploads`
#[worker::send]
pub(super) async fn collection(app: App, parts: Parts) -> ApiResult {
    let method = method(&parts);
    let outcome = match method {
        Ok(Method::OPTIONS) => Ok(options(app.config())),
        Ok(Method::POST) => match version(&parts) {
            Ok(()) => creation::create(&app, parts).await,
            Err(error) => Err(error),
        },
        Ok(ref method) => Err(not_allowed(method)),
        Err(ref error) => Err(error.clone()),
    };
    Ok(finish(&app, &method, "OPTIONS, POST", outcome).await)
}

/// `/api/uploads/{id}`
#[worker::send]
pub(super) async fn upload(app: App, path: Path<String>, parts: Parts) -> ApiResult {
    let method = method(&parts);
    let outcome = match &method {
        Ok(Method::OPTIONS) => Ok(options(app.config())),
        Ok(method) => match version(&parts) {
            Ok(()) => on_upload(&app, method, &path, &parts).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error.clone()),
    };
    Ok(finish(&app, &method, "OPTIONS, HEAD, PATCH, DELETE", outcome).await)
}

async fn on_upload(app: &App, method: &Method, path: &str, parts: &Parts) -> ApiResult {
    // What is no id names no upload either.
    let id: UploadId = path.parse().map_err(|_| ProblemCode::UploadNotFound)?;
    let stub = app.upload(id)?;
    match *method {
        Method::HEAD => show(&stub.send(&Command::Show).await?),
        Method::PATCH => {
            let headers = &parts.headers;
            protocol::check_body_type(text(headers, "content-type"))?;
            let patch = patch(headers, protocol::offset(text(headers, "upload-offset"))?)?;
            let view = stub.append(Chunk { patch, body: app.take_body() }).await?;
            let mut answer = empty(StatusCode::NO_CONTENT);
            set(&mut answer, "upload-offset", view.offset()?)?;
            set_common(&mut answer, &view)?;
            Ok(answer)
        }
        Method::DELETE => {
            let () = stub.send(&Command::Terminate).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(not_allowed(method)),
    }
}

/// What a request that carries bytes says of them.
fn patch(headers: &HeaderMap, offset: u64) -> ApiResult<Patch> {
    let checksum = text(headers, "upload-checksum").map(Checksum::parse).transpose()?;
    Ok(Patch {
        offset,
        size: body_size(headers)?,
        length: protocol::length(text(headers, "upload-length"))?,
        checksum: checksum
            .map(|checksum| (checksum.algorithm.as_str().to_owned(), checksum.digest)),
    })
}

/// `Content-Length`, if the body's length is known beforehand.
fn body_size(headers: &HeaderMap) -> ApiResult<Option<u64>> {
    let size = text(headers, "content-length").map(str::parse).transpose();
    size.map_err(|_| ApiError::invalid("`Content-Length` is not a number."))
}

fn show(view: &View) -> ApiResult {
    let mut answer = empty(StatusCode::OK);
    if let Some(offset) = view.offset {
        set(&mut answer, "upload-offset", offset)?;
    }
    match view.length {
        Some(length) => set(&mut answer, "upload-length", length)?,
        None => set(&mut answer, "upload-defer-length", 1)?,
    }
    let echoed = [("upload-metadata", &view.metadata), ("upload-concat", &view.concat)];
    for (name, value) in echoed {
        if let Some(value) = value {
            set(&mut answer, name, value)?;
        }
    }
    set_common(&mut answer, view)?;
    Ok(answer)
}

/// What `POST`, `HEAD` and `PATCH` say alike.
fn set_common(answer: &mut Response, view: &View) -> ApiResult<()> {
    if let Some(at) = view.expires_at {
        set(answer, "upload-expires", protocol::expires(at))?;
    }
    if let Some(media) = view.media {
        set(answer, "reelmill-media-id", media)?;
    }
    Ok(())
}

/// "The `X-HTTP-Method-Override` request header … MUST be interpreted as the request's method."
fn method(parts: &Parts) -> ApiResult<Method> {
    match text(&parts.headers, "x-http-method-override") {
        None => Ok(parts.method.clone()),
        Some(name) => Method::from_bytes(name.to_ascii_uppercase().as_bytes())
            .map_err(|_| ApiError::invalid("`X-HTTP-Method-Override` is no method.")),
    }
}

fn version(parts: &Parts) -> ApiResult<()> {
    Ok(protocol::check_version(text(&parts.headers, "tus-resumable"))?)
}

/// Headers of the answer to `OPTIONS`, also where it is a CORS preflight.
pub fn abilities(config: &Config) -> [(&'static str, String); 5] {
    use reelmill_shared::tier::Tier;
    let most = config.tiers.of(Tier::Unlimited).min(MAX_OBJECT);
    [
        ("tus-resumable", protocol::VERSION.to_owned()),
        ("tus-version", protocol::VERSION.to_owned()),
        ("tus-extension", protocol::EXTENSIONS.to_owned()),
        ("tus-max-size", most.to_string()),
        ("tus-checksum-algorithm", Algorithm::NAMES.to_owned()),
    ]
}

fn options(config: &Config) -> Response {
    let mut answer = empty(StatusCode::NO_CONTENT);
    for (name, value) in abilities(config) {
        let value = HeaderValue::try_from(value).expect("numbers and words");
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// The answer with what all answers have. `allowed` are the methods of the URL (RFC 9110 §15.5.6).
async fn finish(
    app: &App,
    method: &ApiResult<Method>,
    allowed: &'static str,
    outcome: ApiResult,
) -> Response {
    if outcome.is_err()
        && let Some(body) = app.take_body()
    {
        drain(&body).await;
    }
    let mut answer = outcome.unwrap_or_else(IntoResponse::into_response);
    if answer.status() == StatusCode::PRECONDITION_FAILED {
        let version = HeaderValue::from_static(protocol::VERSION);
        answer.headers_mut().insert("tus-version", version);
    }
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    let headers = answer.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static(protocol::VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(method, Ok(Method::HEAD)) {
        headers.remove(header::CONTENT_TYPE);
        *answer.body_mut() = Body::empty();
    }
    answer
}

fn not_allowed(method: &Method) -> ApiError {
    ApiError::new(ProblemCode::MethodNotAllowed, format!("{method} is not allowed here."))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is no text is no valid value of any header here.
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

fn empty(status: StatusCode) -> Response {
    status.into_response()
}

fn set(answer: &mut Response, name: &'static str, value: impl ToString) -> ApiResult<()> {
    let value = HeaderValue::try_from(value.to_string()).map_err(ApiError::internal)?;
    answer.headers_mut().insert(HeaderName::from_static(name), value);
    Ok(())
}
