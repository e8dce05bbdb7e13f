//! `GET /api/limits`: what a caller may upload, and by which ways, before it tries.

use http::StatusCode;
use reelmill_shared::tier::Tier;
use serde::Serialize;
use url::Url;

use crate::{
    app::{App, json},
    auth::Caller,
    error::{ApiError, ApiResult},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    tier: Tier,
    /// Largest source by any way, in bytes.
    max_upload_bytes: u64,
    /// Largest body of one request, and so the largest source by PUT or in a form, in bytes.
    max_body_bytes: u64,
    tus: Tus,
    /// Whether sources can be put straight into R2.
    direct: bool,
}

#[derive(Serialize)]
struct Tus {
    /// Where uploads are created.
    url: Url,
    version: &'static str,
}

/// `GET /api/limits`
#[worker::send]
pub(super) async fn show(app: App, caller: Caller) -> ApiResult {
    let (config, tier) = (app.config(), caller.tier());
    let url = app.origin().join("api/uploads").map_err(ApiError::internal)?;
    let limits = Limits {
        tier,
        max_upload_bytes: config.tiers.of(tier),
        max_body_bytes: config.max_body,
        tus: Tus { url, version: "1.0.0" },
        direct: config.s3.is_some(),
    };
    json(StatusCode::OK, &limits)
}
