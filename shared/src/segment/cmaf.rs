//! Fragmented MP4 (ISO/IEC 14496-12).

use mp4_atom::{Atom, Codec, Decode, DecodeAtom, Header, Moof, Moov};

/// Profile, constraint flags and level from the `avcC` of an initialization segment.
pub(super) fn h264_profile(init: &[u8]) -> Option<[u8; 3]> {
    let (_, moov): (_, Moov) = find(init)?;
    match moov.trak.first()?.mdia.minf.stbl.stsd.codecs.first()? {
        Codec::Avc1(entry) => Some([
            entry.avcc.avc_profile_indication,
            entry.avcc.profile_compatibility,
            entry.avcc.avc_level_indication,
        ]),
        _ => None,
    }
}

/// Where the first sample of the first fragment ends.
pub(super) fn first_sample_end(segment: &[u8]) -> Option<usize> {
    let (start, moof): (_, Moof) = find(segment)?;
    let fragment = moof.traf.first()?;
    let run = fragment.trun.first()?;
    let size = run.samples.get(0)?.size.or(fragment.tfhd.default_sample_size)?;
    // `default-base-is-moof`: the run's data are counted from the start of its `moof`.
    let data = usize::try_from(run.data_offset?).ok()?;
    start.checked_add(data)?.checked_add(usize::try_from(size).ok()?)
}

/// The first top-level box of a kind, and where it starts.
fn find<T: Atom + DecodeAtom>(file: &[u8]) -> Option<(usize, T)> {
    let mut rest = file;
    while !rest.is_empty() {
        let start = file.len() - rest.len();
        let header = Header::decode(&mut rest).ok()?;
        let mut body = rest.get(..header.size?)?;
        if header.kind == T::KIND {
            return Some((start, T::decode_atom(&header, &mut body).ok()?));
        }
        rest = &rest[header.size?..];
    }
    None
}
