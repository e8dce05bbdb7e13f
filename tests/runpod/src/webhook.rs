//! The platform's webhook: unsigned, tried three times.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{ledger::State, simulator::Shared};

/// Tells the client of a job that has ended, if it wants to be told.
pub(crate) fn tell(shared: &Arc<Shared>, id: &str, state: Option<State>) {
    if !state.is_some_and(State::ended) {
        return;
    }
    let told = {
        let record = shared.record();
        let url = record.ledger.get(id).and_then(|job| job.webhook.clone());
        url.zip(record.ledger.status(id, Instant::now()))
    };
    let Some((url, status)) = told else { return };
    let shared = shared.clone();
    tokio::spawn(async move {
        let [first, second] = shared.options.webhook_waits;
        for wait in [Duration::ZERO, first, second] {
            tokio::time::sleep(wait).await;
            let request = shared.client.post(&url).header("content-type", "application/json");
            let answer = request.body(status.to_string()).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
        }
    });
}
