use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::job::FailureCode::*;

fn video() -> Value {
    json!({"index": 0, "codec_type": "video", "codec_name": "h264", "width": 1280, "height": 720,
        "pix_fmt": "yuv420p", "field_order": "progressive", "r_frame_rate": "24/1",
        "avg_frame_rate": "24/1", "disposition": {"default": 1}})
}

fn audio() -> Value {
    json!({"index": 1, "codec_type": "audio", "codec_name": "aac", "sample_rate": "48000",
        "channels": 2, "disposition": {"default": 1}, "tags": {"language": "eng"}})
}

/// `base` with `changes` laid over it.
fn with(mut base: Value, changes: Value) -> Value {
    let (Value::Object(base_map), Value::Object(changes)) = (&mut base, changes) else {
        panic!("two objects")
    };
    base_map.extend(changes);
    base
}

fn check_in(format: &str, streams: &[Value]) -> Result<SourceInfo, Failure> {
    let json = json!({"streams": streams, "format": {"format_name": format, "duration": "10.5"}});
    Probe::from_json(json.to_string().as_bytes())
        .expect("ffprobe's JSON")
        .check(&Limits::default(), &|codec| codec != "vvc")
}

fn check(streams: &[Value]) -> Result<SourceInfo, Failure> {
    check_in("mov,mp4,m4a,3gp,3g2,mj2", streams)
}

fn picture(changes: Value) -> VideoTrack {
    check(&[with(video(), changes)]).expect("a source").video.expect("a video track")
}

#[test]
fn reads_an_ordinary_file() {
    insta::assert_json_snapshot!(check(&[video(), audio()]).expect("a source"));
}

#[rstest]
#[case::turned(json!({"side_data_list": [{"side_data_type": "x"}, {"rotation": 90}]}), (720, 1280))]
#[case::turned_back(json!({"side_data_list": [{"rotation": -270}]}), (720, 1280))]
#[case::upside_down(json!({"side_data_list": [{"rotation": 180}]}), (1280, 720))]
#[case::wide_pixels(json!({"sample_aspect_ratio": "2:1"}), (2560, 720))]
#[case::tall_pixels(json!({"sample_aspect_ratio": "1:2"}), (1280, 1440))]
#[case::wide_and_turned(
    json!({"sample_aspect_ratio": "2:1", "side_data_list": [{"rotation": 90}]}), (720, 2560))]
#[case::no_aspect(json!({"sample_aspect_ratio": "0:1"}), (1280, 720))]
#[case::nonsense_aspect(json!({"sample_aspect_ratio": "9999:1"}), (1280, 720))]
fn sees_what_a_viewer_sees(#[case] changes: Value, #[case] expected: (u32, u32)) {
    let video = picture(changes);
    assert_eq!((video.width, video.height), expected);
}

#[rstest]
#[case(json!({"color_transfer": "smpte2084", "color_primaries": "bt2020"}), Colour::Pq)]
#[case(json!({"color_transfer": "arib-std-b67"}), Colour::Hlg)]
#[case(json!({"color_transfer": "bt2020-10", "color_primaries": "bt2020"}), Colour::Wide)]
#[case(json!({"color_transfer": "bt709"}), Colour::Sdr)]
fn knows_colours(#[case] changes: Value, #[case] expected: Colour) {
    assert_eq!(picture(changes).colour, expected);
}

#[rstest]
#[case::top_first(json!({"field_order": "tt"}), true)]
#[case::bottom_first(json!({"field_order": "bt"}), true)]
#[case::progressive(json!({"field_order": "progressive"}), false)]
#[case::unknown(json!({"field_order": "unknown"}), false)]
#[case::dv(json!({"codec_name": "dvvideo", "field_order": "unknown"}), true)]
#[case::unsaid_dv(json!({"codec_name": "dvvideo", "field_order": null}), true)]
#[case::progressive_dv(json!({"codec_name": "dvvideo", "field_order": "progressive"}), false)]
fn knows_what_is_interlaced(#[case] changes: Value, #[case] expected: bool) {
    assert_eq!(picture(changes).interlaced, expected);
}

#[rstest]
#[case::fields("tt", "60000/1001", "30000/1001", "30000/1001")]
#[case::frames("tt", "25/1", "25/1", "25/1")]
#[case::pulled_down("tt", "30000/1001", "24000/1001", "30000/1001")]
#[case::no_fields("progressive", "60/1", "30/1", "60/1")]
fn fields_are_no_frames(
    #[case] order: &str,
    #[case] common: &str,
    #[case] average: &str,
    #[case] expected: &str,
) {
    let rates = json!({"field_order": order, "r_frame_rate": common, "avg_frame_rate": average});
    assert_eq!(picture(rates).frame_rate.to_string(), expected);
}

#[test]
fn cover_art_is_no_video() {
    let cover = with(video(), json!({"codec_name": "mjpeg", "disposition": {"attached_pic": 1}}));
    let source = check_in("mp3", &[audio(), cover.clone()]).expect("a source");
    assert_eq!((source.video, source.audio.len()), (None, 1));
    assert_eq!(check(&[cover]).expect_err("only a cover").code, NoStreams);
}

#[test]
fn picks_the_default_and_then_the_largest_and_then_the_first_video() {
    let pick = |sizes: &[(u32, i32)]| {
        let streams: Vec<Value> = (0..)
            .zip(sizes)
            .map(|(index, (width, default))| {
                let changes = json!({"index": index, "width": width,
                    "disposition": {"default": default}});
                with(video(), changes)
            })
            .collect();
        check(&streams).expect("a source").video.expect("a video track").index
    };
    assert_eq!(pick(&[(640, 0), (320, 1)]), 1);
    assert_eq!(pick(&[(320, 1), (640, 1)]), 1);
    assert_eq!(pick(&[(640, 1), (640, 1)]), 0);
}

#[rstest]
#[case::playlist("hls", UnsupportedMedia)]
#[case::gif("gif", UnsupportedMedia)]
#[case::image("png_pipe", UnsupportedMedia)]
#[case::text("tty", UnsupportedMedia)]
#[case::nothing("", UnsupportedMedia)]
fn refuses_the_format(#[case] format: &str, #[case] expected: FailureCode) {
    assert_eq!(check_in(format, &[video()]).expect_err("refused").code, expected);
}

#[rstest]
#[case::no_streams(vec![], NoStreams)]
#[case::data_only(vec![json!({"index": 0, "codec_type": "data"})], NoStreams)]
#[case::untyped(vec![json!({"index": 0})], NoStreams)]
#[case::no_codec(vec![with(video(), json!({"codec_name": null}))], UnsupportedCodec)]
#[case::unknown_codec(vec![with(video(), json!({"codec_name": "unknown"}))], UnsupportedCodec)]
#[case::no_decoder(vec![with(video(), json!({"codec_name": "vvc"})), audio()], UnsupportedCodec)]
#[case::no_audio_decoder(vec![with(audio(), json!({"codec_name": "vvc"}))], UnsupportedCodec)]
#[case::no_size(vec![with(video(), json!({"width": 0}))], CorruptMedia)]
#[case::pixels(vec![with(video(), json!({"width": 16000, "height": 16000}))], LimitExceeded)]
#[case::overflow(vec![with(video(), json!({"width": u32::MAX, "height": u32::MAX}))], LimitExceeded)]
#[case::channels(vec![with(audio(), json!({"channels": 64}))], LimitExceeded)]
#[case::no_channels(vec![with(audio(), json!({"channels": 0}))], LimitExceeded)]
#[case::slow(vec![with(audio(), json!({"sample_rate": "1"}))], LimitExceeded)]
#[case::fast(vec![with(audio(), json!({"sample_rate": "4000000000"}))], LimitExceeded)]
#[case::streams(vec![audio(); 33], LimitExceeded)]
fn refuses(#[case] streams: Vec<Value>, #[case] expected: FailureCode) {
    assert_eq!(check(&streams).expect_err("refused").code, expected);
}

#[rstest]
#[case::a_billion_seconds("1000000000", Err(LimitExceeded))]
#[case::none("N/A", Ok(None))]
#[case::infinite("inf", Ok(None))]
#[case::negative("-1", Ok(None))]
#[case::twelve_hours("43200", Ok(Some(43200.0)))]
fn takes_durations(#[case] text: &str, #[case] expected: Result<Option<f64>, FailureCode>) {
    let json = json!({"streams": [audio()], "format": {"format_name": "wav", "duration": text}});
    let probe = Probe::from_json(json.to_string().as_bytes()).expect("ffprobe's JSON");
    let checked = probe.check(&Limits::default(), &|_| true);
    assert_eq!(checked.map(|source| source.duration).map_err(|failure| failure.code), expected);
}

#[rstest]
#[case::late_start(&[("10", "4")], 4.0)]
#[case::sound_before_the_picture(&[("0", "10"), ("1", "9.5")], 10.5)]
#[case::before_zero(&[("-2.2", "3")], 3.0)]
#[case::one_without(&[("0", "4"), ("0", "N/A")], 16.57)]
fn lasts_as_long_as_the_streams_that_are_made(
    #[case] spans: &[(&str, &str)],
    #[case] expected: f64,
) {
    let made = (0..).zip(spans).map(|(index, (start, duration))| {
        with(audio(), json!({"index": index, "start_time": start, "duration": duration}))
    });
    let left_out = json!({"index": 9, "codec_type": "subtitle", "codec_name": "subrip",
        "start_time": "0", "duration": "16.57"});
    let streams: Vec<Value> = made.chain([left_out]).collect();
    let json = json!({"streams": streams, "format": {"format_name": "mov", "duration": "16.57"}});
    let probe = Probe::from_json(json.to_string().as_bytes()).expect("ffprobe's JSON");
    let duration = probe.check(&Limits::default(), &|_| true).expect("a source").duration;
    assert!((duration.expect("a duration") - expected).abs() < 1e-9, "{duration:?}");
}

#[rstest]
#[case::ffmpeg_tells_the_end("Lavf59.27.100", "10.0", "00:00:14.021000000", 4.021)]
#[case::others_tell_the_length("libebml v1.4.2", "10.0", "00:00:14.021000000", 14.021)]
#[case::before_its_own_start("Lavf59.27.100", "10.0", "00:00:04.000000000", 4.0)]
#[case::longer_than_the_container("libebml v1.4.2", "0", "99:00:00.000000000", 70.5)]
#[case::nonsense("Lavf", "0", "soon", 70.5)]
#[case::nothing("Lavf", "0", "00:00:00.000000000", 70.5)]
#[case::negative("Lavf", "0", "-1:00:00.000000000", 70.5)]
fn matroska_tells_durations_in_tags(
    #[case] muxer: &str,
    #[case] start: &str,
    #[case] tag: &str,
    #[case] expected: f64,
) {
    let sound = with(audio(), json!({"start_time": start, "tags": {"DURATION": tag}}));
    let subtitle = json!({"index": 2, "codec_type": "subtitle", "codec_name": "subrip",
        "start_time": "0", "duration": "70.5"});
    let json = json!({"streams": [sound, subtitle], "format": {"format_name": "matroska,webm",
        "duration": "70.5", "tags": {"encoder": muxer}}});
    let probe = Probe::from_json(json.to_string().as_bytes()).expect("ffprobe's JSON");
    let source = probe.check(&Limits::default(), &|_| true).expect("a source");
    let duration = source.duration.expect("a duration");
    assert!((duration - expected).abs() < 1e-9, "{duration}");
    assert_eq!(source.container_duration, Some(70.5));
}

#[test]
fn leaves_out_what_it_can_do_without_and_says_so() {
    let tracks = [
        video(),
        with(audio(), json!({"index": 1, "codec_name": "vvc"})),
        with(audio(), json!({"index": 2, "disposition": {"default": 0}})),
        with(audio(), json!({"index": 3, "tags": {"LANGUAGE": "fra", "title": "a\n\"b\""}})),
        json!({"index": 4, "codec_type": "subtitle", "codec_name": "hdmv_pgs_subtitle"}),
        json!({"index": 5, "codec_type": "subtitle", "codec_name": "subrip"}),
    ];
    let source = check(&tracks).expect("a source");
    let indexes: Vec<u32> = source.audio.iter().map(|track| track.index).collect();
    assert_eq!(indexes, [3, 2], "the default comes first");
    assert_eq!(source.audio[0].language.as_deref(), Some("fra"));
    assert_eq!(source.audio[0].title.as_deref(), Some("a\"b\""), "no control characters");
    assert_eq!(source.subtitles.len(), 1);
    assert_eq!(source.warnings.len(), 2, "{:?}", source.warnings);
}

#[test]
fn makes_at_most_eight_tracks_of_a_kind() {
    let source = check(&vec![audio(); 11]).expect("a source");
    assert_eq!(source.audio.len(), 8);
    assert_eq!(source.warnings, ["3 audio tracks left out: at most 8"]);
}
