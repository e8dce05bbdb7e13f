//! Which gateway, and as whom: options first, then the environment. Read here and nowhere else.

use std::{fs, path::PathBuf};

use url::Url;

use crate::{
    arguments::Connection,
    failure::{Failure, Kind},
};

/// Where `scripts/run` listens.
const DEFAULT_URL: &str = "http://localhost:8787";

/// What every command needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    /// The gateway, without a slash at its end.
    pub(crate) url: String,
    /// The API key.
    pub(crate) key: String,
    /// Where unfinished uploads are remembered; `None` if the environment names no place.
    pub(crate) state: Option<PathBuf>,
}

impl Config {
    /// By the options and, where those say nothing, the environment.
    ///
    /// # Errors
    /// The URL is none, or there is no API key.
    pub(crate) fn new(options: &Connection) -> Result<Self, Failure> {
        Self::with(options, variable)
    }

    fn with(
        options: &Connection,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let url = options.url.clone().or_else(|| variable("REELMILL_URL"));
        let url = gateway(url.as_deref().unwrap_or(DEFAULT_URL))?;
        let key = match &options.api_key_file {
            Some(path) => Some(fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!("cannot read {}: {error}", path.display()))
            })?),
            None => variable("REELMILL_API_KEY"),
        };
        let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| {
            let how = "set REELMILL_API_KEY or name a file with --api-key-file";
            Failure::new(Kind::Auth, format!("there is no API key: {how}"))
        })?;
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::new(Kind::Auth, "the API key has characters that no key has"));
        }
        // The XDG base directory specification: relative paths are to be ignored.
        let state = variable("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state")))
            .map(|path| path.join("reelmill/uploads"));
        Ok(Self { url, key, state })
    }
}

/// A gateway's base URL, without a slash at its end.
fn gateway(text: &str) -> Result<String, Failure> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let url = url.ok_or_else(|| {
        Failure::usage(
            "the gateway's URL must be like https://media.example.com (--url or REELMILL_URL)",
        )
    })?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this package that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn config(options: &Connection, environment: &[(&str, &str)]) -> Result<Config, Failure> {
        Config::with(options, |name| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn options(url: Option<&str>) -> Connection {
        Connection { url: url.map(str::to_owned), api_key_file: None }
    }

    #[test]
    fn the_environment_serves_where_options_are_silent() {
        let environment =
            [("REELMILL_URL", "https://a.example/"), ("REELMILL_API_KEY", " k\n"), ("HOME", "/h")];
        let found = config(&options(None), &environment).expect("a configuration");
        assert_eq!((found.url.as_str(), found.key.as_str()), ("https://a.example", "k"));
        assert_eq!(found.state, Some("/h/.local/state/reelmill/uploads".into()));
        let found = config(&options(Some("http://b.example/under")), &environment);
        assert_eq!(found.expect("a configuration").url, "http://b.example/under");
    }

    #[test]
    fn the_key_file_comes_before_the_environment() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "from-file\n").expect("written");
        let options = Connection { url: None, api_key_file: Some(file.path().into()) };
        let found = config(&options, &[("REELMILL_API_KEY", "from-environment")]);
        assert_eq!(found.expect("a configuration").key, "from-file");
    }

    #[rstest]
    #[case(&[], Kind::Auth)]
    #[case(&[("REELMILL_API_KEY", "a\nb")], Kind::Auth)]
    #[case(&[("REELMILL_API_KEY", "k"), ("REELMILL_URL", "ftp://x")], Kind::Usage)]
    #[case(&[("REELMILL_API_KEY", "k"), ("REELMILL_URL", "localhost")], Kind::Usage)]
    #[case(&[("REELMILL_API_KEY", "k"), ("REELMILL_URL", "http://u:p@x")], Kind::Usage)]
    fn says_what_is_missing(#[case] environment: &[(&str, &str)], #[case] kind: Kind) {
        assert_eq!(config(&options(None), environment).expect_err("a failure").kind, kind);
    }

    #[test]
    fn a_relative_state_directory_is_ignored() {
        let environment = [("REELMILL_API_KEY", "k"), ("XDG_STATE_HOME", "state")];
        assert_eq!(config(&options(None), &environment).expect("a configuration").state, None);
    }
}
