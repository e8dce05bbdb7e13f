//! The ledger itself: claims, fences, leases.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use gpu_handler::ledger::{Claim, Claimed, Key, Ledger, LedgerError};
use handler_harness::Moto;
use jiff::Timestamp;
use reelmill_shared::job::{Failure, FailureCode, Job, JobReport, Metrics, Outcome};
use serde_json::json;

use crate::cloud::TABLE;

const MEDIA: &str = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";

pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// A table, and the workers that use it, each with a clock of its own.
pub(crate) struct Office {
    pub(crate) dynamo: aws_sdk_dynamodb::Client,
    _moto: Moto,
}

impl Office {
    pub(crate) async fn open() -> Self {
        let moto = Moto::start().await;
        moto.ledger(TABLE).await;
        let dynamo = aws_sdk_dynamodb::Client::new(&moto.sdk());
        Self { dynamo, _moto: moto }
    }

    /// A worker at a moment: seconds since 1970.
    pub(crate) fn at(&self, now: i64) -> Ledger {
        let ledger = Ledger::new(self.dynamo.clone(), TABLE.to_owned(), "worker".to_owned(), LEASE);
        ledger.with_clock(move || Timestamp::from_second(now).expect("a moment"))
    }

    async fn entry(&self) -> HashMap<String, AttributeValue> {
        let got = self.dynamo.get_item().table_name(TABLE).consistent_read(true);
        let got = got.key("job", AttributeValue::S(format!("{MEDIA}#1"))).send().await;
        got.expect("told").item.expect("an entry")
    }
}

pub(crate) fn key(attempt: u8) -> Key {
    let job = json!({"version": 1, "mediaId": MEDIA, "attempt": attempt,
        "input": {"url": "https://a.example/", "size": 1},
        "output": {"baseUrl": "https://a.example/"}});
    Key::of(&Job::read(job).expect("a job"))
}

pub(crate) fn report(words: &str) -> JobReport {
    let outcome = Outcome::Failed { error: Failure::new(FailureCode::Internal, words) };
    let (media_id, metrics) = (MEDIA.parse().expect("an id"), Metrics::default());
    JobReport { media_id, attempt: 1, outcome, source_sha256: None, metrics }
}

async fn won(ledger: &Ledger) -> Claim {
    match ledger.claim(&key(1)).await.expect("claimed") {
        Claimed::Won(claim) => claim,
        other => panic!("{other:?}"),
    }
}

async fn held(ledger: &Ledger) -> Duration {
    match ledger.claim(&key(1)).await.expect("answered") {
        Claimed::Held { wait } => wait,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_twenty_one_wins() {
    let office = Office::open().await;
    let ledgers: Vec<_> = (0..20).map(|_| office.at(1000)).collect();
    let key = key(1);
    let claims = join_all(ledgers.iter().map(|ledger| ledger.claim(&key))).await;
    let (mut won, mut waits) = (0, Vec::new());
    for claim in claims {
        match claim {
            Ok(Claimed::Won(claim)) => {
                assert_eq!(claim.fence(), 1);
                won += 1;
            }
            Ok(Claimed::Held { wait }) => waits.push(wait),
            // moto makes an item before it fills it, and shows it so: no claim all the same.
            Err(LedgerError::Unreadable("fence is no number")) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
    assert!(waits.iter().all(|wait| *wait == LEASE + Duration::from_secs(10)));
}

/// Of twenty that wait for a lease to lapse, one takes over.
#[tokio::test]
async fn of_twenty_one_takes_over() {
    let office = Office::open().await;
    won(&office.at(1000)).await;
    let late = office.at(1071);
    let key = key(1);
    let claims = join_all((0..20).map(|_| late.claim(&key))).await;
    let fences: Vec<_> = claims
        .into_iter()
        .filter_map(|claim| match claim.expect("answered") {
            Claimed::Won(claim) => Some(claim.fence()),
            _ => None,
        })
        .collect();
    assert_eq!(fences, [2]);
}

#[tokio::test]
async fn a_takeover_fences_the_one_before() {
    let office = Office::open().await;
    let (early, late) = (office.at(1000), office.at(1071));
    let mut first = won(&early).await;
    let second = won(&late).await;
    assert_eq!(second.fence(), 2);
    assert_eq!(early.renew(&mut first).await, Err(LedgerError::Lost));
    assert_eq!(early.finish(&first, &report("mine")).await, Err(LedgerError::Lost));
    assert_eq!(early.release(&first).await, Err(LedgerError::Lost));
    late.finish(&second, &report("the second's")).await.expect("kept");
    let Claimed::Finished(kept) = early.claim(&key(1)).await.expect("told") else { panic!() };
    assert_eq!(*kept, report("the second's"));
}

/// Clocks may differ: a lease is over when it is over by the margin.
#[tokio::test]
async fn a_clock_that_is_fast_takes_nothing_over() {
    let office = Office::open().await;
    let mut claim = won(&office.at(1000)).await;
    assert_eq!(held(&office.at(1070)).await, Duration::ZERO);
    assert_eq!(held(&office.at(1065)).await, Duration::from_secs(5));
    // Nor does one that is slow wait for ever.
    assert_eq!(held(&office.at(900)).await, Duration::from_secs(170));
    office.at(1060).renew(&mut claim).await.expect("renewed");
    assert_eq!(held(&office.at(1071)).await, Duration::from_secs(59));
    assert_eq!(won(&office.at(1131)).await.fence(), 2);
}

#[tokio::test]
async fn what_is_given_back_is_anybodys() {
    let office = Office::open().await;
    let ledger = office.at(1000);
    let mut first = won(&ledger).await;
    ledger.release(&first).await.expect("given back");
    let second = won(&ledger).await;
    assert_eq!(second.fence(), 2);
    assert_eq!(ledger.renew(&mut first).await, Err(LedgerError::Lost));
}

/// A write that is tried again, because its answer was lost, is as good as one.
#[tokio::test]
async fn to_finish_twice_is_to_finish() {
    let office = Office::open().await;
    let ledger = office.at(1000);
    let claim = won(&ledger).await;
    for _ in 0..2 {
        ledger.finish(&claim, &report("words")).await.expect("kept");
    }
    for later in [1000, 1_000_000] {
        let claimed = office.at(later).claim(&key(1)).await.expect("told");
        assert!(matches!(claimed, Claimed::Finished(kept) if *kept == report("words")));
    }
    // Half a month, in seconds: longer than SQS keeps anything.
    let entry = office.entry().await;
    assert_eq!(entry["expiresAt"].as_n().expect("a number"), "1297000");
}

#[tokio::test]
async fn attempts_are_claimed_apart() {
    let office = Office::open().await;
    won(&office.at(1000)).await;
    let other = office.at(1000).claim(&key(2)).await.expect("told");
    assert!(matches!(other, Claimed::Won(claim) if claim.fence() == 1));
}

/// An entry that somebody else has written into is an error, and no claim.
#[tokio::test]
async fn what_cannot_be_read_is_not_overwritten() {
    let office = Office::open().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: &str| AttributeValue::N(number.to_owned());
    let put = office.dynamo.put_item().table_name(TABLE).item("job", text(&format!("{MEDIA}#1")));
    let put = put.item("fence", number("1")).item("leaseUntil", number("0"));
    put.item("report", text("{")).send().await.expect("put");
    let error = office.at(1000).claim(&key(1)).await.expect_err("unreadable");
    assert_eq!(error, LedgerError::Unreadable("report is none"));
    assert!(!error.passes());
}
