//! Standard Webhooks 1.0 signatures, both ways, and the schedule of retries.
//!
//! The gateway signs what it sends to downstream services and verifies what the handler reports;
//! the handler signs. Signed is `{webhook-id}.{webhook-timestamp}.{body}` with HMAC-SHA256, over
//! the raw body, before anybody parses it. Time and keys are arguments.

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;

use crate::secret::{Secret, constant_time_eq};

/// Header with the message's id, the same across redeliveries.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the unix second of this delivery.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the space-separated signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// How far a signed timestamp may be from now, in seconds, either way.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Seconds to wait before each delivery after the first, counted from the failed one before: ten
/// tries over a little more than 24 hours.
pub const RETRY_DELAYS_SECONDS: [i64; 9] =
    [5, 5 * 60, 30 * 60, 3600, 2 * 3600, 3 * 3600, 4 * 3600, 6 * 3600, 8 * 3600];

/// When to try again after `failures` failed deliveries, or `None` to give up. A `Retry-After` of
/// the receiver, in seconds, can only lengthen the wait, up to a day.
pub fn next_delivery(
    failures: usize,
    now: Timestamp,
    retry_after: Option<u32>,
) -> Option<Timestamp> {
    let scheduled = *RETRY_DELAYS_SECONDS.get(failures.checked_sub(1)?)?;
    let wait = scheduled.max(i64::from(retry_after.unwrap_or(0)).min(24 * 3600));
    now.checked_add(jiff::SignedDuration::from_secs(wait)).ok()
}

/// The secrets of one endpoint: the first is current, others are being rotated out. All sign, so
/// that a receiver may hold either; all are accepted.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Vec<Secret>);

/// Why a text is no webhook secret. It never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "webhook secrets must read `whsec_<base64 of 24 to 64 bytes>`, separated by spaces or commas"
)]
pub struct InvalidSecret;

/// Why a signed request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header is missing or malformed.
    #[error("the signature headers are missing or malformed")]
    Malformed,
    /// The timestamp is more than [`TOLERANCE_SECONDS`] from now.
    #[error("the signed timestamp is too far from now")]
    OutOfRange,
    /// No signature matches.
    #[error("no signature matches")]
    Mismatch,
}

impl WebhookSecrets {
    /// Reads one or more `whsec_…` secrets, separated by white space or commas.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let secrets = text
            .split([' ', ',', '\n'])
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                let key = BASE64_STANDARD.decode(entry.strip_prefix("whsec_")?).ok()?;
                (24..=64).contains(&key.len()).then(|| Secret::new(key))
            })
            .collect::<Option<Vec<_>>>()
            .filter(|secrets| !secrets.is_empty())
            .ok_or(InvalidSecret)?;
        Ok(Self(secrets))
    }

    /// The value of [`SIGNATURE_HEADER`]: one `v1,<base64>` per secret.
    pub fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> String {
        let timestamp = now.as_second().to_string();
        let signatures: Vec<_> = self
            .0
            .iter()
            .map(|secret| {
                format!("v1,{}", BASE64_STANDARD.encode(tag(secret, id, &timestamp, body)))
            })
            .collect();
        signatures.join(" ")
    }

    /// Checks a request's three headers over its raw body.
    ///
    /// Every offered `v1` signature (at most 16) is compared with every secret in constant time.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let second: i64 = timestamp.parse().map_err(|_| VerifyError::Malformed)?;
        if id.is_empty() || id.len() > 256 || signatures.len() > 2048 {
            return Err(VerifyError::Malformed);
        }
        let offered: Vec<Vec<u8>> = signatures
            .split(' ')
            .filter_map(|signature| BASE64_STANDARD.decode(signature.strip_prefix("v1,")?).ok())
            .take(16)
            .collect();
        let mut matches = false;
        for secret in &self.0 {
            let expected = tag(secret, id, timestamp, body);
            for signature in &offered {
                matches |= constant_time_eq(&expected, signature);
            }
        }
        if !matches {
            return Err(VerifyError::Mismatch);
        }
        if now.as_second().abs_diff(second) > TOLERANCE_SECONDS.unsigned_abs() {
            return Err(VerifyError::OutOfRange);
        }
        Ok(())
    }
}

fn tag(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
    secret.hmac(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// The vector published with Standard Webhooks.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const SECOND: i64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
    const OTHER: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn secrets(text: &str) -> WebhookSecrets {
        WebhookSecrets::parse(text).expect("secrets")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn matches_the_published_vector() {
        assert_eq!(secrets(SECRET).sign(ID, at(SECOND), BODY), SIGNATURE);
        assert_eq!(secrets(SECRET).verify(ID, "1649367553", SIGNATURE, BODY, at(SECOND)), Ok(()));
    }

    #[test]
    fn secrets_rotate() {
        let both = secrets(&format!("{OTHER} {SECRET}")).sign(ID, at(SECOND), BODY);
        for receiver in [SECRET, OTHER] {
            assert_eq!(secrets(receiver).verify(ID, "1649367553", &both, BODY, at(SECOND)), Ok(()));
        }
        let old = secrets(SECRET).sign(ID, at(SECOND), BODY);
        let rotated = secrets(&format!("{OTHER},{SECRET}"));
        assert_eq!(rotated.verify(ID, "1649367553", &old, BODY, at(SECOND)), Ok(()));
    }

    #[rstest]
    #[case::early(SECOND - 301, Err(VerifyError::OutOfRange))]
    #[case::just_early(SECOND - 300, Ok(()))]
    #[case::just_late(SECOND + 300, Ok(()))]
    #[case::late(SECOND + 301, Err(VerifyError::OutOfRange))]
    fn tolerates_five_minutes(#[case] now: i64, #[case] expected: Result<(), VerifyError>) {
        assert_eq!(secrets(SECRET).verify(ID, "1649367553", SIGNATURE, BODY, at(now)), expected);
    }

    #[rstest]
    #[case::other_id("msg_x", "1649367553", SIGNATURE, VerifyError::Mismatch)]
    #[case::other_time(ID, "1649367554", SIGNATURE, VerifyError::Mismatch)]
    #[case::no_time(ID, "", SIGNATURE, VerifyError::Malformed)]
    #[case::no_id("", "1649367553", SIGNATURE, VerifyError::Malformed)]
    #[case::none(ID, "1649367553", "", VerifyError::Mismatch)]
    #[case::other_version(
        ID,
        "1649367553",
        "v1a,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        VerifyError::Mismatch
    )]
    #[case::truncated(ID, "1649367553", "v1,tZ1I4/hDygA=", VerifyError::Mismatch)]
    fn refuses(
        #[case] id: &str,
        #[case] time: &str,
        #[case] signature: &str,
        #[case] expected: VerifyError,
    ) {
        assert_eq!(secrets(SECRET).verify(id, time, signature, BODY, at(SECOND)), Err(expected));
    }

    #[rstest]
    #[case("")]
    #[case("C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    #[case("whsec_c2hvcnQ=")]
    #[case("whsec_***")]
    fn refuses_bad_secrets(#[case] text: &str) {
        assert!(WebhookSecrets::parse(text).is_err());
    }

    #[test]
    fn retries_for_a_day_and_then_gives_up() {
        let mut now = at(0);
        let mut failures = 1;
        while let Some(next) = next_delivery(failures, now, None) {
            (now, failures) = (next, failures + 1);
        }
        assert_eq!(failures, 10);
        assert!((24 * 3600..26 * 3600).contains(&now.as_second()));
        assert_eq!(next_delivery(1, at(0), Some(60)), Some(at(60)));
        assert_eq!(next_delivery(1, at(0), Some(u32::MAX)), Some(at(24 * 3600)));
        assert_eq!(next_delivery(2, at(0), Some(1)), Some(at(300)));
    }

    proptest! {
        /// The reference implementation accepts what we sign and we accept what it signs.
        #[test]
        fn agrees_with_the_reference_crate(body in "\\PC{0,200}") {
            let oracle = standardwebhooks::Webhook::new(SECRET).expect("a secret");
            let ours = secrets(SECRET).sign(ID, at(SECOND), body.as_bytes());
            let theirs = oracle.sign(ID, SECOND, body.as_bytes()).expect("a signature");
            prop_assert_eq!(ours, theirs);
        }
    }
}
