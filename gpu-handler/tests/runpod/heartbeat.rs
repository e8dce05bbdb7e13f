//! What the platform hears of a worker while it works.

use rstest::rstest;
use runpod_simulator::{faults::Fault, ledger::State, traffic::Route};

use crate::bench::{Bench, Setup};

#[tokio::test]
async fn a_worker_tells_what_it_has_in_hand() {
    let bench = Setup::new().clip().variable("REELMILL_CONCURRENCY", "2").start().await;
    bench.until_in_hand(&[]).await;
    let mut ids = [1, 2].map(|attempt| bench.platform.run(bench.gateway.held_job(attempt)));
    ids.sort();
    bench.until_in_hand(&[&ids[0], &ids[1]]).await;
    bench.gateway.release();
    for id in &ids {
        bench.until(id, State::Completed).await;
    }
    bench.until_in_hand(&[]).await;
    bench.works().await;
}

#[rstest]
#[case(Fault::Status(500))]
#[case(Fault::LostRequest)]
#[tokio::test]
async fn a_heartbeat_may_be_lost(#[case] fault: Fault) {
    let bench = Bench::new().await;
    bench.platform.fail(Route::Ping, [fault.clone(), fault]);
    bench.platform.until("it failed", |record| record.script_left(Route::Ping) == 0).await;
    let pings = bench.platform.look(|record| record.of(Route::Ping).count());
    bench.platform.until("on", |record| record.of(Route::Ping).count() > pings).await;
    bench.works().await;
}

/// With a slot left it asks for more, and says that it is at work.
#[tokio::test]
async fn a_worker_asks_for_as_much_as_it_can_do() {
    let bench = Setup::new().variable("REELMILL_CONCURRENCY", "2").start().await;
    let id = bench.platform.run(bench.gateway.held_job(1));
    bench.until_in_hand(&[&id]).await;
    let busy = |record: &runpod_simulator::Record| {
        let last = record.of(Route::Take).next_back();
        last.and_then(|seen| seen.parameter("job_in_progress").map(str::to_owned))
    };
    bench.platform.until("busy", |record| busy(record).as_deref() == Some("1")).await;
    let other = bench.platform.run(bench.gateway.held_job(2));
    bench.platform.until("both", |record| record.is_in_hand(&[&id, &other])).await;
    bench.platform.until("asks no more", |record| !record.is_asking()).await;
    for job in [&id, &other] {
        bench.platform.cancel(job);
    }
    bench.until_in_hand(&[]).await;
    bench.works().await;
}
