//! Workers that are killed in mid-job, in each of its stages: nothing hangs, the message comes again or
//! is known to be lost, and what comes of it is one complete report.

use handler_harness::stuck_tool;

use crate::{
    bench::{Bench, Source},
    home::Home,
};

/// Where a job stands when its worker is killed, and what keeps it there.
struct Scene {
    stage: &'static str,
    source: Source,
    /// Requests that the gateway holds back meanwhile.
    held: Option<&'static str>,
    variables: Vec<(&'static str, String)>,
}

impl Scene {
    fn new(stage: &'static str) -> Self {
        Self { stage, source: Source::Short, held: None, variables: Vec::new() }
    }
}

async fn crash<H: Home>(mut bench: Bench<H>, scene: Scene) {
    let variables: Vec<_> = scene.variables.iter().map(|(name, v)| (*name, v.as_str())).collect();
    bench.start(&variables).await;
    if let Some(path) = scene.held {
        bench.gateway.hold(path);
    }
    let ticket = bench.run(&bench.gateway.job(1)).await;
    bench.gateway.until(scene.stage, |record| record.is_in(scene.stage)).await;
    bench.crash().await;
    bench.gateway.release();
    bench.start(&[]).await;
    bench.until(&ticket, H::FATES.crashed).await;
    let ticket = bench.home.recover(&ticket).await;
    bench.until(&ticket, H::FATES.completed).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), 1, "{:#?}", record.reports);
    let report = &record.reports[0].body;
    assert_eq!(
        (report["status"].as_str(), report["attempt"].as_u64()),
        (Some("completed"), Some(1))
    );
    assert_eq!(record.stored("metadata.json"), 1, "the first run was cut off");
}

pub(crate) async fn crash_while_fetching<H: Home>() {
    let scene = Scene { held: Some("/source"), ..Scene::new("fetching") };
    crash(Bench::<H>::without_worker(scene.source).await, scene).await;
}

pub(crate) async fn crash_while_probing<H: Home>() {
    let scene = Scene::new("probing");
    let bench = Bench::<H>::without_worker(scene.source).await;
    let ffprobe = stuck_tool(&bench.directory()).to_string_lossy().into_owned();
    crash(bench, Scene { variables: vec![("FFPROBE", ffprobe)], ..scene }).await;
}

pub(crate) async fn crash_while_encoding<H: Home>() {
    let slowly = vec![("REELMILL_X264_PRESET", "veryslow".to_owned())];
    let scene = Scene { source: Source::Long, variables: slowly, ..Scene::new("encoding") };
    crash(Bench::<H>::without_worker(scene.source).await, scene).await;
}

pub(crate) async fn crash_while_publishing<H: Home>() {
    let scene = Scene { held: Some("/metadata.json"), ..Scene::new("publishing") };
    crash(Bench::<H>::without_worker(scene.source).await, scene).await;
}

/// All is done, and nobody has heard of it yet.
pub(crate) async fn crash_while_reporting<H: Home>() {
    let mut bench = Bench::<H>::new(Source::Short).await;
    bench.gateway.answer("/report", 503);
    let ticket = bench.run(&bench.gateway.job(1)).await;
    bench.gateway.until("reporting", |record| record.refused > 0).await;
    bench.crash().await;
    bench.gateway.answer("/report", 200);
    bench.start(&[]).await;
    bench.until(&ticket, H::FATES.crashed).await;
    let ticket = bench.home.recover(&ticket).await;
    bench.until(&ticket, H::FATES.completed).await;
    let record = bench.end().await;
    assert_eq!(record.reports.len(), 1);
    assert_eq!(record.reports[0].body["status"], "completed");
}
