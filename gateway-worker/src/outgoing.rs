//! Requests that the gateway sends: to the handler and to webhook endpoints. Always with a time
//! limit, never following redirects, never reading more than asked for.

use std::time::Duration;

use futures_util::future::{Either, select};
use web_sys::ReadableStreamDefaultReader;
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    ResponseBody, Stub, wasm_bindgen::JsCast,
};

use crate::app::read_chunk;

/// What came back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Content-Range` header.
    pub content_range: Option<String>,
    /// The `Content-Length` header, if it is one.
    pub content_length: Option<u64>,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

/// Sends one request and reads at most `limit` bytes of its answer. The error is a sentence.
pub async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, String)],
    body: Option<String>,
    timeout: Duration,
    limit: usize,
) -> Result<Answer, String> {
    send_to(None, method, url, headers, body, timeout, limit).await
}

/// The same to a Durable Object, where one is given: whatever the host in `url`.
pub async fn send_to(
    object: Option<&Stub>,
    method: Method,
    url: &str,
    headers: &[(&str, String)],
    body: Option<String>,
    timeout: Duration,
    limit: usize,
) -> Result<Answer, String> {
    let abort = AbortController::default();
    let signal = abort.signal();
    let exchange = Box::pin(async {
        let request = prepare(method, url, headers, body)?;
        let response = match object {
            None => Fetch::Request(request).send_with_signal(&signal).await?,
            Some(object) => object.fetch_with_request(request).await?,
        };
        let header = |name| response.headers().get(name);
        let answer = Answer {
            status: response.status_code(),
            retry_after: header("retry-after")?,
            etag: header("etag")?,
            content_range: header("content-range")?,
            content_length: header("content-length")?.and_then(|length| length.parse().ok()),
            body: Vec::new(),
        };
        let (_, body) = response.into_parts();
        Ok(Answer { body: beginning(body, limit).await?, ..answer })
    });
    match select(exchange, Box::pin(Delay::from(timeout))).await {
        Either::Left((answer, _)) => {
            answer.map_err(|error: worker::Error| format!("No answer: {error}"))
        }
        Either::Right(_) => {
            abort.abort();
            Err(format!("No answer within {} seconds.", timeout.as_secs()))
        }
    }
}

fn prepare(
    method: Method,
    url: &str,
    headers: &[(&str, String)],
    body: Option<String>,
) -> worker::Result<Request> {
    let list = Headers::new();
    for (name, value) in headers {
        list.set(name, value)?;
    }
    list.set("user-agent", concat!("Reelmill/", env!("CARGO_PKG_VERSION")))?;
    let mut init = RequestInit::new();
    init.with_method(method)
        .with_headers(list)
        .with_redirect(RequestRedirect::Manual)
        .with_body(body.map(Into::into));
    Request::new_with_init(url, &init)
}

async fn beginning(body: ResponseBody, limit: usize) -> worker::Result<Vec<u8>> {
    let mut bytes = match body {
        ResponseBody::Empty => Vec::new(),
        ResponseBody::Body(bytes) => bytes,
        ResponseBody::Stream(stream) => {
            let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
            let mut bytes = Vec::new();
            while bytes.len() < limit
                && let Some(chunk) = read_chunk(&reader).await?
            {
                bytes.extend(chunk.to_vec());
            }
            // Lets go of the connection where the rest is not wanted.
            let _ = reader.cancel();
            bytes
        }
    };
    bytes.truncate(limit);
    Ok(bytes)
}
