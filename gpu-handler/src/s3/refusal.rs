//! Why object storage does not do as asked, by the codes of its API.
//!
//! Codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, and for R2
//! <https://developers.cloudflare.com/r2/api/error-codes/>. Where an answer has no code, its status
//! counts.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use reelmill_shared::job::{Failure, FailureCode};

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The source was read.
    Source,
    /// An output was written.
    Output,
}

/// Why it was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Nobody who signs with these keys may do that.
    Denied,
    /// There is nothing to sign with.
    NoCredentials,
    /// The keys were good for a time that is over: they are renewed by who gave them.
    Expired,
    NoBucket,
    /// The bucket is there, but not where it was asked for.
    OtherRegion,
    NoObject,
    /// The object is another one than that with the entity tag.
    Changed,
    /// The object ends before the range begins.
    Shorter,
    /// The object would first have to be fetched from an archive.
    Archived,
    /// The service, or the way to it, fails.
    Unreachable,
    /// Anything else.
    Other,
}

/// The failure behind an error of the SDK's, which is logged: its message has names that are for the
/// handler's owner alone.
pub(crate) fn failure<E>(error: &SdkError<E, HttpResponse>, side: Side) -> Failure
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let refusal = Refusal::of(error);
    tracing::warn!(
        ?side,
        ?refusal,
        code = error.code(),
        request = error.raw_response().and_then(|response| response.request_id()),
        error = %DisplayErrorContext(error),
        "object storage refused"
    );
    refusal.failure(side)
}

impl Refusal {
    fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        if let Some(refusal) = error.code().and_then(Self::of_code) {
            return refusal;
        }
        match (status, credentials(error)) {
            (Some(status), _) => Self::of_status(status),
            (None, Some(CredentialsError::CredentialsNotLoaded(_))) => Self::NoCredentials,
            (None, _) => Self::Unreachable,
        }
    }

    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "AccessDenied"
            | "AllAccessDisabled"
            | "AccountProblem"
            | "InvalidAccessKeyId"
            | "InvalidSecurity"
            | "InvalidToken"
            | "NotSignedUp"
            | "SignatureDoesNotMatch"
            | "Unauthorized"
            | "UnauthorizedAccess" => Self::Denied,
            code if code.starts_with("KMS.") => Self::Denied,
            "ExpiredToken" | "RequestExpired" | "RequestTimeTooSkewed" | "TokenRefreshRequired" => {
                Self::Expired
            }
            "NoSuchBucket" => Self::NoBucket,
            "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "Redirect"
            | "TemporaryRedirect" => Self::OtherRegion,
            "NoSuchKey" | "NotFound" => Self::NoObject,
            "PreconditionFailed" => Self::Changed,
            "InvalidRange" => Self::Shorter,
            "InvalidObjectState" => Self::Archived,
            _ => return None,
        })
    }

    const fn of_status(status: u16) -> Self {
        match status {
            301 | 307 => Self::OtherRegion,
            401 | 403 => Self::Denied,
            404 => Self::NoObject,
            412 => Self::Changed,
            416 => Self::Shorter,
            408 | 429 | 500.. => Self::Unreachable,
            _ => Self::Other,
        }
    }

    fn failure(self, side: Side) -> Failure {
        let (what, otherwise) = match side {
            Side::Source => ("the source could not be fetched", FailureCode::FetchFailed),
            Side::Output => ("an output could not be stored", FailureCode::StoreFailed),
        };
        let (code, why) = match self {
            Self::Denied => (FailureCode::AccessDenied, "the storage denies access"),
            Self::NoCredentials => {
                (FailureCode::AccessDenied, "the handler has no credentials for the storage")
            }
            Self::NoBucket => (FailureCode::BucketNotFound, "there is no such bucket"),
            Self::OtherRegion => (FailureCode::BucketNotFound, "the bucket is in another region"),
            Self::NoObject if side == Side::Source => {
                (FailureCode::SourceNotFound, "there is no such object")
            }
            Self::Changed => (FailureCode::SourceMismatch, "it is another one by now"),
            Self::Shorter => (FailureCode::SourceMismatch, "it is shorter than the job says"),
            Self::Archived => (FailureCode::SourceRefused, "it lies in an archive"),
            Self::Expired => (otherwise, "the handler's credentials have expired"),
            Self::Unreachable => (otherwise, "the storage fails or is busy"),
            Self::NoObject | Self::Other => (otherwise, "the storage refuses"),
        };
        Failure::new(code, format!("{what}: {why}"))
    }
}

/// The reason of a request that was not sent because there is nothing to sign it with.
fn credentials<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::{error::ErrorMetadata, operation::get_object::GetObjectError};
    use rstest::rstest;

    fn answer(status: u16, code: Option<&str>) -> SdkError<GetObjectError> {
        let status = status.try_into().expect("a status");
        let metadata = ErrorMetadata::builder();
        let metadata = match code {
            Some(code) => metadata.code(code),
            None => metadata,
        };
        let response = HttpResponse::new(status, "".into());
        SdkError::service_error(GetObjectError::generic(metadata.build()), response)
    }

    #[rstest]
    #[case(403, Some("AccessDenied"), FailureCode::AccessDenied)]
    #[case(403, Some("InvalidAccessKeyId"), FailureCode::AccessDenied)]
    #[case(403, Some("SignatureDoesNotMatch"), FailureCode::AccessDenied)]
    #[case(400, Some("KMS.DisabledException"), FailureCode::AccessDenied)]
    #[case(403, None, FailureCode::AccessDenied)]
    #[case(400, Some("ExpiredToken"), FailureCode::FetchFailed)]
    #[case(403, Some("RequestTimeTooSkewed"), FailureCode::FetchFailed)]
    #[case(404, Some("NoSuchBucket"), FailureCode::BucketNotFound)]
    #[case(301, Some("PermanentRedirect"), FailureCode::BucketNotFound)]
    #[case(400, Some("AuthorizationHeaderMalformed"), FailureCode::BucketNotFound)]
    #[case(404, Some("NoSuchKey"), FailureCode::SourceNotFound)]
    #[case(404, None, FailureCode::SourceNotFound)]
    #[case(412, Some("PreconditionFailed"), FailureCode::SourceMismatch)]
    #[case(416, Some("InvalidRange"), FailureCode::SourceMismatch)]
    #[case(403, Some("InvalidObjectState"), FailureCode::SourceRefused)]
    #[case(503, Some("SlowDown"), FailureCode::FetchFailed)]
    #[case(500, Some("InternalError"), FailureCode::FetchFailed)]
    #[case(429, None, FailureCode::FetchFailed)]
    #[case(400, Some("SomethingNew"), FailureCode::FetchFailed)]
    fn a_source_fails_for_its_reason(
        #[case] status: u16,
        #[case] code: Option<&str>,
        #[case] expected: FailureCode,
    ) {
        assert_eq!(failure(&answer(status, code), Side::Source).code, expected);
    }

    #[rstest]
    #[case(403, Some("AccessDenied"), FailureCode::AccessDenied)]
    #[case(400, Some("ExpiredToken"), FailureCode::StoreFailed)]
    #[case(404, Some("NoSuchBucket"), FailureCode::BucketNotFound)]
    #[case(404, Some("NoSuchUpload"), FailureCode::StoreFailed)]
    #[case(503, Some("SlowDown"), FailureCode::StoreFailed)]
    #[case(400, Some("BadDigest"), FailureCode::StoreFailed)]
    fn an_output_fails_for_its_reason(
        #[case] status: u16,
        #[case] code: Option<&str>,
        #[case] expected: FailureCode,
    ) {
        assert_eq!(failure(&answer(status, code), Side::Output).code, expected);
    }

    #[test]
    fn without_credentials_it_is_no_matter_of_the_network() {
        let none = SdkError::<GetObjectError>::construction_failure(CredentialsError::not_loaded(
            "no providers in the chain",
        ));
        assert_eq!(failure(&none, Side::Source).code, FailureCode::AccessDenied);
        // The metadata service may answer the next time.
        let silent = SdkError::<GetObjectError>::construction_failure(
            CredentialsError::provider_timed_out(std::time::Duration::from_secs(5)),
        );
        assert_eq!(failure(&silent, Side::Source).code, FailureCode::FetchFailed);
    }
}
