//! Reading a request's body, which may be larger than any job.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures::StreamExt;
use reelmill_shared::problem::{Problem, ProblemCode};

use super::answers::Refusal;

/// The largest body of `/run`, as with RunPod.
const LARGEST: usize = 10 << 20;
/// How much of a larger one is read to no purpose, in bytes, and for how long.
const DISCARDED: (usize, Duration) = (64 << 20, Duration::from_secs(10));

/// All of a body.
///
/// # Errors
/// `body_too_large`, or `invalid_request` for a body that broke off.
pub(super) async fn read(body: Body) -> Result<Bytes, Refusal> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else {
            return Err(Problem::new(ProblemCode::InvalidRequest, "The body broke off.").into());
        };
        if chunk.len() > LARGEST - whole.len() {
            discard(chunks).await;
            return Err(ProblemCode::BodyTooLarge.into());
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

/// Reads on, within bounds: a connection that is closed while there are bytes to be read is reset, and
/// takes the answer with it.
async fn discard(mut chunks: BodyDataStream) {
    let mut left = DISCARDED.0;
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    };
    // Whoever sends for longer than that does not listen.
    let _ = tokio::time::timeout(DISCARDED.1, reading).await;
}
