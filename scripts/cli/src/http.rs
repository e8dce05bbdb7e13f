//! Requests to the gateway, and how often they are repeated.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{Client, Method, RequestBuilder, Response, header::RETRY_AFTER, redirect::Policy};
use serde_json::Value;

use crate::failure::{Failure, Kind};

/// How long nothing may arrive; the gateway's event streams say something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
/// However long a gateway asks to wait, we look again after this.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Why a request brought nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It may go better later.
    Passing {
        /// What it is if it does not.
        failure: Failure,
        /// How long the gateway asked to wait.
        after: Option<Duration>,
    },
    /// It would go no better.
    Final(Failure),
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Final(error.into());
        }
        Self::Passing { failure: error.into(), after: None }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Passing { failure, .. } | Trouble::Final(failure) => failure,
        }
    }
}

/// An answer that is a success, or the trouble that it tells of.
pub(crate) async fn succeeded(response: Response) -> Result<Response, Trouble> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let failure = Failure::of_answer(status.as_u16(), &response.bytes().await.unwrap_or_default());
    Err(match failure.kind {
        Kind::Unreachable => Trouble::Passing { failure, after },
        _ => Trouble::Final(failure),
    })
}

/// How often something is tried, with pauses that grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// The shortest pause.
    pub(crate) first: Duration,
    /// The longest.
    pub(crate) longest: Duration,
    /// How many pauses there are.
    pub(crate) times: usize,
}

impl Patience {
    /// For somebody who waits at a prompt: about two seconds.
    pub(crate) const BRIEF: Self =
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(1), times: 3 };
    /// For uploads and for waiting, over networks that are gone for minutes: about four.
    pub(crate) const LONG: Self =
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(15), times: 14 };
    /// None: for what must not be done twice.
    pub(crate) const NONE: Self = Self { times: 0, ..Self::BRIEF };

    /// The pauses, from the beginning.
    pub(crate) fn pauses(self) -> Pauses {
        let builder = ExponentialBuilder::default().with_jitter();
        let builder = builder.with_min_delay(self.first).with_max_delay(self.longest);
        Pauses(builder.with_max_times(self.times).build())
    }
}

/// The pauses that are left.
pub(crate) struct Pauses(backon::ExponentialBackoff);

impl Pauses {
    /// Sits passing trouble out.
    ///
    /// # Errors
    /// It does not pass, or there are no pauses left.
    pub(crate) async fn sit_out(&mut self, trouble: Trouble) -> Result<(), Failure> {
        let Trouble::Passing { failure, after } = trouble else { return Err(trouble.into()) };
        let pause = self.0.next().ok_or(failure)?;
        tokio::time::sleep(pause.max(after.unwrap_or_default()).min(LONGEST_WAIT)).await;
        Ok(())
    }
}

/// The gateway's API as the holder of a key.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Client,
    url: String,
    key: String,
    patience: Patience,
}

impl Api {
    /// The API of the gateway at `url`, which has no slash at its end.
    pub(crate) fn new(url: &str, key: &str, patience: Patience) -> Self {
        let http = client().read_timeout(SILENCE).build().expect("a client without special wishes");
        Self { http, url: url.to_owned(), key: key.to_owned(), patience }
    }

    /// The same, repeating requests as `patience` says.
    #[must_use]
    pub(crate) fn with(&self, patience: Patience) -> Self {
        Self { patience, ..self.clone() }
    }

    /// How often requests are repeated.
    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// A request to a path under the gateway.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(|| self.request(Method::GET, path)).await
    }

    /// `POST` with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(|| self.request(Method::POST, path).json(body)).await
    }

    /// Creates a media, or finds the one that the same key created before.
    pub(crate) async fn create(&self, body: &Value, key: &str) -> Result<Value, Failure> {
        let request = || self.request(Method::POST, "/api/media").header("idempotency-key", key);
        self.json(|| request().json(body)).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.answer(|| self.request(Method::DELETE, path)).await.map(drop)
    }

    async fn json(&self, request: impl Fn() -> RequestBuilder) -> Result<Value, Failure> {
        let body = self.answer(request).await?;
        serde_json::from_slice(&body).map_err(|_| {
            Failure::new(Kind::Unreachable, "the answer is no JSON: is this a Reelmill gateway?")
        })
    }

    /// Repeats a request until its answer is a success, or patience ends.
    async fn answer(&self, request: impl Fn() -> RequestBuilder) -> Result<Vec<u8>, Failure> {
        let mut pauses = self.patience.pauses();
        loop {
            match whole(request()).await {
                Ok(body) => return Ok(body),
                Err(trouble) => pauses.sit_out(trouble).await?,
            }
        }
    }
}

async fn whole(request: RequestBuilder) -> Result<Vec<u8>, Trouble> {
    Ok(succeeded(request.send().await?).await?.bytes().await?.to_vec())
}

/// What all requests have in common. Redirects are not followed: the key and the capabilities are
/// for this gateway alone.
pub(crate) fn client() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("reelmill/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_and_pauses_stay_within_their_bounds() {
        let pauses: Vec<_> = Patience::LONG.pauses().0.collect();
        assert_eq!(pauses.len(), Patience::LONG.times);
        // Jitter adds up to as much again.
        let longest = 2 * Patience::LONG.longest;
        assert!(pauses.iter().all(|pause| *pause >= Patience::LONG.first && *pause <= longest));
        assert_eq!(Patience::NONE.pauses().0.count(), 0);
    }
}
