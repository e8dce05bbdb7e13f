//! The gateway and RunPod: a platform that sleeps, loses jobs, and signs nothing.
//!
//! The platform is the simulator, which enforces what RunPod documents. Its worker is the real handler,
//! or the test.

mod lost;
mod waking;

use anyhow::{Context, Result};
use e2e::{
    clips,
    process::{Process, command},
    receiver::Receiver,
    settings,
    stack::{Options, Stack},
    stand_in::{Job, Signing},
    wait::until,
};
use reelmill_shared::cost::Money;
use runpod_simulator::{
    Options as Platform, Record, Simulator, Templates, faults::Fault, ledger::State, traffic::Route,
};
use serde_json::{Value, json};

use crate::{ENCODE, SOON, publish};

/// A gateway whose one backend is a simulated RunPod.
struct Bench {
    stack: Stack,
    platform: Simulator,
    /// How often the platform's health was asked for before the test began.
    health: usize,
}

impl Bench {
    /// One that wakes no worker: the jobs in the queue are the media's.
    async fn start(configure: impl FnOnce(Options) -> Options) -> Result<Self> {
        Self::prewarming(|options| configure(options.gateway("PREWARM", "false"))).await
    }

    async fn prewarming(configure: impl FnOnce(Options) -> Options) -> Result<Self> {
        let options = Platform::default();
        let key = options.client_key.clone();
        let platform = Simulator::start(options).await?;
        let stack = Stack::temporary(|options| {
            let backends = json!({"gpu": {"kind": "runpod", "url": platform.api()}});
            let options = options
                .stand_in(&format!("http://{}", platform.address))
                .gateway("BACKENDS", backends)
                .gateway("BACKEND_KEYS", json!({ "gpu": key }))
                .gateway("DISPATCH", "video=gpu;audio=gpu;ingest=gpu");
            configure(options)
        })
        .await?;
        let health = platform.look(|record| record.of(Route::Health).count());
        Ok(Self { stack, platform, health })
    }

    /// Uploads a source and waits for its job. Gives both their ids.
    async fn upload(&self) -> Result<(String, String)> {
        let id = self.stack.api().upload("a.mp4", "a source").await?;
        let of = |record: &Record| job_of(record, &id);
        self.platform.until("handed in", |record| of(record).is_some()).await;
        let job = self.platform.look(of).context("a job")?;
        Ok((id, job))
    }

    /// What a worker got to do by a job.
    fn spec(&self, job: &str) -> Result<Job> {
        let input =
            self.platform.look(|record| record.ledger.get(job).map(|job| job.input.clone()));
        Ok(Job::new(serde_json::from_value(input.context("a job")?)?))
    }

    /// Where the platform is to hint at a job's end.
    fn hint(&self, job: &str) -> Result<String> {
        let of = |record: &Record| record.ledger.get(job).and_then(|job| job.webhook.clone());
        self.platform.look(of).context("a webhook")
    }

    fn signing(&self) -> Signing<'_> {
        Signing::now(&self.stack.secrets.webhook_secret)
    }

    fn asked(&self, route: Route) -> usize {
        self.platform.look(|record| record.of(route).count())
    }

    async fn until_failed(&self, id: &str) -> Result<Value> {
        Ok(self.stack.api().wait_status(id, "failed", ENCODE).await?["error"].clone())
    }

    async fn cost(&self, id: &str) -> Result<Value> {
        until("its cost is known", ENCODE, async || {
            Ok(Some(self.stack.api().media(id).await?["cost"].clone()).filter(|c| !c.is_null()))
        })
        .await
    }
}

fn job_of(record: &Record, media: &str) -> Option<String> {
    record.ledger.jobs().find(|job| job.input["mediaId"] == media).map(|job| job.id.clone())
}

fn is_warm(input: &Value) -> bool {
    *input == json!({"version": 1, "kind": "warm"})
}

/// The whole way, with the real worker: policy, report, result, cost.
#[tokio::test]
async fn a_worker_of_runpods_does_a_job_and_its_cost_is_told() -> Result<()> {
    let bench =
        Bench::start(|options| options.gateway("GPU_PRICES", r#"{"NVIDIA L4": 0.5}"#)).await?;
    let (api, platform) = (bench.stack.api(), &bench.platform);
    let receiver = Receiver::start(&[]).await?;
    api.post("/api/webhooks", json!({ "url": receiver.url })).await?.expect(201)?;
    let mut worker = command(settings::handler_binary());
    worker
        .arg("runpod")
        .env("HANDLER_WEBHOOK_SECRET", &bench.stack.secrets.webhook_secret)
        .env("REELMILL_WORK_DIR", bench.stack.data())
        .envs(platform.environment("worker-1", Templates::WithQuery));
    let _worker = Process::start(worker, bench.stack.data().join("logs/worker.log"))?;

    let id = api.upload("clip.mp4", std::fs::read(clips::video(320, 180, 2)?)?).await?;
    let ready = api.wait_status(&id, "ready", ENCODE).await?;
    assert_eq!(ready["attempts"], 1);
    let job = platform.look(|record| job_of(record, &id)).context("a job")?;
    platform.until("its result came", |record| record.is(&job, State::Completed)).await;
    let policy = platform.look(|record| record.ledger.get(&job).map(|job| job.policy));
    let policy = policy.context("a job")?;
    assert_eq!((policy.execution.as_secs(), policy.ttl.as_secs()), (12 * 3600, 24 * 3600));

    let cost = bench.cost(&id).await?;
    let (status, part) = (platform.status(&job).context("known")?, &cost["jobs"][0]);
    let millis = status["executionTime"].as_u64().context("a time")?;
    let amount = Money::from_nanos(500_000_000).for_millis(millis).to_string();
    assert_eq!((&cost["currency"], &cost["amount"]), (&json!("USD"), &json!(amount)));
    assert_eq!((&part["gpu"], &part["pricePerSecond"]), (&json!("NVIDIA L4"), &json!("0.5")));
    assert_eq!((&part["workerId"], &part["job"]), (&json!("worker-1"), &json!(job)));
    assert_eq!(part["executionSeconds"], millis as f64 / 1000.0);
    platform.check();

    // A cost that comes late is no news: nobody is told, and nothing is told twice.
    let after = api.media(&id).await?;
    for member in ["status", "sequence", "updatedAt", "attempts"] {
        assert_eq!(after[member], ready[member], "{member}");
    }
    let listed = api.get("/api/media").await?.expect(200)?;
    assert_eq!(listed["items"][0]["cost"], cost);
    let told = receiver
        .wait("it is announced", SOON, |all| {
            all.iter().any(|message| message.kind() == "media.ready")
        })
        .await?;
    assert_eq!(told.iter().filter(|message| message.kind() == "media.ready").count(), 1);
    Ok(())
}

/// Cancelling reaches the platform, which stops its worker; what it took by then is billed.
#[tokio::test]
async fn a_cancelled_media_has_its_job_cancelled_there() -> Result<()> {
    let bench = Bench::start(|options| options).await?;
    let api = bench.stack.api();
    let (waiting, queued) = bench.upload().await?;
    api.post(&format!("/api/media/{waiting}/cancel"), json!({})).await?.expect(202)?;
    bench.platform.until("cancelled", |record| record.is(&queued, State::Cancelled)).await;
    let cost = bench.cost(&waiting).await?;
    assert_eq!((&cost["amount"], &cost["jobs"][0]["executionSeconds"]), (&json!("0"), &json!(0.0)));

    let (running, job) = bench.upload().await?;
    bench.platform.take("worker-1").context("a job")?;
    let spec = bench.spec(&job)?;
    spec.send_progress(&spec.progress(1.0, false), &bench.signing()).await?.expect(200)?;
    // The first tries are answered by faults that pass.
    bench.platform.fail(Route::Cancel, [503, 429].map(Fault::Status));
    api.delete(&format!("/api/media/{running}")).await?.expect(204)?;
    bench.platform.until("cancelled", |record| record.is(&job, State::Cancelled)).await;
    spec.send_progress(&spec.progress(2.0, false), &bench.signing())
        .await?
        .expect_problem(409, "stale_attempt")?;
    Ok(())
}
