//! Object storage that the handler reaches with credentials of its own: AWS S3, R2, MinIO.
//!
//! Jobs name it by `s3:` URLs, and reach the buckets of the configuration and no other, whatever the
//! handler's role allows. Credentials come from the AWS environment (variables, profile, web
//! identity, the roles of ECS, EC2 and Lambda) or from the configuration; FFmpeg sees none of them,
//! and has no network.

mod location;
mod refusal;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aws_config::BehaviorVersion;
use aws_sdk_s3::{
    Client,
    config::{
        Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction, RetryConfig},
        timeout::TimeoutConfig,
    },
};
use reelmill_shared::job::Failure;
use url::Url;

use crate::config::s3::S3 as Config;
pub(crate) use location::Location;
use location::refused;
pub(crate) use refusal::{Side, failure};

/// One try at a request must be answered in this time, its body being sent included; parts are 8 MiB
/// and more. What stands still is noticed sooner, by the SDK.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// A connection to object storage, and what of it jobs may use.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
    buckets: Arc<BTreeSet<String>>,
    provider: Provider,
}

/// Whose storage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Amazon: every request carries a checksum of its own.
    Aws,
    /// Cloudflare: one write a second to a key, equal parts.
    R2,
    /// Somebody who speaks the same API.
    Other,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing says which region the buckets are in.
    #[error("REELMILL_S3_REGION or AWS_REGION must be set: the region of the buckets is unknown")]
    NoRegion,
    /// The secret key is no text.
    #[error("REELMILL_S3_SECRET_ACCESS_KEY must be text")]
    Secret,
}

/// The storage that the job's `s3:` URLs are of.
///
/// # Errors
/// `unsupported_job`, where this handler takes none.
pub(crate) fn access(s3: Option<&S3>) -> Result<&S3, Failure> {
    let none = "the job names s3: URLs, but REELMILL_S3_BUCKETS is not set";
    s3.ok_or_else(|| refused(none))
}

/// How often and after which waits requests are repeated: five times at most, after up to 1, 2, 4
/// and 8 seconds.
pub fn patience() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(5)
}

impl S3 {
    /// Prepares a connection. Credentials are asked for with the first request, and renewed as they
    /// expire.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(config: &Config, retries: RetryConfig) -> Result<Self, ConnectError> {
        Self::connect_to(Provider::at(config.endpoint.as_ref()), config, retries).await
    }

    /// The same, where it is known whose storage it is.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_to(
        provider: Provider,
        config: &Config,
        retries: RetryConfig,
    ) -> Result<Self, ConnectError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &config.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(keys) = &config.keys {
            let secret =
                std::str::from_utf8(keys.secret.expose()).map_err(|_| ConnectError::Secret)?;
            let keys = Credentials::new(&keys.id, secret, None, None, "reelmill");
            loader = loader.credentials_provider(keys);
        }
        let environment = loader.load().await;
        if environment.region().is_none() {
            return Err(ConnectError::NoRegion);
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(REQUEST_TIMEOUT);
        let (requests, responses) = provider.checksums();
        let mut settings = aws_sdk_s3::config::Builder::from(&environment)
            .retry_config(retries)
            .retry_classifier(Busy)
            .timeout_config(timeouts.build())
            .request_checksum_calculation(requests)
            .response_checksum_validation(responses);
        if let Some(endpoint) = &config.endpoint {
            // A certificate for the endpoint need not be one for names below it.
            settings = settings.endpoint_url(endpoint.as_str()).force_path_style(true);
        }
        let client = Client::from_conf(settings.build());
        Ok(Self { client, buckets: Arc::new(config.buckets.clone()), provider })
    }

    /// The client, which holds connections and credentials for all jobs.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Whose storage it is.
    pub(crate) const fn provider(&self) -> Provider {
        self.provider
    }

    /// The object that a source's URL names.
    ///
    /// # Errors
    /// `unsupported_job` where it names none, or one that jobs may not reach.
    pub(crate) fn object(&self, url: &Url) -> Result<Location, Failure> {
        let location = self.location(url)?;
        if location.key.is_empty() || location.key.ends_with('/') {
            return Err(refused("input.url names no object"));
        }
        Ok(location)
    }

    /// The beginning of the keys of all outputs below a URL.
    ///
    /// # Errors
    /// `unsupported_job` where it names none, or one that jobs may not reach.
    pub(crate) fn prefix(&self, url: &Url) -> Result<Location, Failure> {
        let location = self.location(url)?;
        if location.key.is_empty() || location.key.ends_with('/') {
            Ok(location)
        } else {
            Err(refused("output.baseUrl must end in a slash"))
        }
    }

    fn location(&self, url: &Url) -> Result<Location, Failure> {
        let location = Location::parse(url)?;
        if self.buckets.contains(&location.bucket) {
            Ok(location)
        } else {
            Err(refused("the job names a bucket that is not among REELMILL_S3_BUCKETS"))
        }
    }
}

impl Provider {
    fn at(endpoint: Option<&Url>) -> Self {
        match endpoint.and_then(Url::host_str) {
            None => Self::Aws,
            Some(host) if host.ends_with(".r2.cloudflarestorage.com") => Self::R2,
            Some(_) => Self::Other,
        }
    }

    /// Which checksums go with requests and answers. Other providers know them in part only; there
    /// the signature covers every body that is sent.
    const fn checksums(self) -> (RequestChecksumCalculation, ResponseChecksumValidation) {
        match self {
            Self::Aws => (
                RequestChecksumCalculation::WhenSupported,
                ResponseChecksumValidation::WhenSupported,
            ),
            Self::R2 | Self::Other => {
                (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired)
            }
        }
    }
}

/// Has requests repeated that were too many, which R2 says by the status alone.
#[derive(Debug)]
struct Busy;

impl ClassifyRetry for Busy {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(429) => RetryAction::throttling_error(),
            Some(408) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "status 408 and 429"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, Provider::Aws)]
    #[case(Some("https://0123.r2.cloudflarestorage.com"), Provider::R2)]
    #[case(Some("https://0123.eu.r2.cloudflarestorage.com"), Provider::R2)]
    #[case(Some("https://r2.cloudflarestorage.com.example.org"), Provider::Other)]
    #[case(Some("http://minio:9000"), Provider::Other)]
    fn knows_a_provider_by_its_endpoint(#[case] url: Option<&str>, #[case] provider: Provider) {
        let url = url.map(|url| Url::parse(url).expect("a URL"));
        assert_eq!(Provider::at(url.as_ref()), provider);
    }
}
