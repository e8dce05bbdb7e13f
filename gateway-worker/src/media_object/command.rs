//! What the routes ask of a media's Durable Object, and how: one JSON command, one JSON reply.

use jiff::Timestamp;
use reelmill_shared::{
    id::{EndpointId, MediaId, MessageId, UploadId},
    job::{JobReport, Progress},
    media::{Announcement, Details, Source},
    problem::ProblemCode,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;
use worker::{Env, Headers, Method, Request, RequestInit, Response, Stub};

use crate::{
    error::{ApiError, ApiResult},
    view::Record,
};

/// One request to a media's object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "command")]
pub enum Command {
    /// Create the media; replies [`Created`].
    Create {
        /// The object's own id: an object does not know its name.
        id: MediaId,
        /// What its creator says of it.
        details: Details,
        /// Origin of its URLs.
        origin: Url,
        /// Largest source that it takes, in bytes.
        max_bytes: u64,
        /// Digest of the request: a repetition must have the same.
        fingerprint: String,
        /// The source, if its creator has brought it along.
        #[serde(default)]
        carried: Option<Carried>,
    },
    /// Keep the id for a creation that brings its source along; replies [`Reserved`].
    Reserve {
        /// The object's own id.
        id: MediaId,
    },
    /// Keep it longer; replies `null`, or `upload_in_progress` once it is lost.
    KeepReservation {
        /// The object's own id.
        id: MediaId,
        /// The lock.
        lock: String,
        /// R2's id of the multipart upload that was begun for the source.
        multipart: Option<String>,
    },
    /// Give the id back; replies `null`.
    AbandonReservation {
        /// The lock.
        lock: String,
        /// Whether nothing is left in R2.
        cleaned: bool,
    },
    /// Replies [`Record`].
    Get,
    /// Lock the media for an upload of `size` bytes; replies [`UploadLock`].
    BeginUpload {
        /// The upload's `Content-Length`.
        size: u64,
    },
    /// Keep the lock; replies `null`, `upload_in_progress` once it is lost, or why no source is
    /// wanted any more.
    KeepUpload {
        /// The lock.
        lock: String,
    },
    /// Give the lock back; replies `null`.
    AbandonUpload {
        /// The lock.
        lock: String,
    },
    /// Let a resumable upload be the one that brings the source, in place of an earlier one that is
    /// idle; replies [`Attached`].
    AttachUpload {
        /// The upload.
        upload: UploadId,
        /// Its length in bytes, if it is known.
        size: Option<u64>,
    },
    /// Wait for the attached upload, and keep other ways out for a while; replies `null`, or why no
    /// source is wanted any more.
    HoldForUpload {
        /// The upload.
        upload: UploadId,
        /// When it expires.
        until: Timestamp,
    },
    /// The attached upload is over: another one may come; replies `null`.
    DetachUpload {
        /// The upload.
        upload: UploadId,
    },
    /// The attached upload has brought the source; replies `null`, also when repeated.
    FinishUpload {
        /// The upload.
        upload: UploadId,
        /// The source.
        source: Source,
    },
    /// The source lies in R2; replies [`Record`].
    StoreSource {
        /// The lock that its upload held.
        lock: String,
        /// The source.
        source: Source,
    },
    /// Offer a multipart upload that was begun in the bucket, unless one is offered already; replies
    /// [`Record`].
    OfferDirect {
        /// The store's id of it.
        upload: String,
        /// Size of every part but the last, in bytes.
        part_size: u64,
    },
    /// Its client gave a sign of life; replies [`Record`], or `multipart_not_found`.
    KeepDirect,
    /// Drop it; replies `null`, also if there is none.
    AbandonDirect,
    /// It has become the source; replies [`Record`].
    StoreDirect {
        /// The lock that its completion held.
        lock: String,
        /// The store's id of it.
        upload: String,
        /// The source.
        source: Source,
    },
    /// Ask for the retry; replies [`Record`].
    Retry,
    /// Stop the work; replies [`Record`].
    Cancel,
    /// Delete the media; replies `null`, also when it is gone already.
    Delete,
    /// A sign of life of the handler; replies `null`.
    Progress {
        /// How far it is.
        #[serde(flatten)]
        progress: Progress,
        /// Which offer of the attempt it works on.
        #[serde(default)]
        dispatch: u8,
    },
    /// The handler's report; replies `null`, also for a repeated one.
    Report {
        /// How the attempt ended.
        #[serde(flatten)]
        report: JobReport,
        /// Which offer of the attempt it worked on.
        #[serde(default)]
        dispatch: u8,
    },
    /// Somebody says that there is news of an attempt's job; replies `null`, whether or not there is.
    Hint {
        /// The attempt.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// Replies `null` while the attempt runs, `stale_attempt` otherwise.
    CheckAttempt {
        /// The attempt.
        attempt: u8,
        /// Which offer of it.
        #[serde(default)]
        dispatch: u8,
    },
    /// Replies `null` while what the attempt stored is of use, because it runs or has made the media
    /// ready; `stale_attempt` otherwise.
    CheckStored {
        /// The attempt.
        attempt: u8,
        /// Which offer of it.
        #[serde(default)]
        dispatch: u8,
    },
    /// Replies a list of [`Delivery`].
    Deliveries,
    /// Send a webhook message again; replies `null`.
    Redeliver {
        /// The message.
        message: MessageId,
    },
}

/// Reply to [`Command::Create`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Created {
    /// The media.
    pub record: Record,
    /// Whether this request created it, and not an earlier one with the same idempotency key.
    pub fresh: bool,
}

/// Reply to [`Command::AttachUpload`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// The largest source that the media takes, in bytes.
    pub max_bytes: u64,
    /// The media's declared size in bytes, if it has one.
    pub size: Option<u64>,
}

/// Reply to [`Command::Reserve`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Reserved {
    /// To be named in what follows; `None` if the media is there already.
    pub lock: Option<String>,
}

/// A source that is stored already when its media is created.
#[derive(Debug, Serialize, Deserialize)]
pub struct Carried {
    /// The reservation's lock.
    pub lock: String,
    /// The source.
    pub source: Source,
}

/// Reply to [`Command::BeginUpload`].
#[derive(Debug, Serialize, Deserialize)]
pub struct UploadLock {
    /// To be named in what follows.
    pub lock: String,
}

/// One webhook message on its way to one endpoint.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The message, the same at every try.
    pub message_id: MessageId,
    /// Its event type.
    pub r#type: Announcement,
    /// Its number within the media.
    pub sequence: u64,
    /// Where it goes.
    pub endpoint_id: EndpointId,
    /// How it stands.
    pub state: DeliveryState,
    /// When it is tried next, while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Every try, oldest first.
    pub attempts: Vec<DeliveryAttempt>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryState {
    /// To be tried, or tried again.
    Pending,
    /// Answered with 2xx.
    Delivered,
    /// Given up after the last try.
    Failed,
    /// Not tried any more: the endpoint is disabled or gone.
    Disabled,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryAttempt {
    /// When it began.
    pub at: Timestamp,
    /// The answer's status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The first kilobyte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WireProblem {
    code: String,
    detail: String,
}

/// Encodes a command's outcome, of this object or another one.
pub fn encode_reply(outcome: ApiResult<serde_json::Value>) -> worker::Result<Response> {
    match outcome {
        Ok(value) => Response::from_json(&value),
        Err(error) => {
            let problem =
                WireProblem { code: error.code.as_str().to_owned(), detail: error.detail };
            Ok(Response::from_json(&problem)?.with_status(error.code.status()))
        }
    }
}

/// The way to one media's object.
pub struct MediaStub(Stub);

impl MediaStub {
    /// The way to the object of `id`.
    pub fn new(env: &Env, id: MediaId) -> ApiResult<Self> {
        Ok(Self(env.durable_object("MEDIA")?.get_by_name(&id.to_string())?))
    }

    /// Sends a command and decodes its reply.
    pub async fn send<T: DeserializeOwned>(&self, command: &Command) -> ApiResult<T> {
        let body = serde_json::to_string(command).map_err(ApiError::internal)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(body.into()));
        let request = Request::new_with_init("https://media/", &init)?;
        decode_reply(self.0.fetch_with_request(request).await?).await
    }

    /// Opens the media's event stream, after the event `last` if it is given.
    pub async fn events(&self, last: Option<&str>) -> ApiResult<Response> {
        let headers = Headers::new();
        if let Some(last) = last {
            headers.set("last-event-id", last)?;
        }
        let mut init = RequestInit::new();
        init.with_headers(headers);
        let request = Request::new_with_init("https://media/events", &init)?;
        let mut response = self.0.fetch_with_request(request).await?;
        if response.status_code() == 200 {
            Ok(response)
        } else {
            Err(decode_problem(&response.text().await?))
        }
    }
}

/// Decodes what [`encode_reply`] made.
pub async fn decode_reply<T: DeserializeOwned>(mut response: Response) -> ApiResult<T> {
    let text = response.text().await?;
    if response.status_code() != 200 {
        return Err(decode_problem(&text));
    }
    serde_json::from_str(&text).map_err(ApiError::internal)
}

fn decode_problem(text: &str) -> ApiError {
    let known = serde_json::from_str::<WireProblem>(text).ok().and_then(|wire| {
        let code = ProblemCode::ALL.iter().find(|code| code.as_str() == wire.code)?;
        Some(ApiError::new(*code, wire.detail))
    });
    known.unwrap_or_else(|| ApiError::internal("an object answered with no known problem"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands cross a version boundary while a deployment rolls out.
    #[test]
    fn commands_are_pinned() {
        let command = Command::BeginUpload { size: 7 };
        let json = serde_json::to_string(&command).expect("JSON");
        assert_eq!(json, r#"{"command":"beginUpload","size":7}"#);
    }

    #[test]
    fn a_report_survives_the_way() {
        let report = serde_json::json!({
            "command": "report", "mediaId": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "attempt": 1,
            "status": "failed",
            "error": {"code": "internal", "message": "It fell over.", "transient": true},
        });
        let command: Command = serde_json::from_value(report.clone()).expect("a command");
        let again = serde_json::to_value(&command).expect("JSON");
        assert_eq!(again["status"], "failed");
        assert_eq!((&again["attempt"], &again["dispatch"]), (&1.into(), &0.into()));
    }

    #[test]
    fn problems_survive_the_way() {
        let problem = decode_problem(r#"{"code":"no_source","detail":"x"}"#);
        assert_eq!((problem.code, problem.detail.as_str()), (ProblemCode::NoSource, "x"));
    }
}
