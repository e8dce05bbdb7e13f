//! The platform as its clients see it: run, status, cancel, retry, health.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    ledger::{Policy, State as JobState},
    server::lost,
    simulator::{Shared, new_id},
    traffic::{Route, Seen},
    webhook,
    worker_side::trouble,
};

/// The largest body of `/run`, in bytes.
const MAX_BODY: usize = 10 << 20;
/// What `executionTimeout` may be, in milliseconds: more than 5 seconds, to 7 days.
const EXECUTION: std::ops::RangeInclusive<u64> = 5_001..=604_800_000;
/// What `ttl` may be, in milliseconds: 10 seconds to a week.
const TTL: std::ops::RangeInclusive<u64> = 10_000..=604_800_000;

/// How many jobs may be handed in, and how many cancelled, within [`Options::window`].
///
/// [`Options::window`]: crate::Options::window
const RUNS: usize = 1000;
const CANCELS: usize = 100;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/run", post(run))
        .route("/status/{id}", get(status))
        .route("/cancel/{id}", post(cancel))
        .route("/retry/{id}", post(retry))
        .route("/health", get(health))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

#[derive(Deserialize)]
struct Request {
    input: Value,
    webhook: Option<String>,
    #[serde(default)]
    policy: Wanted,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    execution_timeout: Option<u64>,
    ttl: Option<u64>,
    #[serde(default)]
    low_priority: bool,
}

/// Notes a request and checks its key. Gives whether its answer is to be lost.
async fn admit(
    shared: &Shared,
    route: Route,
    parts: &Parts,
    body: &[u8],
) -> Result<bool, Response> {
    let seen = Seen::new(route, parts, body);
    let expected = format!("Bearer {}", shared.options.client_key);
    let authorized = seen.headers.get("authorization") == Some(&expected);
    shared.change(|record| record.seen.push(seen));
    if !authorized {
        return Err(StatusCode::UNAUTHORIZED.into_response());
    }
    trouble(shared, route).await
}

/// Answers, if the answer is to arrive.
fn answer(loses: bool, response: impl IntoResponse) -> Response {
    if loses { lost() } else { response.into_response() }
}

async fn run(
    State(shared): State<Arc<Shared>>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let loses = match admit(&shared, Route::Run, &parts, &body).await {
        Ok(loses) => loses,
        Err(response) => return response,
    };
    let refuse = |error: String| (StatusCode::BAD_REQUEST, Json(json!({"error": error})));
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refuse(error.to_string()).into_response(),
    };
    let (execution, ttl) = (request.policy.execution_timeout, request.policy.ttl);
    if !request.input.is_object()
        || execution.is_some_and(|millis| !EXECUTION.contains(&millis))
        || ttl.is_some_and(|millis| !TTL.contains(&millis))
        || request.webhook.as_deref().is_some_and(|url| !is_http(url))
    {
        return refuse(
            "input is no object, the policy out of bounds, or the webhook no URL".into(),
        )
        .into_response();
    }
    let default = Policy::default();
    let policy = Policy {
        execution: execution.map_or(default.execution, Duration::from_millis),
        ttl: ttl.map_or(default.ttl, Duration::from_millis),
    };
    let (id, now) = (new_id(), Instant::now());
    let taken = shared.change(|record| {
        record.runs.retain(|at| now - *at < shared.options.window);
        let room = record.runs.len() < RUNS;
        if room {
            record.runs.push(now);
            record.wake(request.policy.low_priority);
            record.ledger.push(&id, request.input, request.webhook, policy, now);
        }
        room
    });
    if !taken {
        return answer(loses, StatusCode::TOO_MANY_REQUESTS);
    }
    answer(loses, Json(json!({"id": id, "status": JobState::InQueue.as_str()})))
}

async fn status(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    let loses = match admit(&shared, Route::Status, &parts, &[]).await {
        Ok(loses) => loses,
        Err(response) => return response,
    };
    match shared.change(|record| record.ledger.status(&id, Instant::now())) {
        Some(status) => answer(loses, Json(status)),
        None => answer(loses, unknown()),
    }
}

async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    let loses = match admit(&shared, Route::Cancel, &parts, &[]).await {
        Ok(loses) => loses,
        Err(response) => return response,
    };
    let now = Instant::now();
    let too_many = shared.change(|record| {
        record.cancels.retain(|at| now - *at < shared.options.window);
        record.cancels.push(now);
        record.cancels.len() > CANCELS
    });
    if too_many {
        return answer(loses, StatusCode::TOO_MANY_REQUESTS);
    }
    match shared.change(|record| record.ledger.cancel(&id, Instant::now())) {
        Some(state) => {
            webhook::tell(&shared, &id, Some(state));
            answer(loses, Json(json!({"id": id, "status": state.as_str()})))
        }
        None => answer(loses, unknown()),
    }
}

async fn retry(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    let loses = match admit(&shared, Route::Retry, &parts, &[]).await {
        Ok(loses) => loses,
        Err(response) => return response,
    };
    match shared.change(|record| record.ledger.retry(&id)) {
        Some((state, true)) => answer(loses, Json(json!({"id": id, "status": state.as_str()}))),
        Some((_, false)) => {
            let error = json!({"error": "only a job that failed or timed out can be retried"});
            answer(loses, (StatusCode::BAD_REQUEST, Json(error)))
        }
        None => answer(loses, unknown()),
    }
}

async fn health(State(shared): State<Arc<Shared>>, parts: Parts) -> Response {
    let loses = match admit(&shared, Route::Health, &parts, &[]).await {
        Ok(loses) => loses,
        Err(response) => return response,
    };
    let health = shared.change(|record| {
        let ledger = &record.ledger;
        let failed = [JobState::Failed, JobState::TimedOut, JobState::Cancelled];
        let running = record.pinged.values().filter(|jobs| !jobs.is_empty()).count();
        json!({
            "jobs": {
                "completed": ledger.count(JobState::Completed),
                "failed": failed.into_iter().map(|state| ledger.count(state)).sum::<usize>(),
                "inProgress": ledger.count(JobState::InProgress),
                "inQueue": ledger.count(JobState::InQueue),
                "retried": ledger.retried(),
            },
            "workers": {
                "idle": record.asking.len(),
                "running": running,
                "initializing": u64::from(record.is_starting()),
                "ready": record.asking.len(),
                "throttled": 0,
            },
        })
    });
    answer(loses, Json(health))
}

fn is_http(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn unknown() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, Json(json!({"error": "job not found"})))
}
