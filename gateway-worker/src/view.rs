//! A media as callers see it (`docs/api.md`), made from the media as it is stored.

mod multipart;

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    cost::{self, JobCost, Money},
    job::{Failure, Outcome, Progress, Stage, Summary},
    media::{Details, Media, Source, State},
    source_url::SourceUrl,
    token::{Grant, KeyRing, Token},
};
use serde::{Deserialize, Serialize};
use url::Url;

pub use self::multipart::{Direct, MultipartView, PartsView};
use crate::s3::S3;

/// How long the `events` URL of an answer works.
const WATCH_FOR: SignedDuration = SignedDuration::from_hours(24);

/// A media together with the origin that its URLs begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The media.
    pub media: Media,
    /// Origin of the gateway as its creator reached it, or as configured; ends in `/`.
    pub origin: Url,
    /// Largest source that the media takes, in bytes: its creator's limit when it was created.
    #[serde(default = "no_limit")]
    pub max_bytes: u64,
    /// The multipart upload that was begun for its source in the bucket, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<Direct>,
}

/// The limit of media from before there were limits of their own.
const fn no_limit() -> u64 {
    u64::MAX
}

/// The public JSON of a media.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaView<'a> {
    id: String,
    status: &'static str,
    playable: bool,
    #[serde(flatten)]
    details: DetailsView<'a>,
    created_at: Timestamp,
    updated_at: Timestamp,
    attempts: u8,
    retries_left: u8,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<CostView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<UploadView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Url>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DetailsView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    /// Without its query, which may be a credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_url: Option<Url>,
    metadata: &'a serde_json::Map<String, serde_json::Value>,
    pipeline: &'a reelmill_shared::job::Pipeline,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressView {
    stage: Stage,
    percent: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CostView<'a> {
    currency: &'static str,
    /// Of all jobs; absent as long as that of one of them is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    jobs: &'a [JobCost],
}

#[derive(Debug, Serialize)]
struct UploadView {
    put: PutView,
    tus: TusView,
    #[serde(skip_serializing_if = "Option::is_none")]
    multipart: Option<MultipartView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PutView {
    method: &'static str,
    url: Url,
    expires_at: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TusView {
    url: Url,
    expires_at: Timestamp,
}

impl Record {
    /// The media for its owner: with the capability URLs for uploading and watching.
    pub fn for_owner(&self, tokens: &KeyRing, now: Timestamp) -> MediaView<'_> {
        let mut view = self.for_others();
        // A source that is being fetched from its URL is not to be uploaded besides.
        if let State::Uploading { expires_at, ingest: None } = self.media.state {
            let url = self.upload_url("source", tokens);
            let put = PutView { method: "PUT", url, expires_at };
            let tus = TusView { url: self.tus_url(tokens), expires_at };
            let multipart = self.multipart(tokens);
            view.upload = Some(UploadView { put, tus, multipart });
        }
        view.events = Some(self.link("events", tokens, Grant::Watch, now + WATCH_FOR));
        view
    }

    /// The media for its owner, with the first part URLs where sources may be put straight into the
    /// bucket.
    pub fn for_uploader(&self, tokens: &KeyRing, s3: Option<&S3>, now: Timestamp) -> MediaView<'_> {
        let mut view = self.for_owner(tokens, now);
        if let Some(upload) = &mut view.upload {
            let multipart = upload.multipart.take().zip(s3);
            upload.multipart =
                multipart.map(|(multipart, s3)| multipart.with_parts(self, tokens, s3, now));
        }
        view
    }

    /// The media for webhooks and live subscribers: without capabilities.
    pub fn for_others(&self) -> MediaView<'_> {
        let Media { id, details, state, attempts, sequence, created_at, updated_at, .. } =
            &self.media;
        let source = match state {
            State::Uploaded { source }
            | State::Transcoding { source, .. }
            | State::Ready { source, .. } => Some(source),
            State::Failed { source, .. } => source.as_ref(),
            State::Uploading { .. } | State::Deleted { .. } => None,
        };
        let progress = self.media.running().and_then(|attempt| attempt.progress.as_ref());
        let summary = match state {
            State::Ready { report, .. } => match &report.outcome {
                Outcome::Completed { summary, .. } => Some(summary),
                Outcome::Failed { .. } => None,
            },
            _ => None,
        };
        let error = if let State::Failed { error, .. } = state { Some(error) } else { None };
        MediaView {
            id: id.to_string(),
            status: state.name(),
            playable: self.media.playable_attempt().is_some(),
            details: DetailsView::new(details, source),
            created_at: *created_at,
            updated_at: *updated_at,
            attempts: *attempts,
            retries_left: self.media.retries_left(),
            sequence: *sequence,
            source,
            progress: progress.map(ProgressView::from),
            summary,
            error,
            cost: CostView::of(&self.media.costs),
            upload: None,
            events: None,
        }
    }

    /// Where an upload of the source is created with tus: bound to this media while it waits for
    /// its source.
    pub fn tus_url(&self, tokens: &KeyRing) -> Url {
        match self.media.state {
            State::Uploading { expires_at, .. } => {
                let (media, grant) = (self.media.id, Grant::Upload);
                let token = tokens.sign(&Token { media, grant, expires_at, viewer: None });
                self.url(&format!("api/uploads?token={token}"))
            }
            _ => self.url("api/uploads"),
        }
    }

    /// A URL below the media that a bearer may upload by, while it waits for its source.
    fn upload_url(&self, what: &str, tokens: &KeyRing) -> Url {
        let expires_at = match self.media.state {
            State::Uploading { expires_at, .. } => expires_at,
            _ => self.media.updated_at,
        };
        self.link(what, tokens, Grant::Upload, expires_at)
    }

    fn link(&self, what: &str, tokens: &KeyRing, grant: Grant, expires_at: Timestamp) -> Url {
        let media = self.media.id;
        let token = tokens.sign(&Token { media, grant, expires_at, viewer: None });
        self.url(&format!("api/media/{media}/{what}?token={token}"))
    }

    /// An absolute URL of this gateway. `path` is made of ids, tokens and fixed words.
    pub fn url(&self, path: &str) -> Url {
        self.origin.join(path).expect("ids, tokens and fixed words make a relative URL")
    }
}

impl<'a> CostView<'a> {
    fn of(jobs: &'a [JobCost]) -> Option<Self> {
        (!jobs.is_empty()).then(|| Self { currency: "USD", amount: cost::total(jobs), jobs })
    }
}

impl<'a> DetailsView<'a> {
    fn new(details: &'a Details, source: Option<&Source>) -> Self {
        Self {
            filename: details.filename.as_deref(),
            size: source.map(|source| source.size).or(details.size),
            content_type: details.content_type.as_deref(),
            source_url: details.source_url.as_ref().map(SourceUrl::public),
            metadata: &details.metadata,
            pipeline: &details.pipeline,
        }
    }
}

impl From<&Progress> for ProgressView {
    fn from(progress: &Progress) -> Self {
        let Progress { stage, percent, speed, eta_seconds, bytes, .. } = *progress;
        Self { stage, percent, speed, eta_seconds, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelmill_shared::media::{Event, Routes, Rules};

    fn record() -> Record {
        let details =
            Details { filename: Some("a.mp4".into()), size: Some(7), ..Details::default() };
        let (media, _) = Media::create(
            "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id"),
            details,
            Timestamp::from_second(1_800_000_000).expect("a time"),
            &rules(),
        );
        let origin = "https://media.example/".parse().expect("a URL");
        Record { media, origin, max_bytes: 1000, direct: None }
    }

    fn rules() -> Rules {
        Rules {
            upload: SignedDuration::from_hours(24),
            lease: SignedDuration::from_mins(1),
            queue: SignedDuration::from_hours(6),
            fallback: SignedDuration::from_mins(2),
            routes: Routes::only("handler"),
        }
    }

    #[test]
    fn a_new_media_is_pinned() {
        insta::assert_json_snapshot!(record().for_others(), @r#"
        {
          "id": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
          "status": "uploading",
          "playable": false,
          "filename": "a.mp4",
          "size": 7,
          "metadata": {},
          "pipeline": {
            "segmentFormat": "cmaf",
            "segmentSeconds": 4,
            "retry": "manual"
          },
          "createdAt": "2027-01-15T08:00:00Z",
          "updatedAt": "2027-01-15T08:00:00Z",
          "attempts": 0,
          "retriesLeft": 1,
          "sequence": 1
        }
        "#);
    }

    #[test]
    fn only_the_owner_gets_capabilities() {
        let tokens =
            KeyRing::parse("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a ring");
        let record = record();
        let view =
            serde_json::to_value(record.for_owner(&tokens, record.media.created_at)).expect("JSON");
        let url = view["upload"]["put"]["url"].as_str().expect("a URL");
        let (path, token) = url.split_once("?token=").expect("a token");
        assert_eq!(
            path,
            "https://media.example/api/media/med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5/source"
        );
        let token = tokens.verify(token, record.media.created_at).expect("valid");
        assert_eq!((token.grant, token.media), (Grant::Upload, record.media.id));
        let tus = view["upload"]["tus"]["url"].as_str().expect("a URL");
        let (path, token) = tus.split_once("?token=").expect("a token");
        assert_eq!(path, "https://media.example/api/uploads");
        assert!(tokens.verify(token, record.media.created_at).is_ok());
        assert!(view["events"].as_str().expect("a URL").contains("/events?token="));
    }

    #[test]
    fn a_source_from_a_url_shows_its_download_and_no_secret() {
        let tokens =
            KeyRing::parse("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a ring");
        let (mut record, now) = (record(), Timestamp::from_second(1_800_000_000).expect("a time"));
        let url = SourceUrl::parse("https://cdn.example/a.mp4?signature=s3cret").expect("a URL");
        let details = Details { source_url: Some(url), ..Details::default() };
        (record.media, _) = Media::create(record.media.id, details, now, &rules());
        let told = serde_json::json!({"mediaId": record.media.id, "attempt": 101,
            "stage": "downloading", "percent": 12.5, "bytes": 1000});
        let told = Event::Progressed {
            progress: serde_json::from_value(told).expect("progress"),
            dispatch: 0,
        };
        (record.media, _) = record.media.apply(told, now, &rules()).expect("accepted");
        let view = serde_json::to_value(record.for_owner(&tokens, now)).expect("JSON");
        assert_eq!((&view["status"], &view["attempts"]), (&"uploading".into(), &0.into()));
        assert_eq!(view["sourceUrl"], "https://cdn.example/a.mp4");
        assert_eq!(
            view["progress"],
            serde_json::json!({"stage": "downloading", "percent": 12.5, "bytes": 1000})
        );
        assert!(view.get("upload").is_none(), "nobody else is to upload it");
        assert!(!view.to_string().contains("s3cret"));
    }
}
