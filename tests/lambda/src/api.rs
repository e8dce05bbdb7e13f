//! The Runtime API (2018-06-01) and the Extensions API (2020-01-01) of one environment.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State as Shares},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    environment::{Shared, error, error_body},
    lambda::{Invoked, MAX_PAYLOAD},
};

/// The function's name and version.
pub(crate) const NAME: &str = "emulated";
pub(crate) const VERSION: &str = "$LATEST";

/// What an answer may have beyond the payload of a request.
const MAX_ANSWER: usize = MAX_PAYLOAD + 100;
/// The header that an extension shows from its registration on.
const IDENTIFIER: &str = "Lambda-Extension-Identifier";

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    let runtime = Router::new()
        .route("/invocation/next", get(next))
        .route("/invocation/{id}/response", post(response))
        .route("/invocation/{id}/error", post(function_error))
        .route("/init/error", post(init_error));
    let extension =
        Router::new().route("/register", post(register)).route("/event/next", get(extension_next));
    Router::new()
        .nest("/2018-06-01/runtime", runtime)
        .nest("/2020-01-01/extension", extension)
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

/// An error of the APIs themselves.
fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({"errorType": kind, "errorMessage": message}))).into_response()
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({"status": "OK"}))).into_response()
}

/// Holds the runtime until there is an event.
async fn next(Shares(shared): Shares<Arc<Shared>>) -> Response {
    let answered = shared.change(|state| {
        if state.asking || state.current.is_some() {
            state.violations.push("two events at a time were asked for".to_owned());
            return false;
        }
        state.asking = true;
        true
    });
    if !answered {
        let message = "State transition failed: the invocation is not answered.";
        return refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", message);
    }
    let event = shared
        .wait(|state| {
            let event = state.event.take()?;
            state.asking = false;
            state.current = Some(event.id.clone());
            Some(event)
        })
        .await;
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", event.id.clone()),
        ("Lambda-Runtime-Deadline-Ms", event.deadline.to_string()),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            format!("arn:aws:lambda:eu-central-1:123456789012:function:{NAME}"),
        ),
        ("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793".to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    (headers, event.payload).into_response()
}

async fn response(
    Shares(shared): Shares<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    if body.len() > MAX_ANSWER {
        let message = format!("Exceeded maximum allowed payload size ({MAX_ANSWER} bytes).");
        settle(&shared, &id, error("Function.ResponseSizeTooLarge", &message));
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message);
    }
    let answer = serde_json::from_slice(&body).map_or_else(|_| error_body(&[]), Invoked::Answer);
    settle(&shared, &id, answer)
}

async fn function_error(
    Shares(shared): Shares<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    blame_shape(&shared, &headers, &body);
    settle(&shared, &id, error_body(&body))
}

async fn init_error(
    Shares(shared): Shares<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    blame_shape(&shared, &headers, &body);
    let taken = shared.change(|state| {
        if !state.initialised {
            state.init_error = Some(error_body(&body));
        }
        !state.initialised
    });
    match taken {
        true => accepted(),
        false => refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", "The init phase is over."),
    }
}

/// Notes it if an error does not have the form that Lambda shows to people.
fn blame_shape(shared: &Shared, headers: &HeaderMap, body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if !headers.contains_key("Lambda-Runtime-Function-Error-Type") {
        shared.change(|state| state.violations.push("an error without its header".to_owned()));
    }
    if !body["errorType"].is_string() || !body["errorMessage"].is_string() {
        let violation = format!("an error without type and message: {body}");
        shared.change(|state| state.violations.push(violation));
    }
}

/// Enters the answer to the current event.
fn settle(shared: &Shared, id: &str, answer: Invoked) -> Response {
    shared.change(|state| {
        if state.current.as_deref() == Some(id) {
            state.current = None;
            state.answer = Some(answer);
            return accepted();
        }
        state.violations.push(format!("an answer to {id}, which is not the current event"));
        refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
    })
}

async fn register(
    Shares(shared): Shares<Arc<Shared>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if !headers.contains_key("Lambda-Extension-Name") {
        let message = "Lambda-Extension-Name is missing";
        return refuse(StatusCode::FORBIDDEN, "Extension.MissingHeader", message);
    }
    // Those of the process itself know no shutdown: it is told by SIGTERM.
    if body["events"].as_array().is_some_and(|events| events.contains(&json!("SHUTDOWN"))) {
        let kind = "ShutdownEventNotSupportedForInternalExtension";
        return refuse(StatusCode::FORBIDDEN, kind, "internal extensions get no SHUTDOWN");
    }
    let identifier = Uuid::new_v4().to_string();
    let late = shared.change(|state| {
        state.extensions.insert(identifier.clone(), false);
        state.asking || state.initialised
    });
    if late {
        let message = "the runtime has asked for events already";
        return refuse(StatusCode::FORBIDDEN, "Extension.RegistrationClosed", message);
    }
    let about = json!({"functionName": NAME, "functionVersion": VERSION, "handler": "bootstrap"});
    ([(IDENTIFIER, identifier)], Json(about)).into_response()
}

/// Holds an extension for ever: there are no events for those of the process itself.
async fn extension_next(Shares(shared): Shares<Arc<Shared>>, headers: HeaderMap) -> Response {
    let known = shared.change(|state| {
        let identifier = headers.get(IDENTIFIER).and_then(|value| value.to_str().ok());
        let waits = identifier.and_then(|identifier| state.extensions.get_mut(identifier));
        waits.map(|waits| *waits = true).is_some()
    });
    match known {
        true => std::future::pending().await,
        false => refuse(
            StatusCode::FORBIDDEN,
            "Extension.UnknownExtensionIdentifier",
            "unknown extension",
        ),
    }
}
