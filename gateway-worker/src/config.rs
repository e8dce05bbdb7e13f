//! The gateway's configuration: the only place that reads the environment, checked as a whole and
//! once an isolate.
//!
//! | variable | what |
//! |---|---|
//! | `PUBLIC_URL` | origin of the URLs handed out; by default that of the request that created the media |
//! | `HANDLER_URL` | base of the handler's RunPod-style API, such as `https://api.runpod.ai/v2/<endpoint>`; makes the backend `handler` |
//! | `HANDLER_API_KEY` (secret) | sent to the handler as `Authorization: Bearer` |
//! | `BACKENDS` | more backends, or others: a JSON object, see [`backends`] |
//! | `BACKEND_KEYS` (secret) | the keys to those: a JSON object by their names |
//! | `DISPATCH` | which backends take the jobs of a class, in order: `video=gpu,box;audio=lambda,gpu`; by default all go to the first backend |
//! | `DISPATCH_FALLBACK_SECONDS` | after how long a job that no worker took goes to the next backend of its line, 120 by default |
//! | `JOB_TIMEOUT_SECONDS` | how long RunPod lets a job run, 12 hours by default |
//! | `JOB_TTL_SECONDS` | after how long RunPod forgets a job, even in mid-run: longer than the wait and the run together; a day by default |
//! | `MAX_QUEUED_SECONDS` | how long a job may wait in a backend's queue before it counts as lost, 6 hours by default |
//! | `PREWARM` | `true` (default) wakes a worker of RunPod's when an upload begins and all of them sleep |
//! | `GPU_PRICES` | US dollars a second by GPU, a JSON object: `{"NVIDIA L4": "0.00019"}`; RunPod's list prices by default |
//! | `HANDLER_WEBHOOK_SECRET` (secret) | `whsec_…`, one or more: what the handler signs its reports with |
//! | `TOKEN_KEYS` (secret) | `<id>:<base64 of 32 bytes>`, comma-separated, the signing key first |
//! | `ROOT_KEY_SHA256` (secret) | SHA-256 of the root API key, hexadecimal |
//! | `MAX_UPLOAD_BYTES` | largest source, 1 TiB by default |
//! | `TIER_MAX_UPLOAD_BYTES` | largest source of a tier's keys: `free=524288000,standard=21474836480` by default |
//! | `MAX_BODY_BYTES` | largest body that Cloudflare lets through to the Worker: 100 MiB on Free and Pro plans, which is the default |
//! | `UPLOAD_TTL_SECONDS` | how long a media waits for its source, a day by default |
//! | `LEASE_SECONDS` | after how long a silent attempt counts as lost, 60 by default |
//! | `S3_ENDPOINT` | R2's S3 API, `https://<account>.r2.cloudflarestorage.com`: with it, sources can be put straight into R2. It and the following come together or not at all |
//! | `S3_BUCKET` | the bucket's name there; the one that is bound as `BUCKET` |
//! | `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` (secrets) | an R2 API token that may read and write objects of this bucket |
//! | `S3_REGION` | `auto` by default |
//! | `ALLOW_PRIVATE_WEBHOOKS` | `true` for local development: webhooks may go to `http:` and private addresses |

mod backends;

use std::{rc::Rc, time::Duration};

use jiff::SignedDuration;
use reelmill_shared::{
    cost::Prices,
    media::{Routes, Rules},
    secret::Secret,
    tier::TierLimits,
    token::KeyRing,
    webhook::WebhookSecrets,
};
use url::Url;
use worker::Env;

use crate::{
    dispatch::{Backends, Policy, RunPod},
    s3::S3,
};

/// RunPod takes no shorter time for a job than five seconds.
const MIN_TIMEOUT: u64 = 6;

/// Everything that the operator of a deployment decides.
#[derive(Debug)]
pub struct Config {
    /// Origin of the URLs handed out, without a path, if it is fixed.
    pub public_url: Option<Url>,
    /// Where handlers take jobs.
    pub backends: Backends,
    /// How long RunPod lets jobs live.
    pub policy: Policy,
    /// What a second of each GPU costs.
    pub prices: Prices,
    /// The same as it is written, for a handler that we start ourselves.
    container_secret: Secret,
    /// What handlers sign with.
    pub handler_secrets: WebhookSecrets,
    /// Keys of the tokens in URLs.
    pub tokens: KeyRing,
    /// SHA-256 of the root API key.
    pub root_key_sha256: [u8; 32],
    /// Largest source of each tier, the deployment's own limit included.
    pub tiers: TierLimits,
    /// Largest body that reaches us, in bytes.
    pub max_body: u64,
    /// The bucket's S3 API, if sources may be put straight into it.
    pub s3: Option<S3>,
    /// What governs a media: times, and which backends take its jobs.
    pub rules: Rules,
    /// Whether webhooks may go to `http:` URLs and private addresses.
    pub allow_private_webhooks: bool,
}

/// Which variable is missing or wrong, and what it should be. Never shows the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {expected}")]
pub struct ConfigError {
    name: &'static str,
    expected: String,
}

impl ConfigError {
    fn new(name: &'static str, expected: impl Into<String>) -> Self {
        Self { name, expected: expected.into() }
    }
}

impl Config {
    /// The configuration of this isolate, read at its first request.
    pub fn of(env: &Env) -> Result<Rc<Self>, ConfigError> {
        thread_local! {
            static CONFIG: std::cell::OnceCell<Rc<Config>> = const { std::cell::OnceCell::new() };
        }
        CONFIG.with(|cell| {
            if let Some(config) = cell.get() {
                return Ok(Rc::clone(config));
            }
            let mut config = Self::read(|name| env.var(name).ok().map(|v| v.to_string()))?;
            if config.backends.container().is_some() {
                let objects = env.durable_object("HANDLER").map_err(|_| {
                    let unbound = "has a container, which this environment has no binding for";
                    ConfigError::new("BACKENDS", unbound)
                })?;
                config.backends.through(&objects);
            }
            let config = Rc::new(config);
            Ok(Rc::clone(cell.get_or_init(|| config)))
        })
    }

    /// What a handler in a container has to know: the two secrets that it shares with us.
    pub fn container_environment(&self) -> Vec<(&'static str, String)> {
        let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
        let key = self.backends.container().map(|api| text(api.key()));
        vec![
            ("HANDLER_API_KEY", key.unwrap_or_default()),
            ("HANDLER_WEBHOOK_SECRET", text(&self.container_secret)),
        ]
    }

    fn s3(optional: &impl Fn(&str) -> Option<String>) -> Result<Option<S3>, ConfigError> {
        const TOGETHER: [&str; 4] =
            ["S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];
        let values = TOGETHER.map(optional);
        if values.iter().all(Option::is_none) {
            return Ok(None);
        }
        if let Some(missing) = values.iter().position(Option::is_none) {
            let others = "is missing, while other S3_… variables are there";
            return Err(ConfigError::new(TOGETHER[missing], others));
        }
        let [endpoint, bucket, key_id, secret] = values.map(Option::unwrap_or_default);
        let region = optional("S3_REGION").unwrap_or_else(|| "auto".to_owned());
        let s3 = Url::parse(&endpoint)
            .ok()
            .and_then(|endpoint| S3::new(endpoint, bucket, region, key_id, secret));
        s3.map(Some).ok_or_else(|| ConfigError::new("S3_ENDPOINT", "must be an http(s) URL"))
    }

    /// Reads the variables through `lookup` and checks them all.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let optional = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let required =
            |name: &'static str| optional(name).ok_or_else(|| ConfigError::new(name, "is missing"));
        let number = |name: &'static str, default: u64, max: u64| match optional(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().ok().filter(|value| (1..=max).contains(value)).ok_or_else(|| {
                    ConfigError::new(name, format!("must be a whole number from 1 to {max}"))
                })
            }
        };
        let flag = |name: &'static str, default: bool| match optional(name).as_deref() {
            None => Ok(default),
            Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ConfigError::new(name, "must be `true` or `false`")),
        };
        let origin = |name: &'static str, text: String| {
            Url::parse(&text)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
                .ok_or_else(|| ConfigError::new(name, "must be an http(s) URL"))
        };

        let execution = number("JOB_TIMEOUT_SECONDS", 12 * 3600, 7 * 86_400)?;
        let ttl = number("JOB_TTL_SECONDS", 86_400, 7 * 86_400)?;
        let queue = number("MAX_QUEUED_SECONDS", 6 * 3600, 7 * 86_400)?;
        if execution < MIN_TIMEOUT {
            let least = format!("must be at least {MIN_TIMEOUT}, which is RunPod's own limit");
            return Err(ConfigError::new("JOB_TIMEOUT_SECONDS", least));
        }
        // RunPod deletes a job at the end of its time to live, even while it runs.
        if ttl < queue + execution {
            let least = "must be at least MAX_QUEUED_SECONDS and JOB_TIMEOUT_SECONDS together";
            return Err(ConfigError::new("JOB_TTL_SECONDS", least));
        }
        let policy =
            Policy { execution: Duration::from_secs(execution), ttl: Duration::from_secs(ttl) };
        let prewarm = flag("PREWARM", true)?;
        let runpod = |api| RunPod::new(api, policy, prewarm);
        let backends = backends::read(&|name| optional(name), &runpod)?;
        let names: Vec<&str> = backends.iter().map(|(name, _)| name).collect();
        let max_upload = number("MAX_UPLOAD_BYTES", 1 << 40, 5 << 40)?;
        let seconds = |value: u64| SignedDuration::from_secs(value.cast_signed());
        Ok(Self {
            public_url: optional("PUBLIC_URL")
                .map(|text| origin("PUBLIC_URL", text))
                .transpose()?,
            container_secret: Secret::new(required("HANDLER_WEBHOOK_SECRET")?),
            handler_secrets: WebhookSecrets::parse(&required("HANDLER_WEBHOOK_SECRET")?)
                .map_err(|error| ConfigError::new("HANDLER_WEBHOOK_SECRET", error.to_string()))?,
            tokens: KeyRing::parse(&required("TOKEN_KEYS")?)
                .map_err(|error| ConfigError::new("TOKEN_KEYS", error.to_string()))?,
            root_key_sha256: crate::hex::decode(&required("ROOT_KEY_SHA256")?).ok_or_else(
                || ConfigError::new("ROOT_KEY_SHA256", "must be 64 hexadecimal digits"),
            )?,
            tiers: match optional("TIER_MAX_UPLOAD_BYTES") {
                None => TierLimits::new(max_upload),
                Some(text) => TierLimits::parse(&text, max_upload).map_err(|error| {
                    ConfigError::new("TIER_MAX_UPLOAD_BYTES", error.to_string())
                })?,
            },
            // R2 takes no more in one piece.
            max_body: number("MAX_BODY_BYTES", 100 << 20, 5 << 30)?,
            s3: Self::s3(&optional)?,
            rules: Rules {
                upload: seconds(number("UPLOAD_TTL_SECONDS", 86_400, 7 * 86_400)?),
                lease: seconds(number("LEASE_SECONDS", 60, 3600)?),
                fallback: seconds(number("DISPATCH_FALLBACK_SECONDS", 120, 6 * 3600)?),
                queue: seconds(queue),
                routes: Routes::parse(&optional("DISPATCH").unwrap_or_default(), &names)
                    .map_err(|error| ConfigError::new("DISPATCH", error.to_string()))?,
            },
            backends,
            policy,
            prices: match optional("GPU_PRICES") {
                None => Prices::default(),
                Some(text) => Prices::parse(&text)
                    .map_err(|error| ConfigError::new("GPU_PRICES", error.to_string()))?,
            },
            allow_private_webhooks: flag("ALLOW_PRIVATE_WEBHOOKS", false)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelmill_shared::tier::Tier;
    use rstest::rstest;

    const COMPLETE: &[(&str, &str)] = &[
        ("HANDLER_URL", "http://127.0.0.1:8788/v2/local/"),
        ("HANDLER_API_KEY", "key"),
        ("HANDLER_WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
        ("TOKEN_KEYS", "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("ROOT_KEY_SHA256", "00000000000000000000000000000000000000000000000000000000000000ff"),
    ];

    fn read(name: &str, value: Option<&str>) -> Result<Config, ConfigError> {
        Config::read(|wanted| {
            if wanted == name {
                return value.map(str::to_owned);
            }
            COMPLETE.iter().find(|(name, _)| *name == wanted).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn has_defaults() {
        let config = read("", None).expect("complete");
        assert_eq!(config.backends.iter().count(), 1);
        assert_eq!((config.max_body, config.rules.lease.as_secs()), (104_857_600, 60));
        assert_eq!(config.rules.fallback.as_secs(), 120);
        let hours = |count: u64| Duration::from_secs(count * 3600);
        assert_eq!(config.policy, Policy { execution: hours(12), ttl: hours(24) });
        assert_eq!((config.rules.queue.as_hours(), &config.prices), (6, &Prices::default()));
        assert_eq!(config.rules.routes, Routes::only("handler"));
        assert_eq!(config.tiers.of(Tier::Unlimited), 1 << 40);
        assert!(config.public_url.is_none() && !config.allow_private_webhooks);
    }

    #[rstest]
    #[case("HANDLER_URL", None, "HANDLER_URL is missing")]
    #[case("HANDLER_URL", Some("ftp://x"), "HANDLER_URL must be an http(s) URL")]
    #[case("ROOT_KEY_SHA256", Some("abc"), "ROOT_KEY_SHA256 must be 64 hexadecimal digits")]
    #[case(
        "TIER_MAX_UPLOAD_BYTES",
        Some("gold=1"),
        "TIER_MAX_UPLOAD_BYTES must read `free=<bytes>,standard=<bytes>`, each at most once and at least 1"
    )]
    #[case("DISPATCH", Some("video=hunter2"), "DISPATCH names a backend that is not configured")]
    #[case(
        "DISPATCH_FALLBACK_SECONDS",
        Some("x"),
        "DISPATCH_FALLBACK_SECONDS must be a whole number from 1 to 21600"
    )]
    #[case(
        "JOB_TIMEOUT_SECONDS",
        Some("5"),
        "JOB_TIMEOUT_SECONDS must be at least 6, which is RunPod's own limit"
    )]
    #[case(
        "JOB_TTL_SECONDS",
        Some("64799"),
        "JOB_TTL_SECONDS must be at least MAX_QUEUED_SECONDS and JOB_TIMEOUT_SECONDS together"
    )]
    #[case("PREWARM", Some("1"), "PREWARM must be `true` or `false`")]
    #[case(
        "GPU_PRICES",
        Some(r#"{"NVIDIA L4": -1}"#),
        "GPU_PRICES must be a JSON object of US dollars a second by GPU, such as {\"NVIDIA L4\": \"0.00019\"}, each with at most 9 decimals"
    )]
    #[case("LEASE_SECONDS", Some("0"), "LEASE_SECONDS must be a whole number from 1 to 3600")]
    #[case(
        "ALLOW_PRIVATE_WEBHOOKS",
        Some("yes"),
        "ALLOW_PRIVATE_WEBHOOKS must be `true` or `false`"
    )]
    fn names_what_is_wrong(#[case] name: &str, #[case] value: Option<&str>, #[case] says: &str) {
        assert_eq!(read(name, value).expect_err("wrong").to_string(), says);
    }

    #[test]
    fn direct_uploads_are_configured_as_a_whole() {
        let of = |s3: &[(&str, &str)]| {
            Config::read(|wanted| {
                let known = COMPLETE.iter().chain(s3).find(|(name, _)| *name == wanted);
                known.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(of(&[]).expect("complete").s3.is_none());
        let all = [
            ("S3_ENDPOINT", "https://account.r2.cloudflarestorage.com"),
            ("S3_BUCKET", "reelmill"),
            ("S3_ACCESS_KEY_ID", "id"),
            ("S3_SECRET_ACCESS_KEY", "hunter2"),
        ];
        let config = of(&all).expect("complete");
        assert!(config.s3.is_some());
        assert!(!format!("{config:?}").contains("hunter2"));
        for missing in 0..all.len() {
            let mut some = all.to_vec();
            let (name, _) = some.remove(missing);
            let error = of(&some).expect_err("incomplete").to_string();
            assert!(error.starts_with(&format!("{name} is missing")), "{error}");
        }
        let wrong = [&[("S3_ENDPOINT", "s3://reelmill")], &all[1..]].concat();
        let error = of(&wrong).expect_err("wrong").to_string();
        assert_eq!(error, "S3_ENDPOINT must be an http(s) URL");
    }

    #[test]
    fn never_shows_a_secret() {
        let error = read("TOKEN_KEYS", Some("1:hunter2")).expect_err("wrong");
        assert!(!error.to_string().contains("hunter2"));
    }
}
