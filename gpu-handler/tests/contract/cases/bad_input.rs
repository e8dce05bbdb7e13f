//! Sources and stores that refuse: which failure that is, and whether another attempt is worth it.

use serde_json::Value;

use crate::{
    bench::{Bench, Source, error},
    home::Home,
};

/// A status that a source or a store answers with, and the failure that it leads to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) transient: bool,
}

const fn answer(status: u16, code: &'static str, transient: bool) -> Answer {
    Answer { status, code, transient }
}

/// A URL that has expired: the next attempt gets another. A source that is gone stays so.
pub(crate) const SOURCE_URLS: &[Answer] = &[
    answer(401, "fetch_failed", true),
    answer(403, "fetch_failed", true),
    answer(404, "source_mismatch", false),
    answer(409, "cancelled", false),
    answer(410, "source_mismatch", false),
    answer(412, "source_mismatch", false),
];

/// The same where outputs go. Who is told that the attempt is over has nothing more to do.
pub(crate) const OUTPUT_URLS: &[Answer] = &[
    answer(401, "store_failed", true),
    answer(403, "store_failed", true),
    answer(404, "store_failed", true),
    answer(409, "cancelled", false),
    answer(410, "cancelled", false),
    answer(500, "store_failed", true),
];

/// Hands in a job for each of these answers to requests below `path`, and checks the failure that each
/// is reported as.
async fn answers<H: Home>(path: &'static str, expected: &[Answer]) {
    let bench = Bench::<H>::new(Source::Short).await;
    for (attempt, Answer { status, code, transient }) in (1..).zip(expected) {
        bench.gateway.answer(path, *status);
        let ticket = bench.run(&bench.gateway.job(attempt)).await;
        let fate = if *code == "cancelled" { H::FATES.stale } else { H::FATES.failed };
        bench.until(&ticket, fate).await;
        let reports = bench.gateway.reports(attempt.into()).await;
        let report: &Value = &reports.last().expect("one").body;
        assert_eq!(error(report), Some((*code, *transient)), "{status}: {report}");
        assert_eq!(report["attempt"], attempt);
    }
    let record = bench.end().await;
    assert_eq!(record.reports.len(), expected.len());
    assert_eq!(record.stored("metadata.json"), 0);
}

pub(crate) async fn source_urls<H: Home>() {
    answers::<H>("/source", SOURCE_URLS).await;
}

pub(crate) async fn output_urls<H: Home>() {
    answers::<H>("/outputs", OUTPUT_URLS).await;
}

/// Larger than this handler takes: known before anything is fetched.
pub(crate) async fn source_too_large<H: Home>() {
    let mut bench = Bench::<H>::without_worker(Source::Short).await;
    bench.start(&[("REELMILL_MAX_SOURCE_BYTES", "1")]).await;
    let ticket = bench.run(&bench.gateway.job(1)).await;
    bench.until(&ticket, H::FATES.failed).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), 1);
    assert_eq!(error(&record.reports[0].body), Some(("limit_exceeded", false)));
    assert_eq!(record.fetched, 0);
}
