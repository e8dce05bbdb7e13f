//! Requests of the protocol, as plain as they are: so that tests can send wrong ones too.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    api::Answer, process::command, settings::root, stack::Stack, stand_in::StandIn, wait::until,
};
use reqwest::{Body, Client, Method, RequestBuilder};

/// A client of one gateway's `/api/uploads`.
#[derive(Clone)]
pub(crate) struct Tus {
    http: Client,
    pub(crate) base: String,
    key: String,
}

impl Tus {
    pub(crate) fn new(stack: &Stack) -> Self {
        let base = format!("{}/api/uploads", stack.url());
        Self { http: Client::new(), base, key: stack.secrets.api_key.clone() }
    }

    /// A request without any headers.
    pub(crate) fn bare(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// A request with the protocol's version.
    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.bare(method, url).header("tus-resumable", "1.0.0")
    }

    /// A `POST` with the API key.
    pub(crate) fn creation(&self) -> RequestBuilder {
        self.request(Method::POST, &self.base).bearer_auth(&self.key)
    }

    /// A `PATCH` at `offset`, without a body.
    pub(crate) fn patching(&self, url: &str, offset: impl ToString) -> RequestBuilder {
        self.request(Method::PATCH, url)
            .header("upload-offset", offset.to_string())
            .header("content-type", "application/offset+octet-stream")
    }

    /// Creates an upload of `length` bytes and returns its URL.
    pub(crate) async fn create(&self, length: usize) -> Result<String> {
        self.created(self.creation().header("upload-length", length)).await
    }

    /// Sends a creation that must succeed and returns the upload's URL.
    pub(crate) async fn created(&self, request: RequestBuilder) -> Result<String> {
        let answer = send(request).await?;
        answer.expect(201)?;
        Ok(answer.header("location").to_owned())
    }

    pub(crate) async fn head(&self, url: &str) -> Result<Answer> {
        send(self.request(Method::HEAD, url)).await
    }

    pub(crate) async fn patch(
        &self,
        url: &str,
        offset: usize,
        body: impl Into<Body>,
    ) -> Result<Answer> {
        send(self.patching(url, offset).body(body)).await
    }

    /// A `PATCH` that must succeed; returns the new offset.
    pub(crate) async fn append(
        &self,
        url: &str,
        offset: usize,
        body: impl Into<Body>,
    ) -> Result<usize> {
        let answer = self.patch(url, offset, body).await?;
        answer.expect(204)?;
        number(&answer, "upload-offset")
    }

    pub(crate) async fn delete(&self, url: &str) -> Result<Answer> {
        send(self.request(Method::DELETE, url)).await
    }

    /// The offset that `HEAD` tells.
    pub(crate) async fn offset(&self, url: &str) -> Result<usize> {
        let answer = self.head(url).await?;
        answer.expect(200)?;
        number(&answer, "upload-offset")
    }

    /// The bytes that a finished upload has become, as the handler reads them.
    pub(crate) async fn stored(&self, url: &str, handler: &StandIn) -> Result<Vec<u8>> {
        let media = self.head(url).await?.header("reelmill-media-id").parse();
        let job = handler.job_of(media.context("a media's id")?).await?;
        let answer = Answer::of(self.http.get(job.input.url.clone()).send().await?).await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        ensure!(job.input.size == answer.body.len() as u64, "the size is wrong");
        Ok(answer.body.to_vec())
    }
}

/// Sends a request and reads its answer, which must name the protocol's version.
pub(crate) async fn send(request: RequestBuilder) -> Result<Answer> {
    let answer = Answer::of(request.send().await?).await?;
    ensure!(answer.header("tus-resumable") == "1.0.0", "no Tus-Resumable: {:?}", answer.headers);
    Ok(answer)
}

/// A header that is a number.
pub(crate) fn number(answer: &Answer, name: &str) -> Result<usize> {
    let text = answer.header(name);
    text.parse().with_context(|| format!("`{name}` is `{text}`"))
}

/// What the local R2 has: objects, multipart uploads under way, and parts. Its own records are asked
/// and not its files, of which a `kill -9` leaves some behind that it knows nothing of.
const COUNT: &str = r#"
    const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(process.argv[1], { readOnly: true });
    const count = (rows) => database.prepare(`SELECT count(*) AS n FROM ${rows}`).get().n;
    console.log(["_mf_objects", "_mf_multipart_uploads WHERE state = 0", "_mf_multipart_parts"]
      .map(count).join(" "));
"#;

/// Waits until R2 holds nothing at all, multipart uploads and their parts included.
pub(crate) async fn nothing_in_r2(stack: &Stack) -> Result<()> {
    let folder = stack.data().join("state/v3/r2/miniflare-R2BucketObject");
    let database = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.extension().is_some_and(|kind| kind == "sqlite")
                && path.file_stem().is_some_and(|name| name != "metadata")
        })
        .context("the local R2's records")?;
    let mut last = String::new();
    let found = until("R2 is empty", Duration::from_secs(20), async || {
        let output = command(root().join("gateway-worker/node_modules/.bin/node"))
            .args(["--no-warnings", "-e", COUNT])
            .arg(&database)
            .output()?;
        last = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok((last == "0 0 0").then_some(()))
    })
    .await;
    found.with_context(|| format!("objects, uploads, parts: {last}"))
}
