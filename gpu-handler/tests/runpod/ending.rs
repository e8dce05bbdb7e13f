//! How a worker ends: asked to, or of its own will.

use reelmill_shared::job::FailureCode;
use runpod_simulator::{ledger::State, traffic::Route};
use serde_json::Value;

use crate::bench::{Bench, Setup};

#[tokio::test]
async fn an_idle_worker_ends_at_once() {
    let mut bench = Bench::new().await;
    bench.platform.until("asking", |record| record.is_asking()).await;
    bench.shut_down();
    let platform = bench.ended().await;
    platform.until("hung up", |record| !record.is_asking()).await;
}

/// What is in hand is finished; nothing else is taken; and it can still be taken back meanwhile.
#[tokio::test]
async fn a_worker_drains() {
    let setup = Setup::new().clip().variable("REELMILL_CONCURRENCY", "3");
    let mut bench = setup.start().await;
    let first = bench.platform.run(bench.gateway.held_job(1));
    let second = bench.platform.run(bench.gateway.held_job(2));
    bench.platform.until("both", |record| record.is_in_hand(&[&first, &second])).await;
    bench.shut_down();
    bench.platform.until("asks no more", |record| !record.is_asking()).await;
    let third = bench.platform.run(bench.gateway.job(3));
    bench.platform.cancel(&second);
    let reports = bench.gateway.reports(1).await;
    assert_eq!(reports[0].body["attempt"], 2);
    assert_eq!(reports[0].body["error"]["code"], FailureCode::Cancelled.as_str());
    bench.until_in_hand(&[&first]).await;
    bench.gateway.release();
    let platform = bench.ended().await;
    assert!(platform.look(|record| record.is(&first, State::Completed)));
    assert!(platform.look(|record| record.is(&third, State::InQueue)), "for another worker");
}

/// With a grace that is over, the gateway hears that another attempt may do better, and the platform
/// does not wait.
#[tokio::test]
async fn a_worker_in_a_hurry_reports_what_it_leaves() {
    let mut bench = Setup::new().variable("REELMILL_GRACE_SECONDS", "0").start().await;
    let id = bench.platform.run(bench.gateway.held_job(1));
    bench.until_in_hand(&[&id]).await;
    bench.shut_down();
    let reports = bench.gateway.reports(1).await;
    assert_eq!(reports[0].body["error"]["code"], FailureCode::HandlerStopped.as_str());
    assert_eq!(reports[0].body["error"]["transient"], true);
    let platform = bench.ended().await;
    let status = platform.status(&id).expect("known");
    assert_eq!(status["error"], "handler_stopped: the handler was shut down");
}

/// The result of a job, as it was sent.
fn result(platform: &runpod_simulator::Simulator, id: &str) -> Value {
    let body = |record: &runpod_simulator::Record| {
        let sent = record.of(Route::Result).find(|seen| seen.path.contains(id));
        sent.map(|seen| seen.body.clone())
    };
    serde_json::from_slice(&platform.look(body).expect("a result")).expect("json")
}

#[tokio::test]
async fn a_worker_can_be_for_one_job_only() {
    let bench = Setup::new().variable("REELMILL_REFRESH_WORKER", "always").start().await;
    let (platform, job) = (bench.platform.clone(), bench.gateway.job(1));
    let id = platform.run(job.clone());
    bench.until(&id, State::Failed).await;
    let next = platform.run(job);
    bench.ended().await;
    assert_eq!(result(&platform, &id)["stopPod"], true);
    assert!(platform.look(|record| record.is(&next, State::InQueue)), "for the next worker");
}

/// A worker that fails for reasons of its own makes room for another, which may not.
#[tokio::test]
async fn a_faulty_worker_asks_to_be_replaced() {
    let bench = Bench::new().await;
    bench.works().await;
    std::fs::remove_dir_all(bench.work()).expect("its disk is gone");
    let id = bench.platform.run(bench.gateway.job(1));
    let reports = bench.gateway.reports(2).await;
    assert_eq!(reports[1].body["error"]["code"], FailureCode::Internal.as_str());
    let platform = bench.ended().await;
    assert!(platform.look(|record| record.is(&id, State::Failed)));
    assert_eq!(result(&platform, &id)["stopPod"], true);
}

#[tokio::test]
async fn a_faulty_worker_may_be_kept() {
    let bench = Setup::new().variable("REELMILL_REFRESH_WORKER", "never").start().await;
    std::fs::remove_dir_all(bench.work()).expect("its disk is gone");
    let id = bench.platform.run(bench.gateway.job(1));
    bench.until(&id, State::Failed).await;
    assert_eq!(result(&bench.platform, &id).get("stopPod"), None);
    bench.works().await;
}

/// The others in hand would go with the pod: it is asked for with the last of them.
#[tokio::test]
async fn a_replacement_waits_for_the_other_jobs() {
    let setup = Setup::new().clip().variable("REELMILL_CONCURRENCY", "2");
    let bench = setup.variable("REELMILL_REFRESH_WORKER", "always").start().await;
    let long = bench.platform.run(bench.gateway.held_job(1));
    bench.until_in_hand(&[&long]).await;
    let short = bench.platform.run(bench.gateway.job_of("/source", 2, 0));
    bench.until(&short, State::Failed).await;
    assert_eq!(result(&bench.platform, &short).get("stopPod"), None);
    bench.gateway.release();
    let platform = bench.ended().await;
    assert!(platform.look(|record| record.is(&long, State::Completed)));
    assert_eq!(result(&platform, &long)["stopPod"], true);
}
