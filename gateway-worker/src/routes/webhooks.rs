//! Registering webhook endpoints.

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::StatusCode;
use jiff::Timestamp;
use reelmill_shared::{id::EndpointId, media::Announcement, problem::ProblemCode};
use serde::{Deserialize, Serialize};

use crate::{
    app::{App, json},
    auth::Caller,
    clock,
    endpoints::{self, Endpoint},
    error::{ApiError, ApiResult},
    webhook_url,
};

/// Endpoints of one deployment.
const MAX_ENDPOINTS: usize = 50;
const MAX_DESCRIPTION: usize = 500;

/// Body of `POST /api/webhooks`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateEndpoint {
    url: String,
    #[serde(default)]
    events: Vec<Announcement>,
    #[serde(default)]
    description: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointView<'a> {
    id: String,
    url: &'a str,
    events: &'a [String],
    description: &'a str,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_because: Option<&'a str>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> EndpointView<'a> {
    fn new(endpoint: &'a Endpoint, now: Timestamp) -> Self {
        let previous = endpoint.previous.as_ref().map(|(_, until)| *until);
        Self {
            id: endpoint.id.to_string(),
            url: &endpoint.url,
            events: &endpoint.events,
            description: &endpoint.description,
            enabled: endpoint.disabled.is_none(),
            disabled_because: endpoint.disabled.as_deref(),
            created_at: endpoint.created_at,
            previous_secret_until: previous.filter(|until| now < *until),
            secret: None,
        }
    }

    /// With the secret, for the one time that it is shown.
    fn with_secret(endpoint: &'a Endpoint, now: Timestamp) -> Self {
        Self { secret: Some(&endpoint.secret), ..Self::new(endpoint, now) }
    }
}

fn fresh_secret() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(clock::random_secret()))
}

fn endpoint_id(text: &str) -> ApiResult<EndpointId> {
    text.parse().map_err(|error| ApiError::new(ProblemCode::InvalidId, format!("{error}.")))
}

async fn find(app: &App, id: EndpointId) -> ApiResult<Endpoint> {
    let endpoint = endpoints::get(&app.database()?, id).await?;
    endpoint.ok_or_else(|| ApiError::new(ProblemCode::NotFound, "There is no such endpoint."))
}

/// `POST /api/webhooks`
#[worker::send]
pub(super) async fn create(app: App, _: Caller) -> ApiResult {
    let CreateEndpoint { url, events, description } = app.json().await?;
    let url = webhook_url::check(&url, app.config().allow_private_webhooks)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    if description.chars().count() > MAX_DESCRIPTION {
        return Err(ApiError::invalid("`description` may have at most 500 characters."));
    }
    let database = app.database()?;
    if endpoints::list(&database).await?.len() >= MAX_ENDPOINTS {
        return Err(ApiError::invalid("There are 50 endpoints already. Delete one first."));
    }
    let endpoint = Endpoint {
        id: EndpointId::new(clock::fresh_uuid(app.now())),
        url: url.into(),
        description,
        events: events.iter().map(|event| event.as_str().to_owned()).collect(),
        secret: fresh_secret(),
        previous: None,
        disabled: None,
        created_at: app.now(),
    };
    endpoints::insert(&database, &endpoint).await?;
    json(StatusCode::CREATED, &EndpointView::with_secret(&endpoint, app.now()))
}

/// `GET /api/webhooks`
#[worker::send]
pub(super) async fn list(app: App, _: Caller) -> ApiResult {
    let endpoints = endpoints::list(&app.database()?).await?;
    let items: Vec<_> =
        endpoints.iter().map(|endpoint| EndpointView::new(endpoint, app.now())).collect();
    json(StatusCode::OK, &serde_json::json!({"items": items}))
}

/// `GET /api/webhooks/{id}`
#[worker::send]
pub(super) async fn show(app: App, _: Caller, Path(id): Path<String>) -> ApiResult {
    let endpoint = find(&app, endpoint_id(&id)?).await?;
    json(StatusCode::OK, &EndpointView::new(&endpoint, app.now()))
}

/// `DELETE /api/webhooks/{id}`
#[worker::send]
pub(super) async fn delete(app: App, _: Caller, Path(id): Path<String>) -> ApiResult<Response> {
    endpoints::delete(&app.database()?, endpoint_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/webhooks/{id}/rotate`
#[worker::send]
pub(super) async fn rotate(app: App, _: Caller, Path(id): Path<String>) -> ApiResult {
    let id = endpoint_id(&id)?;
    find(&app, id).await?;
    endpoints::rotate(&app.database()?, id, &fresh_secret(), app.now()).await?;
    let endpoint = find(&app, id).await?;
    json(StatusCode::OK, &EndpointView::with_secret(&endpoint, app.now()))
}
