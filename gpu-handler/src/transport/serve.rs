//! `serve`: RunPod's client API over HTTP, so that the gateway has one dispatcher for a handler of
//! one's own and for RunPod.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v2/{endpoint}/run` `{"input": job}` | `{id, status}`; the same attempt gets the same id, and is reported again if it is over; `kind: "warm"` is done at once |
//! | `GET /v2/{endpoint}/status/{id}` | `{id, status, delayTime, executionTime, output?, error?}` |
//! | `POST /v2/{endpoint}/cancel/{id}` | the same |
//! | `GET /v2/{endpoint}/health` | `{jobs, workers}` and what this handler is |
//! | `GET /v2/{endpoint}/log/{id}` | FFmpeg's log of an ended job (not RunPod's) |
//! | `GET /ping` | `204`, without a key |

mod answers;
mod body;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use reelmill_shared::{
    job::{Job, WarmSpec},
    problem::{Problem, ProblemCode},
    secret::{Secret, constant_time_eq},
};
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::desk::Desk;
use crate::{
    engine::Engine,
    jobs::{Admission, Phase},
    stop::{Reason, Stop},
    tracker::Tracker,
};

use answers::{Health, JobAnswer, Refusal};

/// A serving handler.
#[derive(Debug, Clone)]
pub struct Server {
    desk: Desk,
    key: Secret,
}

impl Server {
    /// Serves `engine` to those who know `key`.
    pub fn new(engine: Engine, key: Secret) -> Self {
        Self { desk: Desk::new(engine), key }
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
            self.desk.wind_down(Some(self.desk.engine().config().grace)).await;
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
            .layer(middleware::from_fn_with_state(self.clone(), authorize));
        Router::new()
            .nest("/v2/{endpoint}", api)
            .route("/ping", get(|| async { StatusCode::NO_CONTENT }))
            .fallback(|| async { Refusal::from(ProblemCode::NotFound) })
            .with_state(self.clone())
    }

    /// Reports a job once more that is over: whoever hands it in again may not have heard.
    fn repeat(&self, id: &str, job: Job) {
        tracing::info!(job = id, "the job is known already");
        let Some(Phase::Ended(report)) = self.desk.jobs().get(id).map(|job| job.phase) else {
            return;
        };
        let desk = self.desk.clone();
        self.desk.spawn(async move {
            desk.tell_again(&job, &report).await;
        });
    }

    /// Starts an admitted job in the background.
    fn begin(&self, id: String, job: Job, stop: Stop) {
        let desk = self.desk.clone();
        self.desk.spawn(async move {
            let (media, attempt) = job.attempt();
            let tracker = Arc::new(Tracker::new(media, attempt));
            desk.work(&id, &job, &stop, &tracker).await;
        });
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

async fn run(State(server): State<Server>, body: Body) -> Result<Json<JobAnswer>, Refusal> {
    let body = body::read(body).await?;
    let mut body: Value =
        serde_json::from_slice(&body).map_err(|error| invalid(format!("no JSON: {error}")))?;
    let input = body.get_mut("input").map(Value::take).unwrap_or_default();
    if WarmSpec::is(&input) {
        return Ok(Json(JobAnswer::awake()));
    }
    let job = server.desk.read(input).map_err(|failure| invalid(failure.to_string()))?;
    let id = Uuid::now_v7().simple().to_string();
    let (admission, id, stop) = server.desk.admit(&id, &job, server.desk.engine().config().queue);
    match admission {
        Admission::New => server.begin(id.clone(), job, stop),
        Admission::Known => server.repeat(&id, job),
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
    let job = server.desk.jobs().get(&id).ok_or(Refusal::from(ProblemCode::NotFound))?;
    if !matches!(job.phase, Phase::Ended(_)) {
        job.stop.now(Reason::Cancelled);
    }
    server.answer(&id).map(Json)
}

async fn log(
    State(server): State<Server>,
    Path((_, id)): Path<(String, String)>,
) -> Result<String, Refusal> {
    server.desk.jobs().get(&id).map(|job| job.log).ok_or(Refusal::from(ProblemCode::NotFound))
}

async fn health(State(server): State<Server>) -> Json<Health> {
    let (desk, engine) = (&server.desk, server.desk.engine());
    Json(Health::new(desk.jobs().counts(), desk.occupancy(), engine.host().clone()))
}

fn invalid(detail: String) -> Refusal {
    Problem::new(ProblemCode::InvalidRequest, detail).into()
}
