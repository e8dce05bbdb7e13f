//! The buckets that jobs may name by `s3:` URLs, and how they are reached.
//!
//! | variable | |
//! |---|---|
//! | `REELMILL_S3_BUCKETS` | the buckets, comma-separated; unset: no `s3:` URL is taken |
//! | `REELMILL_S3_ENDPOINT` | the S3 API of another provider (R2, MinIO); unset: AWS |
//! | `REELMILL_S3_REGION` | the buckets' region; unset: the AWS environment's, with an endpoint `auto` |
//! | `REELMILL_S3_ACCESS_KEY_ID`, `REELMILL_S3_SECRET_ACCESS_KEY` | keys of one's own; unset: the AWS environment's |

use std::collections::BTreeSet;

use reelmill_shared::secret::Secret;
use url::Url;

use super::{ConfigError, Source, invalid};

/// How object storage is reached, and what of it.
#[derive(Debug, Clone)]
pub struct S3 {
    /// Names of the buckets that jobs may name. Whatever else the handler's role may reach is
    /// beyond a job.
    pub buckets: BTreeSet<String>,
    /// Scheme, host and port of a provider other than AWS.
    pub endpoint: Option<Url>,
    /// The buckets' region; by default that of the process's AWS environment.
    pub region: Option<String>,
    /// What to sign with, if not with what the AWS environment has.
    pub keys: Option<Keys>,
}

/// A pair of keys that is for object storage alone: an R2 API token, beside the role that takes the
/// jobs.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The access key id.
    pub id: String,
    /// The secret access key, which is text.
    pub secret: Secret,
}

impl S3 {
    /// What the environment says, or `None` where there are no buckets.
    ///
    /// # Errors
    /// [`ConfigError`], naming the variable.
    pub(super) fn read(source: &Source<'_>) -> Result<Option<Self>, ConfigError> {
        let lookup = source.lookup;
        let endpoint = lookup(ENDPOINT).map(|text| endpoint(&text)).transpose()?;
        let keys = match (lookup(KEY_ID), lookup(SECRET)) {
            (Some(id), Some(secret)) => Some(Keys { id, secret: Secret::new(secret) }),
            (None, None) => None,
            (Some(_), None) => return Err(invalid(SECRET, "set where the id of the key is")),
            (None, Some(_)) => return Err(invalid(KEY_ID, "set where the secret of the key is")),
        };
        let region = lookup("REELMILL_S3_REGION");
        let Some(list) = lookup(BUCKETS) else {
            if endpoint.is_some() || keys.is_some() {
                return Err(invalid(BUCKETS, "set where there is an endpoint or a key"));
            }
            return Ok(None);
        };
        let buckets = list.split(',').map(|name| name.trim().to_owned()).collect();
        let region = region.or_else(|| endpoint.is_some().then(|| "auto".to_owned()));
        let config = Self { buckets, endpoint, region, keys };
        if config.buckets.iter().all(|name| is_name(name)) {
            Ok(Some(config))
        } else {
            Err(invalid(BUCKETS, "names of buckets, comma-separated"))
        }
    }
}

const BUCKETS: &str = "REELMILL_S3_BUCKETS";
const ENDPOINT: &str = "REELMILL_S3_ENDPOINT";
const KEY_ID: &str = "REELMILL_S3_ACCESS_KEY_ID";
const SECRET: &str = "REELMILL_S3_SECRET_ACCESS_KEY";

fn endpoint(text: &str) -> Result<Url, ConfigError> {
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && (url.username(), url.password(), url.path()) == ("", None, "/")
            && url.query().is_none()
            && url.fragment().is_none()
    };
    let url = Url::parse(text).ok().filter(plain);
    url.ok_or(invalid(ENDPOINT, "an http(s) URL without a path, such as https://s3.example.com"))
}

/// Whether this can be the name of a bucket; nothing else would lead to one.
fn is_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
        && !name.contains("..")
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<S3>, ConfigError> {
        let lookup = |name: &str| {
            let set = pairs.iter().find(|(key, _)| *key == name);
            set.map(|(_, value)| (*value).to_owned())
        };
        S3::read(&Source { lookup: &lookup })
    }

    #[test]
    fn without_buckets_there_is_none() {
        assert!(read(&[]).expect("fine").is_none());
        // What is set for others is not enough.
        assert!(read(&[("AWS_REGION", "eu-west-1")]).expect("fine").is_none());
    }

    #[test]
    fn aws_tells_the_region_itself() {
        let s3 = read(&[(BUCKETS, "media, media-out")]).expect("fine").expect("some");
        let names: Vec<&str> = s3.buckets.iter().map(String::as_str).collect();
        assert_eq!(names, ["media", "media-out"]);
        assert_eq!((s3.region, s3.endpoint, s3.keys.is_none()), (None, None, true));
    }

    #[test]
    fn another_provider_is_reached_with_its_own_keys() {
        let account = "https://0123456789abcdef.r2.cloudflarestorage.com";
        let s3 =
            read(&[(BUCKETS, "media"), (ENDPOINT, account), (KEY_ID, "id"), (SECRET, "hunter2")]);
        let s3 = s3.expect("fine").expect("some");
        assert_eq!(s3.region.as_deref(), Some("auto"));
        assert!(!format!("{s3:?}").contains("hunter2"));
        let garage = read(&[
            (BUCKETS, "media"),
            (ENDPOINT, "http://[::1]:3900/"),
            ("REELMILL_S3_REGION", "garage"),
        ]);
        assert_eq!(garage.expect("fine").expect("some").region.as_deref(), Some("garage"));
    }

    #[rstest]
    #[case(&[(BUCKETS, "")], BUCKETS)]
    #[case(&[(BUCKETS, "media,")], BUCKETS)]
    #[case(&[(BUCKETS, "*")], BUCKETS)]
    #[case(&[(BUCKETS, "Media")], BUCKETS)]
    #[case(&[(BUCKETS, "a..b")], BUCKETS)]
    #[case(&[(BUCKETS, "media/prefix")], BUCKETS)]
    #[case(&[(ENDPOINT, "https://s3.example.com")], BUCKETS)]
    #[case(&[(BUCKETS, "media"), (ENDPOINT, "s3.example.com")], ENDPOINT)]
    #[case(&[(BUCKETS, "media"), (ENDPOINT, "https://id:hunter2@s3.example.com")], ENDPOINT)]
    #[case(&[(BUCKETS, "media"), (ENDPOINT, "https://s3.example.com/media")], ENDPOINT)]
    #[case(&[(BUCKETS, "media"), (KEY_ID, "id")], SECRET)]
    #[case(&[(BUCKETS, "media"), (SECRET, "hunter2")], KEY_ID)]
    fn refuses_and_names_the_variable(#[case] set: &[(&str, &str)], #[case] name: &str) {
        let message = read(set).expect_err("refused").to_string();
        assert!(message.contains(name) && !message.contains("hunter2"), "{message}");
    }
}
