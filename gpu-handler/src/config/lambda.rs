//! What AWS Lambda tells a function by its environment.
//!
//! | variable | |
//! |---|---|
//! | `AWS_LAMBDA_RUNTIME_API` | host and port of the Runtime API; that it is set means "started by Lambda" |
//! | `AWS_LAMBDA_FUNCTION_NAME`, `AWS_LAMBDA_FUNCTION_VERSION` | for the runtime's client, which needs them |
//! | `AWS_LAMBDA_FUNCTION_MEMORY_SIZE` | memory in MB, of which FFmpeg gets what the handler does not need |
//! | `AWS_LAMBDA_LOG_FORMAT` | `JSON` asks for a log of JSON lines |
//! | `REELMILL_DEADLINE_MARGIN_SECONDS` | how long before the invocation's deadline a job is stopped, 15 |

use std::time::Duration;

use super::{ConfigError, Source, invalid};

/// The variable that tells that Lambda started this process.
pub(super) const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
const NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";
const VERSION: &str = "AWS_LAMBDA_FUNCTION_VERSION";
const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

/// Memory that the handler keeps for itself, in bytes: segments on their way, and the page cache.
const OURS: u64 = 256 << 20;

/// A function, as Lambda set it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lambda {
    /// The function's memory, in bytes.
    pub memory: u64,
    /// How long before an invocation's deadline its job is stopped, so that it can be reported.
    pub margin: Duration,
}

/// Base URL of the Runtime API, without a slash at its end, or `None` where this is no function of
/// Lambda's. It is needed first: to tell that whatever else the environment says is wrong.
#[expect(clippy::disallowed_methods, reason = "here is where the environment is read")]
pub fn runtime_api() -> Option<String> {
    std::env::var(RUNTIME_API).ok().filter(|api| !api.is_empty()).map(|api| base(&api))
}

/// Lambda tells host and port; emulators have a path as well.
fn base(api: &str) -> String {
    match api.starts_with("http://") {
        true => api.trim_end_matches('/').to_owned(),
        false => format!("http://{api}"),
    }
}

impl Lambda {
    /// What the environment says, or `None` where this is no function of Lambda's.
    ///
    /// # Errors
    /// [`ConfigError`], naming the variable.
    pub(super) fn read(source: &Source<'_>) -> Result<Option<Self>, ConfigError> {
        let lookup = source.lookup;
        if lookup(RUNTIME_API).is_none() {
            return Ok(None);
        }
        for name in [NAME, VERSION, MEMORY] {
            lookup(name).ok_or(invalid(name, "set, as Lambda does"))?;
        }
        Ok(Some(Self {
            memory: source.number(MEMORY, 128..=1 << 20, 0)? << 20,
            margin: Duration::from_secs(source.number(
                "REELMILL_DEADLINE_MARGIN_SECONDS",
                1..=300,
                15,
            )?),
        }))
    }

    /// The memory that FFmpeg may have, in bytes: past it FFmpeg alone fails, rather than Lambda
    /// killing all of the environment.
    pub(super) const fn for_tools(&self) -> u64 {
        let left = self.memory.saturating_sub(OURS);
        if left < OURS { OURS } else { left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(change: (&str, &str)) -> Result<Option<Lambda>, ConfigError> {
        let lookup = |name: &str| {
            let set = match name {
                _ if name == change.0 => change.1,
                RUNTIME_API => "127.0.0.1:9001",
                NAME => "reelmill",
                VERSION => "$LATEST",
                MEMORY => "3008",
                _ => "",
            };
            Some(set.to_owned()).filter(|value| !value.is_empty())
        };
        Lambda::read(&Source { lookup: &lookup })
    }

    #[test]
    fn reads_what_lambda_sets() {
        let place = read(("", "")).expect("a configuration").expect("a function");
        let expected = Lambda { memory: 3008 << 20, margin: Duration::from_secs(15) };
        assert_eq!((place.for_tools(), &place), (2752 << 20, &expected));
        assert_eq!(read((RUNTIME_API, "")).expect("a configuration"), None);
        assert_eq!(base("127.0.0.1:9001"), "http://127.0.0.1:9001");
        assert_eq!(base("http://127.0.0.1:9123/.rt/"), "http://127.0.0.1:9123/.rt");
    }

    #[rstest]
    #[case(NAME, "")]
    #[case(VERSION, "")]
    #[case(MEMORY, "")]
    #[case(MEMORY, "much")]
    #[case("REELMILL_DEADLINE_MARGIN_SECONDS", "0")]
    fn refuses_and_names_the_variable(#[case] name: &'static str, #[case] value: &str) {
        let message = read((name, value)).expect_err("refused").to_string();
        assert!(message.contains(name), "{message}");
    }
}
