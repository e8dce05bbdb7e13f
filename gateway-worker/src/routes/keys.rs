//! API keys, managed with the root key. Only their digests are stored.

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use jiff::Timestamp;
use reelmill_shared::{id::KeyId, problem::ProblemCode, tier::Tier};
use serde::{Deserialize, Serialize};
use worker::D1Type;

use crate::{
    app::{App, json},
    auth::{Caller, mint_key},
    catalogue::number,
    clock,
    error::{ApiError, ApiResult},
    hex,
};

const MAX_NAME: usize = 100;

/// Body of `POST /api/keys`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateKey {
    name: String,
    #[serde(default)]
    tier: Tier,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyView {
    id: String,
    name: String,
    tier: Tier,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// `POST /api/keys`
#[worker::send]
pub(super) async fn create(app: App, caller: Caller) -> ApiResult {
    caller.require_root()?;
    let CreateKey { name, tier } = app.json().await?;
    if !(1..=MAX_NAME).contains(&name.chars().count()) {
        return Err(ApiError::invalid("`name` must have 1 to 100 characters."));
    }
    let id = KeyId::new(clock::fresh_uuid(app.now()));
    let (key, digest) = mint_key(id, &clock::random_secret());
    let (id, created_at) = (id.to_string(), app.now());
    app.database()?
        .prepare(
            "INSERT INTO api_keys (id, name, sha256, created_at, tier) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind_refs(&[
            D1Type::Text(&id),
            D1Type::Text(&name),
            D1Type::Text(&hex::encode(&digest)),
            D1Type::Real(number(created_at.as_millisecond())),
            D1Type::Text(tier.as_str()),
        ])?
        .run()
        .await?;
    json(StatusCode::CREATED, &KeyView { id, name, tier, created_at, key: Some(key) })
}

/// `GET /api/keys`
#[worker::send]
pub(super) async fn list(app: App, caller: Caller) -> ApiResult {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        name: String,
        tier: String,
        created_at: i64,
    }
    caller.require_root()?;
    let statement = app
        .database()?
        .prepare("SELECT id, name, tier, created_at FROM api_keys ORDER BY created_at, id");
    let rows: Vec<Row> = statement.all().await?.results()?;
    let items = rows
        .into_iter()
        .map(|Row { id, name, tier, created_at }| {
            let created_at = Timestamp::from_millisecond(created_at).map_err(ApiError::internal)?;
            let tier = Tier::named(&tier).ok_or_else(|| ApiError::internal("an unknown tier"))?;
            Ok(KeyView { id, name, tier, created_at, key: None })
        })
        .collect::<ApiResult<Vec<_>>>()?;
    json(StatusCode::OK, &serde_json::json!({"items": items}))
}

/// `DELETE /api/keys/{id}`
#[worker::send]
pub(super) async fn delete(
    app: App,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    caller.require_root()?;
    let id: KeyId =
        id.parse().map_err(|error| ApiError::new(ProblemCode::InvalidId, format!("{error}.")))?;
    app.database()?
        .prepare("DELETE FROM api_keys WHERE id = ?1")
        .bind_refs(&[D1Type::Text(&id.to_string())])?
        .run()
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
