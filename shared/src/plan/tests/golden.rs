//! The command of every class of hardware for every kind of source.

use insta::assert_snapshot;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// An H.264 in 4:2:2, as cameras for television write it.
fn chroma_422() -> Value {
    json!({"pix_fmt": "yuv422p10le", "profile": "High 4:2:2"})
}

fn hdr10() -> Value {
    json!({"codec_name": "hevc", "pix_fmt": "yuv420p10le", "width": 3840, "height": 2160,
        "color_transfer": "smpte2084", "color_primaries": "bt2020", "color_space": "bt2020nc"})
}

#[rstest]
fn every_class_and_source(
    #[values(Class::None, Class::Nvdec, Class::Nvenc, Class::Full)] class: Class,
    #[values("plain", "hdr10", "interlaced", "rotated", "chroma_422", "audio_only")] name: &str,
) {
    let video = match name {
        "hdr10" => hdr10(),
        "interlaced" => json!({"field_order": "tt"}),
        "rotated" => json!({"side_data_list": [{"rotation": 90}]}),
        "chroma_422" => chroma_422(),
        _ => json!({}),
    };
    let mut source = source(video);
    source.audio.truncate(1);
    source.subtitles.clear();
    if name == "audio_only" {
        source.video = None;
    }
    let plan = plan(&source, &hardware(class), &Pipeline::default());
    let label = format!("{class:?}_{name}").to_lowercase();
    assert_snapshot!(label, command(&plan));
}

/// What decides over a GPU's part is what it was seen to do, and what the source is.
#[rstest]
#[case::plain(json!({}), |_: &mut Hardware| (), true, true)]
#[case::codec_not_seen(json!({"codec_name": "av1"}), |_: &mut Hardware| (), false, false)]
#[case::depth_not_seen(json!({"pix_fmt": "yuv420p10le"}), |_: &mut Hardware| (), false, false)]
#[case::no_cuda_filters(json!({}), |hardware: &mut Hardware| hardware.scales = false, true, false)]
#[case::no_deinterlacer(
    json!({"field_order": "tt"}), |hardware: &mut Hardware| hardware.deinterlacer = None, true, false
)]
#[case::full_range(json!({"pix_fmt": "yuvj420p"}), |_: &mut Hardware| (), true, false)]
#[case::said_to_be_full(json!({"color_range": "pc"}), |_: &mut Hardware| (), true, false)]
#[case::odd(json!({"width": 1919}), |_: &mut Hardware| (), false, false)]
#[case::small(json!({"width": 256, "height": 100}), |_: &mut Hardware| (), false, false)]
#[case::huge(json!({"width": 4098}), |_: &mut Hardware| (), false, false)]
#[case::nothing_decoded(json!({"pix_fmt": "unknown"}), |_: &mut Hardware| (), false, false)]
fn what_nvdec_decodes_and_keeps(
    #[case] video: Value,
    #[case] change: fn(&mut Hardware),
    #[case] decodes: bool,
    #[case] keeps: bool,
) {
    let mut hardware = hardware(Class::Nvdec);
    change(&mut hardware);
    let plan = plan(&source(video), &hardware, &Pipeline::default());
    assert_eq!(plan.decoder == Some(Decoder::Nvdec), decodes);
    assert_eq!(plan.args.contains(&"-hwaccel".to_owned()), decodes);
    assert_eq!(plan.args.contains(&"-hwaccel_output_format".to_owned()), keeps);
}

/// A card with too few sessions encodes the largest renditions, the CPU the rest, at the same frames.
#[rstest]
#[case(0, &[Encoder::X264; 4], "libx264")]
#[case(1, &[Encoder::Nvenc, Encoder::X264, Encoder::X264, Encoder::X264], "h264_nvenc+libx264")]
#[case(3, &[Encoder::Nvenc, Encoder::Nvenc, Encoder::Nvenc, Encoder::X264], "h264_nvenc+libx264")]
#[case(9, &[Encoder::Nvenc; 4], "h264_nvenc")]
fn sessions_are_never_exceeded(
    #[case] sessions: u32,
    #[case] encoders: &[Encoder],
    #[case] name: &str,
) {
    let (source, hardware) = (source(json!({})), Hardware { sessions, ..hardware(Class::Full) });
    let plan = plan(&source, &hardware, &Pipeline::default());
    assert_eq!(plan.video.iter().map(|output| output.encoder).collect::<Vec<_>>(), encoders);
    assert_eq!(plan.encoder().as_deref(), Some(name));
    assert!(plan.sessions() <= sessions && sessions_wanted(&source) == 4);
    let all = |option: &str| {
        let at = plan.args.iter().enumerate().filter(|(_, arg)| *arg == option);
        at.map(|(at, _)| plan.args[at + 1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(all("-force_key_frames"), vec!["expr:gte(t,n_forced*4/2)"; 4]);
    assert_eq!(all("-g"), vec!["60"; 4]);
}

/// NVENC has a smallest picture and a largest.
#[rstest]
#[case(json!({"width": 128, "height": 96}), 0)]
#[case(json!({"width": 200, "height": 50}), 0)]
#[case(json!({"width": 320, "height": 180}), 1)]
fn what_nvenc_does_not_take_is_for_x264(#[case] video: Value, #[case] wanted: u32) {
    let source = source(video);
    assert_eq!(sessions_wanted(&source), wanted);
    let plan = plan(&source, &hardware(Class::Full), &Pipeline::default());
    assert_eq!(plan.sessions(), wanted);
}
