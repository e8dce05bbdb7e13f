//! A platform that fails: nothing is lost, and it is not hammered.

use std::time::Duration;

use rstest::rstest;
use runpod_simulator::{faults::Fault, ledger::State, traffic::Route};

use crate::bench::{Bench, Setup};

fn page() -> Fault {
    Fault::Says { content_type: "text/html", body: "<title>Bad gateway</title>".into() }
}

fn says(body: &str) -> Fault {
    Fault::Says { content_type: "application/json", body: body.into() }
}

#[rstest]
#[case::nothing([Fault::Status(204), Fault::Status(204)])]
#[case::flash_boot([Fault::Status(400), Fault::Status(400)])]
#[case::too_many([Fault::Status(429), Fault::Status(429)])]
#[case::down([Fault::Status(500), Fault::Status(503)])]
#[case::moved([Fault::Status(302), Fault::Status(404)])]
#[case::unauthorized([Fault::Status(401), Fault::Status(403)])]
#[case::a_page([page(), Fault::Status(204)])]
#[case::empty([says(""), says("null")])]
#[case::half_a_message([says(r#"{"id": "a", "inp"#), says("[]")])]
#[case::no_id([says(r#"{"input": {}}"#), says(r#"{"id": 7, "input": {}}"#)])]
#[case::lost([Fault::LostRequest, Fault::LostRequest])]
#[case::slow([Fault::Slow(Duration::from_millis(50)), Fault::Status(204)])]
#[tokio::test]
async fn a_worker_goes_on_asking(#[case] faults: [Fault; 2]) {
    let bench = Bench::new().await;
    bench.platform.fail(Route::Take, faults);
    bench.platform.until("it failed", |record| record.script_left(Route::Take) == 0).await;
    bench.works().await;
}

/// An answer that takes longer than a long poll may is no answer.
#[tokio::test]
async fn a_question_is_not_waited_for_for_ever() {
    let setup = Setup::new().pace(|pace| pace.poll = Duration::from_millis(400));
    let bench = setup.start().await;
    bench.platform.fail(Route::Take, [Fault::Slow(Duration::from_secs(3600))]);
    bench.platform.until("it hangs", |record| record.script_left(Route::Take) == 0).await;
    bench.works().await;
}

#[rstest]
#[case::the_answer_is_lost(vec![Fault::LostAnswer], 2)]
#[case::the_request_is_lost(vec![Fault::LostRequest; 3], 4)]
#[case::down_for_longer_than_three_tries(vec![Fault::Status(500); 7], 8)]
#[case::too_many(vec![Fault::Status(429), Fault::Status(401)], 3)]
#[case::slow(vec![Fault::Slow(Duration::from_millis(100))], 1)]
#[tokio::test]
async fn a_result_arrives(#[case] faults: Vec<Fault>, #[case] tries: usize) {
    let bench = Bench::new().await;
    bench.platform.fail(Route::Result, faults);
    let id = bench.platform.run(bench.gateway.job(1));
    bench.until(&id, State::Failed).await;
    let sent = |record: &runpod_simulator::Record| {
        record.of(Route::Result).filter(|seen| seen.path.contains(&id)).count()
    };
    // It takes no other job before it has heard that the result is taken.
    bench.works().await;
    assert_eq!(bench.platform.look(sent), tries);
    assert_eq!(bench.gateway.reports(2).await.len(), 2, "the reports were taken at once");
}

/// The end of its time to live deletes a job in mid-run: nobody wants the result any more.
#[tokio::test]
async fn a_result_that_nobody_wants_is_not_insisted_on() {
    let bench = Setup::new().clip().start().await;
    let id = bench.platform.run(bench.gateway.held_job(1));
    bench.until_in_hand(&[&id]).await;
    bench.platform.expire(&id);
    bench.gateway.release();
    bench.works().await;
    let results = |record: &runpod_simulator::Record| {
        record.of(Route::Result).filter(|seen| seen.path.contains(&id)).count()
    };
    assert_eq!(bench.platform.look(results), 1);
    assert_eq!(bench.gateway.reports(1).await[0].body["status"], "completed");
}

/// Progress is best effort: that it fails costs nothing.
#[tokio::test]
async fn progress_may_be_lost() {
    let bench = Setup::new().clip().start().await;
    let faults = [Fault::Status(500), Fault::LostAnswer, Fault::LostRequest, page()];
    bench.platform.fail(Route::Progress, faults);
    let id = bench.platform.run(bench.gateway.job(1));
    bench.until(&id, State::Completed).await;
    bench.works().await;
}

#[rstest]
#[case::down([Fault::Status(500), Fault::Status(404)])]
#[case::too_many([Fault::Status(429), Fault::Status(429)])]
#[case::a_page([page(), says("[]")])]
#[case::lost([Fault::LostRequest, says(r#"{"jobsToStop": [7, "somebody-elses"]}"#)])]
#[tokio::test]
async fn the_stop_channel_comes_back(#[case] faults: [Fault; 2]) {
    let bench = Bench::new().await;
    bench.platform.fail(Route::Stop, faults);
    bench.platform.until("it failed", |record| record.script_left(Route::Stop) == 0).await;
    let id = bench.platform.run(bench.gateway.held_job(1));
    bench.until_in_hand(&[&id]).await;
    bench.platform.cancel(&id);
    bench.until_in_hand(&[]).await;
    bench.works().await;
}
