//! A source behind a capability URL.

use futures::{FutureExt, StreamExt, future::BoxFuture};
use reelmill_shared::job::{Failure, FailureCode, Input};
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_RANGE, IF_MATCH, RANGE},
};
use url::Url;

use super::{
    Source,
    source::{Chunks, Origin, Trouble, check_range, quoted},
};

struct Http {
    client: Client,
    url: Url,
    if_match: Option<String>,
    total: u64,
}

impl Source {
    /// Takes the source from its `http(s)` URL.
    pub fn http(client: &Client, input: &Input) -> Self {
        Self::origin(Http {
            client: client.clone(),
            url: input.url.clone(),
            if_match: input.etag.as_deref().map(quoted),
            total: input.size,
        })
    }
}

impl Origin for Http {
    fn open(&self, from: u64, end: u64) -> BoxFuture<'_, Result<Chunks, Trouble>> {
        async move {
            let body = self.request(from, end).await?.bytes_stream();
            Ok(body.map(|chunk| chunk.map_err(|_| "the connection broke")).boxed())
        }
        .boxed()
    }
}

impl Http {
    async fn request(&self, from: u64, end: u64) -> Result<Response, Trouble> {
        let range = format!("bytes={from}-{}", end - 1);
        let mut request = self.client.get(self.url.clone()).header(RANGE, range);
        if let Some(etag) = &self.if_match {
            request = request.header(IF_MATCH, etag);
        }
        let response =
            request.send().await.map_err(|_| Trouble::Passing("it could not be reached"))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(CONTENT_RANGE);
                let range = range.and_then(|value| value.to_str().ok());
                check_range(range, from, self.total).map(|()| response)
            }
            // A server that knows no ranges will do if everything was asked for.
            StatusCode::OK if from == 0 && end == self.total => match response.content_length() {
                Some(length) if length != self.total => {
                    Err(Trouble::mismatch("the source is not as long as the job says"))
                }
                _ => Ok(response),
            },
            StatusCode::OK => {
                Err(Trouble::failed("the source could not be fetched: it answers no ranges"))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(Trouble::mismatch("the source is gone"))
            }
            StatusCode::PRECONDITION_FAILED => {
                Err(Trouble::mismatch("the source is another one by now"))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                Err(Trouble::mismatch("the source is shorter than the job says"))
            }
            StatusCode::CONFLICT => Err(Trouble::Lasting(Failure::new(
                FailureCode::Cancelled,
                "nobody waits for this attempt any more",
            ))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Trouble::failed("the source could not be fetched: access is denied"))
            }
            status if status.is_server_error() => Err(Trouble::Passing("its server has an error")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Err(Trouble::Passing("its server is busy"))
            }
            _ => Err(Trouble::failed("the source could not be fetched: its server refuses")),
        }
    }
}
