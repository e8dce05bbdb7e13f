//! A worker is woken while the source is on its way, and not for nothing.

use super::*;

fn warm_jobs(record: &Record) -> usize {
    record.ledger.jobs().filter(|job| is_warm(&job.input)).count()
}

/// How often the platform was asked whether anybody sleeps.
fn looks(bench: &Bench) -> usize {
    bench.asked(Route::Health) - bench.health
}

#[tokio::test]
async fn a_sleeping_worker_is_woken_once_when_an_upload_begins() -> Result<()> {
    let bench = Bench::prewarming(|options| options).await?;
    let api = bench.stack.api();
    let created = api.create(json!({"filename": "a.mp4"})).await?;
    bench.platform.until("woken", |record| record.wakes == 1).await;
    assert_eq!(bench.platform.look(warm_jobs), 1);
    // Others that begin within the half minute find that it is being seen to.
    let other = api.create(json!({"filename": "b.mp4"})).await?;
    let id = created["id"].as_str().context("an id")?.to_owned();
    api.put_source(&id, "a source").await?.expect(200)?;
    bench.platform.until("handed in", |record| job_of(record, &id).is_some()).await;
    assert_eq!((bench.platform.look(warm_jobs), looks(&bench)), (1, 1));
    assert_eq!(other["status"], "uploading");
    Ok(())
}

/// Whoever is awake needs no waking; and who may not be woken is not even asked.
#[tokio::test]
async fn nobody_is_woken_for_nothing() -> Result<()> {
    let bench = Bench::start(|options| options).await?;
    bench.stack.api().create(json!({"filename": "a.mp4"})).await?;
    bench.upload().await?;
    assert_eq!((looks(&bench), bench.platform.look(warm_jobs)), (0, 0));

    let bench = Bench::prewarming(|options| options).await?;
    // A job that waits has woken somebody already.
    bench.platform.run(json!({}));
    bench.stack.api().create(json!({"filename": "a.mp4"})).await?;
    let before = bench.health;
    bench.platform.until("asked", |record| record.of(Route::Health).count() > before).await;
    bench.upload().await?;
    assert_eq!(bench.platform.look(warm_jobs), 0);
    Ok(())
}

#[tokio::test]
async fn an_upload_does_not_care_whether_anybody_can_be_woken() -> Result<()> {
    let bench = Bench::prewarming(|options| options).await?;
    bench.platform.fail(Route::Health, [Fault::Slow(ENCODE)]);
    let (id, _) = bench.upload().await?;
    assert_eq!(bench.stack.api().media(&id).await?["status"], "transcoding");
    assert_eq!((looks(&bench), bench.platform.look(warm_jobs)), (1, 0));
    Ok(())
}
