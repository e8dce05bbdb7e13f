//! Handing jobs to the backends of the deployment.
//!
//! A backend is a place where handlers take jobs. Which one is offered a job, when the next one is,
//! and what is still believed of an earlier one, [`reelmill_shared::media`] decides; the media's
//! object carries it out with what is here:
//!
//! * [`job`] makes the job of a running attempt.
//! * [`Backend`] is what one can ask of each backend: [`http`] a handler's own API, [`runpod`]
//!   RunPod's, [`sqs`] a queue of AWS's.
//!
//! A backend is a thin adapter: a job becomes a request, its answer a [`Start`] or [`JobStatus`].

mod backend;
mod http;
mod runpod;
mod sqs;

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    job::{Callback, IngestSpec, Input, JOB_VERSION, Job, JobSpec, Kind, OutputTarget},
    media::State,
    object_key::ObjectKey,
    token::{Grant, Token},
};

use url::Url;

use crate::{
    config::Config,
    view::{Direct, Record},
};

pub use backend::{Backend, Backends};
pub use http::Api;
pub use reelmill_shared::media::JobStatus;
pub use runpod::{Policy, RunPod};
pub use sqs::{AwsKey, Sqs};

/// How long the capability URLs of a job work at least. Longer than any wait in a queue and any encode,
/// as is a job's time to live; writing is fenced by attempt besides.
const CAPABILITIES_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How a backend answered a new job.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// It took the job under this id.
    Accepted(String),
    /// It will not take this job, today or tomorrow.
    Refused(String),
    /// It cannot be asked at the moment.
    Unreachable(String),
}

fn capabilities_for(config: &Config) -> SignedDuration {
    let ttl = SignedDuration::try_from(config.policy.ttl).unwrap_or(CAPABILITIES_FOR);
    ttl.max(CAPABILITIES_FOR)
}

/// Where a platform that signs nothing may say that there is news of the running attempt's job. Who
/// gets to know the URL can do no more than that, and the platform is then asked.
pub fn hint(config: &Config, record: &Record, now: Timestamp) -> Option<Url> {
    let (attempt, dispatch) = record.media.running()?.id();
    let (media, grant) = (record.media.id, Grant::Hint { attempt, dispatch });
    let expires_at = now + capabilities_for(config);
    let token = config.tokens.sign(&Token { media, grant, expires_at, viewer: None });
    Some(record.url(&format!("api/handler/hint/{token}")))
}

/// The job of the running attempt, if there is one.
pub fn job(config: &Config, record: &Record, now: Timestamp) -> Option<Job> {
    let (media, details) = (record.media.id, &record.media.details);
    let (attempt, dispatch) = record.media.running()?.id();
    let expires_at = now + capabilities_for(config);
    let token = |grant| config.tokens.sign(&Token { media, grant, expires_at, viewer: None });
    // So that whatever it says tells on which offer it works.
    let callback = Callback {
        report_url: record.url(&format!("api/handler/report?dispatch={dispatch}")),
        progress_url: record.url(&format!("api/handler/progress?dispatch={dispatch}")),
        lease_seconds: u32::try_from(config.rules.lease.as_secs()).unwrap_or(u32::MAX),
    };
    let State::Transcoding { source, .. } = &record.media.state else {
        let upload = token(Grant::BringSource { attempt, dispatch });
        return Some(Job::Ingest(Box::new(IngestSpec {
            version: JOB_VERSION,
            kind: Kind::Ingest,
            media_id: media,
            attempt,
            source_url: details.source_url.clone()?,
            size: details.size,
            max_bytes: record.max_bytes,
            upload_url: record.url(&format!("api/uploads?token={upload}")),
            callback,
        })));
    };
    let read = token(Grant::ReadSource { attempt });
    let write = token(Grant::WriteOutputs { attempt, dispatch });
    Some(Job::Transcode(Box::new(JobSpec {
        version: JOB_VERSION,
        media_id: media,
        attempt,
        pipeline: details.pipeline.clone(),
        input: Input {
            url: match (&config.s3, &record.direct) {
                // It came past the Worker, and so it goes.
                (Some(s3), Some(Direct { stored: true, .. })) => {
                    s3.object_url(&ObjectKey::Source(media).to_string(), now, expires_at)
                }
                _ => record.url(&format!("api/handler/source/{read}")),
            },
            size: source.size,
            etag: Some(format!("\"{}\"", source.etag)),
            sha256: source.sha256.clone(),
        },
        output: OutputTarget { base_url: record.url(&format!("api/handler/outputs/{write}/")) },
        callback: Some(callback),
    })))
}
