//! What jobs cost on a platform that bills by the second: a price list, and exact money.
//!
//! An amount is a whole number of nanodollars, since prices are small fractions of a cent a second:
//! nothing is rounded but the amount itself, once. A GPU that is not in the list costs an unknown
//! amount, not a guessed one.

mod money;
mod prices;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use money::{InvalidMoney, Money};
pub use prices::{InvalidPrices, Prices};

/// Longest name of a GPU, worker or job that is kept, in bytes.
const MAX_NAME: usize = 100;

/// What the platform says of a job that has ended, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// From its hand-in until a worker had it (`delayTime`).
    pub delay_ms: u64,
    /// From then until its end (`executionTime`).
    pub execution_ms: u64,
    /// The worker that had it.
    pub worker_id: Option<String>,
}

/// What one job cost. A media has one for each job that a platform counted for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCost {
    /// The attempt that the job was.
    pub attempt: u8,
    /// The platform's id of it.
    pub job: String,
    /// The worker that had it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// The GPU that it had, as the platform names its types, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Seconds in the platform's queue.
    pub queue_seconds: f64,
    /// Seconds with a worker, which is what is billed. The worker's start and its idle time after
    /// the job are billed, too, but not told of for each job.
    pub execution_seconds: f64,
    /// US dollars for a second, where the list has the GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_second: Option<Money>,
    /// US dollars for the job, where the price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

impl JobCost {
    /// What `usage` of `gpu` costs by `prices`. Names from outside are cut to a bounded length.
    pub fn new(attempt: u8, job: &str, gpu: Option<&str>, usage: &Usage, prices: &Prices) -> Self {
        let price = prices.of(gpu);
        // A job that no worker had costs nothing, whatever the GPU would have been.
        let amount = match usage.execution_ms {
            0 => Some(Money::ZERO),
            millis => price.map(|price| price.for_millis(millis)),
        };
        Self {
            attempt,
            job: name(job),
            worker_id: usage.worker_id.as_deref().map(name),
            gpu: gpu.map(name),
            queue_seconds: seconds(usage.delay_ms),
            execution_seconds: seconds(usage.execution_ms),
            price_per_second: price,
            amount,
        }
    }
}

/// What several jobs cost together; unknown as long as that of one of them is.
pub fn total(costs: &[JobCost]) -> Option<Money> {
    costs.iter().try_fold(Money::ZERO, |sum, cost| Some(sum.plus(cost.amount?)))
}

fn name(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_NAME)].to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 000 years")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
