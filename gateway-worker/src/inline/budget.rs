//! How much memory bodies may take that are held while they are decoded: an isolate has 128 MB for
//! all of its requests together.

use std::cell::Cell;

use reelmill_shared::problem::ProblemCode;

use crate::error::{ApiError, ApiResult};

/// What all such requests of an isolate may hold, in bytes.
const BUDGET: u64 = 48 << 20;

thread_local! {
    static HELD: Cell<u64> = const { Cell::new(0) };
}

/// Memory that a request may use; given back when it is dropped.
#[derive(Debug)]
pub struct Permit(u64);

impl Permit {
    /// Permission to hold `bytes`, at most the whole budget, or `unavailable`: waiting for somebody
    /// else's request is not possible in a Worker.
    pub fn take(bytes: u64) -> ApiResult<Self> {
        let bytes = bytes.min(BUDGET);
        let held = HELD.get() + bytes;
        if held > BUDGET {
            return Err(ApiError::new(
                ProblemCode::Unavailable,
                "Too many files are being taken at this moment. Try again soon, or upload with tus \
                 at /api/uploads.",
            ));
        }
        HELD.set(held);
        Ok(Self(bytes))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        HELD.set(HELD.get() - self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_comes_back() {
        let most = Permit::take(BUDGET - 10).expect("room");
        let rest = Permit::take(10).expect("room");
        assert_eq!(Permit::take(1).expect_err("no room").code, ProblemCode::Unavailable);
        drop(rest);
        Permit::take(5).expect("room again");
        drop(most);
        // Alone, even the largest is let in.
        Permit::take(u64::MAX).expect("alone");
    }
}
