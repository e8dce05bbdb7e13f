//! Received bytes that are not stored yet: JavaScript's own buffers, within a budget that all
//! uploads of an isolate share, so that two hundred uploads need no more memory than two.

use std::{cell::Cell, collections::VecDeque};

use worker::js_sys::Uint8Array;

/// What all uploads of this isolate may hold, in bytes. An isolate has 128 MB for everything, and
/// however little there is left each upload holds its share before it begins to write in small
/// pieces: twice as much at worst.
const BUDGET: u64 = 24 << 20;
/// The size of a buffer where there is room, and so the longest row of the spool, in bytes.
const CHUNK: u32 = 512 * 1024;
/// The size of a buffer where there is none: so that everybody gets on.
const SMALL_CHUNK: u32 = 64 * 1024;

thread_local! {
    static HELD: Cell<u64> = const { Cell::new(0) };
    /// How many there are.
    static SHARERS: Cell<u64> = const { Cell::new(0) };
}

fn has_room() -> bool {
    HELD.get() + u64::from(CHUNK) <= BUDGET
}

/// Gives a buffer's memory back at once. The collector comes too late: to it a buffer is small.
pub(super) fn free(buffer: &Uint8Array) {
    // Only fails for one that was given away before.
    let _ = buffer.buffer().transfer_with_length(0);
}

/// One upload's received bytes, in order.
pub(super) struct Memory {
    full: VecDeque<Uint8Array>,
    /// The buffer that is being filled, and how far it is.
    filling: Option<(Uint8Array, u32)>,
    /// What this upload holds of the budget.
    held: u64,
}

impl Default for Memory {
    fn default() -> Self {
        SHARERS.set(SHARERS.get() + 1);
        Self { full: VecDeque::new(), filling: None, held: 0 }
    }
}

impl Memory {
    /// Whether what is held should be stored before more is taken.
    pub(super) fn is_pressed(&self) -> bool {
        let share = (BUDGET / SHARERS.get().max(1)).max(u64::from(SMALL_CHUNK));
        self.held >= share && !has_room()
    }

    /// Appends a copy of `bytes`. `expected` is how many there may be in all until the next
    /// [`seal`](Self::seal), these included: no buffer is made larger.
    pub(super) fn append(&mut self, bytes: &Uint8Array, expected: u64) {
        let (mut at, end) = (0, bytes.length());
        while at < end {
            let (buffer, used) = match self.filling.take() {
                Some(filling) => filling,
                None => {
                    let expected = u32::try_from(expected).unwrap_or(u32::MAX).max(end) - at;
                    let size = expected.min(if has_room() { CHUNK } else { SMALL_CHUNK });
                    self.hold(size);
                    (Uint8Array::new_with_length(size), 0)
                }
            };
            let taken = (buffer.length() - used).min(end - at);
            buffer.set(&bytes.subarray(at, at + taken), used);
            at += taken;
            if used + taken == buffer.length() {
                self.full.push_back(buffer);
            } else {
                self.filling = Some((buffer, used + taken));
            }
        }
    }

    /// Ends the buffer that is being filled: what comes goes into another one.
    pub(super) fn seal(&mut self) {
        if let Some((buffer, used)) = self.filling.take() {
            self.full.push_back(buffer.subarray(0, used));
        }
    }

    /// The sealed buffers that have the first `bytes` bytes. They end in a buffer's end.
    pub(super) fn first(&self, bytes: u64) -> Vec<Uint8Array> {
        let mut left = bytes;
        let mut wanted = |buffer: &&Uint8Array| {
            let wanted = left > 0;
            left = left.saturating_sub(u64::from(buffer.length()));
            wanted
        };
        self.full.iter().take_while(|buffer| wanted(buffer)).cloned().collect()
    }

    /// Drops the first `bytes` bytes, which end in a buffer's end, and which nobody reads any more.
    pub(super) fn drop_first(&mut self, bytes: u64) {
        let mut left = bytes;
        while left > 0
            && let Some(buffer) = self.full.pop_front()
        {
            left = left.saturating_sub(u64::from(buffer.length()));
            // A sealed buffer is a view of a larger one.
            self.release(u64::from(buffer.buffer().byte_length()));
            free(&buffer);
        }
    }

    fn hold(&mut self, bytes: u32) {
        self.held += u64::from(bytes);
        HELD.set(HELD.get() + u64::from(bytes));
    }

    fn release(&mut self, bytes: u64) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        HELD.set(HELD.get() - bytes);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.release(self.held);
        SHARERS.set(SHARERS.get() - 1);
    }
}
