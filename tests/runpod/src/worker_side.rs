//! The platform as its workers see it: job-take, job-stop, job-done, ping.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    faults::Fault,
    ledger,
    rules::{self, Done},
    server::lost,
    simulator::{Record, Shared},
    traffic::{Route, Seen, query},
    webhook,
};

/// The GPU that every worker has.
pub(crate) const GPU: &str = "NVIDIA L4";

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/job-take/{worker}", get(take))
        .route("/job-stop/{worker}", get(stop))
        .route("/job-done/{worker}/{job}", post(done))
        .route("/ping/{worker}", get(ping))
}

/// A worker's request, noted.
struct Call {
    seen: Seen,
    /// How many parameters came with the template.
    template: usize,
    authorized: bool,
}

impl Call {
    fn new(shared: &Shared, seen: Seen, parts: &Parts) -> Self {
        // A worker with another template is caught by what follows the template's parameters.
        let first = query(&parts.uri).into_iter().next().filter(|(name, _)| name == "gpu");
        let template: Vec<_> = first.into_iter().collect();
        let wrong = rules::worker(&seen, &shared.options.worker_key, &template);
        let authorized = seen.headers.get("authorization") == Some(&shared.options.worker_key);
        shared.change(|record| {
            record.seen.push(seen.clone());
            blame(record, &seen, wrong);
        });
        Self { seen, template: template.len(), authorized }
    }

    fn blame(&self, shared: &Shared, wrong: Vec<String>) {
        shared.change(|record| blame(record, &self.seen, wrong));
    }
}

fn blame(record: &mut Record, seen: &Seen, wrong: Vec<String>) {
    let wrong = wrong.into_iter().map(|wrong| format!("{:?} {}: {wrong}", seen.route, seen.path));
    record.violations.extend(wrong);
}

/// What goes wrong with a request before anything is done; otherwise whether its answer is lost.
pub(crate) async fn trouble(shared: &Shared, route: Route) -> Result<bool, Response> {
    match shared.change(|record| record.script.next(route)) {
        None => Ok(false),
        Some(Fault::LostAnswer) => Ok(true),
        Some(Fault::LostRequest) => Err(lost()),
        Some(Fault::Status(status)) => {
            Err(StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT).into_response())
        }
        Some(Fault::Says { content_type, body }) => {
            Err(([("content-type", content_type)], body).into_response())
        }
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            Ok(false)
        }
    }
}

/// A job-take that is open, until it is answered or its worker hangs up.
struct Asking {
    shared: Arc<Shared>,
    worker: String,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.shared.change(|record| record.asking.remove(&self.worker));
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    Path(worker): Path<String>,
    parts: Parts,
) -> Response {
    let call = Call::new(&shared, Seen::new(Route::Take, &parts, &[]), &parts);
    call.blame(&shared, rules::take(&call.seen, call.template));
    if !call.authorized {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let loses = match trouble(&shared, Route::Take).await {
        Ok(loses) => loses,
        Err(response) => return response,
    };
    shared.change(|record| {
        let mut wrong = Vec::new();
        record.starting = false;
        if !record.asking.insert(worker.clone()) {
            wrong.push("two at a time".to_owned());
        }
        if record.replaced.contains(&worker) {
            wrong.push("a worker that is to be replaced asks for more".to_owned());
        }
        blame(record, &call.seen, wrong);
    });
    let _asking = Asking { shared: shared.clone(), worker: worker.clone() };
    let end = Instant::now() + shared.options.hold;
    let job = shared.wait(end, |record| record.ledger.take(&worker, Instant::now())).await;
    match job {
        _ if loses => lost(),
        Some(job) => Json(job).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn stop(
    State(shared): State<Arc<Shared>>,
    Path(worker): Path<String>,
    parts: Parts,
) -> Response {
    let call = Call::new(&shared, Seen::new(Route::Stop, &parts, &[]), &parts);
    call.blame(&shared, rules::stop(&call.seen, call.template));
    if !call.authorized {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let loses = match trouble(&shared, Route::Stop).await {
        Ok(loses) => loses,
        Err(response) => return response,
    };
    let end = Instant::now() + shared.options.hold;
    let told = |record: &mut Record| {
        let ids = record.ledger.take_stops(&worker);
        (!ids.is_empty()).then_some(ids)
    };
    match shared.wait(end, told).await {
        _ if loses => lost(),
        Some(ids) => Json(json!({"jobsToStop": ids})).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn done(
    State(shared): State<Arc<Shared>>,
    Path((worker, job)): Path<(String, String)>,
    parts: Parts,
    body: Bytes,
) -> Response {
    let mut seen = Seen::new(Route::Result, &parts, &body);
    let template = query(&parts.uri).first().is_some_and(|(name, _)| name == "gpu");
    let (done, wrong) = rules::done(&seen, usize::from(template), &job);
    if matches!(done, Done::Progress(_)) {
        seen.route = Route::Progress;
    }
    let call = Call::new(&shared, seen, &parts);
    call.blame(&shared, wrong);
    if !call.authorized {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let loses = match trouble(&shared, call.seen.route).await {
        Ok(loses) => loses,
        Err(response) => return response,
    };
    let status = shared.change(|record| settle(record, &call.seen, &worker, &job, done));
    if status == StatusCode::OK {
        let state = shared.record().ledger.get(&job).map(|job| job.state);
        webhook::tell(&shared, &job, state);
    }
    if loses { lost() } else { status.into_response() }
}

/// Enters a result or progress. A job that is unknown, since its time to live is over, gets 404
/// (chosen here).
fn settle(record: &mut Record, seen: &Seen, worker: &str, job: &str, done: Done) -> StatusCode {
    let (output, error) = match done {
        Done::Unreadable => return StatusCode::BAD_REQUEST,
        Done::Progress(output) => {
            let state = record.ledger.get(job).map(|job| job.state);
            if let Some(state @ (ledger::State::Completed | ledger::State::Failed)) = state {
                blame(record, seen, vec![format!("progress of a job that is {}", state.as_str())]);
            }
            return match record.ledger.progress(job, output) || state.is_some() {
                true => StatusCode::OK,
                false => StatusCode::NOT_FOUND,
            };
        }
        Done::Result { output, error, stop_pod } => {
            if stop_pod {
                record.replaced.insert(worker.to_owned());
            }
            (output, error)
        }
    };
    match record.ledger.result(job, output, error, Instant::now()) {
        ledger::Taken::First => StatusCode::OK,
        ledger::Taken::Late(state @ (ledger::State::Cancelled | ledger::State::TimedOut)) => {
            blame(record, seen, vec![format!("a result of a job that is {}", state.as_str())]);
            StatusCode::OK
        }
        // It may not have heard that the first one was taken.
        ledger::Taken::Late(_) => StatusCode::OK,
        ledger::Taken::Unknown => StatusCode::NOT_FOUND,
    }
}

async fn ping(
    State(shared): State<Arc<Shared>>,
    Path(worker): Path<String>,
    parts: Parts,
) -> Response {
    let call = Call::new(&shared, Seen::new(Route::Ping, &parts, &[]), &parts);
    call.blame(&shared, rules::ping(&call.seen, call.template));
    if !call.authorized {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Err(response) = trouble(&shared, Route::Ping).await {
        return response;
    }
    let jobs: BTreeSet<String> = call
        .seen
        .parameter("job_id")
        .map(|jobs| jobs.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    shared.change(|record| record.pinged.insert(worker, jobs));
    StatusCode::OK.into_response()
}
