//! What is uploaded: bytes by seed, made as they are sent, so that no file and no memory holds them.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use reqwest::Body;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// Bytes that are made at once.
const BLOCK: u64 = 256 * 1024;

/// So many bytes that do not repeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    /// What sets its bytes apart.
    pub(crate) seed: u64,
    /// Its length in bytes.
    pub(crate) size: u64,
}

impl Source {
    /// The bytes from `start` on, at most `most` of them, as a body. `pace` is how many bytes a
    /// second there are of it; by default as many as are taken.
    pub(crate) fn body(self, start: u64, most: u64, pace: Option<u64>) -> Body {
        let end = self.size.min(start.saturating_add(most));
        let begun = Instant::now();
        Body::wrap_stream(stream::unfold(start, move |at| async move {
            if let Some(pace) = pace {
                let due = Duration::from_secs_f64((at - start) as f64 / pace as f64);
                tokio::time::sleep_until(begun + due).await;
            }
            (at < end).then(|| (Ok::<_, Infallible>(self.block(at, end)), (at / BLOCK + 1) * BLOCK))
        }))
    }

    /// The rest of the block at `at`, as far as `end`. A block is a random one (splitmix64) with its
    /// number in every 4 KiB of it: what is sent should cost next to nothing to make.
    fn block(self, at: u64, end: u64) -> Bytes {
        let number = at / BLOCK;
        let mut block = RANDOM.with(Vec::clone);
        for page in block.chunks_exact_mut(4096) {
            page[..8].copy_from_slice(&(self.seed << 40 | number).to_le_bytes());
        }
        let from = (at - number * BLOCK) as usize;
        let to = (end - number * BLOCK).min(BLOCK) as usize;
        Bytes::from(block).slice(from..to)
    }

    /// SHA-256 of all of it in hexadecimal.
    pub(crate) fn sha256(self) -> String {
        let mut hash = Sha256::new();
        for at in (0..self.size).step_by(BLOCK as usize) {
            hash.update(self.block(at, self.size));
        }
        hex(hash)
    }
}

/// A digest in hexadecimal.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

thread_local! {
    static RANDOM: Vec<u8> = random();
}

fn random() -> Vec<u8> {
    let mut state = 0_u64;
    let words = (0..BLOCK / 8).flat_map(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_whole() {
        let source = Source { seed: 7, size: 3 * BLOCK + 5 };
        let (mut hash, mut at) = (Sha256::new(), 0);
        // Not every piece begins where a block does.
        for step in [100_001, u64::MAX, 3, u64::MAX, u64::MAX, u64::MAX] {
            let piece = source.block(at, source.size.min(at.saturating_add(step)));
            at += piece.len() as u64;
            hash.update(piece);
        }
        assert_eq!(at, source.size);
        assert_eq!(hex(hash), source.sha256());
    }
}
