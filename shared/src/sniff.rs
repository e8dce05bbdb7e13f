//! What a source is by its first bytes, never by its name.
//!
//! Signatures are those of the `infer` crate, and MPEG transport streams by their sync bytes
//! (ISO/IEC 13818-1 §2.4.3.2). This only labels the source: what it really is, ffprobe decides.

/// How many of the first bytes are worth looking at.
pub const SNIFFED_BYTES: usize = 4096;

/// Length of a transport stream packet in bytes.
const TS_PACKET: usize = 188;
const TS_SYNC: u8 = 0x47;

/// The media type of what begins with `first`, or `None` where no signature is known.
pub fn content_type(first: &[u8]) -> Option<&'static str> {
    if is_transport_stream(first) {
        return Some("video/mp2t");
    }
    infer::get(first).map(|kind| kind.mime_type())
}

/// Three sync bytes a packet apart; less would call much plain text (`G`) a stream.
fn is_transport_stream(first: &[u8]) -> bool {
    (0..3).all(|packet| first.get(packet * TS_PACKET) == Some(&TS_SYNC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", Some("video/mp4"))]
    #[case(b"ID3\x04\0\0\0\0\0\0", Some("audio/mpeg"))]
    #[case(b"fLaC\0\0\0\x22", Some("audio/x-flac"))]
    #[case(b"<!DOCTYPE html><html>", Some("text/html"))]
    #[case(b"just some words", None)]
    #[case(b"", None)]
    fn tells(#[case] first: &[u8], #[case] expected: Option<&str>) {
        assert_eq!(content_type(first), expected);
    }

    #[test]
    fn matroska_is_told_by_its_document_type() {
        let mut header = b"\x1a\x45\xdf\xa3\x42\x82\x84webm".to_vec();
        header.resize(300, 0);
        assert_eq!(content_type(&header), Some("video/webm"));
    }

    #[test]
    fn a_transport_stream_needs_three_packets() {
        let mut bytes = vec![0; 3 * TS_PACKET];
        bytes[0] = TS_SYNC;
        bytes[TS_PACKET] = TS_SYNC;
        assert_eq!(content_type(&bytes), None);
        bytes[2 * TS_PACKET] = TS_SYNC;
        assert_eq!(content_type(&bytes), Some("video/mp2t"));
    }
}
