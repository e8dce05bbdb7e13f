//! Jobs that get lost on the platform, and what somebody says of them who cannot be believed.

use super::*;

/// Without any hint, by the sweep alone.
#[tokio::test]
async fn a_job_that_the_platform_loses_is_found_out() -> Result<()> {
    let bench = Bench::start(|options| options.gateway("LEASE_SECONDS", 2)).await?;
    let api = bench.stack.api();

    // The queue has lost it, or its time to live was over: nobody is told, and nothing is known of it.
    let (id, job) = bench.upload().await?;
    bench.platform.expire(&job);
    let error = bench.until_failed(&id).await?;
    assert_eq!((&error["code"], &error["transient"]), (&json!("handler_lost"), &json!(true)));
    assert!(
        error["message"].as_str().context("text")?.contains("does not know the job"),
        "{error}"
    );

    // The retry finds a worker that dies before it says a word; the platform believes in it.
    api.post(&format!("/api/media/{id}/retry"), json!({})).await?.expect(202)?;
    let second = |record: &Record| job_of(record, &id).is_some();
    bench.platform.until("handed in again", second).await;
    let job = bench.platform.look(|record| job_of(record, &id)).context("a job")?;
    bench.platform.take("worker-1").context("a job")?;
    let error = bench.until_failed(&id).await?;
    assert_eq!(error["code"], "handler_lost");
    assert_eq!(api.media(&id).await?["attempts"], 2);
    bench.platform.until("taken back", |record| record.is(&job, State::Cancelled)).await;

    // While one waits for its turn, that is no loss, however long it takes.
    let (id, job) = bench.upload().await?;
    let asked = bench.asked(Route::Status);
    let looks = |record: &Record| record.of(Route::Status).count() >= asked + 3;
    bench.platform.until("asked thrice", looks).await;
    assert_eq!(api.media(&id).await?["status"], "transcoding");
    publish(&bench.stack, &bench.spec(&job)?).await?;
    assert_eq!(api.media(&id).await?["status"], "ready");
    Ok(())
}

/// The lease is long: it is the platform's hint that makes the gateway look, and what it then reads.
#[tokio::test]
async fn a_job_that_ends_without_a_report_is_never_ready() -> Result<()> {
    let bench = Bench::start(|options| options).await?;
    let (told, completed) = bench.upload().await?;
    bench.platform.take("worker-1").context("a job")?;
    let (words, failed) = bench.upload().await?;
    bench.platform.take("worker-1").context("a job")?;
    let (late, timed_out) = bench.upload().await?;
    bench.platform.take("worker-1").context("a job")?;
    bench.platform.end(&completed, Ok(json!({"status": "completed", "reported": true})));
    bench.platform.end(&failed, Err("worker exited with\n137 /etc/passwd"));
    bench.platform.time_out(&timed_out);
    for (id, code, says) in [
        (&told, "handler_lost", "no report of it came"),
        (&words, "handler_lost", "failed: worker exited with 137 …"),
        (&late, "timed_out", "execution timeout"),
    ] {
        let error = bench.until_failed(id).await?;
        assert_eq!((&error["code"], &error["transient"]), (&json!(code), &json!(true)));
        assert!(error["message"].as_str().context("text")?.contains(says), "{error}");
    }
    // Nobody reported a GPU, so nobody knows a price; the times are told.
    let cost = bench.cost(&words).await?;
    assert_eq!((cost.get("amount"), &cost["jobs"][0]["job"]), (None, &json!(failed)));
    assert_eq!(cost["jobs"][0]["workerId"], "worker-1");
    Ok(())
}

/// The platform's word is a hint, and a report that comes after it counts.
#[tokio::test]
async fn a_signed_word_outweighs_what_the_platform_says() -> Result<()> {
    let bench = Bench::start(|options| options).await?;
    let (id, job) = bench.upload().await?;
    bench.platform.take("worker-1").context("a job")?;
    let spec = bench.spec(&job)?;
    spec.send_progress(&spec.progress(1.0, false), &bench.signing()).await?.expect(200)?;
    // Its time to live ends in mid-run: the platform has forgotten it, and the worker goes on.
    let hint = bench.hint(&job)?;
    bench.platform.expire(&job);
    bench.stack.api().post(&hint, json!({})).await?.expect(200)?;
    bench.platform.until("asked", |record| record.of(Route::Status).count() > 0).await;
    publish(&bench.stack, &spec).await?;
    assert_eq!(bench.stack.api().media(&id).await?["status"], "ready");
    Ok(())
}

/// Anybody may call, and say anything: nobody is believed, and nothing is given away.
#[tokio::test]
async fn a_forged_hint_changes_nothing_and_a_flood_is_a_trickle() -> Result<()> {
    let bench = Bench::start(|options| options).await?;
    let api = bench.stack.api().with_key(None);
    let (id, job) = bench.upload().await?;
    let (hint, spec) = (bench.hint(&job)?, bench.spec(&job)?);
    let forged = json!({"id": job, "status": "COMPLETED", "output": {"status": "completed"}});

    let (base, token) = hint.rsplit_once('/').context("a token")?;
    let mut other = token.to_owned();
    let last = if other.pop() == Some('A') { 'B' } else { 'A' };
    other.push(last);
    let write = spec.spec.output.base_url.as_str().trim_end_matches('/');
    let write = write.rsplit_once('/').context("a token")?.1;
    for wrong in ["x", other.as_str(), write] {
        let answer = api.post(&format!("{base}/{wrong}"), forged.clone()).await?;
        answer.expect_problem(403, "token_invalid")?;
    }
    assert_eq!(bench.asked(Route::Status), 0, "nobody was asked because of a stranger");

    let before = std::time::Instant::now();
    for _ in 0..150 {
        assert_eq!(api.post(&hint, forged.clone()).await?.expect(200)?, json!({}));
    }
    bench.platform.until("asked", |record| record.of(Route::Status).count() > 0).await;
    // One at once, then one in five seconds.
    let most = 2 + before.elapsed().as_secs() as usize / 5;
    assert!(bench.asked(Route::Status) <= most, "{} of {most}", bench.asked(Route::Status));
    assert_eq!(bench.stack.api().media(&id).await?["status"], "transcoding");

    publish(&bench.stack, &spec).await?;
    assert_eq!(bench.stack.api().media(&id).await?["status"], "ready");
    assert_eq!(
        api.post(&hint, forged).await?.expect(200)?,
        json!({}),
        "nobody learns that it ended"
    );
    assert_eq!(bench.stack.api().media(&id).await?["status"], "ready");
    Ok(())
}
