//! Jobs that are handed out more than once: they run once, and each is answered.

use runpod_simulator::{faults::Fault, ledger::State, traffic::Route};

use crate::bench::{Bench, Setup};

#[tokio::test]
async fn a_job_in_hand_is_not_begun_again() {
    let bench = Setup::new().clip().variable("REELMILL_CONCURRENCY", "2").start().await;
    let id = bench.platform.run(bench.gateway.held_job(1));
    bench.until_in_hand(&[&id]).await;
    bench.platform.redeliver(&id);
    let twice = |record: &runpod_simulator::Record| {
        record.ledger.get(&id).is_some_and(|job| job.deliveries == 2)
    };
    bench.platform.until("handed out twice", twice).await;
    bench.gateway.release();
    bench.until(&id, State::Completed).await;
    bench.works().await;
    assert_eq!(bench.gateway.fetched(), 1);
    assert_eq!(bench.platform.look(|record| record.of(Route::Result).count()), 2, "one each");
}

/// The platform has lost the result, say: it gets the same one.
#[tokio::test]
async fn a_job_that_is_over_is_answered_again() {
    let bench = Setup::new().clip().start().await;
    let id = bench.platform.run(bench.gateway.job(1));
    bench.until(&id, State::Completed).await;
    let first = bench.platform.status(&id).expect("known")["output"].clone();
    bench.platform.redeliver(&id);
    bench.until(&id, State::Completed).await;
    assert_eq!(bench.platform.status(&id).expect("known")["output"], first);
    assert_eq!(bench.gateway.fetched(), 1, "it was not run again");
    let reports = bench.gateway.reports(2).await;
    assert_eq!(reports[0].body, reports[1].body, "whoever lost that may have lost the report");
    bench.works().await;
}

/// A gateway that did not hear the answer to `/run` asks again: two jobs, one attempt.
#[tokio::test]
async fn two_jobs_of_one_attempt_are_one_work() {
    let bench = Setup::new().clip().variable("REELMILL_CONCURRENCY", "2").start().await;
    let first = bench.platform.run(bench.gateway.held_job(1));
    bench.until_in_hand(&[&first]).await;
    let second = bench.platform.run(bench.gateway.held_job(1));
    bench.until(&second, State::InProgress).await;
    bench.gateway.release();
    bench.until(&first, State::Completed).await;
    bench.until(&second, State::Completed).await;
    let output = |id: &str| bench.platform.status(id).expect("known")["output"].clone();
    assert_eq!(output(&first), output(&second));
    assert_eq!(bench.gateway.fetched(), 1);
    bench.works().await;
}

/// The answer that brought the job is lost: the platform thinks that we have it. It comes again.
#[tokio::test]
async fn a_job_that_got_lost_on_its_way_is_done_when_it_comes_again() {
    let bench = Bench::new().await;
    bench.platform.until("asked", |record| record.of(Route::Take).count() > 0).await;
    bench.platform.fail(Route::Take, [Fault::LostAnswer]);
    // The question under way was asked before: have it answered.
    bench.works().await;
    let id = bench.platform.run(bench.gateway.job(1));
    bench.until(&id, State::InProgress).await;
    bench.platform.until("asked again", |record| record.script_left(Route::Take) == 0).await;
    bench.platform.redeliver(&id);
    bench.until(&id, State::Failed).await;
    bench.works().await;
}
