//! Outputs by `PUT` below a capability URL, as the gateway hands out.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use reelmill_shared::{
    job::{Failure, FailureCode},
    object_key::OutputPath,
};
use reqwest::{
    Client, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use url::Url;

use super::Storage;

/// One `PUT` must be over in this time; segments are a few megabytes.
const PUT_TIMEOUT: Duration = Duration::from_secs(60);
/// R2, which lies behind the gateway, takes one write a second to a key and answers more with 429.
const REWRITE_INTERVAL: Duration = Duration::from_millis(1100);

/// Stores outputs by `PUT {base_url}{path}`.
#[derive(Debug)]
pub struct HttpStorage {
    client: Client,
    base_url: Url,
    backoff: ExponentialBuilder,
}

impl HttpStorage {
    /// Stores below `base_url`, which ends in `/`. Failed requests are repeated four times, after
    /// waits of 0.25 to 4 seconds (jittered).
    pub fn new(client: Client, base_url: Url) -> Self {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(4))
            .with_max_times(4)
            .with_jitter();
        Self { client, base_url, backoff }
    }

    /// The same with other waits.
    #[must_use]
    pub fn with_backoff(self, backoff: ExponentialBuilder) -> Self {
        Self { backoff, ..self }
    }

    async fn try_put(&self, path: &OutputPath, body: Bytes) -> Result<(), Refusal> {
        let url = self.base_url.join(path.as_str()).map_err(|_| Refusal::Status(400))?;
        let response = self
            .client
            .put(url)
            .timeout(PUT_TIMEOUT)
            .header(CONTENT_TYPE, path.content_type())
            .header(CACHE_CONTROL, path.cache_control())
            .body(body)
            .send()
            .await
            .map_err(|_| Refusal::Unreachable)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::CONFLICT | StatusCode::GONE => Err(Refusal::Stale),
            status => Err(Refusal::Status(status.as_u16())),
        }
    }
}

#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Refusal {
    #[error("nobody waits for this attempt any more")]
    Stale,
    #[error("an output could not be stored: the storage answered {0}")]
    Status(u16),
    #[error("an output could not be stored: the storage could not be reached")]
    Unreachable,
}

impl Refusal {
    /// Our own mistakes are not repeated: a forbidden token or a bad path stays one.
    const fn may_pass(self) -> bool {
        matches!(self, Self::Unreachable | Self::Status(408 | 425 | 429 | 500..))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Stale => FailureCode::Cancelled,
            Refusal::Status(_) | Refusal::Unreachable => FailureCode::StoreFailed,
        };
        Self::new(code, refusal.to_string())
    }
}

impl Storage for HttpStorage {
    fn put<'a>(&'a self, path: &'a OutputPath, body: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            (|| self.try_put(path, body.clone()))
                .retry(self.backoff)
                .when(|refusal| refusal.may_pass())
                .notify(|refusal, wait| tracing::warn!(%path, %refusal, ?wait, "put failed"))
                .await
                .map_err(Failure::from)
        }
        .boxed()
    }

    fn rewrite_interval(&self) -> Duration {
        REWRITE_INTERVAL
    }
}
