//! The way past the Worker: presigned part URLs, as the owner of a media sees them.

use jiff::Timestamp;
use reelmill_shared::{media::State, multipart::Plan, object_key::ObjectKey, token::KeyRing};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Record;
use crate::s3::S3;

/// How many part URLs a media itself carries; the others come by the page.
const INLINE: u16 = 100;

/// A multipart upload that was begun in the bucket for a media's source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Direct {
    /// The store's id of it.
    pub upload: String,
    /// Size of every part but the last, in bytes.
    pub part_size: u64,
    /// Whether it has become the source.
    #[serde(default)]
    pub stored: bool,
}

/// `upload.multipart` of a media.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MultipartView {
    part_size: u64,
    part_count: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<Vec<PartView>>,
    /// Where the part URLs that are not here are.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Url>,
    list: Url,
    complete: Url,
    abort: Url,
    expires_at: Timestamp,
}

/// Some of the part URLs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartsView {
    parts: Vec<PartView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Url>,
    expires_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct PartView {
    number: u16,
    size: u64,
    url: Url,
}

impl Record {
    /// How the source is cut, if it may be put straight into the bucket or was.
    pub fn plan(&self) -> Option<Plan> {
        let (direct, size) = (self.direct.as_ref()?, self.media.details.size?);
        Plan::kept(size, direct.part_size)
    }

    /// The multipart upload while it can be gone on with, without part URLs.
    pub(super) fn multipart(&self, tokens: &KeyRing) -> Option<MultipartView> {
        let State::Uploading { expires_at, .. } = self.media.state else { return None };
        let plan = self.plan()?;
        let list = self.upload_url("multipart", tokens);
        Some(MultipartView {
            part_size: plan.part_size(),
            part_count: plan.count(),
            parts: None,
            next: Some(self.parts_url(tokens, 1, INLINE)),
            complete: self.upload_url("multipart/complete", tokens),
            abort: list.clone(),
            list,
            expires_at,
        })
    }

    /// URLs of at most `limit` parts from the one numbered `from`.
    pub fn parts(
        &self,
        tokens: &KeyRing,
        s3: &S3,
        now: Timestamp,
        from: u16,
        limit: u16,
    ) -> Option<PartsView> {
        let State::Uploading { expires_at, .. } = self.media.state else { return None };
        let (plan, direct) = (self.plan()?, self.direct.as_ref()?);
        let key = ObjectKey::Source(self.media.id).to_string();
        let parts = (from..=plan.count())
            .take(limit.into())
            .filter_map(|number| {
                let size = plan.size_of(number)?;
                let url = s3.part_url(&key, &direct.upload, number, now, expires_at);
                Some(PartView { number, size, url })
            })
            .collect();
        let next = from.checked_add(limit).filter(|next| *next <= plan.count());
        let next = next.map(|next| self.parts_url(tokens, next, limit));
        Some(PartsView { parts, next, expires_at })
    }

    fn parts_url(&self, tokens: &KeyRing, from: u16, limit: u16) -> Url {
        let mut url = self.upload_url("multipart/parts", tokens);
        url.query_pairs_mut()
            .append_pair("from", &from.to_string())
            .append_pair("limit", &limit.to_string());
        url
    }
}

impl MultipartView {
    /// With the first part URLs.
    pub(super) fn with_parts(
        self,
        record: &Record,
        tokens: &KeyRing,
        s3: &S3,
        now: Timestamp,
    ) -> Self {
        match record.parts(tokens, s3, now, 1, INLINE) {
            Some(PartsView { parts, next, .. }) => Self { parts: Some(parts), next, ..self },
            None => self,
        }
    }
}
