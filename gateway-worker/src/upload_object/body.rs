//! Reading a request's body piece by piece, so that a read that is under way survives whatever
//! else happens meanwhile.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use web_sys::{
    ReadableStream, ReadableStreamByobReader, ReadableStreamGetReaderOptions,
    ReadableStreamReaderMode,
};
use worker::{
    js_sys::{Reflect, Uint8Array},
    wasm_bindgen::{JsCast, JsValue},
    wasm_bindgen_futures::JsFuture,
};

use super::memory::free;
use crate::{
    error::{ApiError, ApiResult},
    objects::js,
};

/// How much is read at a time, in bytes.
const BUFFER: u32 = 256 * 1024;
/// The same where many bodies are read at once, so that their buffers are no burden.
const SMALL_BUFFER: u32 = 32 * 1024;
/// The most that all buffers of an isolate take, apart from small ones, in bytes.
const MOST_BUFFERS: u32 = 8 << 20;
/// How much of a body that is refused is read all the same, in bytes: a client that is still
/// sending when the connection closes does not see the answer.
const DRAINED: u64 = 64 << 20;

thread_local! {
    /// What all bodies' buffers take, in bytes.
    static BUFFERS: Cell<u32> = const { Cell::new(0) };
}

/// A body that is being read.
pub(super) struct Body {
    reader: ReadableStreamByobReader,
    /// Its memory is taken away by a read and comes back with the bytes.
    buffer: Option<Uint8Array>,
    /// The buffer's size in bytes.
    size: u32,
    pending: Option<JsFuture>,
}

/// The sender has gone away, or sent less than it had promised.
#[derive(Debug)]
pub(super) struct Cut;

impl Body {
    /// Begins to read.
    pub(super) fn new(stream: &ReadableStream) -> Self {
        let mode = ReadableStreamGetReaderOptions::new();
        mode.set_mode(ReadableStreamReaderMode::Byob);
        let reader = stream.get_reader_with_options(&mode).unchecked_into();
        let size = if has_room(0) { BUFFER } else { SMALL_BUFFER };
        BUFFERS.set(BUFFERS.get() + size);
        Self { reader, buffer: Some(Uint8Array::new_with_length(size)), size, pending: None }
    }

    /// Asks for at most `most` bytes, unless a read is under way.
    pub(super) fn ask(&mut self, most: u64) {
        if self.pending.is_none()
            && let Some(buffer) = self.buffer.take()
        {
            let most = u32::try_from(most).unwrap_or(u32::MAX).min(buffer.length());
            let view = buffer.subarray(0, most);
            self.pending = Some(JsFuture::from(self.reader.read_with_array_buffer_view(&view)));
        }
    }

    /// The bytes that were asked for, or `None` at the end. They lie in the one buffer: whoever
    /// wants to keep them copies them before [giving them back](Self::give_back).
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ApiResult<Result<Option<Uint8Array>, Cut>>> {
        let Some(pending) = &mut self.pending else { return Poll::Pending };
        let Poll::Ready(read) = Pin::new(pending).poll(context) else { return Poll::Pending };
        self.pending = None;
        let Ok(read) = read else { return Poll::Ready(Ok(Err(Cut))) };
        Poll::Ready(bytes(&read).map(Ok))
    }

    /// Makes the buffer free for the next read.
    pub(super) fn give_back(&mut self, bytes: &Uint8Array) {
        if self.size < BUFFER && has_room(self.size) {
            free(bytes);
            BUFFERS.set(BUFFERS.get() - self.size + BUFFER);
            self.size = BUFFER;
            self.buffer = Some(Uint8Array::new_with_length(BUFFER));
        } else {
            self.buffer = Some(Uint8Array::new(&bytes.buffer()));
        }
    }

    /// Reads and forgets the rest, or much of it.
    pub(super) async fn drain(&mut self) {
        let mut left = DRAINED;
        while left > 0 {
            self.ask(left);
            let Ok(Ok(Some(bytes))) = poll_fn(|context| self.poll(context)).await else { return };
            left = left.saturating_sub(u64::from(bytes.length()));
            self.give_back(&bytes);
        }
        self.cancel();
    }

    /// Lets go of what has not been read.
    pub(super) fn cancel(&self) {
        // The sender may have gone away already.
        let _ = self.reader.cancel();
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        BUFFERS.set(BUFFERS.get() - self.size);
        if let Some(buffer) = &self.buffer {
            free(buffer);
        }
    }
}

/// Whether there is room for a large buffer in place of one of `size` bytes.
fn has_room(size: u32) -> bool {
    BUFFERS.get() - size + BUFFER <= MOST_BUFFERS
}

/// Reads and forgets a body that nobody wants, or much of it.
pub async fn drain(stream: &ReadableStream) {
    Body::new(stream).drain().await;
}

fn bytes(read: &JsValue) -> ApiResult<Option<Uint8Array>> {
    let get = |name| Reflect::get(read, &JsValue::from_str(name)).map_err(js);
    if get("done")?.is_truthy() {
        return Ok(None);
    }
    let bytes = get("value")?.dyn_into();
    bytes.map(Some).map_err(|_| ApiError::internal("a read without bytes"))
}
