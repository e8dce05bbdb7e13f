//! Jobs that take longer than SQS hides a message.

use std::time::Duration;

use gpu_handler::{
    client::client,
    config::Config,
    engine::Engine,
    ffmpeg::Runner,
    host::Host,
    transport::sqs::{Queue, Worker},
};
use tokio::sync::oneshot;

use crate::cloud::Cloud;

/// They are given back before that, and begin anew, here or elsewhere.
#[tokio::test]
async fn a_job_that_takes_too_long_is_given_back() {
    let cloud = Cloud::new(50).await;
    let wire = cloud.wire().await;
    let environment = cloud.environment(&wire);
    let lookup = |name: &str| environment.get(name).cloned();
    let launcher = env!("CARGO_BIN_EXE_gpu-handler").into();
    let config = Config::read(&lookup, launcher).expect("a configuration");
    let host = Host::detect(&config, &Runner::new(config.tools.clone())).await;
    let place = config.sqs.clone().expect("a queue");
    let host = host.expect("a working FFmpeg");
    let engine = Engine::new(config, host, client().expect("a client"), false);
    let sdk = cloud.moto.sdk().into_builder().endpoint_url(wire.url().as_str()).build();
    let ledger = cloud.ledger(Duration::from_secs(45), Duration::ZERO);
    let worker = Worker::new(engine, Queue::new(&sdk, place), Some(ledger));
    let (shutdown, signal) = oneshot::channel();
    let signal = async { signal.await.unwrap_or_default() };
    let working = tokio::spawn(worker.with_longest(Duration::from_secs(4)).run(signal));
    cloud.send(&cloud.gateway.held_job(1)).await;
    cloud.until_fetched(2).await;
    let shown = wire.until("ChangeMessageVisibility", |_| true).await;
    assert_eq!(shown.body["VisibilityTimeout"], 0);
    assert!(cloud.gateway.record().reports.is_empty(), "it has not failed");
    cloud.gateway.release();
    wire.done("DeleteMessage", 1).await;
    assert_eq!(cloud.reports(1).await[0]["status"], "completed");
    assert!(cloud.number(&cloud.gateway.job(1), "fence").await >= 2);
    shutdown.send(()).expect("it works");
    working.await.expect("not cut off").expect("it could begin");
}
