//! Every option, filter and constant of every command is known to the FFmpeg of this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use reelmill_shared::{
    job::Pipeline,
    plan::{Deinterlacer, Hardware, Plan, Request},
    probe::{Limits, Probe, SourceInfo},
};
use serde_json::{Value, json};

/// What FFmpeg says about a topic, such as `filter=scale`.
#[expect(clippy::disallowed_methods, reason = "FFmpeg itself is asked")]
fn help(topic: &str) -> String {
    let told = Command::new("ffmpeg").args(["-hide_banner", "-h", topic]).output();
    String::from_utf8(told.expect("ffmpeg is installed").stdout).expect("text")
}

fn source(video: Value) -> SourceInfo {
    let mut stream = json!({"index": 0, "codec_type": "video", "codec_name": "h264", "width": 1921,
        "height": 1080, "pix_fmt": "yuv420p", "r_frame_rate": "25/1", "avg_frame_rate": "25/1"});
    let change = video.as_object().expect("an object").clone();
    stream.as_object_mut().expect("an object").extend(change);
    let audio = json!({"index": 1, "codec_type": "audio", "codec_name": "vorbis",
        "sample_rate": "48000", "channels": 2});
    let subtitle = json!({"index": 2, "codec_type": "subtitle", "codec_name": "subrip"});
    let json = json!({"format": {"format_name": "matroska,webm", "duration": "60"},
        "streams": [stream, audio, subtitle]});
    let probe = Probe::from_json(json.to_string().as_bytes()).expect("ffprobe's JSON");
    probe.check(&Limits::default(), &|_| true).expect("a source")
}

/// The commands of every way that frames may go.
fn commands() -> Vec<Vec<String>> {
    let sources = [
        json!({}),
        json!({"width": 1920}),
        json!({"width": 1920, "field_order": "tt"}),
        json!({"color_transfer": "smpte2084"}),
        json!({"width": 1920, "color_primaries": "bt2020"}),
    ];
    let formats = BTreeSet::from(["yuv420p".to_owned()]);
    let full = Hardware {
        decodes: BTreeMap::from([("h264".to_owned(), formats)]),
        scales: true,
        deinterlacer: Some(Deinterlacer::Yadif),
        sessions: 2,
    };
    let mut commands = Vec::new();
    for source in sources.map(source) {
        for format in ["cmaf", "ts"] {
            let pipeline: Pipeline =
                serde_json::from_value(json!({"segmentFormat": format})).expect("a pipeline");
            for hardware in [&full, &Hardware::default()] {
                let plan = Plan::new(&Request {
                    source: &source,
                    pipeline: &pipeline,
                    hardware,
                    preset: "veryfast",
                    input: "file:source",
                    max_seconds: 100.0,
                    take: 1,
                });
                commands.push(plan.args);
            }
        }
    }
    commands
}

/// Filters and their options, out of a graph.
fn filters(graph: &str) -> BTreeSet<(String, Option<String>)> {
    // What is quoted is an expression.
    let bare: String = graph.split('\'').step_by(2).collect();
    let mut found = BTreeSet::new();
    for chain in bare.split(';') {
        let body = chain.split_once(']').expect("a pad").1.split('[').next().expect("filters");
        for filter in body.split(',') {
            let (name, options) = filter.split_once('=').unwrap_or((filter, ""));
            found.insert((name.to_owned(), None));
            let named = options.split(':').filter_map(|pair| Some(pair.split_once('=')?.0));
            found.extend(named.map(|option| (name.to_owned(), Some(option.to_owned()))));
        }
    }
    found
}

/// Whether a help text lists an option or one of its constants.
fn lists(help: &str, name: &str) -> bool {
    help.lines().any(|line| line.split_whitespace().next() == Some(name))
}

#[test]
fn filters_and_their_options() {
    let graphs = commands().into_iter().map(|args| {
        let at = args.iter().position(|arg| arg == "-filter_complex").expect("a graph");
        args[at + 1].clone()
    });
    let used: BTreeSet<_> = graphs.flat_map(|graph| filters(&graph)).collect();
    for cuda in ["scale_cuda", "hwupload_cuda", "hwdownload", "yadif_cuda"] {
        assert!(used.contains(&(cuda.to_owned(), None)), "{used:?}");
    }
    // The resampler's own options are not among those of its filter.
    let full = help("full");
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for (filter, option) in &used {
        let text = texts.entry(filter).or_insert_with(|| help(&format!("filter={filter}")));
        assert!(text.starts_with(&format!("Filter {filter}")), "{filter}: {text}");
        if let Some(option) = option {
            let resampler = filter == "aresample" && lists(&full, &format!("-{option}"));
            assert!(resampler || lists(text, option), "{filter} has no {option}: {text}");
        }
    }
    let scale = &texts["scale_cuda"];
    assert!(lists(scale, "bicubic"), "{scale}");
}

/// The options of NVENC's own, and the constants that are given to them.
#[test]
fn options_of_nvenc() {
    let text = help("encoder=h264_nvenc");
    let command = commands().into_iter().find(|args| args.iter().any(|arg| arg == "h264_nvenc"));
    let command = command.expect("a command for NVENC");
    let start = command.iter().position(|arg| arg == "h264_nvenc").expect("there") + 1;
    let end = command.iter().position(|arg| arg == "-flags:v").expect("there");
    let (pairs, rest) = command[start..end].as_chunks::<2>();
    assert!(rest.is_empty() && pairs.len() > 8, "{command:?}");
    // Options of every encoder, which the help of one does not list.
    let general = ["-b:v", "-bf"];
    for [option, value] in pairs.iter().filter(|[option, _]| !general.contains(&option.as_str())) {
        let option = option.trim_end_matches(":v");
        assert!(lists(&text, option), "h264_nvenc has no {option}");
        let constant = value.parse::<f64>().is_err();
        assert!(!constant || lists(&text, value), "h264_nvenc has no {option} {value}");
    }
}

#[test]
fn options_of_ffmpeg() {
    let full = help("full");
    let words: BTreeSet<&str> =
        full.lines().filter_map(|line| line.split_whitespace().next()).collect();
    // With its stream specifier an option stands for the one without.
    let known = |option: &str| {
        let bare = option.split(':').next().unwrap_or_default();
        // `-nostdin` is `-stdin` denied.
        let denied = bare.strip_prefix("-no").map(|name| format!("-{name}")).unwrap_or_default();
        let words = words.iter().filter_map(|word| word.split(['[', ':']).next());
        words.into_iter().any(|word| word == bare || word == denied)
    };
    for args in commands() {
        // Numbers below 0 are values, and `-i` needs no word of explanation.
        let options = args.iter().filter(|arg| {
            let letter = arg.strip_prefix('-').and_then(|name| name.chars().next());
            letter.is_some_and(|letter| letter.is_ascii_alphabetic()) && *arg != "-i"
        });
        for option in options {
            assert!(known(option), "FFmpeg has no {option}");
        }
    }
}
