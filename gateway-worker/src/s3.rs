//! R2 by its S3 API: presigned URLs for those who put and fetch a source past the Worker, and the
//! few requests that belong to a multipart upload. Signatures (SigV4 in the query) are `rusty-s3`'s,
//! with the time as an argument.
//!
//! The bucket is the one of the R2 binding; only requests of the S3 API can be handed on as URLs.

mod multipart;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

pub use multipart::{S3Error, Seen, StoredPart};

/// The longest that a presigned URL may work: seven days.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A bucket, and the key to it.
#[derive(Debug)]
pub struct S3 {
    bucket: Bucket,
    // Its `Debug` shows no secret.
    credentials: Credentials,
}

impl S3 {
    /// A bucket at an endpoint such as `https://<account>.r2.cloudflarestorage.com`; `None` if that
    /// is no http(s) URL of a host. R2's region is `auto`.
    pub fn new(
        endpoint: Url,
        bucket: String,
        region: String,
        key_id: String,
        secret: String,
    ) -> Option<Self> {
        let bucket = Bucket::new(endpoint, UrlStyle::Path, bucket, region).ok()?;
        Some(Self { bucket, credentials: Credentials::new(key_id, secret) })
    }

    /// Where the part with this number is `PUT`.
    pub fn part_url(
        &self,
        key: &str,
        upload: &str,
        number: u16,
        now: Timestamp,
        until: Timestamp,
    ) -> Url {
        let action = self.bucket.upload_part(Some(&self.credentials), key, number, upload);
        action.sign_with_time(lifetime(now, until), &now)
    }

    /// Where the object is fetched, ranges included.
    pub fn object_url(&self, key: &str, now: Timestamp, until: Timestamp) -> Url {
        let action = self.bucket.get_object(Some(&self.credentials), key);
        action.sign_with_time(lifetime(now, until), &now)
    }
}

/// From one second, the shortest that S3 knows, to [`LONGEST`].
fn lifetime(now: Timestamp, until: Timestamp) -> Duration {
    let wanted = until.duration_since(now).max(SignedDuration::from_secs(1));
    wanted.unsigned_abs().min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn s3() -> S3 {
        let endpoint = "https://account.r2.cloudflarestorage.com".parse().expect("a URL");
        S3::new(endpoint, "reelmill".into(), "auto".into(), "key-id".into(), "hunter2".into())
            .expect("a bucket")
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a time")
    }

    /// The expected signature was computed with Python's `hmac` by the steps of AWS's "Authenticating
    /// Requests: Using Query Parameters (AWS Signature Version 4)".
    #[test]
    fn a_part_url_is_pinned() {
        let until = now() + SignedDuration::from_hours(1);
        let url = s3().part_url("media/med_1/source", "up load", 7, now(), until);
        insta::assert_snapshot!(url, @"https://account.r2.cloudflarestorage.com/reelmill/media/med_1/source?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=key-id%2F20270115%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20270115T080000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&partNumber=7&uploadId=up%20load&X-Amz-Signature=ae91084c8ee984187f93e1bb91014c34a179c668e3fde62717c75f3ebfd86b3f");
    }

    #[test]
    fn no_secret_is_shown() {
        assert!(!format!("{:?}", s3()).contains("hunter2"));
    }

    #[rstest]
    #[case(-10, 1)]
    #[case(0, 1)]
    #[case(90, 90)]
    #[case(30 * 86_400, 7 * 86_400)]
    fn lives_within_what_s3_allows(#[case] seconds: i64, #[case] expected: u64) {
        let until = now() + SignedDuration::from_secs(seconds);
        assert_eq!(lifetime(now(), until), Duration::from_secs(expected));
    }
}
