//! Commands as they are, and that their graphs hold together.

mod golden;
mod graph;

use std::collections::BTreeMap;

use insta::assert_snapshot;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::probe::{Limits, Probe};

/// A source with one 1080p video, two audio tracks and one subtitle track, changed by `video`.
fn source(video: serde_json::Value) -> SourceInfo {
    let mut stream = json!({"index": 0, "codec_type": "video", "codec_name": "h264",
        "width": 1920, "height": 1080, "pix_fmt": "yuv420p", "r_frame_rate": "30000/1001",
        "avg_frame_rate": "30000/1001"});
    stream
        .as_object_mut()
        .expect("an object")
        .extend(video.as_object().expect("an object").clone());
    let audio = |index, rate, channels| {
        json!({"index": index, "codec_type": "audio", "codec_name": "aac", "sample_rate": rate,
            "channels": channels, "tags": {"language": "eng", "title": "';touch /tmp/x;'"}})
    };
    let subtitle = json!({"index": 3, "codec_type": "subtitle", "codec_name": "subrip"});
    let json = json!({"format": {"format_name": "mov,mp4", "duration": "600"},
        "streams": [stream, audio(1, "48000", 6), audio(2, "44100", 1), subtitle]});
    let probe = Probe::from_json(json.to_string().as_bytes()).expect("ffprobe's JSON");
    probe.check(&Limits::default(), &|_| true).expect("a source")
}

/// What a GPU with this class of engines does, as FFmpeg 5.1 lets it.
fn hardware(class: Class) -> Hardware {
    let formats = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let decodes = BTreeMap::from([
        ("h264".to_owned(), formats(&["yuv420p"])),
        ("hevc".to_owned(), formats(&["yuv420p", "yuv420p10le"])),
    ]);
    let (nvdec, nvenc) =
        (matches!(class, Class::Nvdec | Class::Full), matches!(class, Class::Nvenc | Class::Full));
    Hardware {
        decodes: if nvdec { decodes } else { BTreeMap::new() },
        scales: nvdec || nvenc,
        deinterlacer: (nvdec || nvenc).then_some(Deinterlacer::Yadif),
        sessions: if nvenc { 8 } else { 0 },
    }
}

fn plan(source: &SourceInfo, hardware: &Hardware, pipeline: &Pipeline) -> Plan {
    let (input, preset, max_seconds) = ("file:source", "veryfast", 43_200.0);
    Plan::new(&Request { source, pipeline, hardware, preset, input, max_seconds, take: 1 })
}

fn in_software(source: &SourceInfo) -> Plan {
    plan(source, &Hardware::default(), &Pipeline::default())
}

/// The command as a person would write it: a line an output, a line a filter chain.
fn command(plan: &Plan) -> String {
    let joined = plan.args.join(" ");
    joined.replace(" -map ", "\n-map ").replace(';', ";\n  ").replace(" -i ", "\n-i ")
}

#[test]
fn on_the_cpu() {
    assert_snapshot!(command(&in_software(&source(json!({})))));
}

#[test]
fn as_transport_stream_with_six_second_segments() {
    let pipeline: Pipeline =
        serde_json::from_value(json!({"segmentFormat": "ts", "segmentSeconds": 6}))
            .expect("a pipeline");
    let mut source = source(json!({"width": 640, "height": 360}));
    source.audio.truncate(1);
    assert_snapshot!(command(&plan(&source, &Hardware::default(), &pipeline)));
}

/// What the sources of the golden commands do not show.
#[rstest]
#[case::wide("wide", json!({"color_primaries": "bt2020"}))]
#[case::hlg("hlg", json!({"color_transfer": "arib-std-b67"}))]
#[case::variable("variable", json!({"avg_frame_rate": "13/1", "r_frame_rate": "1000/1"}))]
fn by_source(#[case] name: &str, #[case] video: serde_json::Value) {
    let mut source = source(video);
    source.audio.clear();
    source.subtitles.clear();
    let command = command(&in_software(&source));
    let first_output = command.split("\n-map ").take(2).collect::<Vec<_>>().join("\n-map ");
    assert_snapshot!(name, first_output);
}

/// Whatever an earlier encoder has published stays as it is: not a path is used again.
#[test]
fn anew_writes_where_nothing_was_written() {
    let source = source(json!({}));
    let at = |take| {
        let (source, pipeline, hardware) = (&source, &Pipeline::default(), &Hardware::default());
        let (preset, input, max_seconds) = ("veryfast", "file:source", 100.0);
        Plan::new(&Request { source, pipeline, hardware, preset, input, max_seconds, take })
    };
    let (first, second) = (at(1), at(2));
    assert_eq!(first.directories, ["v1080", "v720", "v480", "v360", "a0", "a1"]);
    assert_eq!(second.directories, ["v1080-2", "v720-2", "v480-2", "v360-2", "a0-2", "a1-2"]);
    let written = |plan: &Plan| {
        let files = plan.args.iter().filter(|arg| arg.contains('/') && !arg.contains(' '));
        files.filter(|arg| arg.contains(".m")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(written(&first).len(), written(&second).len());
    assert!(written(&second).iter().all(|file| !written(&first).contains(file)));
}

#[test]
fn no_text_of_the_source_reaches_the_command() {
    assert!(!command(&in_software(&source(json!({})))).contains("touch"));
}

#[rstest]
#[case(4, "gte(t,n_forced*4/2)", "60")]
#[case(5, "gte(t,n_forced*5/3)", "50")]
#[case(6, "gte(t,n_forced*6/3)", "60")]
fn key_frames_divide_segments(#[case] seconds: u8, #[case] expression: &str, #[case] group: &str) {
    let pipeline = serde_json::from_value(json!({"segmentSeconds": seconds})).expect("a pipeline");
    let args = plan(&source(json!({})), &Hardware::default(), &pipeline).args;
    let value = |option: &str| {
        let at = args.iter().position(|arg| arg == option).expect("the option");
        args[at + 1].clone()
    };
    assert_eq!(value("-force_key_frames"), format!("expr:{expression}"));
    assert_eq!(value("-g"), group);
}
