//! The ledger against a model of it: whatever workers do in whatever order, an attempt has one holder
//! at a time, and one report for ever.

use std::time::Duration;

use gpu_handler::ledger::{Claim, Claimed, LedgerError};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::ledger::{LEASE, Office, key, report};

/// Something that one of three workers does.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Seconds go by.
    Wait(i64),
    Claim(usize),
    Renew(usize),
    Finish(usize),
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let worker = 0..3usize;
    prop_oneof![
        2 => (1..90i64).prop_map(Step::Wait),
        4 => worker.clone().prop_map(Step::Claim),
        2 => worker.clone().prop_map(Step::Renew),
        1 => worker.clone().prop_map(Step::Finish),
        1 => worker.prop_map(Step::Release),
    ]
}

/// What must hold.
#[derive(Debug, Default)]
struct Model {
    fence: u64,
    /// Who holds it, and until when by all clocks.
    holder: Option<usize>,
    until: i64,
    finished: Option<usize>,
}

async fn run(office: &Office, attempt: u8, steps: &[Step]) -> Result<(), TestCaseError> {
    let (key, mut now, mut model) = (key(attempt), 1_000_000, Model::default());
    let mut claims: [Option<Claim>; 3] = [None, None, None];
    let lease = LEASE.as_secs() as i64;
    for step in steps {
        let ledger = office.at(now);
        let margin = ledger.margin().as_secs() as i64;
        match *step {
            Step::Wait(seconds) => now += seconds,
            Step::Claim(worker) => {
                let free = model.holder.is_none() || now > model.until + margin;
                match ledger.claim(&key).await.expect("the table is there") {
                    Claimed::Won(claim) => {
                        prop_assert!(free && model.finished.is_none(), "{model:?}");
                        model.fence += 1;
                        prop_assert_eq!(claim.fence(), model.fence);
                        (model.holder, model.until) = (Some(worker), now + lease);
                        claims[worker] = Some(claim);
                    }
                    Claimed::Held { wait } => {
                        prop_assert!(!free && model.finished.is_none(), "{model:?}");
                        let left = u64::try_from(model.until + margin - now).expect("held");
                        prop_assert_eq!(wait, Duration::from_secs(left));
                    }
                    Claimed::Finished(kept) => {
                        let by = model.finished.map(|worker| report(&worker.to_string()));
                        prop_assert_eq!(Some(*kept), by);
                    }
                }
            }
            Step::Renew(worker) => {
                let Some(claim) = &mut claims[worker] else { continue };
                let mine = model.holder == Some(worker) && claim.fence() == model.fence;
                match ledger.renew(claim).await {
                    Ok(()) => {
                        prop_assert!(mine);
                        model.until = now + lease;
                    }
                    Err(error) => prop_assert!(error == LedgerError::Lost && !mine, "{error}"),
                }
            }
            Step::Finish(worker) => {
                let Some(claim) = &claims[worker] else { continue };
                let mine = model.holder == Some(worker) && claim.fence() == model.fence;
                match ledger.finish(claim, &report(&worker.to_string())).await {
                    Ok(()) => {
                        prop_assert!(mine);
                        model.finished = Some(worker);
                    }
                    Err(error) => prop_assert!(error == LedgerError::Lost && !mine, "{error}"),
                }
            }
            Step::Release(worker) => {
                let Some(claim) = claims[worker].take() else { continue };
                let mine = model.holder == Some(worker) && claim.fence() == model.fence;
                match ledger.release(&claim).await {
                    Ok(()) => {
                        prop_assert!(mine);
                        model.until = i64::MIN / 2;
                    }
                    Err(error) => prop_assert!(error == LedgerError::Lost && !mine, "{error}"),
                }
            }
        }
    }
    Ok(())
}

#[test]
fn it_does_as_its_model() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let office = runtime.block_on(Office::open());
    let attempt = std::cell::Cell::new(0);
    let config = Config { cases: 32, failure_persistence: None, ..Config::default() };
    let case = |steps: Vec<Step>| {
        // Each has an attempt of its own; shrinking may have many, and starts again with the first.
        attempt.set(attempt.get() % 250 + 1);
        runtime.block_on(run(&office, attempt.get(), &steps))
    };
    let ran = TestRunner::new(config).run(&vec(step(), 1..24), case);
    ran.unwrap_or_else(|error| panic!("{error}"));
}
