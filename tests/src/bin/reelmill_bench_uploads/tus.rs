//! A tus client that does no more than it must, the same for every server.

use anyhow::{Context, Result, bail};
use reqwest::{Client, Response, StatusCode, header::CONTENT_LENGTH};

use crate::source::Source;

/// A server's creation endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Its URL.
    pub(crate) url: String,
    /// Its API key, if it asks for one.
    pub(crate) key: Option<String>,
}

/// What became of an upload.
#[derive(Debug, Clone)]
pub(crate) struct Uploaded {
    /// Its URL.
    pub(crate) url: String,
    /// The media, if the server has such.
    pub(crate) media: Option<String>,
}

impl Server {
    /// Uploads a source, `chunk` bytes a request, at most `pace` bytes a second.
    pub(crate) async fn upload(
        &self,
        client: &Client,
        source: Source,
        chunk: u64,
        pace: Option<u64>,
    ) -> Result<Uploaded> {
        let uploaded = self.create(client, source).await?;
        uploaded.send(client, source, chunk, pace).await?;
        Ok(uploaded)
    }

    /// Creates an upload that has no bytes yet.
    pub(crate) async fn create(&self, client: &Client, source: Source) -> Result<Uploaded> {
        let mut create = client
            .post(&self.url)
            .header("tus-resumable", "1.0.0")
            .header("upload-length", source.size);
        if let Some(key) = &self.key {
            create = create.bearer_auth(key);
        }
        let created = expect(create.send().await?, StatusCode::CREATED).await?;
        let header = |name| created.headers().get(name)?.to_str().ok().map(str::to_owned);
        let url = header("location").context("no Location")?;
        Ok(Uploaded { url, media: header("reelmill-media-id") })
    }
}

impl Uploaded {
    /// Sends all bytes.
    pub(crate) async fn send(
        &self,
        client: &Client,
        source: Source,
        chunk: u64,
        pace: Option<u64>,
    ) -> Result<()> {
        let mut at = 0;
        while at < source.size {
            let patch = client
                .patch(&self.url)
                .header("tus-resumable", "1.0.0")
                .header("content-type", "application/offset+octet-stream")
                .header("upload-offset", at)
                .header(CONTENT_LENGTH, chunk.min(source.size - at))
                .body(source.body(at, chunk, pace));
            expect(patch.send().await?, StatusCode::NO_CONTENT).await?;
            at = source.size.min(at.saturating_add(chunk));
        }
        Ok(())
    }
}

/// The answer, if it is the one that is due.
pub(crate) async fn expect(answer: Response, status: StatusCode) -> Result<Response> {
    let got = answer.status();
    if got == status {
        return Ok(answer);
    }
    bail!("{got}: {}", answer.text().await?)
}
