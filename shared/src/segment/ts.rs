//! MPEG-2 transport stream (ISO/IEC 13818-1), as far as a single H.264 track needs it.

/// Bytes of a packet.
const PACKET: usize = 188;
/// First byte of every packet.
const SYNC: u8 = 0x47;

/// A packet that carries a part of a PES packet of the video track.
struct Part<'a> {
    /// Where the packet begins in the segment.
    offset: usize,
    /// Whether a new PES packet, and so a new frame, begins here.
    starts: bool,
    payload: &'a [u8],
}

/// The packets of the video track: those on the first identifier whose payload starts as a video
/// PES packet does (stream id 0xE0 to 0xEF).
fn video_parts(segment: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut video = None;
    segment.chunks_exact(PACKET).enumerate().filter_map(move |(number, packet)| {
        if packet[0] != SYNC {
            return None;
        }
        let id = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let starts = packet[1] & 0x40 != 0;
        let header = if packet[3] & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 };
        let payload = packet.get(header..).filter(|_| packet[3] & 0x10 != 0)?;
        if starts && video.is_none() && matches!(payload, [0, 0, 1, 0xe0..=0xef, ..]) {
            video = Some(id);
        }
        (video == Some(id)).then_some(Part { offset: number * PACKET, starts, payload })
    })
}

/// Where the packet before the second frame ends.
pub(super) fn first_frame_end(segment: &[u8]) -> Option<usize> {
    let mut frames = video_parts(segment).filter(|part| part.starts);
    frames.next()?;
    Some(frames.next().map_or(segment.len(), |second| second.offset))
}

/// Profile, constraint flags and level: the first bytes of the sequence parameter set (H.264
/// section 7.3.2.1.1) in the first frame.
pub(super) fn h264_profile(segment: &[u8]) -> Option<[u8; 3]> {
    let mut frame = Vec::new();
    for (number, part) in video_parts(segment).enumerate() {
        if part.starts && number > 0 {
            break;
        }
        frame.extend_from_slice(part.payload);
    }
    let is_sps = |window: &&[u8]| matches!(window, [0, 0, 1, nal, ..] if nal & 0x1f == 7);
    let sps = frame.windows(7).find(is_sps)?;
    sps[4..7].try_into().ok()
}
