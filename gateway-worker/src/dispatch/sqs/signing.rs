//! Signature Version 4, by AWS's own crate, with the time as an argument.

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use jiff::Timestamp;
use url::Url;

/// An AWS access key.
#[derive(Debug)]
pub struct AwsKey(
    // Its `Debug` shows no secret.
    Credentials,
);

impl AwsKey {
    /// The key with that id. Only temporary ones have a session's token.
    pub fn new(id: String, secret: String, session: Option<String>) -> Self {
        Self(Credentials::new(id, secret, session, None, "reelmill"))
    }

    /// What has to stand beside `headers` in a `POST` of `body` to `url`; `None` if that is nothing that
    /// can be signed.
    pub(super) fn sign(
        &self,
        service: &str,
        region: &str,
        url: &Url,
        headers: &[(&'static str, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Option<Vec<(&'static str, String)>> {
        let identity = self.0.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(now.into())
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let pairs = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let request =
            SignableRequest::new("POST", url.as_str(), pairs, SignableBody::Bytes(body)).ok()?;
        let (instructions, _) = sign(request, &params).ok()?.into_parts();
        let (signed, _) = instructions.into_parts();
        Some(signed.iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }
}
