//! What all of AWS's services have in common here: how they are reached, and what their errors mean.

use std::{error::Error, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};

/// How long one try of a request may take; long polls say more.
const TRY: Duration = Duration::from_secs(10);

/// Credentials, region and endpoints by the SDK's own chain: variables (`AWS_ENDPOINT_URL` and
/// `AWS_ENDPOINT_URL_<SERVICE>` among them), profiles, web identity, the roles of containers and
/// instances. `region` is for where none of them names one.
pub async fn load(region: Option<&str>) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(TRY)
        .build();
    let defaults = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    let config = defaults.load().await;
    match (config.region(), region) {
        (None, Some(region)) => {
            config.into_builder().region(Region::new(region.to_owned())).build()
        }
        _ => config,
    }
}

/// Why a service did not do what it was asked for, once the SDK's own retries are over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{trouble}: {message}")]
pub struct AwsError {
    /// What kind of trouble it is.
    pub trouble: Trouble,
    /// The service's code and words and the request's id, or what went wrong on the way.
    pub message: String,
}

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Credentials are missing, wrong, expired, or not enough.
    #[error("refused")]
    Refused,
    /// The queue or table does not exist.
    #[error("not found")]
    Gone,
    /// The request is one that the service does not take: a wrong setting.
    #[error("not taken")]
    Invalid,
    /// Too many requests.
    #[error("throttled")]
    Throttled,
    /// The service fails, or is not reached.
    #[error("unavailable")]
    Unavailable,
}

impl Trouble {
    /// Whether it passes by itself.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable)
    }
}

impl AwsError {
    /// Judges an error of any operation.
    pub fn new<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Some(service) = error.as_service_error() else {
            return Self { trouble: on_the_way(error), message: chain(error) };
        };
        let code = service.code().unwrap_or("unknown");
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let words = service.message().unwrap_or("no message");
        let request = error.raw_response().and_then(RequestId::request_id).unwrap_or("unknown");
        let message = format!("{code} ({status}): {words} (request {request})");
        Self { trouble: by_code(code, status), message }
    }
}

/// Judges what a service answered, by its code first: some services say 400 to everything.
fn by_code(code: &str, status: u16) -> Trouble {
    // Protocols of before put a namespace in front, with a hash or a dot.
    let code = code.rsplit(['#', '.']).next().unwrap_or(code);
    match code {
        "QueueDoesNotExist"
        | "NonExistentQueue"
        | "QueueDeletedRecently"
        | "ResourceNotFoundException" => Trouble::Gone,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidSecurity"
        | "OptInRequired"
        | "NotAuthorized" => Trouble::Refused,
        "RequestThrottled"
        | "RequestLimitExceeded"
        | "OverLimit"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "SlowDown" => Trouble::Throttled,
        _ if code.starts_with("Throttl") => Trouble::Throttled,
        _ => match status {
            401 | 403 => Trouble::Refused,
            404 => Trouble::Gone,
            429 => Trouble::Throttled,
            400..=499 => Trouble::Invalid,
            _ => Trouble::Unavailable,
        },
    }
}

/// Judges an error that came before there was an answer.
fn on_the_way<E>(error: &SdkError<E, HttpResponse>) -> Trouble {
    match error {
        SdkError::ConstructionFailure(_) => Trouble::Invalid,
        // Neither time nor network: there was nothing to sign with.
        SdkError::DispatchFailure(failure)
            if !failure.is_io() && !failure.is_timeout() && failure.is_other() =>
        {
            Trouble::Refused
        }
        _ => Trouble::Unavailable,
    }
}

/// An error and all that led to it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let line = |error: &dyn Error| {
        let text = error.to_string();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut causes = vec![line(error)];
    let mut next = error.source();
    while let Some(cause) = next {
        let words = line(cause);
        if causes.last() != Some(&words) {
            causes.push(words);
        }
        next = cause.source();
    }
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("AWS.SimpleQueueService.NonExistentQueue", 400, Trouble::Gone)]
    #[case("QueueDoesNotExist", 400, Trouble::Gone)]
    #[case("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", 400, Trouble::Gone)]
    #[case("AccessDeniedException", 400, Trouble::Refused)]
    #[case("InvalidClientTokenId", 403, Trouble::Refused)]
    #[case("SomethingNew", 403, Trouble::Refused)]
    #[case("ThrottlingException", 400, Trouble::Throttled)]
    #[case("RequestThrottled", 403, Trouble::Throttled)]
    #[case("ProvisionedThroughputExceededException", 400, Trouble::Throttled)]
    #[case("unknown", 429, Trouble::Throttled)]
    #[case("ValidationException", 400, Trouble::Invalid)]
    #[case("InternalFailure", 500, Trouble::Unavailable)]
    #[case("unknown", 503, Trouble::Unavailable)]
    fn judges_codes(#[case] code: &str, #[case] status: u16, #[case] expected: Trouble) {
        assert_eq!(by_code(code, status), expected);
        assert_eq!(
            expected.passes(),
            matches!(expected, Trouble::Throttled | Trouble::Unavailable)
        );
    }
}
