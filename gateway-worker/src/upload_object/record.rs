//! What is stored of an upload beside its bytes.

use jiff::{SignedDuration, Timestamp};
use reelmill_shared::{
    id::{MediaId, UploadId},
    object_key::ObjectKey,
    upload::{intake::Position, layout},
};
use serde::{Deserialize, Serialize};

/// No upload lives longer: R2 drops unfinished multipart uploads after seven days.
const MAX_LIFE: SignedDuration = SignedDuration::from_hours(6 * 24 + 12);

/// What an upload is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Purpose {
    /// The source of a media.
    Source {
        /// Which.
        media: MediaId,
    },
    /// A piece of a source (tus concatenation).
    Piece,
    /// The source of a media, made of pieces.
    Assembly {
        /// Which.
        media: MediaId,
        /// The pieces, in order.
        pieces: Vec<Piece>,
    },
}

/// One piece of an assembly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The partial upload.
    pub upload: UploadId,
    /// Its size in bytes.
    pub size: u64,
}

/// What never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The upload's id: an object does not know its name.
    pub id: UploadId,
    /// What it is for.
    pub purpose: Purpose,
    /// Its length in bytes, if that was known from the beginning.
    pub length: Option<u64>,
    /// The most it may have, in bytes.
    pub limit: u64,
    /// `Upload-Metadata` as it came.
    pub metadata: Option<String>,
    /// `Upload-Concat` as it came.
    pub concat: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// How long it waits for more bytes, in seconds.
    pub patience: i64,
}

impl About {
    /// The size of its parts in bytes.
    pub const fn part_size(&self) -> u64 {
        layout::part_size(match self.length {
            Some(length) => length,
            None => self.limit,
        })
    }

    /// The object that its bytes become.
    pub fn key(&self) -> String {
        match self.media() {
            Some(media) => ObjectKey::Source(media),
            None => ObjectKey::Partial(self.id),
        }
        .to_string()
    }

    /// The media whose source it becomes.
    pub const fn media(&self) -> Option<MediaId> {
        match &self.purpose {
            Purpose::Source { media } | Purpose::Assembly { media, .. } => Some(*media),
            Purpose::Piece => None,
        }
    }

    /// When it expires if nothing more comes after `now`.
    pub fn expires(&self, now: Timestamp) -> Timestamp {
        (now + SignedDuration::from_secs(self.patience)).min(self.last_moment())
    }

    /// When it expires whatever comes.
    pub fn last_moment(&self) -> Timestamp {
        self.created_at + MAX_LIFE
    }
}

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    /// Where it stands.
    pub(super) stage: Stage,
    /// Its length in bytes, once it is known.
    pub(super) length: Option<u64>,
    /// What is stored.
    pub(super) position: Position,
    /// R2's id of the multipart upload, once there is one.
    pub(super) multipart: Option<String>,
    /// When it expires.
    pub(super) expires_at: Timestamp,
    /// When the alarm goes on with what was begun, and how often that has failed.
    pub(super) due: Option<Timestamp>,
    /// See `due`.
    pub(super) tries: u32,
    /// The assemblies that a piece is part of and that are not done yet.
    pub(super) used_by: Vec<UploadId>,
}

/// Where an upload stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "stage")]
pub(super) enum Stage {
    /// It takes bytes, or is being assembled.
    Open,
    /// Its object is complete; the media does not know yet.
    Stored {
        /// R2's entity tag of the object.
        etag: String,
        /// SHA-256 of the bytes in hexadecimal, if they were all seen by one instance.
        sha256: Option<String>,
    },
    /// Done.
    Done,
    /// Expired or ended; what it had is deleted, or about to be.
    Gone {
        /// When that began.
        at: Timestamp,
        /// Whether nothing is left of it but this.
        clean: bool,
        /// Whether its object has become a media's source, and so is not its own any more.
        delivered: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            id: "upl_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id"),
            purpose: Purpose::Source {
                media: "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id"),
            },
            length: None,
            limit: 1 << 40,
            metadata: None,
            concat: None,
            created_at: Timestamp::UNIX_EPOCH,
            patience: 86_400,
        }
    }

    #[test]
    fn a_life_slides_but_ends() {
        let after = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        assert_eq!(about().expires(after(0)), after(24));
        assert_eq!(about().expires(after(100)), after(124));
        assert_eq!(about().expires(after(150)), after(156));
    }

    #[test]
    fn parts_fit_the_longest_it_may_get() {
        assert_eq!(about().part_size(), 105 << 20);
        assert_eq!(About { length: Some(1), ..about() }.part_size(), 8 << 20);
    }

    #[test]
    fn the_stored_form_is_pinned() {
        insta::assert_json_snapshot!(about(), @r#"
        {
          "id": "upl_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
          "purpose": {
            "kind": "source",
            "media": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"
          },
          "length": null,
          "limit": 1099511627776,
          "metadata": null,
          "concat": null,
          "createdAt": "1970-01-01T00:00:00Z",
          "patience": 86400
        }
        "#);
        let progress = Progress {
            stage: Stage::Gone { at: Timestamp::UNIX_EPOCH, clean: false, delivered: false },
            length: Some(7),
            position: Position { parts: 1, sent: 5, spooled: 2 },
            multipart: Some("m".into()),
            expires_at: Timestamp::UNIX_EPOCH,
            due: None,
            tries: 0,
            used_by: vec![],
        };
        insta::assert_json_snapshot!(progress, @r#"
        {
          "stage": {
            "stage": "gone",
            "at": "1970-01-01T00:00:00Z",
            "clean": false,
            "delivered": false
          },
          "length": 7,
          "position": {
            "parts": 1,
            "sent": 5,
            "spooled": 2
          },
          "multipart": "m",
          "expiresAt": "1970-01-01T00:00:00Z",
          "due": null,
          "tries": 0,
          "usedBy": []
        }
        "#);
    }
}
