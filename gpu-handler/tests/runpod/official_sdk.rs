//! The official Python SDK against the same platform: what both workers put on the wire is alike.
//!
//! Needs the SDK, which `scripts/runpod-sdk` installs for it. Compared are method, path, the names and
//! the order of parameters, the headers that the platform reads and the members of bodies, of every
//! kind of request; not the libraries' own headers, and not how often something is asked.
#![expect(clippy::disallowed_methods, reason = "the SDK is another program")]

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use runpod_simulator::{
    Options, Simulator, Templates,
    ledger::State,
    traffic::{Route, Seen, Shape},
};
use serde_json::{Value, json};

use crate::{
    binary::Worker,
    gateway::{Gateway, SECRET, clip},
};

/// A worker of a user of the SDK: tells progress, and then fails, returns or sleeps as it is told.
const HANDLER: &str = r#"
import time
import runpod
def handler(job):
    do = job["input"]["sdk"]
    if do == "sleep":
        time.sleep(0.2)
        runpod.serverless.progress_update(job, {"percent": 1})
        time.sleep(3)
    if do == "fail":
        return {"error": "unsupported_media: the source is empty"}
    return {"status": "completed", "refresh_worker": do == "refresh"}
runpod.serverless.start({"handler": handler})
"#;

fn python() -> PathBuf {
    std::env::var("RUNPOD_SDK_PYTHON").expect("scripts/runpod-sdk sets it").into()
}

/// A platform with a worker, and a gateway.
struct Scene {
    platform: Arc<Simulator>,
    gateway: Gateway,
    _worker: Worker,
}

impl Scene {
    async fn new(worker: impl FnOnce(&Simulator) -> Worker) -> Self {
        let platform = Arc::new(Simulator::start(Options::default()).await.expect("a free port"));
        let directory = tempfile::tempdir().expect("a directory");
        let gateway = crate::gateway::beside(platform.clone(), clip(directory.path())).await;
        let worker = worker(&platform);
        Self { platform, gateway, _worker: worker }
    }

    /// The shapes of all that the worker has sent, for these jobs.
    fn shapes(&self, jobs: &[&str]) -> BTreeSet<Shape> {
        self.platform.check();
        let ids: Vec<&str> = ["worker-1"].iter().chain(jobs).copied().collect();
        let shape = |seen: &Seen| {
            let mut shape = seen.shape(&ids);
            // The SDK's session keeps the last job's id for whatever it asks next.
            if matches!(shape.route, Route::Take | Route::Stop) {
                shape.headers.remove("x-request-id");
            }
            shape
        };
        self.platform.look(|record| record.seen.iter().map(shape).collect())
    }

    /// A job that goes well after it told progress and was in hand for a while, and one that fails.
    async fn two_jobs(self, inputs: impl FnOnce(&Gateway) -> [Value; 2]) -> BTreeSet<Shape> {
        let platform = &self.platform;
        let [good, bad] = inputs(&self.gateway);
        let good = platform.run(good);
        platform.until("in hand", |record| record.is_in_hand(&[&good])).await;
        platform.until("told", |record| record.of(Route::Progress).count() > 0).await;
        self.gateway.release();
        platform.until("done", |record| record.is(&good, State::Completed)).await;
        let bad = platform.run(bad);
        platform.until("failed", |record| record.is(&bad, State::Failed)).await;
        platform.until("asks on", |record| record.is_asking()).await;
        self.shapes(&[&good, &bad])
    }

    /// The result of a job after which the worker wants to be replaced.
    async fn last_job(self, input: impl FnOnce(&Gateway) -> Value) -> Vec<Shape> {
        let job = self.platform.run(input(&self.gateway));
        self.platform.until("done", |record| record.is(&job, State::Completed)).await;
        let shapes = self.shapes(&[&job]).into_iter();
        shapes.filter(|shape| shape.route == Route::Result).collect()
    }
}

fn sdk(platform: &Simulator) -> Worker {
    let mut command = Command::new(python());
    // It would look for a gigabyte of memory, the internet and a GPU first.
    command.args(["-c", HANDLER]).env("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "true");
    command.env("RUNPOD_SKIP_GPU_CHECK", "true");
    command.envs(platform.environment("worker-1", Templates::WithQuery));
    Worker::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

fn ours(platform: &Simulator) -> Worker {
    Worker::ours(platform, &[("HANDLER_WEBHOOK_SECRET", SECRET)])
}

fn ours_for_one_job(platform: &Simulator) -> Worker {
    let one_job = [("HANDLER_WEBHOOK_SECRET", SECRET), ("REELMILL_REFRESH_WORKER", "always")];
    Worker::ours(platform, &one_job)
}

#[tokio::test]
#[ignore = "needs the official SDK: scripts/runpod-sdk"]
async fn it_looks_like_the_official_one() {
    let sdk = Scene::new(sdk).await;
    let expected = sdk.two_jobs(|_| [json!({"sdk": "sleep"}), json!({"sdk": "fail"})]).await;
    let ours = Scene::new(ours).await;
    let found =
        ours.two_jobs(|gateway| [gateway.held_job(1), gateway.job_of("/source", 2, 0)]).await;
    // Take, stop, ping with and without jobs, progress, two kinds of result.
    assert_eq!(expected.len(), 7, "{expected:#?}");
    assert_eq!(found, expected);
}

#[tokio::test]
#[ignore = "needs the official SDK: scripts/runpod-sdk"]
async fn it_asks_to_be_replaced_like_the_official_one() {
    let expected = Scene::new(sdk).await.last_job(|_| json!({"sdk": "refresh"})).await;
    let found = Scene::new(ours_for_one_job).await.last_job(|gateway| gateway.job(1)).await;
    assert!(expected.iter().all(|shape| shape.members.contains("stopPod")), "{expected:#?}");
    assert_eq!(found.len(), 1);
    assert_eq!(found, expected);
}
