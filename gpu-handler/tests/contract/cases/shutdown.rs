//! Workers that are asked to end while a job runs.

use rustix::process::Signal;

use crate::{
    bench::{Bench, Source, error},
    home::Home,
};

/// What is in hand is finished.
pub(crate) async fn shutdown_with_time<H: Home>() {
    let mut bench = Bench::<H>::without_worker(Source::Short).await;
    bench.start(&[("REELMILL_GRACE_SECONDS", "600")]).await;
    let ticket = bench.run(&bench.gateway.held_job(1)).await;
    bench.gateway.until("begun", |record| record.fetched == 1).await;
    bench.tell(Signal::TERM);
    bench.says("stopping").await;
    bench.gateway.release();
    assert_eq!(bench.worker_ended().await.code(), Some(0));
    let reports = bench.gateway.record().reports;
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].body["status"], "completed");
    bench.until(&ticket, H::remembers(H::FATES.completed)).await;
    bench.check_rest().await;
}

/// What is in hand is given up, and the gateway hears that another attempt may do better.
pub(crate) async fn shutdown_without_time<H: Home>() {
    let mut bench = Bench::<H>::without_worker(Source::Short).await;
    bench.start(&[("REELMILL_GRACE_SECONDS", "0")]).await;
    let ticket = bench.run(&bench.gateway.held_job(1)).await;
    bench.gateway.until("begun", |record| record.fetched == 1).await;
    bench.tell(Signal::TERM);
    assert_eq!(bench.worker_ended().await.code(), Some(0));
    let record = bench.gateway.record();
    assert_eq!(record.reports.len(), 1);
    assert_eq!(error(&record.reports[0].body), Some(("handler_stopped", true)));
    assert!(record.stored.is_empty(), "{:?}", record.stored);
    bench.until(&ticket, H::remembers(H::FATES.failed)).await;
    bench.check_rest().await;
}
