//! Sources that are put straight into R2 through its S3 API: how they are cut into parts, and
//! whether the parts that a client names are the whole.
//!
//! Part sizes follow [`layout`](crate::upload::layout). The entity tag of a part is the MD5 of its
//! bytes, and that of the whole the MD5 of its parts' MD5s with their number behind it: so from the
//! parts' tags it is known beforehand what the whole's must be. (S3 and R2 do so for objects that
//! are not encrypted with a customer's key.)

use md5::{Digest, Md5};

use crate::upload::layout::{MAX_OBJECT, MAX_PARTS, part_size};

/// How a source of known size is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    part_size: u64,
}

impl Plan {
    /// The plan for `size` bytes, or `None` if there is nothing to cut or no object may be so large.
    pub fn of(size: u64) -> Option<Self> {
        (1..=MAX_OBJECT).contains(&size).then(|| Self { size, part_size: part_size(size) })
    }

    /// A plan that was made earlier, when sizes may have been chosen otherwise.
    pub fn kept(size: u64, part_size: u64) -> Option<Self> {
        let fits = part_size > 0 && size > 0 && size.div_ceil(part_size) <= MAX_PARTS;
        fits.then_some(Self { size, part_size })
    }

    /// Size of the whole in bytes.
    pub const fn size(self) -> u64 {
        self.size
    }

    /// Size of every part but the last, in bytes.
    pub const fn part_size(self) -> u64 {
        self.part_size
    }

    /// How many parts there are, from 1 to 10 000.
    pub fn count(self) -> u16 {
        u16::try_from(self.size.div_ceil(self.part_size)).expect("at most 10 000 parts")
    }

    /// Size of the part with this number, from 1, in bytes.
    pub fn size_of(self, number: u16) -> Option<u64> {
        let before = u64::from(number.checked_sub(1)?) * self.part_size;
        (before < self.size).then(|| (self.size - before).min(self.part_size))
    }
}

/// A part's entity tag: the MD5 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartTag([u8; 16]);

impl PartTag {
    /// Reads 32 hexadecimal digits, with or without the quotes of an entity tag.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let digits = quoted.unwrap_or(text).as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut md5 = [0; 16];
        for (byte, pair) in md5.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        Some(Self(md5))
    }
}

impl std::fmt::Display for PartTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a list of parts is not the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWhole {
    /// There are more or fewer than planned.
    #[error("there are {given} parts in the list, not {planned}")]
    Count {
        /// Parts in the list.
        given: usize,
        /// Parts of the plan.
        planned: u16,
    },
    /// The list is not 1, 2, 3 …
    #[error("part {expected} is missing, out of order or there twice")]
    Order {
        /// The number that should stand here.
        expected: u16,
    },
    /// An entity tag is none.
    #[error("the entity tag of part {number} is no MD5 in hexadecimal")]
    Tag {
        /// The part.
        number: u16,
    },
    /// A part was never uploaded.
    #[error("part {number} is not there")]
    Absent {
        /// The part.
        number: u16,
    },
    /// A part is of another size than planned.
    #[error("part {number} has {size} bytes, not {planned}")]
    Size {
        /// The part.
        number: u16,
        /// Its size in bytes.
        size: u64,
        /// What it should be.
        planned: u64,
    },
    /// A part is not the one that the list names.
    #[error("part {number} has another entity tag")]
    Other {
        /// The part.
        number: u16,
    },
}

/// Checks that the list names every part of the plan once and in order, and reads their tags.
pub fn whole<'a>(
    plan: Plan,
    parts: impl ExactSizeIterator<Item = (u16, &'a str)>,
) -> Result<Vec<PartTag>, NotWhole> {
    let planned = plan.count();
    if parts.len() != usize::from(planned) {
        return Err(NotWhole::Count { given: parts.len(), planned });
    }
    (1..=planned)
        .zip(parts)
        .map(|(expected, (number, tag))| {
            if number != expected {
                return Err(NotWhole::Order { expected });
            }
            PartTag::parse(tag).ok_or(NotWhole::Tag { number })
        })
        .collect()
}

/// Checks that what is stored is what the list says, part by part. `stored` are number, size in
/// bytes and entity tag of the parts that are there, in any order.
pub fn stored<'a>(
    plan: Plan,
    tags: &[PartTag],
    stored: impl IntoIterator<Item = (u16, u64, &'a str)>,
) -> Result<(), NotWhole> {
    let mut found = vec![None; tags.len()];
    for (number, size, tag) in stored {
        // What lies beyond the plan is dropped with the rest when the whole is made.
        if let Some(slot) = number.checked_sub(1).and_then(|at| found.get_mut(usize::from(at))) {
            *slot = Some((size, PartTag::parse(tag)));
        }
    }
    for ((number, tag), found) in (1..).zip(tags).zip(found) {
        let (size, stored) = found.ok_or(NotWhole::Absent { number })?;
        let planned = plan.size_of(number).ok_or(NotWhole::Absent { number })?;
        if size != planned {
            return Err(NotWhole::Size { number, size, planned });
        }
        if stored != Some(*tag) {
            return Err(NotWhole::Other { number });
        }
    }
    Ok(())
}

/// The entity tag that the whole has once it is made of these parts, without quotes.
pub fn composite_tag(tags: &[PartTag]) -> String {
    let mut md5 = Md5::new();
    tags.iter().for_each(|tag| md5.update(tag.0));
    format!("{}-{}", PartTag(md5.finalize().into()), tags.len())
}

#[cfg(test)]
mod tests;
