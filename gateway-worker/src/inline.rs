//! Sources that come with the request that creates their media: in a form, or as base64 in JSON.
//!
//! What a caller says of its media may stand behind the file, and what an `Idempotency-Key` stands
//! for is known only once the file is hashed. So the bytes come first and the media last: its id is
//! reserved ([`reserved`]), the bytes go into R2 ([`writer`]), and then one command creates the
//! media together with its source. Until then there is no media, and whatever fails leaves nothing.

pub mod budget;
pub mod data;
pub mod form;
pub mod reserved;
pub mod writer;
