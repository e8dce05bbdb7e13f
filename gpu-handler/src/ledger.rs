//! The ledger: which worker is at which attempt, so that one runs once whatever is delivered twice.
//!
//! Queues deliver at least once, and a worker that died looks like one that is slow. So whoever is
//! given a job claims it first, with a conditional write to a DynamoDB table that all workers share:
//!
//! ```text
//! (nothing) ──claim──▶ claimed(fence 1) ──renew──▶ claimed(fence 1, later) ──finish──▶ finished(report)
//!                        │ lapsed, or released
//!                        └──claim──▶ claimed(fence 2) …
//! ```
//!
//! * A claim is good for a lease, and renewed within it. Its fence is a number that each takeover
//!   raises: who was taken over can neither renew nor finish, and has nothing to report.
//! * A finished attempt keeps its report, so that whoever is given the job again sends the same one.
//! * Leases are told by the wall clocks of two machines. A worker takes over only when a lease is over
//!   by a [margin], and counts its own lease by its monotonic clock from before the request on: as long
//!   as clocks differ by less than the margin, two never hold one attempt.
//! * A condition is judged where the write is made, and a failed one tells what there is: nothing is
//!   read before it is written, and no read can be stale.
//!
//! [margin]: Ledger::margin

mod item;

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use jiff::Timestamp;
use reelmill_shared::job::{Job, JobReport};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    aws::{AwsError, Trouble},
    config::aws::LedgerTable,
};
use item::{Entry, number, text};

/// How long an entry is kept after it was last written: longer than any queue keeps a message.
const KEPT: Duration = Duration::from_secs(15 * 86_400);
/// The largest margin for clocks that differ.
const MARGIN: Duration = Duration::from_secs(10);

/// What the ledger knows an attempt by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

/// An attempt that is this worker's.
#[derive(Debug, Clone)]
pub struct Claim {
    key: Key,
    /// Who it is, and which of its claims: a write that is tried again finds itself.
    worker: String,
    fence: u64,
    /// Until when nobody else takes it over.
    until: Instant,
}

/// What a claim leads to.
#[derive(Debug, Clone)]
pub enum Claimed {
    /// The attempt is this worker's.
    Won(Claim),
    /// It is another's, or a lapsed lease is not yet over by the margin.
    Held {
        /// When it is worth to try again: its lease may be renewed until then.
        wait: Duration,
    },
    /// It is over, with this report.
    Finished(Box<JobReport>),
}

/// Why something was not written into the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The claim is no longer this worker's: another has taken the attempt over.
    #[error("the claim was taken over")]
    Lost,
    /// What is written there cannot be read.
    #[error("the ledger's entry cannot be read: {0}")]
    Unreadable(&'static str),
    /// The table could not be reached, or refuses.
    #[error("the ledger: {0}")]
    Table(#[from] AwsError),
}

/// The ledger, as one worker of many uses it.
#[derive(Clone)]
pub struct Ledger {
    client: Client,
    table: String,
    worker: String,
    lease: Duration,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Key {
    /// The key of a job: its media and attempt, and which dispatch of the attempt it is where its
    /// callback says so.
    pub fn of(job: &Job) -> Self {
        let (media, attempt) = job.attempt();
        let report = job.callback().map(|callback| &callback.report_url);
        let dispatch = report.and_then(|url| {
            let (_, number) = url.query_pairs().find(|(name, _)| name == "dispatch")?;
            number.parse::<u32>().ok()
        });
        Self(match dispatch {
            Some(dispatch) => format!("{media}#{attempt}#{dispatch}"),
            None => format!("{media}#{attempt}"),
        })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Claim {
    /// Until when it is certain that nobody else has it, unless it is renewed.
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// How often the attempt was claimed, this time included.
    pub const fn fence(&self) -> u64 {
        self.fence
    }
}

impl Ledger {
    /// The ledger in `table`, for a worker that is called `worker` and renews its claims well within
    /// `lease`.
    pub fn new(client: Client, table: String, worker: String, lease: Duration) -> Self {
        Self { client, table, worker, lease, clock: Arc::new(Timestamp::now) }
    }

    /// The ledger that the configuration names, in the account that `sdk` leads to.
    pub fn open(sdk: &aws_config::SdkConfig, table: &LedgerTable, lease: Duration) -> Self {
        Self::new(Client::new(sdk), table.name.clone(), table.worker.clone(), lease)
    }

    /// The same by another wall clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// How long a claim is good for.
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// By how much a lease must be over before it is another's: a quarter of it, at most 10 seconds.
    pub fn margin(&self) -> Duration {
        MARGIN.min(self.lease / 4)
    }

    /// Finds out whether the table is there and may be used, before a job depends on it.
    ///
    /// # Errors
    /// That of the table.
    pub async fn check(&self) -> Result<(), LedgerError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let got = get.key(item::JOB, text("check")).send().await;
        got.map(drop).map_err(|error| AwsError::new(&error).into())
    }

    /// Claims an attempt: if nobody has it, or if whoever had it has let its lease lapse.
    ///
    /// # Errors
    /// Those of the table, or `Unreadable`.
    pub async fn claim(&self, key: &Key) -> Result<Claimed, LedgerError> {
        let worker = format!("{}/{}", self.worker, Uuid::now_v7().simple());
        let (asked, now) = (Instant::now(), (self.clock)());
        let written = self
            .update(key, now)
            .update_expression(
                "SET worker = :worker, fence = if_not_exists(fence, :none) + :one, \
                 leaseUntil = :until, expiresAt = :expires",
            )
            .condition_expression(
                "attribute_not_exists(job) OR (attribute_not_exists(report) AND \
                 (leaseUntil < :lapsed OR worker = :worker))",
            )
            .expression_attribute_values(":worker", text(&worker))
            .expression_attribute_values(":none", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":until", number(millis(now, self.lease)))
            .expression_attribute_values(":lapsed", number(lapsed(now, self.margin())))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match written {
            Ok(written) => {
                let entry = Entry::read(written.attributes.as_ref())?;
                let (key, until) = (key.clone(), asked + self.lease);
                return Ok(Claimed::Won(Claim { key, worker, fence: entry.fence, until }));
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let entry = Entry::read(failed.item())?;
                Ok(match entry.report {
                    Some(report) => Claimed::Finished(Box::new(report)),
                    None => Claimed::Held { wait: self.wait(entry.lease_until, now) },
                })
            }
            _ => Err(AwsError::new(&error).into()),
        }
    }

    /// Renews a claim for another lease.
    ///
    /// # Errors
    /// `Lost` if it is another's by now, or those of the table.
    pub async fn renew(&self, claim: &mut Claim) -> Result<(), LedgerError> {
        let (asked, now) = (Instant::now(), (self.clock)());
        let until = number(millis(now, self.lease));
        self.write(claim, now, "SET leaseUntil = :value, expiresAt = :expires", until).await?;
        claim.until = asked + self.lease;
        Ok(())
    }

    /// Keeps the report of an attempt that is over. From now on nobody works on it again.
    ///
    /// # Errors
    /// `Lost` if the attempt is another's by now, and then the report is nobody's; or those of the
    /// table.
    pub async fn finish(&self, claim: &Claim, report: &JobReport) -> Result<(), LedgerError> {
        let report = text(&item::bounded(report));
        self.write(claim, (self.clock)(), "SET report = :value, expiresAt = :expires", report).await
    }

    /// Gives an attempt back, for another worker to begin anew. Its fence stays, and goes on rising.
    ///
    /// # Errors
    /// `Lost` if it is another's by now, or those of the table.
    pub async fn release(&self, claim: &Claim) -> Result<(), LedgerError> {
        let now = (self.clock)();
        self.write(claim, now, "SET leaseUntil = :value, expiresAt = :expires", number(0)).await
    }

    /// Writes something that only the holder of a claim may write.
    async fn write(
        &self,
        claim: &Claim,
        now: Timestamp,
        expression: &str,
        value: AttributeValue,
    ) -> Result<(), LedgerError> {
        let written = self
            .update(&claim.key, now)
            .update_expression(expression)
            .condition_expression("worker = :worker AND fence = :fence")
            .expression_attribute_values(":worker", text(&claim.worker))
            .expression_attribute_values(":fence", number(claim.fence))
            .expression_attribute_values(":value", value)
            .send()
            .await;
        written.map(drop).map_err(|error| match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => LedgerError::Lost,
            _ => AwsError::new(&error).into(),
        })
    }

    fn update(&self, key: &Key, now: Timestamp) -> UpdateItemFluentBuilder {
        let expires = number(millis(now, KEPT) / 1000);
        self.client
            .update_item()
            .table_name(&self.table)
            .key(item::JOB, text(&key.0))
            .expression_attribute_values(":expires", expires)
    }

    /// How long it is until a lease is over by the margin.
    fn wait(&self, lease_until: u64, now: Timestamp) -> Duration {
        let over = Duration::from_millis(lease_until).saturating_add(self.margin());
        over.saturating_sub(Duration::from_millis(millis(now, Duration::ZERO)))
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("table", &self.table).field("worker", &self.worker).finish()
    }
}

impl LedgerError {
    /// Whether it passes by itself.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Table(AwsError { trouble, .. }) if Trouble::passes(*trouble))
    }
}

/// A moment after `now`, in milliseconds since 1970.
fn millis(now: Timestamp, later: Duration) -> u64 {
    let later = u64::try_from(later.as_millis()).unwrap_or(u64::MAX);
    u64::try_from(now.as_millisecond()).unwrap_or(0).saturating_add(later)
}

/// The latest end of a lease that is over by `margin`.
fn lapsed(now: Timestamp, margin: Duration) -> u64 {
    let margin = u64::try_from(margin.as_millis()).unwrap_or(u64::MAX);
    millis(now, Duration::ZERO).saturating_sub(margin)
}
