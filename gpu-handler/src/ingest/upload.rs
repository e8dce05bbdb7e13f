//! The other end: a client of the gateway's own resumable uploads (tus 1.0).
//!
//! A piece is sent until it is stored. Whatever happened to a request, `HEAD` tells how far the
//! upload is, and the piece goes on from there.

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use reelmill_shared::job::{Failure, FailureCode};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use url::Url;

/// An upload that is going on.
pub(super) struct Upload {
    client: Client,
    url: Url,
    /// Whether its length was told.
    length_known: bool,
    offset: u64,
    backoff: ExponentialBuilder,
}

/// Why a request did not do what it should.
enum Trouble {
    /// Trying again may help.
    Passing(Failure),
    /// It will not.
    Lasting(Failure),
}

impl Upload {
    /// Creates an upload of `length` bytes, or of a length that is told at its end.
    pub(super) async fn create(
        client: &Client,
        creation: &Url,
        length: Option<u64>,
        backoff: ExponentialBuilder,
    ) -> Result<Self, Failure> {
        let mut waits = backoff.build();
        loop {
            let request = match length {
                Some(length) => client.post(creation.clone()).header("upload-length", length),
                None => client.post(creation.clone()).header("upload-defer-length", "1"),
            };
            let created = ask(request.header(CONTENT_LENGTH, 0)).await.and_then(|response| {
                let location = response.headers().get(LOCATION).and_then(|url| url.to_str().ok());
                location.and_then(|location| creation.join(location).ok()).ok_or_else(no_answer)
            });
            let failure = match created {
                Ok(url) => {
                    let (client, length_known) = (client.clone(), length.is_some());
                    return Ok(Self { client, url, length_known, offset: 0, backoff });
                }
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Err(Trouble::Passing(failure)) => failure,
            };
            let Some(wait) = waits.next() else { return Err(failure) };
            tokio::time::sleep(wait).await;
        }
    }

    /// Stores a piece; the last one tells the `length` of all.
    ///
    /// # Errors
    /// `store_failed` when the gateway takes it in spite of retries, `cancelled` when nobody waits for
    /// the source any more, `source_too_large` when it is beyond the gateway's limit.
    pub(super) async fn send(&mut self, piece: Bytes, length: Option<u64>) -> Result<(), Failure> {
        let start = self.offset;
        let end = start + piece.len() as u64;
        let mut tell = length.filter(|_| !self.length_known);
        let mut waits = self.backoff.build();
        let mut in_doubt = false;
        while self.offset < end || tell.is_some() {
            let before = self.offset;
            let outcome = if in_doubt {
                self.ask_offset().await
            } else {
                let done = usize::try_from(self.offset - start).unwrap_or(usize::MAX);
                self.patch(piece.slice(done.min(piece.len())..), tell).await
            };
            let failure = match outcome {
                Ok((offset, told)) if (self.offset..=end).contains(&offset) => {
                    self.offset = offset;
                    // What is told once is told; after a doubt the answer says whether it was.
                    tell = tell.filter(|_| !told);
                    in_doubt = false;
                    if self.offset > before {
                        waits = self.backoff.build();
                    }
                    continue;
                }
                Ok(_) => {
                    let message = "the gateway has other bytes of the source than it was sent";
                    return Err(Failure::new(FailureCode::StoreFailed, message));
                }
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Err(Trouble::Passing(failure)) => failure,
            };
            in_doubt = true;
            let Some(wait) = waits.next() else { return Err(failure) };
            tracing::warn!(%failure, offset = self.offset, ?wait, "a piece was not stored");
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Gives the offset after it, and whether the length is known.
    async fn patch(&self, bytes: Bytes, tell: Option<u64>) -> Result<(u64, bool), Trouble> {
        let mut request = self
            .client
            .patch(self.url.clone())
            .header(CONTENT_TYPE, "application/offset+octet-stream")
            .header(CONTENT_LENGTH, bytes.len())
            .header("upload-offset", self.offset);
        if let Some(length) = tell {
            request = request.header("upload-length", length);
        }
        let response = ask(request.body(bytes)).await?;
        number(&response, "upload-offset").map(|offset| (offset, true)).ok_or_else(no_answer)
    }

    async fn ask_offset(&self) -> Result<(u64, bool), Trouble> {
        let response = ask(self.client.request(Method::HEAD, self.url.clone())).await?;
        let known = number(&response, "upload-length").is_some();
        number(&response, "upload-offset").map(|offset| (offset, known)).ok_or_else(no_answer)
    }
}

async fn ask(request: RequestBuilder) -> Result<Response, Trouble> {
    let response = request.header("tus-resumable", "1.0.0").send().await;
    let response = response.map_err(|_| passing("the gateway could not be reached"))?;
    let lasting = |code, message: &str| Err(Trouble::Lasting(Failure::new(code, message)));
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            lasting(FailureCode::Cancelled, "nobody waits for this source any more")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            lasting(FailureCode::SourceTooLarge, "the source is larger than the gateway takes")
        }
        StatusCode::CONFLICT
        | StatusCode::LOCKED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS => Err(passing("the gateway is busy")),
        status if status.is_server_error() => Err(passing("the gateway has an error")),
        status => {
            let message = format!("the gateway refuses the source with status {}", status.as_u16());
            lasting(FailureCode::StoreFailed, &message)
        }
    }
}

fn number(response: &Response, name: &str) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.parse().ok()
}

fn no_answer() -> Trouble {
    passing("the gateway's answer cannot be understood")
}

fn passing(message: &str) -> Trouble {
    Trouble::Passing(Failure::new(FailureCode::StoreFailed, message))
}
