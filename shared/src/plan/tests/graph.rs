//! That frames are where a filter or an encoder wants them, in every graph that can be planned.
//!
//! Checked as FFmpeg does: CUDA filters take frames in GPU memory alone, others none of them,
//! `hwdownload` gives them in the format that they have there, and pads fit together.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Where frames are: in main memory, or in GPU memory in a format.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    Main,
    Gpu(String),
}

/// Filters that do not look at pixels, and so take frames wherever they are.
const BLIND: &[&str] = &["fps", "split", "select", "setsar"];

fn after(filter: &str, next: Option<&str>, place: Place, format: &mut String) -> Place {
    let (name, options) = filter.split_once('=').unwrap_or((filter, ""));
    let option = |wanted: &str| {
        options.split(':').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='))
    };
    match (name, place) {
        ("scale_cuda", Place::Gpu(_)) => Place::Gpu(option("format").expect("a format").to_owned()),
        ("yadif_cuda" | "bwdif_cuda", place @ Place::Gpu(_)) => place,
        ("hwdownload", Place::Gpu(surface)) => {
            assert_eq!(next, Some(format!("format={surface}").as_str()), "after hwdownload");
            *format = surface;
            Place::Main
        }
        ("hwupload_cuda", Place::Main) => Place::Gpu(format.clone()),
        ("format", Place::Main) => {
            *format = options.to_owned();
            Place::Main
        }
        (name, place) if BLIND.contains(&name) => place,
        (name, Place::Main) if !name.contains("cuda") && name != "hwdownload" => Place::Main,
        (name, place) => panic!("{name} does not take frames in {place:?}"),
    }
}

/// Splits at commas outside of quotes.
fn filters(chain: &str) -> Vec<String> {
    let mut quoted = false;
    let mut parts = vec![String::new()];
    for character in chain.chars() {
        quoted ^= character == '\'';
        match character {
            ',' if !quoted => parts.push(String::new()),
            _ => parts.last_mut().expect("one at least").push(character),
        }
    }
    parts
}

/// Where the frames of every label are that an output may map.
fn walk(graph: &str, start: &Place) -> HashMap<String, Place> {
    let mut places = HashMap::from([("0:0".to_owned(), start.clone())]);
    for chain in graph.split(';') {
        let (label, rest) = chain.strip_prefix('[').and_then(|c| c.split_once(']')).expect("in");
        let Some(place) = places.remove(label) else { continue };
        let (body, ends) = rest.split_once('[').expect("out");
        let filters = filters(body);
        let mut format = String::new();
        let last = filters.iter().enumerate().fold(place, |place, (at, filter)| {
            after(filter, filters.get(at + 1).map(String::as_str), place, &mut format)
        });
        for end in ends.trim_end_matches(']').split("][") {
            places.insert(end.to_owned(), last.clone());
        }
    }
    places
}

fn check(plan: &Plan, surface: Option<Surface>) {
    let after = |option: &str| {
        let at = plan.args.iter().position(|arg| arg == option)?;
        Some(plan.args[at + 1].as_str())
    };
    let start = match after("-hwaccel_output_format") {
        Some(_) => Place::Gpu(surface.expect("a format of NVDEC's").format().to_owned()),
        None => Place::Main,
    };
    let places = walk(after("-filter_complex").expect("a graph"), &start);
    for output in &plan.video {
        match (output.encoder, &places[&output.directory]) {
            // NVENC takes both.
            (Encoder::Nvenc, Place::Gpu(format)) => assert_eq!(format, "yuv420p"),
            (_, place) => assert_eq!(place, &Place::Main, "{output:?}"),
        }
    }
    for still in ["poster", "first", "storyboard"] {
        assert_eq!(places[still], Place::Main);
    }
    assert_eq!(places.len(), plan.video.len() + 3, "{places:?}");
}

proptest! {
    #[test]
    fn frames_are_where_they_are_wanted(
        class in prop::sample::select(vec![Class::None, Class::Nvdec, Class::Nvenc, Class::Full]),
        sessions in 0_u32..6,
        scales: bool,
        deinterlacer in prop::option::of(prop::sample::select(Deinterlacer::ALL.to_vec())),
        codec in prop::sample::select(vec!["h264", "hevc", "av1", "prores"]),
        format in prop::sample::select(vec!["yuv420p", "yuvj420p", "yuv420p10le", "yuv422p10le"]),
        (width, height) in (16_u32..4200, 16_u32..2400),
        field_order in prop::sample::select(vec!["progressive", "tt"]),
        transfer in prop::sample::select(vec!["bt709", "smpte2084", "arib-std-b67"]),
        primaries in prop::sample::select(vec!["bt709", "bt2020"]),
        turned: bool,
    ) {
        let mut hardware = hardware(class);
        hardware.sessions = hardware.sessions.min(sessions);
        (hardware.scales, hardware.deinterlacer) = (scales, deinterlacer);
        let side_data = if turned { json!([{"rotation": 90}]) } else { json!([]) };
        let source = source(json!({"codec_name": codec, "pix_fmt": format, "width": width,
            "height": height, "field_order": field_order, "color_transfer": transfer,
            "color_primaries": primaries, "side_data_list": side_data}));
        let plan = plan(&source, &hardware, &Pipeline::default());
        check(&plan, Surface::of(format));
        prop_assert!(plan.sessions() <= hardware.sessions);
        let gpu = plan.args.iter().any(|arg| arg.contains("cuda") || arg == "h264_nvenc");
        prop_assert_eq!(gpu, plan.uses_gpu());
    }
}
