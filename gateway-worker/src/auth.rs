//! Who is calling: the root key, one of the keys in D1, or the bearer of a token in the URL.

use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};
use reelmill_shared::{
    id::{KeyId, MediaId},
    problem::ProblemCode,
    secret::constant_time_eq,
    tier::Tier,
    token::Grant,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::form_urlencoded;
use uuid::Uuid;
use worker::{D1Database, D1Type, send::SendFuture};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
    hex,
};

/// Longest key that is looked at, in bytes.
const MAX_KEY: usize = 256;

/// A caller with a valid API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The deployment's root key.
    Root,
    /// A key that the root key made, and its tier.
    Key(KeyId, Tier),
}

impl Caller {
    /// The caller's name in what is derived from it, such as idempotent ids.
    pub fn name(self) -> String {
        match self {
            Self::Root => "root".to_owned(),
            Self::Key(id, _) => id.to_string(),
        }
    }

    /// How much the caller may upload.
    pub const fn tier(self) -> Tier {
        match self {
            Self::Root => Tier::Unlimited,
            Self::Key(_, tier) => tier,
        }
    }

    /// Lets only the root key pass.
    pub fn require_root(self) -> ApiResult<()> {
        match self {
            Self::Root => Ok(()),
            Self::Key(..) => Err(ApiError::new(
                ProblemCode::Forbidden,
                "Keys are managed with the deployment's root key.",
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let app = App::from_request_parts(parts, state).await?;
        SendFuture::new(authenticate(&app, &parts.headers)).await
    }
}

async fn authenticate(app: &App, headers: &HeaderMap) -> ApiResult<Caller> {
    let key = bearer(headers).ok_or(ProblemCode::Unauthorized)?;
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    if constant_time_eq(&digest, &app.config().root_key_sha256) {
        return Ok(Caller::Root);
    }
    let id = key_id(key).ok_or(ProblemCode::Unauthorized)?;
    let stored = stored_key(&app.database()?, id).await?;
    // Compared even where there is no such key, so that ids cannot be told apart by time.
    let (expected, tier) = stored.unzip();
    let same = constant_time_eq(&digest, &expected.unwrap_or_default());
    match tier.filter(|_| same) {
        Some(tier) => Ok(Caller::Key(id, tier)),
        None => Err(ProblemCode::Unauthorized.into()),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() && key.len() <= MAX_KEY)
        .then_some(key)
}

/// The id within `rk_<id>_<secret>`.
fn key_id(key: &str) -> Option<KeyId> {
    let (id, _) = key.strip_prefix("rk_")?.split_once('_')?;
    (id.len() == 32).then(|| Uuid::try_parse(id).ok()).flatten().map(KeyId::new)
}

/// A key as its owner gets it, once, and its digest, which is all that is kept.
pub fn mint_key(id: KeyId, secret: &[u8; 32]) -> (String, [u8; 32]) {
    let key = format!("rk_{}_{}", id.uuid().simple(), hex::encode(secret));
    let digest = Sha256::digest(key.as_bytes()).into();
    (key, digest)
}

/// A key's digest and tier.
async fn stored_key(database: &D1Database, id: KeyId) -> ApiResult<Option<([u8; 32], Tier)>> {
    #[derive(Deserialize)]
    struct Row {
        sha256: String,
        tier: String,
    }
    let id = id.to_string();
    let statement = database.prepare("SELECT sha256, tier FROM api_keys WHERE id = ?1");
    let row: Option<Row> = statement.bind_refs(&[D1Type::Text(&id)])?.first(None).await?;
    Ok(row.and_then(|row| Some((hex::decode(&row.sha256)?, Tier::named(&row.tier)?))))
}

/// Lets the bearer of a `?token=` with `grant` for `media` pass, or else a caller with a key.
pub async fn require_grant(
    app: &App,
    parts: &Parts,
    media: MediaId,
    grant: Grant,
) -> ApiResult<()> {
    match query(parts, "token") {
        Some(text) => {
            let token = app.config().tokens.verify(&text, app.now())?;
            if token.media == media && token.grant == grant {
                Ok(())
            } else {
                Err(ProblemCode::TokenInvalid.into())
            }
        }
        None => authenticate(app, &parts.headers).await.map(|_| ()),
    }
}

/// A parameter of the query.
pub fn query(parts: &Parts, name: &str) -> Option<String> {
    form_urlencoded::parse(parts.uri.query()?.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_minted_key_names_its_id_and_is_kept_as_a_digest() {
        let id: KeyId = "key_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id");
        let (key, digest) = mint_key(id, &[0xab; 32]);
        assert_eq!(key, format!("rk_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5_{}", "ab".repeat(32)));
        assert_eq!(key_id(&key), Some(id));
        assert_eq!(digest, <[u8; 32]>::from(Sha256::digest(key.as_bytes())));
    }

    #[rstest]
    #[case("")]
    #[case("rk_")]
    #[case("rk_0192f0c1_x")]
    #[case("sk_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5_x")]
    #[case("rk_0192f0c1-a2b3-7c4d-8e9f-a0b1c2d3e4f5_x")]
    fn no_key_id(#[case] key: &str) {
        assert_eq!(key_id(key), None);
    }

    #[rstest]
    #[case("Bearer abc", Some("abc"))]
    #[case("bearer  abc", Some("abc"))]
    #[case("Basic abc", None)]
    #[case("Bearer ", None)]
    #[case("Bearer", None)]
    fn reads_a_bearer(#[case] value: &str, #[case] expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
        assert_eq!(bearer(&headers), expected);
    }
}
