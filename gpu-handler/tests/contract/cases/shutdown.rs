//! Workers that are asked to end while a job runs.

use rustix::process::Signal;

use crate::{
    bench::{Bench, Source, error},
    home::{Fate, Home, Stopped},
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

/// What is in hand is given up: a queue gives it to another worker; elsewhere the gateway hears that
/// another attempt may do better.
pub(crate) async fn shutdown_without_time<H: Home>() {
    let mut bench = Bench::<H>::without_worker(Source::Short).await;
    bench.start(&[("REELMILL_GRACE_SECONDS", "0")]).await;
    let ticket = bench.run(&bench.gateway.held_job(1)).await;
    bench.gateway.until("begun", |record| record.fetched == 1).await;
    bench.tell(Signal::TERM);
    assert_eq!(bench.worker_ended().await.code(), Some(0));
    bench.until(&ticket, H::remembers(H::FATES.stopped)).await;
    bench.check_rest().await;
    let record = bench.gateway.record();
    assert!(record.stored.is_empty(), "{:?}", record.stored);
    let told = record.reports.len();
    let possible = match H::FATES.reports_stop {
        Stopped::Told => 1..=1,
        Stopped::MayBeTold => 0..=1,
        Stopped::Silent => 0..=0,
    };
    assert!(possible.contains(&told), "{:#?}", record.reports);
    if let [report] = record.reports.as_slice() {
        assert_eq!(error(&report.body), Some(("handler_stopped", true)));
    }
    if H::FATES.stopped != Fate::ComesAgain {
        return;
    }
    bench.gateway.release();
    bench.start(&[]).await;
    let ticket = bench.home.recover(&ticket).await;
    bench.until(&ticket, H::FATES.completed).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), told + 1);
    assert_eq!(record.reports[told].body["status"], "completed");
}
