//! Jobs that are taken back while they run.

use crate::{
    bench::{Bench, Source, error},
    home::{Fate, Home, Revoking},
};

/// By the home, where it can. The gateway hears of it.
pub(crate) async fn cancelled_by_its_home<H: Revoking>() {
    let bench = Bench::<H>::new(Source::Short).await;
    let ticket = bench.run(&bench.gateway.held_job(1)).await;
    bench.gateway.until("begun", |record| record.fetched == 1).await;
    bench.home.take_back(&ticket).await;
    bench.until(&ticket, Fate::Cancelled).await;
    bench.gateway.reports(1).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), 1);
    assert_eq!(error(&record.reports[0].body), Some(("cancelled", false)));
    assert!(record.stored.is_empty(), "{:?}", record.stored);
}

/// By the gateway, which waits for another attempt or for none: it wants no report either.
pub(crate) async fn cancelled_by_the_gateway<H: Home>() {
    let bench = Bench::<H>::new(Source::Short).await;
    bench.gateway.answer("/progress", 409);
    let ticket = bench.run(&bench.gateway.held_job(1)).await;
    bench.until(&ticket, H::FATES.stale).await;
    bench.gateway.answer("/progress", 200);
    let record = bench.end().await;
    assert!(record.reports.is_empty() && record.stored.is_empty(), "{record:#?}");
}
