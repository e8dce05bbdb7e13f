//! `serve`: RunPod's client API over HTTP, so that the gateway has one dispatcher for a handler of
//! one's own and for RunPod.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v2/{endpoint}/run` `{"input": job}` | `{id, status}`; the same attempt gets the same id |
//! | `GET /v2/{endpoint}/status/{id}` | `{id, status, delayTime, executionTime, output?, error?}` |
//! | `POST /v2/{endpoint}/cancel/{id}` | the same |
//! | `GET /v2/{endpoint}/health` | `{jobs, workers}` and what this handler is |
//! | `GET /v2/{endpoint}/log/{id}` | FFmpeg's log of an ended job (not RunPod's) |
//! | `GET /ping` | `204`, without a key |

mod answers;
mod work;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Request, State, rejection::BytesRejection},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use reelmill_shared::{
    job::{Failure, JOB_VERSION, Job},
    problem::{Problem, ProblemCode},
    secret::{Secret, constant_time_eq},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    engine::Engine,
    ingest::{Ingester, Options, guard::Guard},
    jobs::{Admission, Jobs, Phase},
    stop::Reason,
};

use answers::{Health, JobAnswer, Refusal};

/// The largest body of `/run`, as with RunPod.
const MAX_BODY: usize = 10 << 20;
/// How long reports may still take once the grace is over.
const LAST_WORDS: Duration = Duration::from_secs(12);

/// A serving handler.
#[derive(Debug, Clone)]
pub struct Server {
    engine: Arc<Engine>,
    key: Secret,
    jobs: Jobs,
    ingester: Ingester,
    slots: Arc<Semaphore>,
    ingests: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Server {
    /// Serves `engine` to those who know `key`.
    pub fn new(engine: Engine, key: Secret) -> Self {
        let config = engine.config();
        let slots = Arc::new(Semaphore::new(config.concurrency));
        // Of their own: a download that takes hours is not to hold up the encoder.
        let ingests = Arc::new(Semaphore::new(config.ingests));
        let guard = Guard::new(config.allow_private_sources);
        let ingester = Ingester::new(engine.client().clone(), guard, Options::new(config));
        let (jobs, tasks) = (Jobs::default(), TaskTracker::new());
        Self { engine: Arc::new(engine), key, jobs, ingester, slots, ingests, tasks }
    }

    /// Serves until `signal` is done; then takes no more jobs, gives those that run their grace,
    /// reports the rest as stopped, and returns.
    ///
    /// # Errors
    /// Those of the listener.
    pub async fn serve(
        self,
        listener: TcpListener,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let app = self.router();
        let finished = async move {
            signal.await;
            self.wind_down().await;
        };
        axum::serve(listener, app).with_graceful_shutdown(finished).await
    }

    /// The routes.
    pub fn router(&self) -> Router {
        let api = Router::new()
            .route("/run", post(run))
            .route("/status/{id}", get(status))
            .route("/cancel/{id}", post(cancel))
            .route("/log/{id}", get(log))
            .route("/health", get(health))
            .fallback(|| async { Refusal::from(ProblemCode::NotFound) })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(middleware::from_fn_with_state(self.clone(), authorize));
        Router::new()
            .nest("/v2/{endpoint}", api)
            .route("/ping", get(|| async { StatusCode::NO_CONTENT }))
            .fallback(|| async { Refusal::from(ProblemCode::NotFound) })
            .with_state(self.clone())
    }

    /// Whether the job is one that this handler takes.
    fn check(&self, job: &Job) -> Result<(), Failure> {
        match job {
            Job::Transcode(spec) => self.engine.check(spec),
            Job::Ingest(spec) => {
                Ingester::check(spec)?;
                self.engine.check_callback(Some(&spec.callback))
            }
        }
    }

    async fn wind_down(&self) {
        let left = self.jobs.close();
        tracing::info!(jobs = left.len(), "stopping");
        let (waiting, running): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|job| matches!(job.phase, Phase::Queued));
        waiting.iter().for_each(|job| job.stop.now(Reason::Shutdown));
        self.tasks.close();
        if tokio::time::timeout(self.engine.config().grace, self.tasks.wait()).await.is_err() {
            running.iter().for_each(|job| job.stop.now(Reason::Shutdown));
            // Whoever does not hear of it by then learns it from the lapsing lease.
            let _ = tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await;
        }
    }
}

/// Binds `address` and says where on stdout, for whoever asked for any free port.
///
/// # Errors
/// Those of the socket.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

async fn authorize(State(server): State<Server>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    // Hashed by the comparison's own key first, so that not even the length tells.
    let digest = |text: &[u8]| server.key.hmac(&[text]);
    if constant_time_eq(&digest(key.as_bytes()), &digest(server.key.expose())) {
        next.run(request).await
    } else {
        Refusal::from(ProblemCode::Unauthorized).into_response()
    }
}

async fn run(
    State(server): State<Server>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<JobAnswer>, Refusal> {
    let job = match body {
        Ok(body) => read_job(&body)?,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(ProblemCode::BodyTooLarge.into());
        }
        Err(error) => return Err(invalid(error.body_text())),
    };
    server.check(&job).map_err(|failure| invalid(failure.to_string()))?;
    let id = Uuid::now_v7().simple().to_string();
    let config = server.engine.config();
    let slots = match job {
        Job::Transcode(_) => config.concurrency,
        Job::Ingest(_) => config.ingests,
    };
    let room = config.queue + slots;
    let (admission, id, stop) = server.jobs.admit(&id, job.attempt(), room);
    match admission {
        Admission::New => server.begin(id.clone(), job, stop),
        Admission::Known => tracing::info!(job = %id, "the job is known already"),
        Admission::Full => {
            let detail = "Too many jobs are waiting; try again later.";
            return Err(Problem::new(ProblemCode::TooManyRequests, detail).into());
        }
        Admission::Closed => {
            return Err(Problem::new(ProblemCode::Unavailable, "The handler is stopping.").into());
        }
    }
    server.answer(&id).map(Json)
}

/// Reads the version before the rest: of an unknown version nothing else can be said.
fn read_job(body: &[u8]) -> Result<Job, Refusal> {
    let mut body: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| invalid(format!("no JSON: {error}")))?;
    let input = body.get_mut("input").map(serde_json::Value::take).unwrap_or_default();
    match input.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(JOB_VERSION) => {}
        Some(version) => {
            let detail =
                format!("unsupported_job: version {version}, this handler knows {JOB_VERSION}");
            return Err(invalid(detail));
        }
        None => return Err(invalid("unsupported_job: input.version is missing".to_owned())),
    }
    Job::read(input).map_err(|error| invalid(format!("unsupported_job: {error}")))
}

async fn status(
    State(server): State<Server>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<JobAnswer>, Refusal> {
    server.answer(&id).map(Json)
}

async fn cancel(
    State(server): State<Server>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<JobAnswer>, Refusal> {
    let job = server.jobs.get(&id).ok_or(Refusal::from(ProblemCode::NotFound))?;
    if !matches!(job.phase, Phase::Ended(_)) {
        job.stop.now(Reason::Cancelled);
    }
    server.answer(&id).map(Json)
}

async fn log(
    State(server): State<Server>,
    Path((_, id)): Path<(String, String)>,
) -> Result<String, Refusal> {
    server.jobs.get(&id).map(|job| job.log).ok_or(Refusal::from(ProblemCode::NotFound))
}

async fn health(State(server): State<Server>) -> Json<Health> {
    let engine = &server.engine;
    let idle = server.slots.available_permits();
    let running = engine.config().concurrency - idle;
    Json(Health::new(server.jobs.counts(), (idle, running), engine.host().clone()))
}

fn invalid(detail: String) -> Refusal {
    Problem::new(ProblemCode::InvalidRequest, detail).into()
}
