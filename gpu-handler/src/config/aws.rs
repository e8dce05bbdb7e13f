//! What the handler uses of AWS: a queue that it takes jobs from, a table that keeps the ledger.
//! Credentials, region and endpoints are read by the SDK itself.
//!
//! | variable | |
//! |---|---|
//! | `REELMILL_SQS_QUEUE_URL` | the queue; that it is set means that jobs come from there |
//! | `REELMILL_SQS_DLQ_URL` | where messages go that hold no job; unset, the queue's redrive policy moves them |
//! | `REELMILL_SQS_VISIBILITY_SECONDS` | how long a message is hidden at a time while it is worked on, 60 |
//! | `REELMILL_LEDGER_TABLE` | the DynamoDB table that workers share |
//! | `HOSTNAME` | names the worker in the ledger |

use std::time::Duration;

use url::Url;

use super::{ConfigError, Source, invalid};

/// The variable that tells a worker of a queue.
pub(super) const QUEUE: &str = "REELMILL_SQS_QUEUE_URL";
const DEAD_LETTERS: &str = "REELMILL_SQS_DLQ_URL";
const URL: &str = "the http(s) URL of a queue";
/// Most characters of a worker's name.
const NAME: usize = 64;

/// A queue of SQS's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sqs {
    /// Where jobs come from.
    pub queue: Url,
    /// Where messages go that hold none.
    pub dead_letters: Option<Url>,
    /// How long a message is hidden at a time: after a crash it comes again this late.
    pub visibility: Duration,
}

/// The table of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerTable {
    /// What it is called.
    pub name: String,
    /// What this worker is called in it, for people who look.
    pub worker: String,
}

impl Sqs {
    pub(super) fn read(source: &Source<'_>) -> Result<Option<Self>, ConfigError> {
        let visibility = source.number("REELMILL_SQS_VISIBILITY_SECONDS", 4..=3600, 60)?;
        let dead_letters =
            (source.lookup)(DEAD_LETTERS).map(|text| url(DEAD_LETTERS, &text)).transpose()?;
        let Some(queue) = (source.lookup)(QUEUE) else { return Ok(None) };
        let visibility = Duration::from_secs(visibility);
        Ok(Some(Self { queue: url(QUEUE, &queue)?, dead_letters, visibility }))
    }

    /// The region in the queue's host name: `sqs.<region>.amazonaws.com`.
    pub fn region(&self) -> Option<&str> {
        let (service, rest) = self.queue.host_str()?.split_once('.')?;
        let (region, domain) = rest.split_once('.')?;
        (service == "sqs" && domain.starts_with("amazonaws.com")).then_some(region)
    }
}

impl LedgerTable {
    pub(super) fn read(source: &Source<'_>) -> Result<Option<Self>, ConfigError> {
        const NAME_OR_ARN: &str = "the name or ARN of a DynamoDB table";
        let Some(name) = (source.lookup)("REELMILL_LEDGER_TABLE") else { return Ok(None) };
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(&byte);
        if !(3..=1024).contains(&name.len()) || !name.bytes().all(good) {
            return Err(invalid("REELMILL_LEDGER_TABLE", NAME_OR_ARN));
        }
        let host = (source.lookup)("HOSTNAME").unwrap_or_else(|| "worker".to_owned());
        Ok(Some(Self { name, worker: host.chars().take(NAME).collect() }))
    }
}

fn url(name: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).map_err(|_| invalid(name, URL))?;
    let path = url.path().trim_matches('/');
    match url.scheme() {
        "http" | "https" if !path.is_empty() => Ok(url),
        _ => Err(invalid(name, URL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const QUEUE_URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs";

    type Read = Result<(Option<Sqs>, Option<LedgerTable>), ConfigError>;

    fn read(pairs: &[(&str, &str)]) -> Read {
        let lookup = |name: &str| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let source = Source { lookup: &lookup };
        Ok((Sqs::read(&source)?, LedgerTable::read(&source)?))
    }

    #[test]
    fn reads_a_queue_and_a_table() {
        assert_eq!(read(&[]).expect("a configuration"), (None, None));
        let pairs = [(QUEUE, QUEUE_URL), ("REELMILL_LEDGER_TABLE", "jobs"), ("HOSTNAME", "box-1")];
        let (sqs, table) = read(&pairs).expect("a configuration");
        let sqs = sqs.expect("a queue");
        assert_eq!((sqs.queue.as_str(), sqs.dead_letters.as_ref()), (QUEUE_URL, None));
        assert_eq!((sqs.visibility, sqs.region()), (Duration::from_secs(60), Some("eu-central-1")));
        let worker = LedgerTable { name: "jobs".into(), worker: "box-1".into() };
        assert_eq!(table, Some(worker));
    }

    #[rstest]
    #[case("https://sqs.cn-north-1.amazonaws.com.cn/1/jobs", Some("cn-north-1"))]
    #[case("http://127.0.0.1:5000/1/jobs", None)]
    #[case("http://localhost/1/jobs", None)]
    #[case("https://sqs.example.com/1/jobs", None)]
    fn a_queue_tells_its_region(#[case] queue: &str, #[case] expected: Option<&str>) {
        let (sqs, _) = read(&[(QUEUE, queue)]).expect("a configuration");
        assert_eq!(sqs.expect("a queue").region(), expected);
    }

    #[rstest]
    #[case(QUEUE, "jobs")]
    #[case(QUEUE, "arn:aws:sqs:eu-central-1:123456789012:jobs")]
    #[case(QUEUE, "https://sqs.eu-central-1.amazonaws.com/")]
    #[case(DEAD_LETTERS, "dead")]
    #[case("REELMILL_SQS_VISIBILITY_SECONDS", "0")]
    #[case("REELMILL_SQS_VISIBILITY_SECONDS", "43200")]
    #[case("REELMILL_LEDGER_TABLE", "a table")]
    #[case("REELMILL_LEDGER_TABLE", "x")]
    fn refuses_and_names_the_variable(#[case] name: &str, #[case] value: &str) {
        let message = read(&[(name, value)]).expect_err("refused").to_string();
        assert!(message.contains(name), "{message}");
    }
}
