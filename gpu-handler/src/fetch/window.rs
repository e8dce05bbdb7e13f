//! One range of a download.

use std::{
    io::SeekFrom,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use reelmill_shared::job::{Failure, FailureCode};
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_RANGE, IF_MATCH, RANGE},
};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
};
use url::Url;

use super::unwritable;

/// The bytes `start..end` of a source of `total` bytes.
pub(super) struct Window {
    pub client: Client,
    pub url: Url,
    pub if_match: Option<String>,
    pub start: u64,
    pub end: u64,
    pub total: u64,
    /// Bytes that all windows have got together.
    pub done: Arc<AtomicU64>,
}

enum Trouble {
    /// Trying again may help.
    Passing(&'static str),
    /// It will not.
    Lasting(Failure),
}

impl Window {
    /// Gets the range into the file at `path` and tells where it ends.
    pub(super) async fn fetch(
        &self,
        path: &Path,
        backoff: ExponentialBuilder,
    ) -> Result<u64, Failure> {
        let mut file =
            File::options().write(true).open(path).await.map_err(|error| unwritable(&error))?;
        let mut reached = self.start;
        let mut waits = backoff.build();
        loop {
            let before = reached;
            match self.attempt(&mut file, &mut reached).await {
                Ok(()) => return Ok(self.end),
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Err(Trouble::Passing(reason)) => {
                    if reached > before {
                        waits = backoff.build();
                    }
                    let Some(wait) = waits.next() else {
                        return Err(Failure::new(
                            FailureCode::FetchFailed,
                            format!("the source could not be fetched: {reason}"),
                        ));
                    };
                    tracing::warn!(reason, start = self.start, reached, ?wait, "range broke off");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn attempt(&self, file: &mut File, reached: &mut u64) -> Result<(), Trouble> {
        let response = self.request(*reached).await?;
        let disk = |error: std::io::Error| Trouble::Lasting(unwritable(&error));
        file.seek(SeekFrom::Start(*reached)).await.map_err(disk)?;
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| Trouble::Passing("the connection broke"))?;
            if chunk.len() as u64 > self.end - *reached {
                return Err(mismatch("the source answered with more than was asked for"));
            }
            file.write_all(&chunk).await.map_err(disk)?;
            *reached += chunk.len() as u64;
            self.done.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        // Tokio's file writes behind: an error of the last write shows only here.
        file.flush().await.map_err(disk)?;
        if *reached == self.end { Ok(()) } else { Err(Trouble::Passing("an answer was cut short")) }
    }

    async fn request(&self, from: u64) -> Result<Response, Trouble> {
        let mut request = self
            .client
            .get(self.url.clone())
            .header(RANGE, format!("bytes={from}-{}", self.end - 1));
        if let Some(etag) = &self.if_match {
            request = request.header(IF_MATCH, etag);
        }
        let response =
            request.send().await.map_err(|_| Trouble::Passing("it could not be reached"))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => self.check_range(&response, from).map(|()| response),
            // A server that knows no ranges will do if everything was asked for.
            StatusCode::OK if from == 0 && self.end == self.total => {
                match response.content_length() {
                    Some(length) if length != self.total => {
                        Err(mismatch("the source is not as long as the job says"))
                    }
                    _ => Ok(response),
                }
            }
            StatusCode::OK => Err(failed("the source could not be fetched: it answers no ranges")),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(mismatch("the source is gone")),
            StatusCode::PRECONDITION_FAILED => Err(mismatch("the source is another one by now")),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                Err(mismatch("the source is shorter than the job says"))
            }
            StatusCode::CONFLICT => Err(Trouble::Lasting(Failure::new(
                FailureCode::Cancelled,
                "nobody waits for this attempt any more",
            ))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(failed("the source could not be fetched: access is denied"))
            }
            status if status.is_server_error() => Err(Trouble::Passing("its server has an error")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Err(Trouble::Passing("its server is busy"))
            }
            _ => Err(failed("the source could not be fetched: its server refuses")),
        }
    }

    /// The range that was answered must be the one that was asked for (RFC 9110 §14.4).
    fn check_range(&self, response: &Response, from: u64) -> Result<(), Trouble> {
        let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let (bytes, total) = range
            .and_then(|range| range.strip_prefix("bytes ")?.split_once('/'))
            .ok_or(Trouble::Passing("a range was not named"))?;
        if total != "*" && total.parse() != Ok(self.total) {
            return Err(mismatch("the source is not as long as the job says"));
        }
        let first = bytes.split_once('-').and_then(|(first, _)| first.parse().ok());
        if first == Some(from) {
            Ok(())
        } else {
            Err(Trouble::Passing("another range was answered"))
        }
    }
}

/// An entity tag in the form of a header (RFC 9110 §8.8.3): R2 tells it without quotes.
pub(super) fn quoted(etag: &str) -> String {
    if etag.starts_with('"') || etag.starts_with("W/") {
        etag.to_owned()
    } else {
        format!("\"{etag}\"")
    }
}

fn mismatch(message: &str) -> Trouble {
    Trouble::Lasting(Failure::new(FailureCode::SourceMismatch, message))
}

fn failed(message: &str) -> Trouble {
    Trouble::Lasting(Failure::new(FailureCode::FetchFailed, message))
}
