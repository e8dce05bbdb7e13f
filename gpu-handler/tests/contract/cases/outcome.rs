//! How a job ends, told to the gateway and to the home.

use serde_json::json;

use crate::{
    bench::{Bench, Source, error},
    home::Home,
};

pub(crate) async fn success<H: Home>() {
    let bench = Bench::<H>::new(Source::Short).await;
    let ticket = bench.run(&bench.gateway.job(1)).await;
    bench.until(&ticket, H::FATES.completed).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), 1);
    let report = &record.reports[0].body;
    assert_eq!((&report["status"], &report["attempt"]), (&json!("completed"), &json!(1)));
    assert_eq!(report["outputs"]["hls"], "hls/main.m3u8");
    assert_eq!((record.stored("hls/main.m3u8") > 0, record.stored("metadata.json")), (true, 1));
    assert!(!record.progress.is_empty(), "it told how it went");
}

pub(crate) async fn permanent_failure<H: Home>() {
    let bench = Bench::<H>::new(Source::Junk).await;
    let ticket = bench.run(&bench.gateway.job(1)).await;
    bench.until(&ticket, H::FATES.failed).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), 1);
    assert_eq!(error(&record.reports[0].body), Some(("unsupported_media", false)));
    assert!(record.stored.is_empty(), "{:?}", record.stored);
}

/// The store fails for longer than it is tried.
pub(crate) async fn transient_failure<H: Home>() {
    let bench = Bench::<H>::new(Source::Short).await;
    bench.gateway.answer("/outputs", 500);
    let ticket = bench.run(&bench.gateway.job(1)).await;
    bench.until(&ticket, H::FATES.failed).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), 1);
    assert_eq!(error(&record.reports[0].body), Some(("store_failed", true)));
}

/// The gateway is away when the job is over, and back when the message comes again: it hears what there
/// was to tell, and nothing is done twice.
pub(crate) async fn report_not_taken<H: Home>() {
    let bench = Bench::<H>::new(Source::Short).await;
    bench.gateway.answer("/report", 503);
    let mut job = bench.gateway.job(1);
    // A report is tried for twice as long.
    job["callback"]["leaseSeconds"] = json!(1);
    let ticket = bench.run(&job).await;
    bench.says("the report was not taken").await;
    bench.until(&ticket, H::FATES.unheard).await;
    bench.gateway.answer("/report", 200);
    let again = bench.home.recover(&ticket).await;
    bench.gateway.reports(1).await;
    bench.until(&again, H::FATES.completed).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), 1);
    assert_eq!(record.reports[0].body["status"], "completed");
    assert_eq!((record.fetched, record.stored("metadata.json")), (1, 1), "it ran once");
}
