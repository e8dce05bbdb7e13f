//! Direct invocations.

use reelmill_shared::job::FailureCode;
use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::{Bench, Setup};

#[tokio::test]
async fn a_job_is_done_and_answered() {
    let bench = Setup::new().clip().start().await;
    let job = bench.gateway.job(1);
    let answer = bench.answer(&json!({"input": job})).await;
    let done = json!({"mediaId": job["mediaId"], "attempt": 1, "status": "completed"});
    assert_eq!(answer, done);
    let report = bench.gateway.reports(1).await[0].body.clone();
    assert_eq!((&report["status"], &report["attempt"]), (&json!("completed"), &json!(1)));
    let record = bench.gateway.record();
    assert!(record.stored("hls/main.m3u8") >= 1, "{record:?}");
    // A job alone is one too; and the process is the same, with nothing of the first one left.
    let second = bench.answer(&bench.gateway.job(2)).await;
    assert_eq!((&second["status"], &second["attempt"]), (&json!("completed"), &json!(2)));
    assert_eq!(bench.lambda.warm().await, 1);
    bench.check().await;
}

#[rstest]
#[case::permanent("/source", 0, FailureCode::UnsupportedMedia)]
#[case::transient("/source", 20 << 20, FailureCode::FetchFailed)]
#[tokio::test]
async fn a_failure_is_an_answer(
    #[case] path: &str,
    #[case] size: usize,
    #[case] code: FailureCode,
) {
    let bench = Bench::new().await;
    let answer = bench.answer(&bench.gateway.job_of(path, 1, size)).await;
    assert_eq!(answer["status"], "failed");
    assert_eq!(answer["error"]["code"], code.as_str());
    assert_eq!(answer["error"]["transient"], code.is_transient());
    let report = bench.gateway.reports(1).await[0].body.clone();
    assert_eq!(report["error"], answer["error"]);
    bench.check().await;
}

/// An asynchronous invocation is retried by Lambda: it runs nothing again.
#[tokio::test]
async fn a_retry_only_reports_again() {
    let bench = Setup::new().clip().start().await;
    let job = bench.gateway.job(1);
    let first = bench.answer(&job).await;
    let fetched = bench.gateway.fetched();
    assert_eq!(bench.answer(&job).await, first);
    let reports = bench.gateway.reports(2).await;
    assert_eq!(reports[0].body, reports[1].body);
    assert_eq!(bench.gateway.fetched(), fetched);
    bench.check().await;
}

/// What is not told is an error, so that Lambda retries it; then it is told, and not run again.
#[tokio::test]
async fn a_report_that_is_not_taken_is_an_error() {
    let bench = Bench::new().await;
    bench.gateway.answer("/report", 422);
    let job = bench.gateway.job(1);
    let error = bench.error(&job).await;
    assert_eq!(error["errorType"], "unsettled", "{error}");
    bench.gateway.answer("/report", 200);
    assert_eq!(bench.answer(&job).await["status"], "failed");
    assert_eq!(bench.gateway.reports(1).await.len(), 1);
    bench.check().await;
}

#[tokio::test]
async fn a_message_that_wakes_is_answered() {
    let bench = Bench::new().await;
    let answer = bench.answer(&json!({"input": {"version": 1, "kind": "warm"}})).await;
    assert_eq!(answer, json!({"status": "warm"}));
    bench.check().await;
}

/// Payloads that hold no job: Lambda puts those of asynchronous invocations aside.
#[rstest]
#[case::nothing(json!({"input": null}), "unsupported_job")]
#[case::empty(json!({}), "unsupported_job")]
#[case::a_text(json!("{\"version\": 1"), "unsupported_job")]
#[case::half_a_job(json!({"input": {"version": 1}}), "unsupported_job")]
#[case::of_tomorrow(json!({"input": {"version": 2}}), "unsupported_job")]
#[case::of_another_kind(json!({"version": 1, "kind": "bake"}), "unsupported_job")]
#[case::of_a_bucket(json!({"Records": [{"eventSource": "aws:s3"}]}), "unsupported_event")]
#[tokio::test]
async fn a_poisonous_payload_is_an_error(#[case] payload: Value, #[case] code: &str) {
    let bench = Bench::new().await;
    let error = bench.error(&payload).await;
    assert_eq!(error["errorType"], code, "{error}");
    bench.check().await;
}

/// A job that cannot be read may still say who waits for it.
#[tokio::test]
async fn who_waits_for_a_refused_job_hears_of_it() {
    let bench = Bench::new().await;
    let mut job = bench.gateway.job(3);
    job["version"] = json!(2);
    let error = bench.error(&json!({"input": job})).await;
    assert_eq!(error["errorType"], FailureCode::UnsupportedJob.as_str());
    let report = bench.gateway.reports(1).await[0].body.clone();
    assert_eq!(report["error"]["code"], FailureCode::UnsupportedJob.as_str());
    assert_eq!(report["attempt"], 3);
    bench.check().await;
}

/// The gateway has given up on the attempt: the work stops, and nobody is told.
#[tokio::test]
async fn a_stale_attempt_is_given_up() {
    let bench = Bench::new().await;
    bench.gateway.answer_progress(409);
    let answer = bench.answer(&bench.gateway.held_job(1)).await;
    assert_eq!(answer["error"]["code"], FailureCode::Cancelled.as_str());
    assert!(bench.gateway.record().reports.is_empty());
    bench.check().await;
}
