//! The gateway, which looks at the platform whenever a report comes.

use std::sync::Arc;

use axum::body::Bytes;
pub(crate) use handler_harness::{Gateway, SECRET, clips::short as clip};
use runpod_simulator::{Simulator, traffic::Route};

/// A gateway whose reports tell how many results `platform` had by then.
pub(crate) async fn beside(platform: Arc<Simulator>, clip: Bytes) -> Gateway {
    let results = move || platform.look(|record| record.of(Route::Result).count());
    Gateway::counting(clip, results).await
}
