//! `POST /api/media/{id}/playback`: mints the token that `/play/…` asks for.

use std::collections::BTreeMap;

use axum::extract::Path;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    job::{Outcome, OutputRole},
    media::State,
    problem::ProblemCode,
    token::{Grant, MAX_VIEWER, Token},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::media_id;
use crate::{
    app::{App, json},
    auth::Caller,
    error::{ApiError, ApiResult},
    media_object::Command,
    view::Record,
};

/// Twelve hours: longer than a film with its breaks.
const DEFAULT_SECONDS: u32 = 12 * 3600;
const MAX_SECONDS: u32 = 30 * 86_400;

/// Body of `POST /api/media/{id}/playback`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreatePlayback {
    /// Seconds.
    expires_in: Option<u32>,
    viewer: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Playback {
    token: String,
    expires_at: Timestamp,
    live: bool,
    #[serde(flatten)]
    urls: BTreeMap<OutputRole, Url>,
}

/// `POST /api/media/{id}/playback`
#[worker::send]
pub(super) async fn create(app: App, _: Caller, path: Path<String>) -> ApiResult {
    let CreatePlayback { expires_in, viewer } = app.json().await?;
    let seconds = expires_in.unwrap_or(DEFAULT_SECONDS);
    if !(1..=MAX_SECONDS).contains(&seconds) {
        return Err(ApiError::invalid(format!("`expiresIn` must be from 1 to {MAX_SECONDS}.")));
    }
    if viewer.as_ref().is_some_and(|viewer| viewer.is_empty() || viewer.len() > MAX_VIEWER) {
        return Err(ApiError::invalid(format!("`viewer` must have 1 to {MAX_VIEWER} bytes.")));
    }
    let id = media_id(&path)?;
    let record: Record = app.media(id)?.send(&Command::Get).await?;
    let attempt = record.media.playable_attempt().ok_or(ProblemCode::NotPlayable)?;
    // Whole seconds, as the token stores them; rounded up, so that none is lost.
    let expires_at = Timestamp::from_second(app.now().as_second() + 1)
        .and_then(|second| second.checked_add(SignedDuration::from_secs(seconds.into())))
        .map_err(ApiError::internal)?;
    let grant = Grant::Play { attempt };
    let token = app.config().tokens.sign(&Token { media: id, grant, expires_at, viewer });
    let (live, urls) = urls(&record, &token);
    json(StatusCode::OK, &Playback { token, expires_at, live, urls })
}

/// Whether the outputs still grow, and where they are.
fn urls(record: &Record, token: &str) -> (bool, BTreeMap<OutputRole, Url>) {
    let url = |path: &str| record.url(&format!("play/{token}/{path}"));
    if let State::Ready { report, .. } = &record.media.state
        && let Outcome::Completed { outputs, .. } = &report.outcome
    {
        return (false, outputs.iter().map(|(role, path)| (*role, url(path.as_str()))).collect());
    }
    // The job contract says where the playlist lies before the report names it.
    (true, BTreeMap::from([(OutputRole::Hls, url("hls/main.m3u8"))]))
}
