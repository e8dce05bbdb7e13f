//! Requests that the gateway sends: to the handler and to webhook endpoints. Always with a time
//! limit, never following redirects, never reading more than asked for.

use std::time::Duration;

use futures_util::future::{Either, select};
use web_sys::ReadableStreamDefaultReader;
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    ResponseBody, wasm_bindgen::JsCast,
};

use crate::app::read_chunk;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
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
    let abort = AbortController::default();
    let signal = abort.signal();
    let exchange = Box::pin(async {
        let request = prepare(method, url, headers, body)?;
        let response = Fetch::Request(request).send_with_signal(&signal).await?;
        let retry_after = response.headers().get("retry-after")?;
        let (status, (_, body)) = (response.status_code(), response.into_parts());
        Ok(Answer { status, retry_after, body: beginning(body, limit).await? })
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
