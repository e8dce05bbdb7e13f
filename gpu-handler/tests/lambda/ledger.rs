//! Environments that share a ledger, in a DynamoDB of moto's.

use handler_harness::Moto;
use lambda_emulator::event;
use serde_json::json;

use crate::bench::{Setup, messages};

const TABLE: &str = "ledger";

/// An account with the ledger's table in it.
async fn account() -> Moto {
    let moto = Moto::start().await;
    moto.ledger(TABLE).await;
    moto
}

/// A function of that account's.
fn setup(moto: &Moto) -> Setup {
    let variables = Moto::environment(moto.endpoint.as_str());
    let plain = Setup::new().clip();
    variables.iter().fold(plain, |setup, (name, value)| setup.variable(name, value))
}

/// Delivered to one environment while another works on it, an attempt is not begun again; and to a
/// third after the end of both, it is reported again.
#[tokio::test]
async fn an_attempt_runs_once_in_whichever_environment() {
    let moto = account().await;
    let bench = setup(&moto).variable("REELMILL_LEDGER_TABLE", TABLE).start().await;
    let job = bench.gateway.held_job(1).to_string();
    let twice = messages(&[job.clone(), job]);
    let (event, copy) = (event(&twice[..1]), event(&twice[1..]));
    let second = async {
        bench.gateway.until("fetched", |record| record.fetched == 1).await;
        let again = json!({"batchItemFailures": [{"itemIdentifier": "message-2"}]});
        assert_eq!(bench.answer(&copy).await, again);
        bench.gateway.release();
    };
    let (first, ()) = tokio::join!(bench.answer(&event), second);
    assert_eq!(first, json!({"batchItemFailures": []}));
    assert_eq!(bench.lambda.shut_down().await.expect("a machine").len(), 2);
    assert_eq!(bench.answer(&copy).await, json!({"batchItemFailures": []}));
    let reports = bench.gateway.reports(2).await;
    assert_eq!(reports[0].body, reports[1].body);
    assert_eq!(reports[0].body["status"], "completed");
    assert_eq!(bench.gateway.fetched(), 1);
    bench.check().await;
}

/// A table that is not there is found out before a job depends on it.
#[tokio::test]
async fn a_missing_table_is_a_reason_not_to_start() {
    let moto = account().await;
    let bench = setup(&moto).variable("REELMILL_LEDGER_TABLE", "nowhere").start().await;
    let error = bench.error(&bench.gateway.job(1)).await;
    assert_eq!(error["errorType"], "Handler.CannotStart", "{error}");
    assert!(error["errorMessage"].as_str().expect("a text").contains("ledger"), "{error}");
}
