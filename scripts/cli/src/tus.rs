//! One file on its way by tus 1.0 (<https://tus.io/protocols/resumable-upload>), over a network that
//! breaks: after every trouble the gateway is asked how far it got, and the file goes on from there.

use std::{
    io::SeekFrom,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use reqwest::{
    Body, Client, Method, RequestBuilder, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use url::Url;

use crate::{
    failure::{Failure, Kind},
    http::{Patience, Trouble, client, succeeded},
    input::Source,
};

/// Body of one PATCH, in bytes: below the 100 MB that Cloudflare takes in a request.
pub(crate) const PIECE: u64 = 64 * 1024 * 1024;
/// How much of a file is in memory at a time.
const CHUNK: usize = 256 * 1024;
/// A request of which nothing moved for so long is given up.
const STALL: Duration = Duration::from_secs(90);

/// How sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The gateway has every byte.
    Complete,
    /// The gateway knows nothing of the upload any more, or its media takes no bytes any more.
    Lost,
}

/// A client of tus servers.
#[derive(Debug, Clone)]
pub(crate) struct Tus {
    http: Client,
    patience: Patience,
    piece: u64,
    stall: Duration,
}

/// What happens while a file is sent.
pub(crate) trait Observer {
    /// So many bytes of the file are there, or on their way.
    fn sent(&self, bytes: u64);
    /// Trouble that is being sat out, or `None` when it is over.
    fn trouble(&self, failure: Option<&Failure>);
}

impl Tus {
    /// A client with these manners.
    pub(crate) fn new(patience: Patience) -> Self {
        // No read timeout: it would count from the beginning of a body that takes its time.
        let http = client().build().expect("a client without special wishes");
        Self { http, patience, piece: PIECE, stall: STALL }
    }

    /// Creates an upload of `size` bytes at `endpoint`; answers with its URL.
    pub(crate) async fn create(&self, endpoint: &Url, size: u64) -> Result<Url, Failure> {
        let mut pauses = self.patience.pauses();
        loop {
            let request = self.request(Method::POST, endpoint).header("upload-length", size);
            match self.answer(request.header(CONTENT_LENGTH, 0), &AtomicU64::new(0)).await {
                Ok(answer) => return location(endpoint, &answer),
                Err(trouble) => pauses.sit_out(trouble).await?,
            }
        }
    }

    /// Sends what is missing of `source` at `upload`. Trouble that passes is sat out.
    ///
    /// # Errors
    /// The file changed or cannot be read, the server refuses, or trouble lasts.
    pub(crate) async fn send(
        &self,
        upload: &Url,
        source: &Source,
        observer: &(impl Observer + Clone + Send + Sync + 'static),
    ) -> Result<Ended, Failure> {
        let mut pauses = self.patience.pauses();
        let mut furthest = 0;
        // Nobody knows how far an upload got but the server.
        let mut known = None;
        loop {
            let step = match known {
                None => self.offset(upload, source).await,
                Some(offset) => self.piece(upload, source, offset, observer).await,
            };
            match step {
                Ok(offset) => {
                    observer.trouble(None);
                    observer.sent(offset);
                    if offset == source.size {
                        return Ok(Ended::Complete);
                    }
                    if offset > furthest {
                        // It moves: patience begins anew.
                        furthest = offset;
                        pauses = self.patience.pauses();
                    }
                    known = Some(offset);
                }
                Err(Trouble::Final(failure)) if is_over(&failure) => return Ok(Ended::Lost),
                Err(trouble) => {
                    if let Trouble::Passing { failure, .. } = &trouble {
                        observer.trouble(Some(failure));
                    }
                    pauses.sit_out(trouble).await?;
                    known = None;
                }
            }
        }
    }

    /// How far the server got.
    async fn offset(&self, upload: &Url, source: &Source) -> Result<u64, Trouble> {
        let request = self.request(Method::HEAD, upload);
        let answer = self.answer(request, &AtomicU64::new(0)).await?;
        let length = number(&answer, "upload-length");
        if length.is_some_and(|length| length != source.size) {
            return Err(strange("an upload of another length stands in this one's place"));
        }
        next_offset(&answer, 0, source.size)
    }

    /// Sends one piece from `offset`; answers with the offset after it.
    async fn piece(
        &self,
        upload: &Url,
        source: &Source,
        offset: u64,
        observer: &(impl Observer + Clone + Send + Sync + 'static),
    ) -> Result<u64, Trouble> {
        source.check().map_err(Trouble::Final)?;
        let length = self.piece.min(source.size - offset);
        let taken = Arc::new(AtomicU64::new(0));
        let body = body(source, offset, length, taken.clone(), observer.clone()).await?;
        let request = self
            .request(Method::PATCH, upload)
            .header("upload-offset", offset)
            .header(CONTENT_TYPE, "application/offset+octet-stream")
            .header(CONTENT_LENGTH, length)
            .body(body);
        let answer = self.answer(request, &taken).await?;
        next_offset(&answer, offset, offset + length)
    }

    fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        self.http.request(method, url.clone()).header("tus-resumable", "1.0.0")
    }

    /// The answer to a request whose body counts in `taken`. It is given up when neither moves.
    async fn answer(
        &self,
        request: RequestBuilder,
        taken: &AtomicU64,
    ) -> Result<Response, Trouble> {
        let mut sending = std::pin::pin!(request.send());
        let mut before = taken.load(Ordering::Relaxed);
        let response = loop {
            match tokio::time::timeout(self.stall, &mut sending).await {
                Ok(response) => break response?,
                Err(_) => {
                    let now = taken.load(Ordering::Relaxed);
                    if now == before {
                        return Err(passing(Failure::new(Kind::Unreachable, "nothing moves")));
                    }
                    before = now;
                }
            }
        };
        let status = response.status();
        match succeeded(response).await {
            // Another offset, or somebody holds the lock: both pass once the server is asked.
            Err(Trouble::Final(failure))
                if matches!(status, StatusCode::CONFLICT | StatusCode::LOCKED)
                    && !is_over(&failure) =>
            {
                Err(passing(failure))
            }
            answer => answer,
        }
    }
}

/// Whether a refusal means that there is nothing to send to any more: then the media tells why.
pub(crate) fn is_over(failure: &Failure) -> bool {
    failure.kind == Kind::NotFound
        || matches!(failure.code.as_deref(), Some("upload_closed" | "source_exists"))
}

/// `length` bytes of a file from `offset`, read as they are sent.
async fn body(
    source: &Source,
    offset: u64,
    length: u64,
    taken: Arc<AtomicU64>,
    observer: impl Observer + Send + Sync + 'static,
) -> Result<Body, Trouble> {
    let unreadable = |error: std::io::Error| {
        Trouble::Final(Failure::new(Kind::Failed, format!("cannot read it: {error}")))
    };
    let mut file = tokio::fs::File::open(&source.path).await.map_err(unreadable)?;
    file.seek(SeekFrom::Start(offset)).await.map_err(unreadable)?;
    let stream = ReaderStream::with_capacity(file.take(length), CHUNK).inspect_ok(move |chunk| {
        let before = taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        observer.sent(offset + before + chunk.len() as u64);
    });
    Ok(Body::wrap_stream(stream))
}

/// Where a created upload is. The URL may be relative (RFC 9110, section 10.2.2).
fn location(endpoint: &Url, answer: &Response) -> Result<Url, Failure> {
    let text = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let url = text.and_then(|text| endpoint.join(text).ok());
    url.filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| strange("the upload was created, but nobody says where").into())
}

/// The offset in an answer, which must lie between `least` and `most`.
fn next_offset(answer: &Response, least: u64, most: u64) -> Result<u64, Trouble> {
    number(answer, "upload-offset")
        .filter(|offset| (least..=most).contains(offset))
        .ok_or_else(|| strange("the gateway says no offset that makes sense"))
}

fn number(answer: &Response, header: &str) -> Option<u64> {
    answer.headers().get(header)?.to_str().ok()?.parse().ok()
}

fn passing(failure: Failure) -> Trouble {
    Trouble::Passing { failure, after: None }
}

/// Not what the protocol says.
fn strange(what: &str) -> Trouble {
    Trouble::Final(Failure::new(Kind::Refused, what))
}

#[cfg(test)]
mod tests;
