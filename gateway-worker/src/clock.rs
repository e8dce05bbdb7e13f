//! The edge's clock and randomness, which the pure crate takes as arguments.

use jiff::Timestamp;
use uuid::{NoContext, Uuid};

/// Now, in milliseconds' precision. Workers stop the clock between I/O operations.
pub fn now() -> Timestamp {
    Timestamp::from_millisecond(worker::Date::now().as_millis().cast_signed())
        .expect("the runtime's clock is within a thousand years of 1970")
}

/// A fresh UUID that sorts by time (RFC 9562 version 7).
pub fn fresh_uuid(now: Timestamp) -> Uuid {
    let seconds = now.as_second().cast_unsigned();
    let nanos = now.subsec_nanosecond().cast_unsigned();
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
}

/// A fresh UUID that nobody can guess: 122 random bits (RFC 9562 version 4).
pub fn random_uuid() -> Uuid {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the runtime has crypto.getRandomValues");
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// 32 random bytes: the secret half of a key, or a webhook secret.
pub fn random_secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the runtime has crypto.getRandomValues");
    bytes
}
