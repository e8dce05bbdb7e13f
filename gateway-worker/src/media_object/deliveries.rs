//! The webhook queue of one media: every announcement to every endpoint that wants it, tried ten
//! times over a day, with a log of each try.

use std::{rc::Rc, time::Duration};

use jiff::SignedDuration;
use reelmill_shared::{
    id::{EndpointId, MessageId},
    media::Announcement,
    problem::ProblemCode,
    webhook::{self, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use serde::{Deserialize, de::DeserializeOwned};
use worker::{Method, wasm_bindgen_futures::spawn_local};

use super::{
    Inner,
    command::{Delivery, DeliveryAttempt, DeliveryState},
    log,
    store::millis,
};
use crate::{
    clock,
    endpoints::{self, Endpoint},
    error::{ApiError, ApiResult},
    outgoing::{self, Answer},
    retry_after, webhook_url,
};

const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a delivery is out of sight while it is being tried.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);
/// Deliveries under way at a time: a Worker has six connections.
const AT_A_TIME: u8 = 4;
/// How much of an answer is kept in the log, in bytes.
const KEPT: usize = 1024;

/// A delivery to be tried now.
#[derive(Debug, Deserialize)]
struct Due {
    message: String,
    endpoint: String,
    failures: i64,
    body: String,
}

impl Inner {
    /// Queues a message for every endpoint that wants it.
    pub(super) async fn fan_out(&self, sequence: u64) -> ApiResult<()> {
        #[derive(Deserialize)]
        struct Row {
            id: String,
            kind: String,
        }
        let sql = "SELECT id, kind FROM messages WHERE sequence = ?";
        let rows: Vec<Row> = self.store.rows(sql, vec![sequence.cast_signed().into()])?;
        let Some(Row { id, kind }) = rows.into_iter().next() else { return Ok(()) };
        for endpoint in endpoints::list(&self.env.d1("CATALOGUE")?).await? {
            if endpoint.wants(&kind) {
                let sql = "INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, 0, ?)";
                let state = name(DeliveryState::Pending);
                let due = millis(clock::now());
                let values =
                    vec![id.clone().into(), endpoint.id.to_string().into(), state.into(), due];
                self.store.run(sql, values)?;
            }
        }
        Ok(())
    }

    /// Begins to try every delivery that is due: as many at a time as may be, however often this
    /// is called meanwhile. Nothing is awaited between finding nothing due and counting one less
    /// under way, so what becomes due later is begun by who made it so.
    pub(super) fn deliver_due(self: &Rc<Self>) {
        while self.delivering.get() < AT_A_TIME
            && let Some(due) = self.claim_delivery()
        {
            self.delivering.set(self.delivering.get() + 1);
            spawn_local(Rc::clone(self).deliver_from(due));
        }
    }

    /// Tries a delivery, and then one after the other that is due.
    async fn deliver_from(self: Rc<Self>, first: Due) {
        let mut next = Some(first);
        while let Some(due) = next {
            if let Err(error) = self.deliver(&due).await {
                log("delivery", &error.problem().detail);
            }
            next = self.claim_delivery();
        }
        self.delivering.set(self.delivering.get() - 1);
        self.rearm().await;
    }

    fn claim_delivery(&self) -> Option<Due> {
        self.try_claim_delivery().unwrap_or_else(|error| {
            log("deliveries", &error.to_string());
            None
        })
    }

    /// The delivery that is due longest, put off so that it comes again if we die over it.
    fn try_claim_delivery(&self) -> worker::Result<Option<Due>> {
        let now = clock::now();
        let sql = "SELECT message, endpoint, failures, body FROM deliveries
                   JOIN messages ON messages.id = message WHERE due <= ?
                   ORDER BY due, sequence LIMIT 1";
        let Some(due) = self.store.rows::<Due>(sql, vec![millis(now)])?.into_iter().next() else {
            return Ok(None);
        };
        self.store.run(
            "UPDATE deliveries SET due = ? WHERE message = ? AND endpoint = ?",
            vec![millis(now + CLAIM), due.message.as_str().into(), due.endpoint.as_str().into()],
        )?;
        Ok(Some(due))
    }

    async fn deliver(&self, due: &Due) -> ApiResult<()> {
        let database = self.env.d1("CATALOGUE")?;
        let id: EndpointId = due.endpoint.parse().map_err(ApiError::internal)?;
        let endpoint = endpoints::get(&database, id).await?.filter(|e| e.disabled.is_none());
        let Some(endpoint) = endpoint else {
            return self.settle(due, DeliveryState::Disabled, due.failures, None);
        };
        let at = clock::now();
        let answer = self.send(due, &endpoint).await;
        let now = clock::now();
        let duration_ms = u64::try_from(now.duration_since(at).as_millis()).unwrap_or_default();
        self.log_attempt(due, &describe(&answer, at, duration_ms))?;

        let (status, wait) = match &answer {
            Ok(answer) => (Some(answer.status), answer.retry_after.as_deref()),
            Err(_) => (None, None),
        };
        if let Some(200..=299) = status {
            return self.settle(due, DeliveryState::Delivered, due.failures, None);
        }
        let failures = due.failures + 1;
        if status == Some(410) {
            endpoints::disable(&database, id, "It answered 410 Gone.").await?;
            return self.settle(due, DeliveryState::Disabled, failures, None);
        }
        let wait = wait.and_then(|header| retry_after::seconds(header, now));
        match webhook::next_delivery(usize::try_from(failures).unwrap_or(usize::MAX), now, wait) {
            Some(next) => self.settle(due, DeliveryState::Pending, failures, Some(next)),
            None => self.settle(due, DeliveryState::Failed, failures, None),
        }
    }

    async fn send(&self, due: &Due, endpoint: &Endpoint) -> Result<Answer, String> {
        let config = self.config().map_err(|error| error.problem().detail)?;
        // Checked when it was registered, and again: the rules may have changed since.
        webhook_url::check(&endpoint.url, config.allow_private_webhooks)
            .map_err(|error| error.to_string())?;
        let now = clock::now();
        let secrets = endpoint.secrets(now).map_err(|error| error.to_string())?;
        let headers = [
            ("content-type", "application/json".to_owned()),
            (ID_HEADER, due.message.clone()),
            (TIMESTAMP_HEADER, now.as_second().to_string()),
            (SIGNATURE_HEADER, secrets.sign(&due.message, now, due.body.as_bytes())),
        ];
        let body = Some(due.body.clone());
        outgoing::send(Method::Post, &endpoint.url, &headers, body, TIMEOUT, KEPT).await
    }

    fn log_attempt(&self, due: &Due, attempt: &DeliveryAttempt) -> ApiResult<()> {
        let json = serde_json::to_string(attempt).map_err(ApiError::internal)?;
        let values = vec![due.message.as_str().into(), due.endpoint.as_str().into(), json.into()];
        Ok(self.store.run("INSERT INTO delivery_attempts VALUES (?, ?, ?)", values)?)
    }

    fn settle(
        &self,
        due: &Due,
        state: DeliveryState,
        failures: i64,
        next: Option<jiff::Timestamp>,
    ) -> ApiResult<()> {
        let sql = "UPDATE deliveries SET state = ?, failures = ?, due = ?
                   WHERE message = ? AND endpoint = ?";
        let values = vec![
            name(state).into(),
            failures.into(),
            next.map_or(worker::SqlStorageValue::Null, millis),
            due.message.as_str().into(),
            due.endpoint.as_str().into(),
        ];
        Ok(self.store.run(sql, values)?)
    }

    /// Every delivery, with its tries.
    pub(super) fn deliveries(&self) -> ApiResult<Vec<Delivery>> {
        #[derive(Deserialize)]
        struct Row {
            message: String,
            kind: String,
            sequence: u64,
            endpoint: String,
            state: String,
            due: Option<i64>,
        }
        #[derive(Deserialize)]
        struct AttemptRow {
            attempt: String,
        }
        // Before the first look: a media that was never created has no deliveries either.
        self.record()?;
        let sql = "SELECT message, kind, sequence, endpoint, state, due FROM deliveries
                   JOIN messages ON messages.id = message ORDER BY sequence, endpoint";
        let rows: Vec<Row> = self.store.rows(sql, vec![])?;
        let attempts_of = |row: &Row| -> ApiResult<Vec<DeliveryAttempt>> {
            let sql = "SELECT attempt FROM delivery_attempts
                       WHERE message = ? AND endpoint = ? ORDER BY rowid";
            let values = vec![row.message.as_str().into(), row.endpoint.as_str().into()];
            let attempts: Vec<AttemptRow> = self.store.rows(sql, values)?;
            attempts.iter().map(|row| parse(&row.attempt)).collect()
        };
        rows.iter()
            .map(|row| {
                Ok(Delivery {
                    message_id: row.message.parse().map_err(ApiError::internal)?,
                    r#type: read::<Announcement>(&row.kind)?,
                    sequence: row.sequence,
                    endpoint_id: row.endpoint.parse().map_err(ApiError::internal)?,
                    state: read(&row.state)?,
                    next_attempt_at: row
                        .due
                        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()),
                    attempts: attempts_of(row)?,
                })
            })
            .collect()
    }

    /// Makes every delivery of a message due now, as if it had never been tried.
    pub(super) fn redeliver(&self, message: MessageId) -> ApiResult<()> {
        #[derive(Deserialize)]
        struct Row {
            count: i64,
        }
        self.record()?;
        let message = message.to_string();
        let sql = "SELECT count(*) AS count FROM deliveries WHERE message = ?";
        let rows: Vec<Row> = self.store.rows(sql, vec![message.as_str().into()])?;
        if rows.first().is_none_or(|row| row.count == 0) {
            return Err(ApiError::new(
                ProblemCode::NotFound,
                "This media has no such webhook message, or no endpoint wanted it.",
            ));
        }
        let sql = "UPDATE deliveries SET state = ?, failures = 0, due = ? WHERE message = ?";
        let values =
            vec![name(DeliveryState::Pending).into(), millis(clock::now()), message.into()];
        Ok(self.store.run(sql, values)?)
    }
}

fn describe(
    answer: &Result<Answer, String>,
    at: jiff::Timestamp,
    duration_ms: u64,
) -> DeliveryAttempt {
    match answer {
        Ok(Answer { status, body, .. }) => DeliveryAttempt {
            at,
            status: Some(*status),
            error: None,
            duration_ms,
            response: (!body.is_empty()).then(|| String::from_utf8_lossy(body).into_owned()),
        },
        Err(error) => DeliveryAttempt {
            at,
            status: None,
            error: Some(error.clone()),
            duration_ms,
            response: None,
        },
    }
}

fn name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
        DeliveryState::Disabled => "disabled",
    }
}

/// Reads a word of one of our enums.
fn read<T: DeserializeOwned>(word: &str) -> ApiResult<T> {
    serde_json::from_value(word.into()).map_err(ApiError::internal)
}

fn parse<T: DeserializeOwned>(json: &str) -> ApiResult<T> {
    serde_json::from_str(json).map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_as_they_are_written() {
        use DeliveryState::{Delivered, Disabled, Failed, Pending};
        for state in [Pending, Delivered, Failed, Disabled] {
            assert_eq!(read::<DeliveryState>(name(state)).expect("a state"), state);
        }
    }

    #[test]
    fn an_answer_is_logged_with_its_beginning() {
        let answer = Ok(Answer { status: 500, body: b"no\xff".to_vec(), ..Answer::default() });
        let attempt = describe(&answer, jiff::Timestamp::UNIX_EPOCH, 12);
        assert_eq!((attempt.status, attempt.response.as_deref()), (Some(500), Some("no\u{fffd}")));
    }
}
