//! Which bytes of an upload are where, and what has to be done next.
//!
//! ```text
//! 0            sent               offset              received      length
//! ├── parts ───┼──── spool ───────┼──── memory ───────┼─ ─ ─ ─ ─ ─ ─ ┤
//!   in R2        in the upload's    lost in a crash
//!                own database
//! ```
//!
//! Bytes are received into memory. As soon as a part is full it is sent to R2, while the next one
//! is received; what is short of a part goes to the spool at the end of a request, or earlier where
//! memory is short. The offset that a client is told ends where durable bytes end.
//!
//! An [`Intake`] decides and counts; who owns it moves the bytes and stores each [`Position`] that
//! it commits in one transaction with what belongs to it. It lives as long as one request: the next
//! one begins from the stored position, so nothing is carried over but what is durable.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::Refused;
use crate::problem::ProblemCode;

/// What is stored of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Parts in R2.
    pub parts: u16,
    /// Bytes in those parts.
    pub sent: u64,
    /// Bytes in the spool, which follow.
    pub spooled: u64,
}

impl Position {
    /// The number of bytes that are stored.
    pub const fn offset(self) -> u64 {
        self.sent + self.spooled
    }
}

/// A part to be sent to R2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u16,
    /// The offset of its first byte.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// How many of its first bytes are in the spool; the others are in memory.
    pub spooled: u64,
    /// Whether it is the whole upload, which then needs no multipart upload.
    pub whole: bool,
}

/// What to do next while a body comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Begin to send a part.
    Send(Part),
    /// Receive at most this many bytes.
    Receive(u64),
    /// Wait until the part has been sent: the one after it is full already.
    Wait,
    /// Nothing more may come; a byte beyond is [`Intake::exceeded`].
    End,
}

/// The state of one request's intake.
#[derive(Debug, Clone)]
pub struct Intake {
    part_size: u64,
    /// The upload's length, if it is known.
    length: Option<u64>,
    /// The most that an upload of unknown length may have.
    limit: u64,
    /// Whether nothing counts before the whole body is verified.
    verified_at_end: bool,
    committed: Position,
    /// What is stored, whether it counts or not.
    stored: Position,
    memory: u64,
    sending: Option<Part>,
}

impl Intake {
    /// The intake of an upload with parts of `part_size` bytes that is stored up to `position`.
    pub const fn new(part_size: u64, length: Option<u64>, limit: u64, position: Position) -> Self {
        Self {
            part_size,
            length,
            limit,
            verified_at_end: false,
            committed: position,
            stored: position,
            memory: 0,
            sending: None,
        }
    }

    /// Checks a request that means to append at `offset` a body of `body` bytes, or of a length
    /// that nobody knows yet. With a checksum nothing of it counts before [`Self::verified`].
    pub fn begin(&mut self, offset: u64, body: Option<u64>, checksum: bool) -> Result<(), Refused> {
        let here = self.offset();
        if offset != here {
            let detail = format!("The upload is at offset {here}, the request at {offset}.");
            return Err(Refused::new(ProblemCode::OffsetMismatch, detail));
        }
        if body.is_some_and(|body| body > self.most().saturating_sub(here)) {
            return Err(self.exceeded());
        }
        self.verified_at_end = checksum;
        Ok(())
    }

    /// Sets the length that was deferred.
    pub fn set_length(&mut self, length: u64) -> Result<(), Refused> {
        match self.length {
            Some(known) if known == length => Ok(()),
            Some(known) => Err(Refused::new(
                ProblemCode::LengthFixed,
                format!("The upload has a length of {known} bytes."),
            )),
            None if length < self.offset() => Err(Refused::new(
                ProblemCode::InvalidUploadLength,
                format!("The upload has {} bytes already.", self.offset()),
            )),
            None if length > self.limit => Err(Refused::new(
                ProblemCode::UploadTooLarge,
                format!("The upload may have at most {} bytes.", self.limit),
            )),
            None => {
                self.length = Some(length);
                Ok(())
            }
        }
    }

    /// Why a body that goes on at [`Step::End`] is refused.
    pub fn exceeded(&self) -> Refused {
        let (code, what) = match self.length {
            Some(_) => (ProblemCode::LengthExceeded, "The upload's length is"),
            None => (ProblemCode::UploadTooLarge, "The most that an upload may have is"),
        };
        Refused::new(code, format!("{what} {} bytes.", self.most()))
    }

    /// The offset that clients are told: all before it is durable.
    pub const fn offset(&self) -> u64 {
        self.committed.offset()
    }

    /// The upload's length, if it is known.
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// The bytes received so far, from the upload's beginning.
    pub const fn received(&self) -> u64 {
        self.stored.offset() + self.memory
    }

    /// What counts: to be stored together with what it speaks of.
    pub const fn position(&self) -> Position {
        self.committed
    }

    /// What is stored, whether it counts or not.
    pub const fn stored(&self) -> Position {
        self.stored
    }

    /// Bytes in memory.
    pub const fn memory(&self) -> u64 {
        self.memory
    }

    /// The part that is being sent.
    pub const fn sending(&self) -> Option<Part> {
        self.sending
    }

    /// Whether every byte of the upload counts.
    pub fn is_complete(&self) -> bool {
        self.length == Some(self.offset())
    }

    /// What to do next.
    pub fn next(&self) -> Step {
        let full = self.received() - self.stored.sent >= self.part_size;
        // The last part waits for the end of the body: until then it may prove too long.
        if self.sending.is_none() && full && !self.is_received() {
            return Step::Send(self.part(self.part_size));
        }
        let ahead = if self.sending.is_some() { 2 * self.part_size } else { self.part_size };
        match (self.stored.sent + ahead).min(self.most()).saturating_sub(self.received()) {
            0 if self.is_received() || self.received() == self.most() => Step::End,
            0 => Step::Wait,
            room => Step::Receive(room),
        }
    }

    /// What to send once a complete body is known to be good: everything that is left of an upload
    /// whose bytes are all here. `None` when nothing is left, or something is still missing.
    pub fn rest(&self) -> Option<Part> {
        let left = self.received() - self.stored.sent;
        (self.is_received() && self.sending.is_none() && left > 0)
            .then(|| self.part(left.min(self.part_size)))
    }

    /// Bytes came into memory.
    pub const fn took(&mut self, bytes: u64) {
        self.memory += bytes;
    }

    /// A part is being sent.
    pub const fn begun(&mut self, part: Part) {
        self.sending = Some(part);
    }

    /// The part has been sent, and is no longer needed here; returns how many bytes of memory that
    /// frees. What it says is to be [stored](Self::position), unless a checksum is pending.
    pub fn sent(&mut self) -> u64 {
        let Some(part) = self.sending.take() else { return 0 };
        let freed = part.size - part.spooled;
        self.stored.parts += 1;
        self.stored.sent += part.size;
        self.stored.spooled -= part.spooled;
        self.memory -= freed;
        if !self.verified_at_end {
            self.commit();
        }
        freed
    }

    /// The part could not be sent: its bytes are where they were.
    pub const fn not_sent(&mut self) {
        self.sending = None;
    }

    /// All that was in memory is in the spool. Not while a part is being sent.
    pub const fn spooled(&mut self) {
        self.stored.spooled += self.memory;
        self.memory = 0;
        if !self.verified_at_end {
            self.commit();
        }
    }

    /// The body is what it should be: what is stored of it counts, and so does what follows.
    pub const fn verified(&mut self) {
        self.verified_at_end = false;
        self.commit();
    }

    const fn commit(&mut self) {
        self.committed = self.stored;
    }

    /// Whether the whole upload has been received.
    fn is_received(&self) -> bool {
        self.length == Some(self.received())
    }

    fn part(&self, size: u64) -> Part {
        let Position { parts, sent, spooled } = self.stored;
        let whole = parts == 0 && self.length == Some(size);
        Part { number: parts + 1, start: sent, size, spooled: spooled.min(size), whole }
    }

    fn most(&self) -> u64 {
        self.length.unwrap_or(self.limit)
    }
}
