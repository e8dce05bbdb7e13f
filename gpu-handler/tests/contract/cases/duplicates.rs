//! Messages that are delivered more than once: they are worked on once, and each is answered.

use crate::{
    bench::{Bench, Source},
    home::Home,
};

pub(crate) async fn again_while_it_runs<H: Home>() {
    let mut bench = Bench::<H>::without_worker(Source::Short).await;
    // With room for the second, which a worker that is busy would not even ask for.
    bench.start(&[("REELMILL_CONCURRENCY", "2")]).await;
    let ticket = bench.run(&bench.gateway.held_job(1)).await;
    bench.gateway.until("begun", |record| record.fetched == 1).await;
    let again = bench.home.again(&ticket).await;
    bench.gateway.release();
    for ticket in [&ticket, &again] {
        bench.until(ticket, H::FATES.completed).await;
    }
    let record = bench.end().await;
    assert_eq!((record.fetched, record.stored("metadata.json")), (1, 1), "it ran once");
    // Whoever sends it again may not have heard; what is heard is the same.
    let completed = record.reports.iter().filter(|report| report.body["status"] == "completed");
    assert_eq!(completed.count(), record.reports.len());
    assert!(record.reports.iter().all(|report| report.body == record.reports[0].body));
}

pub(crate) async fn again_when_it_is_over<H: Home>() {
    let bench = Bench::<H>::new(Source::Short).await;
    let ticket = bench.run(&bench.gateway.job(1)).await;
    bench.until(&ticket, H::FATES.completed).await;
    let again = bench.home.again(&ticket).await;
    let reports = bench.gateway.reports(2).await;
    assert_eq!(reports[0].body, reports[1].body, "whoever lost that may have lost the report");
    bench.until(&again, H::FATES.completed).await;
    let record = bench.end().await;
    assert_eq!((record.fetched, record.stored("metadata.json")), (1, 1), "it ran once");
}
