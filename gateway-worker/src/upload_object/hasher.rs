//! The runtime's own digests, fed as bytes come in.

use web_sys::WritableStreamDefaultWriter;
use worker::{
    crypto::{DigestStream, DigestStreamAlgorithm},
    js_sys::Uint8Array,
    wasm_bindgen_futures::JsFuture,
};

use crate::{error::ApiResult, objects::js};

/// A digest over a run of bytes.
pub(super) struct Hasher {
    stream: DigestStream,
    writer: WritableStreamDefaultWriter,
    /// How many bytes it has seen.
    seen: u64,
}

impl Hasher {
    /// A digest that has seen nothing yet.
    pub(super) fn new(algorithm: DigestStreamAlgorithm) -> ApiResult<Self> {
        let stream = DigestStream::new(algorithm);
        let writer = stream.raw().get_writer().map_err(js)?;
        Ok(Self { stream, writer, seen: 0 })
    }

    /// How many bytes it has seen.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes in bytes; once this is done they may be overwritten.
    pub(super) async fn write(&mut self, bytes: &Uint8Array) -> ApiResult<()> {
        self.seen += u64::from(bytes.length());
        JsFuture::from(self.writer.write_with_chunk(bytes)).await.map_err(js)?;
        Ok(())
    }

    /// The digest.
    pub(super) async fn finish(self) -> ApiResult<Vec<u8>> {
        JsFuture::from(self.writer.close()).await.map_err(js)?;
        Ok(self.stream.digest().await?.to_vec())
    }
}
