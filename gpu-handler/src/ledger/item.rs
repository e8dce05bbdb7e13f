//! An entry of the ledger as DynamoDB keeps it.
//!
//! | attribute | type | |
//! |---|---|---|
//! | `job` | S | partition key: `<media>#<attempt>`, and `#<dispatch>` where there is one |
//! | `worker` | S | who claimed it last, and with which claim |
//! | `fence` | N | how often it was claimed |
//! | `leaseUntil` | N | when the claim lapses, in milliseconds since 1970; 0 once it is given back |
//! | `report` | S | the report as JSON, once the attempt is over |
//! | `expiresAt` | N | when the entry may go, in seconds since 1970: the table's TTL attribute |

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use reelmill_shared::job::{JobReport, Outcome};

use super::LedgerError;

/// The partition key.
pub(super) const JOB: &str = "job";
/// Largest report that is kept whole, in bytes: an item of DynamoDB's has 400 KB.
const LARGEST: usize = 300_000;
/// What is kept of an error's words where the whole is too large, in characters.
const WORDS: usize = 1000;

/// What is written of an attempt.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) fence: u64,
    pub(super) lease_until: u64,
    pub(super) report: Option<JobReport>,
}

impl Entry {
    /// Reads what DynamoDB gave.
    pub(super) fn read(
        item: Option<&HashMap<String, AttributeValue>>,
    ) -> Result<Self, LedgerError> {
        let item = item.ok_or(LedgerError::Unreadable("nothing was given back"))?;
        let whole = |name: &str, missing| {
            let value = item.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
            value.ok_or(LedgerError::Unreadable(missing))
        };
        let report = match item.get("report").map(AttributeValue::as_s) {
            None => None,
            Some(Ok(text)) => serde_json::from_str(text)
                .map(Some)
                .map_err(|_| LedgerError::Unreadable("report is none"))?,
            Some(Err(_)) => return Err(LedgerError::Unreadable("report is no text")),
        };
        Ok(Self {
            fence: whole("fence", "fence is no number")?,
            lease_until: whole("leaseUntil", "leaseUntil is no number")?,
            report,
        })
    }
}

/// A report as JSON that an item has room for: one that is too large loses the words in it, and keeps
/// what happened and what there is.
pub(super) fn bounded(report: &JobReport) -> String {
    let write = |report| serde_json::to_string(report).expect("a report is plain data");
    let whole = write(report);
    if whole.len() <= LARGEST {
        return whole;
    }
    let mut report = report.clone();
    match &mut report.outcome {
        Outcome::Completed { summary, .. } => summary.warnings.clear(),
        Outcome::Failed { error } => error.message = error.message.chars().take(WORDS).collect(),
    }
    write(&report)
}

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelmill_shared::job::{Failure, FailureCode, Metrics, Summary};
    use std::collections::BTreeMap;

    fn report(outcome: Outcome) -> JobReport {
        let media_id = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id");
        JobReport {
            media_id,
            attempt: 1,
            outcome,
            source_sha256: None,
            metrics: Metrics::default(),
        }
    }

    #[test]
    fn a_report_has_room() {
        let failed = |words: &str| {
            report(Outcome::Failed { error: Failure::new(FailureCode::Internal, words) })
        };
        let small = failed("no disk");
        assert_eq!(serde_json::from_str::<JobReport>(&bounded(&small)).expect("a report"), small);
        assert!(bounded(&failed(&"ä".repeat(LARGEST))).len() < 3 * WORDS);
        let summary = Summary { warnings: vec!["w".repeat(LARGEST)], ..Summary::default() };
        let kept = bounded(&report(Outcome::Completed { outputs: BTreeMap::new(), summary }));
        assert!(kept.len() < 2000 && kept.contains(r#""status":"completed""#), "{kept}");
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let entry = |pairs: &[(&str, AttributeValue)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            Entry::read(Some(&pairs.collect()))
        };
        let claimed = [("fence", number(3)), ("leaseUntil", number(17))];
        let read = entry(&claimed).expect("an entry");
        assert_eq!((read.fence, read.lease_until, read.report), (3, 17, None));
        for bad in [
            ("report", text("{")),
            ("report", number(1)),
            ("fence", text("3")),
            ("leaseUntil", number(u64::MAX)),
        ] {
            let mut pairs = claimed.to_vec();
            pairs.push(bad.clone());
            let unreadable = entry(&pairs).is_err();
            assert_eq!(unreadable, bad.0 != "leaseUntil", "{bad:?}");
        }
        assert!(Entry::read(None).is_err() && entry(&claimed[..1]).is_err());
    }
}
