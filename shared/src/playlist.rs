//! HLS playlists: RFC 8216, with `EXT-X-MAP` for CMAF as RFC 8216bis has it.
//!
//! Media playlists grow (`EVENT`) while encoding goes on and end as `VOD`; the multivariant one
//! starts with the caps of the ladder and ends with bandwidths measured from the segments. Whatever
//! comes from the source (track titles, languages) is cleaned before it is quoted.

mod bandwidth;
mod media;
mod multivariant;
mod text;

pub use bandwidth::Bandwidth;
pub use media::{LocalSegment, MediaPlaylist, Segment, read_local};
pub use multivariant::{AudioRendition, Multivariant, SubtitleRendition, Variant};
pub use text::language_tag;

#[cfg(test)]
mod tests;
