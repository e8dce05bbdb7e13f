//! The backends of a deployment, and what can be asked of each.

use reelmill_shared::{cost::Usage, job::Job};
use serde_json::Value;
use url::Url;
use worker::ObjectNamespace;

use super::{Api, JobStatus, RunPod, Sqs, Start};

/// A place where handlers take jobs.
#[derive(Debug)]
pub enum Backend {
    /// A handler's own API (`gpu-handler serve`), or another one like it.
    Http(Api),
    /// RunPod's.
    RunPod(RunPod),
    /// A handler's own API in a container of Cloudflare's.
    Container(Api),
    /// An SQS queue, from which `gpu-handler sqs` or a Lambda function takes them.
    Sqs(Sqs),
}

impl Backend {
    /// Offers it a job. Whoever cannot sign what it says may `POST` to `hint` that there is news.
    pub async fn start(&self, job: &Job, hint: &Url) -> Start {
        match self {
            Self::Http(api) | Self::Container(api) => api.start(job).await,
            Self::RunPod(runpod) => runpod.start(job, hint).await,
            Self::Sqs(queue) => queue.start(job).await,
        }
    }

    /// Asks what became of a job.
    pub async fn status(&self, job: &str) -> JobStatus {
        match self {
            Self::Http(api) | Self::Container(api) => api.status(job).await,
            Self::RunPod(runpod) => runpod.status(job).await,
            // A queue does not tell. What it has taken it keeps until a worker takes it.
            Self::Sqs(_) => JobStatus::Waiting,
        }
    }

    /// Asks it to stop a job. A job it does not know is as good as stopped.
    ///
    /// # Errors
    /// A sentence, where it is worth trying again.
    pub async fn cancel(&self, job: &str) -> Result<(), String> {
        match self {
            Self::Http(api) | Self::Container(api) => api.cancel(job).await,
            Self::RunPod(runpod) => runpod.cancel(job).await,
            // Nobody's any more, it is not begun.
            Self::Sqs(_) => Ok(()),
        }
    }

    /// Its own account of itself.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub async fn health(&self) -> Result<Value, String> {
        match self {
            Self::Http(api) | Self::Container(api) => api.health().await,
            Self::RunPod(runpod) => runpod.health().await,
            Self::Sqs(queue) => queue.health().await,
        }
    }

    /// What a job took that it bills by the second, once the job has ended; `None` where nothing is
    /// billed so.
    pub async fn usage(&self, job: &str) -> Option<(JobStatus, Usage)> {
        match self {
            Self::RunPod(runpod) => Some(runpod.usage(job).await),
            _ => None,
        }
    }

    /// Whether it bills by the second.
    pub const fn bills(&self) -> bool {
        matches!(self, Self::RunPod(_))
    }

    /// Whether its workers sleep when there is nothing to do, and are to be woken.
    pub const fn prewarms(&self) -> bool {
        matches!(self, Self::RunPod(runpod) if runpod.prewarms())
    }

    /// Wakes a worker, if all of them sleep.
    ///
    /// # Errors
    /// A sentence.
    pub async fn prewarm(&self) -> Result<(), String> {
        match self {
            Self::RunPod(runpod) => runpod.prewarm().await,
            _ => Ok(()),
        }
    }
}

/// Every backend by its name, the default first.
#[derive(Debug)]
pub struct Backends(Vec<(String, Backend)>);

impl Backends {
    /// Those, of which there is at least one.
    pub const fn new(backends: Vec<(String, Backend)>) -> Self {
        Self(backends)
    }

    /// The backend of that name. Jobs from before backends had names are the first one's.
    pub fn get(&self, name: &str) -> Option<&Backend> {
        let found = |(known, backend)| (known == name || name.is_empty()).then_some(backend);
        self.iter().find_map(found)
    }

    /// Gives the containers' objects to the backends that are in one.
    pub fn through(&mut self, objects: &ObjectNamespace) {
        for (_, backend) in &mut self.0 {
            if let Backend::Container(api) = backend {
                api.through(objects.clone());
            }
        }
    }

    /// The API of the handler that is in a container, if there is one.
    pub fn container(&self) -> Option<&Api> {
        self.iter().find_map(|(_, backend)| match backend {
            Backend::Container(api) => Some(api),
            _ => None,
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Backend)> {
        self.0.iter().map(|(name, backend)| (name.as_str(), backend))
    }
}
