//! What is asked of an upload's Durable Object, and how: a JSON command, and for bytes the body
//! beside it.

use jiff::Timestamp;
use reelmill_shared::{
    id::{MediaId, UploadId},
    problem::ProblemCode,
    upload::checksum::{Algorithm, Checksum},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use web_sys::ReadableStream;
use worker::{Env, Headers, Method, Request, RequestInit, Stub};

use super::record::About;
use crate::{
    error::{ApiError, ApiResult},
    media_object::decode_reply,
};

/// Header of a request that carries bytes: the [`Patch`], as JSON.
pub(super) const PATCH_HEADER: &str = "reelmill-patch";

/// One request to an upload's object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "command")]
pub enum Command {
    /// Create the upload; replies [`View`].
    Create {
        /// What it is.
        about: Box<About>,
    },
    /// Replies [`View`], after ending the request that is sending bytes.
    Show,
    /// End the upload because its owner asks for it; replies `null`.
    Terminate,
    /// End the upload because its media has no use for it; replies `null`, also when it is gone.
    Abort,
    /// End the upload unless bytes are coming in; replies `null` or `upload_in_progress`.
    Displace,
    /// Keep a complete piece for an assembly; replies its size in bytes.
    Join {
        /// The assembly.
        assembly: UploadId,
    },
    /// The assembly needs the piece no more; replies `null`.
    Leave {
        /// The assembly.
        assembly: UploadId,
        /// Whether it has the piece's bytes: a piece that nobody else uses is then deleted.
        done: bool,
    },
}

/// A request that appends bytes; replies [`View`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// `Upload-Offset`.
    pub offset: u64,
    /// `Content-Length`, if the body's length is known.
    pub size: Option<u64>,
    /// `Upload-Length`, where the length was deferred.
    pub length: Option<u64>,
    /// `Upload-Checksum`: the algorithm's name and the digest.
    pub checksum: Option<(String, Vec<u8>)>,
}

impl Patch {
    /// What the body's digest must be.
    pub(super) fn checksum(&self) -> Option<Checksum> {
        let (name, digest) = self.checksum.as_ref()?;
        let algorithm = Algorithm::ALL.iter().find(|known| known.as_str() == name)?;
        Some(Checksum { algorithm: *algorithm, digest: digest.clone() })
    }
}

/// A [`Patch`] with its bytes.
pub struct Chunk {
    /// What is said of them.
    pub patch: Patch,
    /// The bytes, if there are any.
    pub body: Option<ReadableStream>,
}

/// An upload as its client sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// `Upload-Offset`; none while pieces are being put together.
    pub offset: Option<u64>,
    /// `Upload-Length`, once it is known.
    pub length: Option<u64>,
    /// `Upload-Metadata`.
    pub metadata: Option<String>,
    /// `Upload-Concat`.
    pub concat: Option<String>,
    /// `Upload-Expires`, while the upload is unfinished.
    pub expires_at: Option<Timestamp>,
    /// The media that it belongs to.
    pub media: Option<MediaId>,
}

/// The way to one upload's object.
pub struct UploadStub(Stub);

impl UploadStub {
    /// The way to the object of `id`.
    pub fn new(env: &Env, id: UploadId) -> ApiResult<Self> {
        Ok(Self(env.durable_object("UPLOAD")?.get_by_name(&id.to_string())?))
    }

    /// Sends a command and decodes its reply.
    pub async fn send<T: DeserializeOwned>(&self, command: &Command) -> ApiResult<T> {
        let body = serde_json::to_string(command).map_err(ApiError::internal)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(body.into()));
        self.fetch(&init).await
    }

    /// Sends bytes.
    pub async fn append(&self, chunk: Chunk) -> ApiResult<View> {
        let headers = Headers::new();
        let patch = serde_json::to_string(&chunk.patch).map_err(ApiError::internal)?;
        headers.set(PATCH_HEADER, &patch)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers);
        init.with_body(chunk.body.map(Into::into));
        self.fetch(&init).await
    }

    async fn fetch<T: DeserializeOwned>(&self, init: &RequestInit) -> ApiResult<T> {
        let request = Request::new_with_init("https://upload/", init)?;
        decode_reply(self.0.fetch_with_request(request).await?).await
    }
}

impl View {
    /// The offset, where there must be one.
    pub fn offset(&self) -> ApiResult<u64> {
        self.offset.ok_or_else(|| ApiError::from(ProblemCode::FinalUpload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands cross a version boundary while a deployment rolls out.
    #[test]
    fn commands_are_pinned() {
        let assembly = "upl_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5".parse().expect("an id");
        let json = serde_json::to_string(&Command::Join { assembly }).expect("JSON");
        assert_eq!(json, r#"{"command":"join","assembly":"upl_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"}"#);
        let checksum = Some(("sha1".to_owned(), vec![7]));
        let patch = Patch { offset: 1, size: Some(2), length: None, checksum };
        assert_eq!(
            serde_json::to_string(&patch).expect("JSON"),
            r#"{"offset":1,"size":2,"length":null,"checksum":["sha1",[7]]}"#
        );
    }
}
