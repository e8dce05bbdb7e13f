//! How an environment begins and ends.

use lambda_emulator::End;
use reelmill_shared::job::FailureCode;
use rstest::rstest;

use crate::bench::{Bench, Setup};

#[rstest]
#[case::no_tool("FFMPEG", "/nowhere/ffmpeg")]
#[case::no_secret("HANDLER_WEBHOOK_SECRET", "")]
#[case::no_number("REELMILL_CONCURRENCY", "many")]
#[case::no_directory("REELMILL_WORK_DIR", "/nowhere/at/all")]
#[tokio::test]
async fn a_function_that_cannot_start_says_why(#[case] name: &str, #[case] value: &str) {
    let bench = Setup::new().variable(name, value).start().await;
    let error = bench.error(&bench.gateway.job(1)).await;
    assert_eq!(error["errorType"], "Handler.CannotStart", "{error}");
    let message = error["errorMessage"].as_str().expect("a text");
    assert!(message.contains(name) || name == "REELMILL_WORK_DIR", "{message}");
    assert!(!message.contains("whsec_"), "{message}");
    bench.lambda.check().await;
}

#[tokio::test]
async fn an_idle_environment_ends_well() {
    let bench = Bench::new().await;
    bench.answer(&bench.gateway.job(1)).await;
    assert_eq!(bench.lambda.shut_down().await.expect("a machine"), ["exit status: 0"]);
    bench.check().await;
}

/// Half a second is enough to tell the gateway that another attempt may do better.
#[tokio::test]
async fn an_environment_that_ends_in_mid_job_reports_it() {
    let bench = Bench::new().await;
    let ending = async {
        bench.gateway.until("fetched", |record| record.fetched == 1).await;
        bench.lambda.end(End::Shutdown);
    };
    let job = bench.gateway.held_job(1);
    let (error, ()) = tokio::join!(bench.error(&job), ending);
    assert_eq!(error["errorType"], "Runtime.ExitError", "{error}");
    let report = bench.gateway.reports(1).await[0].body.clone();
    assert_eq!(report["error"]["code"], FailureCode::HandlerStopped.as_str());
    assert_eq!(report["error"]["transient"], true);
    bench.check().await;
}

/// The message of a machine that is lost comes again; another one does the job, and tidies up.
#[tokio::test]
async fn a_job_survives_a_crash() {
    let bench = Setup::new().clip().start().await;
    let (queue, mapping) = bench.queue(1);
    queue.send(&bench.gateway.held_job(1).to_string());
    bench.gateway.until("fetched", |record| record.fetched == 1).await;
    bench.lambda.end(End::Crash);
    bench.gateway.until("fetched again", |record| record.fetched == 2).await;
    bench.gateway.release();
    queue.drained().await;
    let reports = bench.gateway.record().reports;
    assert_eq!((reports.len(), &reports[0].body["status"]), (1, &"completed".into()));
    drop(mapping);
    bench.check().await;
}

/// The log is one of JSON lines where the function is configured so, with the id of the request.
#[tokio::test]
async fn the_log_is_json_on_demand() {
    let bench = Setup::new().variable("AWS_LAMBDA_LOG_FORMAT", "JSON").start().await;
    bench.answer(&bench.gateway.job(1)).await;
    let log = bench.lambda.log();
    let lines: Vec<serde_json::Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed = lines.iter().find(|line| line["message"] == "job failed").expect("a line");
    assert_eq!(failed["level"], "WARN");
    assert!(failed.to_string().contains("requestId"), "{failed}");
}
