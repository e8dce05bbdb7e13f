//! Environments that share a ledger, in a DynamoDB of moto's.

use std::path::Path;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::{
    Client,
    config::{Config, Credentials},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use handler_harness::Worker;
use lambda_emulator::event;
use serde_json::json;

use crate::bench::{Setup, messages};

const TABLE: &str = "ledger";

/// Starts moto, which `scripts/setup test` installs, with the ledger's table in it.
async fn account() -> (Worker, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/python/bin/moto_server");
    assert!(program.exists(), "moto is not installed: run scripts/setup test");
    let arguments = ["-H", "127.0.0.1", "-p", "0"];
    let moto = Worker::start_with(&program, &arguments, [("PYTHONUNBUFFERED", "1")]);
    let endpoint = moto.says("Running on ").await.trim().to_owned();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(&endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    let key = KeySchemaElement::builder().attribute_name("job").key_type(KeyType::Hash);
    let job =
        AttributeDefinition::builder().attribute_name("job").attribute_type(ScalarAttributeType::S);
    let table = Client::from_conf(config.build()).create_table().table_name(TABLE);
    let table = table.billing_mode(BillingMode::PayPerRequest);
    let table = table.key_schema(key.build().expect("a key"));
    let table = table.attribute_definitions(job.build().expect("an attribute"));
    table.send().await.expect("made");
    (moto, endpoint)
}

fn setup(endpoint: &str) -> Setup {
    Setup::new()
        .clip()
        .variable("AWS_ENDPOINT_URL", endpoint)
        .variable("AWS_ACCESS_KEY_ID", "test")
        .variable("AWS_SECRET_ACCESS_KEY", "test")
}

/// Delivered to one environment while another works on it, an attempt is not begun again; and to a
/// third after the end of both, it is reported again.
#[tokio::test]
async fn an_attempt_runs_once_in_whichever_environment() {
    let (_moto, endpoint) = account().await;
    let bench = setup(&endpoint).variable("REELMILL_LEDGER_TABLE", TABLE).start().await;
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
    let (_moto, endpoint) = account().await;
    let bench = setup(&endpoint).variable("REELMILL_LEDGER_TABLE", "nowhere").start().await;
    let error = bench.error(&bench.gateway.job(1)).await;
    assert_eq!(error["errorType"], "Handler.CannotStart", "{error}");
    assert!(error["errorMessage"].as_str().expect("a text").contains("ledger"), "{error}");
}
