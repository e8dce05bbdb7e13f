//! Waiting for conditions instead of for time.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(50);

/// Asks `look` until it answers with something, or fails with `what` once `limit` is over. An error
/// of `look` ends the waiting: what is still to come is `Ok(None)`.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s in vain: {what}", limit.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
