use insta::assert_snapshot;
use m3u8_rs::Playlist;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    frame_rate::FrameRate,
    job::{SegmentFormat, SegmentSeconds},
    probe::{AudioTrack, SubtitleTrack},
};

const fn segment(seconds: f64, bytes: u64) -> Segment {
    Segment { seconds, bytes, key_frame_bytes: Some(bytes / 4) }
}

fn media(format: SegmentFormat) -> MediaPlaylist {
    let mut playlist = MediaPlaylist::new(format, SegmentSeconds::default());
    playlist.segments = vec![segment(4.004, 1000), segment(4.004, 3000), segment(1.5, 400)];
    playlist
}

fn audio(title: Option<&str>, language: Option<&str>) -> AudioRendition {
    AudioRendition {
        directory: "a0".to_owned(),
        track: AudioTrack {
            index: 1,
            codec: "aac".to_owned(),
            channels: 2,
            sample_rate: 48_000,
            language: language.map(str::to_owned),
            title: title.map(str::to_owned),
            default: true,
        },
        bandwidth: Some(Bandwidth { peak: 131_000, average: 129_000 }),
    }
}

fn multivariant() -> Multivariant {
    let variant = |height, width, peak: u64, rate| Variant {
        directory: format!("v{height}"),
        width,
        height,
        frame_rate: rate,
        codec: Some("avc1.64001f".to_owned()),
        max_bit_rate: 2_500_000,
        bandwidth: Some(Bandwidth { peak, average: peak / 2 }),
        i_frames: Some(Bandwidth { peak: peak / 10, average: peak / 20 }),
    };
    let ntsc = FrameRate::new(30_000, 1001);
    let mut second = audio(None, Some("und"));
    second.directory = "a1".to_owned();
    second.bandwidth = Some(Bandwidth { peak: 140_000, average: 120_000 });
    Multivariant {
        segment_format: SegmentFormat::Cmaf,
        video: vec![variant(720, 1280, 2_400_000, ntsc), variant(360, 640, 600_000, ntsc)],
        audio: vec![audio(Some("Director's \"cut\"\n#EXT-X-KEY:METHOD=NONE"), Some("fre")), second],
        subtitles: vec![SubtitleRendition {
            directory: "s0".to_owned(),
            track: SubtitleTrack {
                index: 2,
                codec: "subrip".to_owned(),
                language: Some("deu".to_owned()),
                title: None,
                default: true,
                forced: false,
                hearing_impaired: true,
            },
        }],
    }
}

#[test]
fn grows_and_ends() {
    let mut playlist = media(SegmentFormat::Cmaf);
    playlist.segments.truncate(1);
    assert_snapshot!("growing", playlist.to_string());
    playlist = media(SegmentFormat::Cmaf);
    playlist.ended = true;
    assert_snapshot!("ended", playlist.to_string());
}

#[test]
fn i_frames() {
    let mut playlist = media(SegmentFormat::Ts);
    playlist.ended = true;
    assert_snapshot!(playlist.i_frames().expect("key frames"));
    playlist.segments[1].key_frame_bytes = None;
    assert_eq!(playlist.i_frames(), None);
    assert_eq!(MediaPlaylist::web_vtt(&[4.0]).i_frames(), None);
}

#[test]
fn lists_everything() {
    assert_snapshot!(multivariant().to_string());
}

#[test]
fn lists_caps_while_nothing_is_measured() {
    let mut playlist = multivariant();
    playlist.subtitles.clear();
    for variant in &mut playlist.video {
        (variant.bandwidth, variant.i_frames) = (None, None);
    }
    for audio in &mut playlist.audio {
        audio.bandwidth = None;
    }
    assert_snapshot!(playlist.to_string());
}

#[test]
fn lists_audio_alone() {
    let mut playlist = multivariant();
    playlist.video.clear();
    playlist.audio.truncate(1);
    assert_snapshot!(playlist.to_string());
}

/// RFC 8216 section 4.1: runs of segments from half to one and a half target durations.
#[rstest]
#[case::one(&[segment(4.0, 1000)], 2000, 2000)]
#[case::peak_is_the_largest(&[segment(4.0, 1000), segment(4.0, 3000)], 6000, 4000)]
#[case::a_short_rest_is_no_peak(&[segment(4.0, 1000), segment(0.02, 500)], 2986, 2986)]
#[case::short_ones_together(&[segment(1.0, 100), segment(1.0, 100)], 800, 800)]
#[case::shorter_than_half(&[segment(0.5, 100)], 1600, 1600)]
fn measures(#[case] segments: &[Segment], #[case] peak: u64, #[case] average: u64) {
    assert_eq!(Bandwidth::measure(segments, 4), Some(Bandwidth { peak, average }));
}

#[test]
fn measures_nothing_where_nothing_is() {
    assert_eq!(Bandwidth::measure(&[], 4), None);
    assert_eq!(Bandwidth::measure(&[segment(0.0, 10)], 4), None);
}

#[test]
fn target_duration_never_shrinks_below_the_nominal_one() {
    let mut playlist = media(SegmentFormat::Cmaf);
    assert_eq!(playlist.target_seconds(), 4);
    playlist.segments.push(segment(5.6, 1));
    assert_eq!(playlist.target_seconds(), 6);
}

#[rstest]
#[case("eng", Some("en"))]
#[case("ger", Some("de"))]
#[case("deu", Some("de"))]
#[case("de", Some("de"))]
#[case("yue", Some("yue"))]
#[case("pt-BR", Some("pt-BR"))]
#[case("zh_Hant", Some("zh-Hant"))]
#[case("und", None)]
#[case("", None)]
#[case("english", None)]
#[case("en\"\n#EXT", None)]
#[case("en-\"x", None)]
fn tags_languages(#[case] code: &str, #[case] expected: Option<&str>) {
    assert_eq!(language_tag(code).as_deref(), expected);
}

#[test]
fn reads_what_ffmpeg_keeps() {
    let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4.010667,\n\
                000000.m4s\n#EXTINF:3.989333,\n000001.m4s\n";
    let (segments, ended) = read_local(text, 0);
    assert_eq!((segments.len(), ended), (2, false));
    let (segments, ended) = read_local(&format!("{text}#EXT-X-ENDLIST\n"), 1);
    assert_eq!(segments, [LocalSegment { name: "000001.m4s".to_owned(), seconds: 3.989_333 }]);
    assert!(ended);
}

proptest! {
    /// Another implementation reads what we write, and hostile names change nothing but names.
    #[test]
    fn another_parser_agrees(title in "\\PC{0,40}|[\"\\n\\r,=#]{0,20}", language in "[a-z\"\\n-]{0,6}") {
        let mut playlist = multivariant();
        playlist.audio[0].track.title = Some(title);
        playlist.audio[0].track.language = Some(language);
        let text = playlist.to_string();
        let Ok((_, Playlist::MasterPlaylist(parsed))) = m3u8_rs::parse_playlist(text.as_bytes()) else {
            return Err(TestCaseError::fail("not a multivariant playlist"));
        };
        prop_assert_eq!(parsed.variants.len(), 4);
        prop_assert_eq!(parsed.variants[0].bandwidth, 2_540_000);
        prop_assert_eq!(parsed.alternatives.len(), 3);
        prop_assert_eq!(parsed.alternatives[0].uri.as_deref(), Some("a0/index.m3u8"));
        prop_assert!(parsed.unknown_tags.is_empty());
    }

    #[test]
    fn another_parser_agrees_on_media(lengths in prop::collection::vec(0.01f64..6.4, 1..50)) {
        let mut playlist = MediaPlaylist::new(SegmentFormat::Cmaf, SegmentSeconds::default());
        playlist.segments = lengths.iter().map(|seconds| segment(*seconds, 1000)).collect();
        playlist.ended = true;
        let Ok((_, Playlist::MediaPlaylist(parsed))) =
            m3u8_rs::parse_playlist(playlist.to_string().as_bytes())
        else {
            return Err(TestCaseError::fail("not a media playlist"));
        };
        prop_assert_eq!(parsed.segments.len(), lengths.len());
        for segment in &parsed.segments {
            prop_assert!(u64::from(segment.duration.round() as u32) <= parsed.target_duration);
        }
        prop_assert!(parsed.end_list);
    }
}
