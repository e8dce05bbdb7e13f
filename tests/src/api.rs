//! The gateway's HTTP API as a client sees it: requests in, status and JSON out.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, RequestBuilder, Response, header::CONTENT_LENGTH};
use serde_json::{Value, json};

use crate::wait::until;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body.
    pub body: bytes::Bytes,
}

impl Answer {
    /// Reads a response to its end.
    pub async fn of(response: Response) -> Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await? })
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body, if the status is `status`.
    pub fn expect(&self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "{status} expected, got {}: {}", self.status, self.text());
        Ok(self.json())
    }

    /// Checks that this is a problem with `status` and `code`, in the form of RFC 9457.
    pub fn expect_problem(&self, status: u16, code: &str) -> Result<()> {
        let body = self.json();
        ensure!(
            self.status == status && body["code"] == code,
            "{status} {code} expected, got {}: {}",
            self.status,
            self.text()
        );
        ensure!(self.header("content-type").starts_with("application/problem+json"));
        ensure!(body["status"] == status && body["title"].is_string(), "not RFC 9457: {body}");
        Ok(())
    }
}

/// A client of one gateway.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    base: String,
    key: Option<String>,
}

impl Api {
    /// A client of the gateway at `base`, with an API key or without.
    pub fn new(base: String, key: Option<String>) -> Self {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without special wishes");
        Self { http, base, key }
    }

    /// The same client with another key, or none.
    #[must_use]
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self.clone() }
    }

    /// A request to a path of the gateway or to an absolute URL. The key goes along to `/api` only.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) if path.starts_with("/api") => request.bearer_auth(key),
            _ => request,
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Answer::of(self.request(Method::GET, path).send().await?).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        Answer::of(self.request(Method::POST, path).json(&body).send().await?).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        Answer::of(self.request(Method::DELETE, path).send().await?).await
    }

    /// Creates a media.
    pub async fn create(&self, body: Value) -> Result<Value> {
        self.post("/api/media", body).await?.expect(201)
    }

    /// `PUT`s bytes as the source of a media.
    pub async fn put_source(&self, id: &str, bytes: impl Into<bytes::Bytes>) -> Result<Answer> {
        let bytes = bytes.into();
        let request = self
            .request(Method::PUT, &format!("/api/media/{id}/source"))
            .header(CONTENT_LENGTH, bytes.len())
            .body(bytes);
        Answer::of(request.send().await?).await
    }

    /// Creates a media and uploads its source; answers with its id.
    pub async fn upload(&self, name: &str, bytes: impl Into<bytes::Bytes>) -> Result<String> {
        let media = self.create(json!({ "filename": name })).await?;
        let id = media["id"].as_str().context("a media has an id")?.to_owned();
        self.put_source(&id, bytes).await?.expect(200)?;
        Ok(id)
    }

    /// A media as it is now.
    pub async fn media(&self, id: &str) -> Result<Value> {
        self.get(&format!("/api/media/{id}")).await?.expect(200)
    }

    /// Waits until a media is as `wanted`; a media that failed otherwise ends the waiting.
    pub async fn wait_for(
        &self,
        id: &str,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let found = until(what, limit, async || {
            last = self.media(id).await?;
            if wanted(&last) {
                return Ok(Some(last.clone()));
            }
            // An automatic retry passes through here within one turn of the gateway.
            if last["status"] == "failed" && last["pipeline"]["retry"] != "automatic" {
                bail!("it failed");
            }
            Ok(None)
        })
        .await;
        found.with_context(|| format!("waiting until {what}, last seen: {last:#}"))
    }

    /// Waits until a media has this status.
    pub async fn wait_status(&self, id: &str, status: &str, limit: Duration) -> Result<Value> {
        self.wait_for(id, status, limit, |media| media["status"] == status).await
    }

    /// Signed playback URLs.
    pub async fn playback(&self, id: &str) -> Result<Value> {
        self.post(&format!("/api/media/{id}/playback"), json!({})).await?.expect(200)
    }
}
