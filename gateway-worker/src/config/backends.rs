//! The backends of a deployment, from its variables.
//!
//! `HANDLER_URL` and `HANDLER_API_KEY` make one backend, `handler`. `BACKENDS` adds others, whose keys
//! are in `BACKEND_KEYS` apart, since those are secret:
//!
//! ```json
//! {"gpu": {"kind": "runpod", "url": "https://api.runpod.ai/v2/abc"},
//!  "box": {"kind": "http", "url": "https://gpu.example.com/v2/local"},
//!  "lambda": {"kind": "sqs", "queueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"}}
//! {"gpu": "rpa_…", "box": "…", "lambda": {"accessKeyId": "…", "secretAccessKey": "…"}}
//! ```

use std::fmt;

use reelmill_shared::secret::Secret;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::Value;
use url::Url;

use super::ConfigError;
use crate::dispatch::{Api, AwsKey, Backend, Backends, RunPod, Sqs};

/// The backend that `HANDLER_URL` makes.
const HANDLER: &str = "handler";
const RUNPOD_HOST: &str = "api.runpod.ai";

/// What `BACKENDS` says of one.
#[derive(Deserialize)]
#[serde(
    rename_all = "lowercase",
    rename_all_fields = "camelCase",
    tag = "kind",
    deny_unknown_fields
)]
enum Described {
    Http { url: Url },
    RunPod { url: Url },
    Sqs { queue_url: Url, region: Option<String> },
    Container {},
}

/// What `BACKEND_KEYS` says of one.
#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Key {
    Bearer(String),
    Aws { access_key_id: String, secret_access_key: String, session_token: Option<String> },
}

/// The members of a JSON object in their order, no name twice.
struct Ordered<T>(Vec<(String, T)>);

/// Reads the variables through `optional`, which gives none that is empty. `runpod` makes an endpoint
/// of RunPod's of the API to it.
pub(super) fn read(
    optional: &impl Fn(&'static str) -> Option<String>,
    runpod: &impl Fn(Api) -> RunPod,
) -> Result<Backends, ConfigError> {
    let mut backends = Vec::new();
    let described = object::<Value>("BACKENDS", optional)?;
    if described.is_empty() || optional("HANDLER_URL").is_some() {
        backends.push((HANDLER.to_owned(), handler(optional, runpod)?));
    }
    let mut keys = object::<Key>("BACKEND_KEYS", optional)?;
    for (name, description) in described {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=40).contains(&name.len()) || !name.bytes().all(named) {
            let form = "has a name that is not 1 to 40 letters, digits, `-` and `_`";
            return Err(ConfigError::new("BACKENDS", form));
        }
        if backends.iter().any(|(known, _)| *known == name) {
            let taken = format!("names a backend `{name}`, which HANDLER_URL is already");
            return Err(ConfigError::new("BACKENDS", taken));
        }
        let key = keys.iter().position(|(known, _)| *known == name).map(|at| keys.remove(at).1);
        let backend = backend(&name, description, key, runpod)?;
        let is_container = |backend: &Backend| matches!(backend, Backend::Container(_));
        if is_container(&backend) && backends.iter().any(|(_, known)| is_container(known)) {
            return Err(ConfigError::new("BACKENDS", "has more than one container"));
        }
        backends.push((name, backend));
    }
    if !keys.is_empty() {
        return Err(ConfigError::new(
            "BACKEND_KEYS",
            "has a key for a backend that is not in BACKENDS",
        ));
    }
    Ok(Backends::new(backends))
}

fn handler(
    optional: &impl Fn(&'static str) -> Option<String>,
    runpod: &impl Fn(Api) -> RunPod,
) -> Result<Backend, ConfigError> {
    let required =
        |name: &'static str| optional(name).ok_or_else(|| ConfigError::new(name, "is missing"));
    let url = required("HANDLER_URL")?;
    let url = Url::parse(&url).ok().filter(reachable);
    let url = url.ok_or_else(|| ConfigError::new("HANDLER_URL", "must be an http(s) URL"))?;
    let api = Api::new(&url, Secret::new(required("HANDLER_API_KEY")?));
    Ok(if url.host_str() == Some(RUNPOD_HOST) {
        Backend::RunPod(runpod(api))
    } else {
        Backend::Http(api)
    })
}

fn backend(
    name: &str,
    description: Value,
    key: Option<Key>,
    runpod: &impl Fn(Api) -> RunPod,
) -> Result<Backend, ConfigError> {
    let wrong = |what: &str| ConfigError::new("BACKENDS", format!("says of `{name}` {what}"));
    let described = Described::deserialize(description)
        .map_err(|_| wrong("something else than its `kind` and what belongs to that"))?;
    let url = match &described {
        Described::Http { url } | Described::RunPod { url } => url,
        Described::Sqs { queue_url, .. } => queue_url,
        // Of the URL only the path goes anywhere.
        Described::Container {} => &Url::parse("http://container/v2/local").expect("a URL"),
    };
    if !reachable(url) {
        return Err(wrong("a URL that is no http(s) URL"));
    }
    let no_key =
        |what: &str| ConfigError::new("BACKEND_KEYS", format!("has no {what} for `{name}`"));
    let api = |key| match key {
        Some(Key::Bearer(key)) if !key.is_empty() => Ok(Api::new(url, Secret::new(key))),
        _ => Err(no_key("API key")),
    };
    Ok(match &described {
        Described::Http { .. } => Backend::Http(api(key)?),
        Described::RunPod { .. } => Backend::RunPod(runpod(api(key)?)),
        Described::Container {} => Backend::Container(api(key)?),
        Described::Sqs { region, .. } => {
            let region = region.as_deref().or_else(|| Sqs::region_of(url));
            let region = region.filter(|region| !region.is_empty());
            let region = region.ok_or_else(|| wrong("a queue, and not its `region`"))?;
            let Some(Key::Aws { access_key_id, secret_access_key, session_token }) = key else {
                return Err(no_key("`accessKeyId` and `secretAccessKey`"));
            };
            if access_key_id.is_empty() || secret_access_key.is_empty() {
                return Err(no_key("`accessKeyId` and `secretAccessKey`"));
            }
            let key = AwsKey::new(access_key_id, secret_access_key, session_token);
            Backend::Sqs(Sqs::new(url.clone(), region.to_owned(), key))
        }
    })
}

fn reachable(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.host().is_some()
}

fn object<T: for<'de> Deserialize<'de>>(
    name: &'static str,
    optional: &impl Fn(&'static str) -> Option<String>,
) -> Result<Vec<(String, T)>, ConfigError> {
    let Some(text) = optional(name) else { return Ok(Vec::new()) };
    // Without the reason: it might show a secret.
    serde_json::from_str::<Ordered<T>>(&text).map(|Ordered(members)| members).map_err(|_| {
        ConfigError::new(name, "must be a JSON object by the backends' names, none of them twice")
    })
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Vec<(String, T)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a name stands twice"));
                    }
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        from.deserialize_map(Members(std::marker::PhantomData)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Policy;
    use rstest::rstest;
    use std::time::Duration;

    const BACKENDS: &str = r#"{"gpu": {"kind": "runpod", "url": "https://api.runpod.ai/v2/abc"},
        "box": {"kind": "http", "url": "https://gpu.example.com/v2/local/"}}"#;
    const KEYS: &str = r#"{"box": "hunter2", "gpu": "hunter2"}"#;

    fn with(variables: &[(&str, &str)]) -> Result<Backends, ConfigError> {
        let variable = |wanted: &'static str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        };
        let hour = Duration::from_secs(3600);
        let policy = Policy { execution: hour, ttl: 24 * hour };
        read(&variable, &|api| RunPod::new(api, policy, true))
    }

    fn names(backends: &Backends) -> Vec<&str> {
        backends.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn one_handler_is_the_default() {
        let url = ("HANDLER_URL", "https://gpu.example.com/v2/local/");
        let key = ("HANDLER_API_KEY", "hunter2");
        let one = with(&[url, key]).expect("a backend");
        assert_eq!(names(&one), ["handler"]);
        let Some(Backend::Http(api)) = one.get("handler") else { panic!("{one:?}") };
        assert_eq!(api.base(), "https://gpu.example.com/v2/local");
        assert!(one.get("").is_some() && one.get("gpu").is_none());
        let runpod = with(&[("HANDLER_URL", "https://api.runpod.ai/v2/abc"), key]).expect("one");
        assert!(matches!(runpod.get("handler"), Some(Backend::RunPod(_))));
        // Others stand behind it.
        let all = with(&[url, key, ("BACKENDS", BACKENDS), ("BACKEND_KEYS", KEYS)]).expect("all");
        assert_eq!(names(&all), ["handler", "gpu", "box"]);
    }

    #[test]
    fn backends_keep_their_order_and_their_secrets() {
        let two = with(&[("BACKENDS", BACKENDS), ("BACKEND_KEYS", KEYS)]).expect("two");
        assert_eq!(names(&two), ["gpu", "box"]);
        assert!(matches!(two.get(""), Some(Backend::RunPod(_))));
        assert!(!format!("{two:?}").contains("hunter2"));
    }

    #[test]
    fn a_queue_is_signed_for() {
        let queue = r#"{"aws": {"kind": "sqs", "queueUrl": "http://127.0.0.1:5000/1/jobs.fifo", "region": "eu-west-1"}}"#;
        let key = r#"{"aws": {"accessKeyId": "AKID", "secretAccessKey": "hunter2", "sessionToken": "hunter2"}}"#;
        let one = with(&[("BACKENDS", queue), ("BACKEND_KEYS", key)]).expect("a queue");
        assert!(matches!(one.get("aws"), Some(Backend::Sqs(_))));
        assert!(!format!("{one:?}").contains("hunter2"));
    }

    #[rstest]
    #[case("", "", "HANDLER_URL is missing")]
    #[case("[]", "{}", "BACKENDS must be a JSON object by the backends' names, none of them twice")]
    #[case(
        r#"{"a": {"kind": "http", "url": "http://x"}, "a": {"kind": "http", "url": "http://x"}}"#,
        "{}",
        "BACKENDS must be a JSON object by the backends' names, none of them twice"
    )]
    #[case(
        r#"{"a,b": {"kind": "http", "url": "http://x"}}"#,
        "{}",
        "BACKENDS has a name that is not 1 to 40 letters, digits, `-` and `_`"
    )]
    #[case(
        r#"{"box": {"kind": "hunter2", "url": "http://x"}}"#,
        "{}",
        "BACKENDS says of `box` something else than its `kind` and what belongs to that"
    )]
    #[case(
        r#"{"box": {"kind": "http", "url": "ftp://hunter2"}}"#,
        "{}",
        "BACKENDS says of `box` a URL that is no http(s) URL"
    )]
    #[case(
        r#"{"box": {"kind": "http", "url": "http://x"}}"#,
        r#"{"box": ""}"#,
        "BACKEND_KEYS has no API key for `box`"
    )]
    #[case(
        r#"{"box": {"kind": "http", "url": "http://x"}}"#,
        r#"{"box": 7, "hunter2": 8}"#,
        "BACKEND_KEYS must be a JSON object by the backends' names, none of them twice"
    )]
    #[case(
        r#"{"box": {"kind": "http", "url": "http://x"}}"#,
        r#"{"box": "k", "hunter2": "k"}"#,
        "BACKEND_KEYS has a key for a backend that is not in BACKENDS"
    )]
    #[case(
        r#"{"cf": {"kind": "container"}, "cf2": {"kind": "container"}}"#,
        r#"{"cf": "hunter2", "cf2": "hunter2"}"#,
        "BACKENDS has more than one container"
    )]
    #[case(
        r#"{"aws": {"kind": "sqs", "queueUrl": "https://queue.example.com/1/jobs"}}"#,
        r#"{"aws": {"accessKeyId": "a", "secretAccessKey": "hunter2"}}"#,
        "BACKENDS says of `aws` a queue, and not its `region`"
    )]
    #[case(
        r#"{"aws": {"kind": "sqs", "queueUrl": "https://sqs.eu-west-1.amazonaws.com/1/jobs"}}"#,
        r#"{"aws": "hunter2"}"#,
        "BACKEND_KEYS has no `accessKeyId` and `secretAccessKey` for `aws`"
    )]
    fn names_what_is_wrong(#[case] backends: &str, #[case] keys: &str, #[case] says: &str) {
        let variables = [("BACKENDS", backends), ("BACKEND_KEYS", keys)];
        let there: Vec<_> = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let error = with(&there).expect_err("wrong").to_string();
        assert_eq!(error, says);
    }
}
