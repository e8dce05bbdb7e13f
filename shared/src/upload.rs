//! Resumable uploads by tus 1.0 (<https://tus.io/protocols/resumable-upload>), without I/O.
//!
//! * [`protocol`]: what the requests' headers say, and what is wrong with them.
//! * [`metadata`], [`checksum`], [`mod@concat`]: the three headers that have a grammar.
//! * [`layout`]: how an upload is cut into the parts of an R2 multipart upload.
//! * [`intake`]: which bytes are where, and what has to be done next, so that the offset that a
//!   client is told is never ahead of what is durable.

pub mod checksum;
pub mod concat;
pub mod intake;
pub mod layout;
pub mod metadata;
pub mod protocol;

use crate::problem::ProblemCode;

/// Why a request is refused: which problem, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// Which problem.
    pub code: ProblemCode,
    /// What is wrong with this request.
    pub detail: String,
}

impl Refused {
    /// A refusal with its detail.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}
