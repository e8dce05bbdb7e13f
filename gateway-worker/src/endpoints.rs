//! The webhook endpoints in D1.

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    id::EndpointId,
    webhook::{InvalidSecret, WebhookSecrets},
};
use serde::Deserialize;
use worker::{D1Database, D1Type, Error, Result};

use crate::catalogue::number;

/// How long the secret before a rotation goes on signing.
pub const ROTATION: SignedDuration = SignedDuration::from_hours(24);

/// One endpoint of a downstream service.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where messages go.
    pub url: String,
    /// The owner's words.
    pub description: String,
    /// Event types; empty for all.
    pub events: Vec<String>,
    /// `whsec_…`.
    pub secret: String,
    /// The secret before the last rotation, and until when it signs too.
    pub previous: Option<(String, Timestamp)>,
    /// Why nothing is sent any more.
    pub disabled: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl Endpoint {
    /// Whether it wants events of this type.
    pub fn wants(&self, kind: &str) -> bool {
        self.disabled.is_none()
            && (self.events.is_empty() || self.events.iter().any(|event| event == kind))
    }

    /// The secrets to sign with at `now`.
    pub fn secrets(&self, now: Timestamp) -> std::result::Result<WebhookSecrets, InvalidSecret> {
        match &self.previous {
            Some((previous, until)) if now < *until => {
                WebhookSecrets::parse(&format!("{} {previous}", self.secret))
            }
            _ => WebhookSecrets::parse(&self.secret),
        }
    }
}

#[derive(Deserialize)]
struct Row {
    id: String,
    url: String,
    description: String,
    events: String,
    secret: String,
    previous_secret: Option<String>,
    previous_until: Option<i64>,
    disabled: Option<String>,
    created_at: i64,
}

impl TryFrom<Row> for Endpoint {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let time = |ms| {
            Timestamp::from_millisecond(ms).map_err(|error| Error::RustError(error.to_string()))
        };
        let previous = match (row.previous_secret, row.previous_until) {
            (Some(secret), Some(until)) => Some((secret, time(until)?)),
            _ => None,
        };
        Ok(Self {
            id: row.id.parse().map_err(|_| Error::RustError("a malformed endpoint id".into()))?,
            url: row.url,
            description: row.description,
            events: serde_json::from_str(&row.events)?,
            secret: row.secret,
            previous,
            disabled: row.disabled,
            created_at: time(row.created_at)?,
        })
    }
}

/// All endpoints, oldest first.
pub async fn list(database: &D1Database) -> Result<Vec<Endpoint>> {
    let result =
        database.prepare("SELECT * FROM webhook_endpoints ORDER BY created_at, id").all().await?;
    result.results::<Row>()?.into_iter().map(Endpoint::try_from).collect()
}

/// One endpoint.
pub async fn get(database: &D1Database, id: EndpointId) -> Result<Option<Endpoint>> {
    let id = id.to_string();
    let statement = database.prepare("SELECT * FROM webhook_endpoints WHERE id = ?1");
    let row: Option<Row> = statement.bind_refs(&[D1Type::Text(&id)])?.first(None).await?;
    row.map(Endpoint::try_from).transpose()
}

/// Stores a new endpoint.
pub async fn insert(database: &D1Database, endpoint: &Endpoint) -> Result<()> {
    let (id, events) = (endpoint.id.to_string(), serde_json::to_string(&endpoint.events)?);
    database
        .prepare(
            "INSERT INTO webhook_endpoints (id, url, description, events, secret, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind_refs(&[
            D1Type::Text(&id),
            D1Type::Text(&endpoint.url),
            D1Type::Text(&endpoint.description),
            D1Type::Text(&events),
            D1Type::Text(&endpoint.secret),
            D1Type::Real(number(endpoint.created_at.as_millisecond())),
        ])?
        .run()
        .await
        .map(|_| ())
}

/// Gives an endpoint a new secret; the old one goes on signing for [`ROTATION`].
pub async fn rotate(
    database: &D1Database,
    id: EndpointId,
    secret: &str,
    now: Timestamp,
) -> Result<()> {
    let id = id.to_string();
    database
        .prepare(
            "UPDATE webhook_endpoints
             SET previous_secret = secret, previous_until = ?3, secret = ?2 WHERE id = ?1",
        )
        .bind_refs(&[
            D1Type::Text(&id),
            D1Type::Text(secret),
            D1Type::Real(number((now + ROTATION).as_millisecond())),
        ])?
        .run()
        .await
        .map(|_| ())
}

/// Stops sending to an endpoint.
pub async fn disable(database: &D1Database, id: EndpointId, why: &str) -> Result<()> {
    let id = id.to_string();
    database
        .prepare("UPDATE webhook_endpoints SET disabled = ?2 WHERE id = ?1")
        .bind_refs(&[D1Type::Text(&id), D1Type::Text(why)])?
        .run()
        .await
        .map(|_| ())
}

/// Forgets an endpoint.
pub async fn delete(database: &D1Database, id: EndpointId) -> Result<()> {
    let id = id.to_string();
    database
        .prepare("DELETE FROM webhook_endpoints WHERE id = ?1")
        .bind_refs(&[D1Type::Text(&id)])?
        .run()
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const OLD: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn endpoint() -> Endpoint {
        Endpoint {
            id: "whe_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id"),
            url: "https://example.com/".into(),
            description: String::new(),
            events: vec!["media.ready".into()],
            secret: NEW.into(),
            previous: Some((OLD.into(), Timestamp::from_second(100).expect("a time"))),
            disabled: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn gets_what_it_asked_for() {
        let mut endpoint = endpoint();
        assert!(endpoint.wants("media.ready") && !endpoint.wants("media.failed"));
        endpoint.events.clear();
        assert!(endpoint.wants("media.failed"));
        endpoint.disabled = Some("gone".into());
        assert!(!endpoint.wants("media.ready"));
    }

    #[test]
    fn the_old_secret_signs_for_a_day() {
        let signatures = |second| {
            let now = Timestamp::from_second(second).expect("a time");
            let secrets = endpoint().secrets(now).expect("secrets");
            secrets.sign("msg_1", now, b"{}").split(' ').count()
        };
        assert_eq!((signatures(99), signatures(100)), (2, 1));
    }
}
