//! Operation: the ladder of video renditions.

use super::{
    Builder, Encoder, Request, VideoOutput, command::Kind, groups_per_segment,
    hardware::nvenc_takes, hls_output, route::Route,
};
use crate::{
    ladder::{self, Rendition},
    probe::VideoTrack,
};

/// Renditions with what encodes each: NVENC, as far as it takes them and has sessions, the largest
/// first, since those cost most; x264 the rest. The groups of both begin at the same frames.
pub(super) fn renditions(request: &Request<'_>, track: &VideoTrack) -> Vec<(Rendition, Encoder)> {
    let mut sessions = request.hardware.sessions;
    let ladder = ladder::ladder(track.width, track.height);
    let with_encoder = ladder.into_iter().map(|rendition| {
        let nvenc = sessions > 0 && nvenc_takes(&rendition);
        sessions -= u32::from(nvenc);
        (rendition, if nvenc { Encoder::Nvenc } else { Encoder::X264 })
    });
    with_encoder.collect()
}

/// Adds every rendition.
pub(super) fn add(
    request: &Request<'_>,
    track: &VideoTrack,
    renditions: &[(Rendition, Encoder)],
    route: &Route,
    builder: &mut Builder,
) -> Vec<VideoOutput> {
    builder.decode(track.index, Kind::Video, route.shared.clone());
    let outputs = renditions.iter().map(|(rendition, encoder)| {
        let directory = request.directory(&format!("v{}", rendition.name));
        let filters = route.to_rendition(rendition, *encoder == Encoder::Nvenc);
        let label = builder.tap(track.index, &directory, filters);
        let mut args = vec!["-map".to_owned(), label];
        args.extend(encoding(request, track, rendition, *encoder));
        args.extend(hls_output(&directory, request.pipeline));
        builder.output(args);
        VideoOutput {
            directory,
            rendition: *rendition,
            frame_rate: track.frame_rate,
            encoder: *encoder,
        }
    });
    outputs.collect()
}

fn encoding(
    request: &Request<'_>,
    track: &VideoTrack,
    rendition: &Rendition,
    encoder: Encoder,
) -> Vec<String> {
    let segment = request.pipeline.segment_seconds;
    let (seconds, groups) = (segment.get(), groups_per_segment(segment));
    let key_expression = format!("expr:gte(t,n_forced*{seconds}/{groups})");
    let group = group_length(track.frame_rate.as_f64() * f64::from(seconds) / f64::from(groups));
    let rate = rendition.max_bit_rate.to_string();
    let mut args: Vec<&str> = vec!["-c:v", encoder.name()];
    match encoder {
        Encoder::X264 => {
            args.extend(["-preset", request.preset, "-crf", "23", "-sc_threshold", "0"]);
        }
        Encoder::Nvenc => args.extend(NVENC),
    }
    args.extend(["-profile:v", "high", "-flags:v", "+cgop+bitexact", "-g", &group]);
    args.extend(["-force_key_frames", &key_expression]);
    // A buffer of one second keeps every segment close to the cap, and so the measured peak.
    args.extend(["-maxrate", &rate, "-bufsize", &rate]);
    args.into_iter().map(str::to_owned).collect()
}

/// Constant quality under the cap, as with x264; groups that begin where they are told and nowhere
/// else, each with an IDR frame; B-frames as every card with NVENC has them, whatever the preset of
/// an FFmpeg newer than 5.1 would say.
const NVENC: [&str; 18] = [
    "-preset",
    "p4",
    "-rc",
    "vbr",
    "-cq",
    "23",
    "-b:v",
    "0",
    "-bf",
    "2",
    "-b_ref_mode",
    "disabled",
    "-no-scenecut",
    "1",
    "-strict_gop",
    "1",
    "-forced-idr",
    "1",
];

/// The longest group of pictures in frames: long enough to leave forced key frames alone.
fn group_length(frames: f64) -> String {
    format!("{:.0}", frames.ceil())
}
