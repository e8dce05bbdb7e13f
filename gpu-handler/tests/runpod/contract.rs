//! What every transport has to do with a job: the outcome reaches the gateway, signed, and then the
//! platform, in a few words.

use reelmill_shared::job::FailureCode;
use rstest::rstest;
use runpod_simulator::{
    Templates,
    ledger::State,
    traffic::{Route, Seen},
};
use serde_json::{Value, json};

use crate::bench::{Bench, Setup};

#[rstest]
#[tokio::test]
async fn a_job_is_done(#[values(Templates::WithQuery, Templates::Bare)] templates: Templates) {
    let bench = Setup::new().templates(templates).clip().start().await;
    let id = bench.platform.run(bench.gateway.job(1));
    bench.until(&id, State::Completed).await;
    let output = bench.platform.status(&id).expect("known")["output"].clone();
    let expected = json!({"mediaId": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "attempt": 1,
        "status": "completed", "reported": true});
    assert_eq!(output, expected);
    let reports = bench.gateway.reports(1).await;
    assert_eq!(reports[0].body["status"], "completed");
    assert_eq!(reports[0].body["outputs"]["hls"], "hls/main.m3u8");
    assert_eq!(reports[0].results, 0, "the truth goes first");
    let progress = bench.platform.look(|record| record.of(Route::Progress).count());
    assert!(progress > 0, "the platform is told how it goes");
    bench.works().await;
}

#[tokio::test]
async fn a_permanent_failure_is_told() {
    let bench = Bench::new().await;
    let id = bench.platform.run(bench.gateway.job(1));
    bench.until(&id, State::Failed).await;
    let status = bench.platform.status(&id).expect("known");
    assert_eq!(status["error"], "unsupported_media: the source is empty");
    let reports = bench.gateway.reports(1).await;
    assert_eq!((reports[0].results, &reports[0].body["error"]["transient"]), (0, &json!(false)));
    assert_eq!(reports[0].body["error"]["code"], FailureCode::UnsupportedMedia.as_str());
    bench.works().await;
}

#[tokio::test]
async fn a_transient_failure_is_told() {
    let bench = Bench::new().await;
    // Of a source that is larger than one range, a server that knows no ranges gives nothing.
    let id = bench.platform.run(bench.gateway.job_of("/source", 1, 20 << 20));
    bench.until(&id, State::Failed).await;
    let status = bench.platform.status(&id).expect("known");
    assert!(status["error"].as_str().expect("text").starts_with("fetch_failed: "), "{status}");
    let reports = bench.gateway.reports(1).await;
    assert_eq!(reports[0].body["error"]["transient"], true);
    bench.works().await;
}

/// Messages that hold no job, each of which could be the end of a careless worker.
#[rstest]
#[case::nothing(Value::Null, "unsupported_job: input.version is missing")]
#[case::a_text(json!("{\"version\": 1"), "unsupported_job: input.version is missing")]
#[case::half_a_job(json!({"version": 1}), "unsupported_job: missing field `mediaId`")]
#[case::of_tomorrow(json!({"version": 2}), "unsupported_job: version 2, this handler knows 1")]
#[case::of_another_kind(json!({"version": 1, "kind": "bake"}), "unsupported_job: unknown variant")]
#[case::deep(nested(500), "unsupported_job: input.version is missing")]
#[tokio::test]
async fn a_poisonous_message_is_answered(#[case] input: Value, #[case] error: &str) {
    let bench = Bench::new().await;
    let id = bench.platform.run(input);
    bench.until(&id, State::Failed).await;
    let told = bench.platform.status(&id).expect("known")["error"].clone();
    assert!(told.as_str().expect("text").starts_with(error), "{told}");
    bench.works().await;
    assert_eq!(bench.gateway.reports(1).await.len(), 1, "of the job that was one");
}

/// The message by which the gateway wakes a worker while a source is uploaded.
#[tokio::test]
async fn a_worker_that_is_only_wanted_awake_says_so() {
    let bench = Bench::new().await;
    let id = bench.platform.run(json!({"version": 1, "kind": "warm"}));
    bench.until(&id, State::Completed).await;
    assert_eq!(bench.platform.status(&id).expect("known")["output"], json!({"status": "warm"}));
    let asked_progress = bench.platform.look(|record| record.of(Route::Progress).count());
    assert_eq!(asked_progress, 0, "there is none");
    bench.works().await;
    let report = bench.gateway.reports(1).await[0].clone();
    assert_eq!(report.body["attempt"], 77, "of the job that was one");
    assert_eq!(report.body["metrics"]["gpuType"], "NVIDIA L4", "what the price depends on");
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!({"a": inner}))
}

/// A job that cannot be read may still say who waits for it.
#[rstest]
#[case::of_tomorrow("/version", json!(2))]
#[case::of_a_file("/input/url", json!("file:///etc/passwd"))]
#[case::malformed("/pipeline", json!({"unknown": 1}))]
#[tokio::test]
async fn who_waits_for_a_refused_job_hears_of_it(#[case] member: &str, #[case] value: Value) {
    let bench = Bench::new().await;
    let mut job = bench.gateway.job(3);
    job["pipeline"] = json!({});
    *job.pointer_mut(member).expect("a member") = value;
    let id = bench.platform.run(job);
    bench.until(&id, State::Failed).await;
    let report = bench.gateway.reports(1).await[0].clone();
    assert_eq!((report.results, &report.body["attempt"]), (0, &json!(3)));
    assert_eq!(report.body["error"]["code"], FailureCode::UnsupportedJob.as_str());
    assert_eq!(report.body["error"]["transient"], false);
}

#[rstest]
#[case::cancelled(State::Cancelled)]
#[case::timed_out(State::TimedOut)]
#[tokio::test]
async fn a_job_that_is_taken_back_stops_and_gets_no_result(#[case] state: State) {
    let bench = Bench::new().await;
    let id = bench.platform.run(bench.gateway.held_job(1));
    bench.until_in_hand(&[&id]).await;
    match state {
        State::Cancelled => bench.platform.cancel(&id),
        _ => bench.platform.time_out(&id),
    }
    let reports = bench.gateway.reports(1).await;
    assert_eq!(reports[0].body["error"]["code"], FailureCode::Cancelled.as_str());
    bench.until_in_hand(&[]).await;
    bench.works().await;
    let of = |seen: &Seen| seen.path.contains(&id);
    assert!(!bench.platform.look(|record| record.of(Route::Result).any(of)), "no result");
    assert!(bench.platform.look(|record| record.is(&id, state)));
}

/// Whoever waits for the job has given up on this attempt: the work stops, and the platform gets a
/// result, since it waits for one.
#[tokio::test]
async fn a_stale_attempt_is_given_up() {
    let bench = Bench::new().await;
    bench.gateway.answer_progress(409);
    let id = bench.platform.run(bench.gateway.held_job(1));
    bench.until(&id, State::Failed).await;
    let status = bench.platform.status(&id).expect("known");
    assert_eq!(status["error"], "cancelled: nobody waits for this attempt any more");
    bench.gateway.answer_progress(200);
    bench.works().await;
    assert_eq!(bench.gateway.reports(1).await.len(), 1, "nobody waits for a report");
}
