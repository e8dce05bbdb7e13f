//! Operation: the ladder of video renditions.

use super::{
    Builder, Encoder, Request, VideoOutput, command::Kind, groups_per_segment, hls_output,
    renditions, stays_on_gpu,
};
use crate::{
    ladder::Rendition,
    probe::{Colour, VideoTrack},
};

/// Adds every rendition; none without video.
pub(super) fn add(request: &Request<'_>, builder: &mut Builder) -> Vec<VideoOutput> {
    let Some(track) = &request.source.video else { return Vec::new() };
    let on_gpu = stays_on_gpu(request);
    let renditions = renditions(request.source);
    builder.decode(track.index, Kind::Video, shared_filters(track, &renditions[0]));
    let outputs = renditions.into_iter().map(|rendition| {
        let directory = request.directory(&format!("v{}", rendition.name));
        let Rendition { width, height, .. } = rendition;
        let filters = if on_gpu {
            format!("scale_cuda=w={width}:h={height}:format=yuv420p,setsar=1")
        } else {
            format!("scale=w={width}:h={height}:flags=bicubic:out_range=tv,format=yuv420p,setsar=1")
        };
        let label = builder.tap(track.index, &directory, filters);
        let mut args = vec!["-map".to_owned(), label];
        args.extend(encoding(request, track, &rendition));
        args.extend(hls_output(&directory, request.pipeline));
        builder.output(args);
        VideoOutput { directory, rendition, frame_rate: track.frame_rate }
    });
    outputs.collect()
}

/// What is done once for all renditions and stills: whole frames, a constant rate from time 0, and
/// SDR colours.
fn shared_filters(track: &VideoTrack, top: &Rendition) -> String {
    let mut filters = Vec::new();
    if track.interlaced {
        filters.push("bwdif=mode=send_frame:deint=interlaced".to_owned());
    }
    filters.push(format!("fps=fps={}:start_time=0", track.frame_rate));
    filters.extend(to_sdr(track.colour, top));
    filters.join(",")
}

/// Mapping to BT.709. The source's properties are spelt out, as files often leave some unsaid, and
/// the picture is first brought to the size of the top rendition, since linear light is costly.
fn to_sdr(colour: Colour, top: &Rendition) -> Option<String> {
    let transfer = match colour {
        Colour::Sdr => return None,
        Colour::Wide => {
            return Some(
                "zscale=pin=bt2020:tin=bt709:min=bt2020nc:p=bt709:t=bt709:m=bt709:r=limited,\
                 format=yuv420p"
                    .to_owned(),
            );
        }
        Colour::Pq => "smpte2084",
        Colour::Hlg => "arib-std-b67",
    };
    let Rendition { width, height, .. } = top;
    Some(format!(
        "zscale=w={width}:h={height}:pin=bt2020:tin={transfer}:min=bt2020nc:t=linear:npl=100,\
         format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0,\
         zscale=t=bt709:m=bt709:r=limited,format=yuv420p"
    ))
}

fn encoding(request: &Request<'_>, track: &VideoTrack, rendition: &Rendition) -> Vec<String> {
    let segment = request.pipeline.segment_seconds;
    let (seconds, groups) = (segment.get(), groups_per_segment(segment));
    let key_expression = format!("expr:gte(t,n_forced*{seconds}/{groups})");
    let group = group_length(track.frame_rate.as_f64() * f64::from(seconds) / f64::from(groups));
    let rate = rendition.max_bit_rate.to_string();
    let mut args: Vec<&str> = vec!["-c:v", request.encoder.name()];
    match request.encoder {
        Encoder::X264(preset) => {
            args.extend(["-preset", preset, "-crf", "23", "-sc_threshold", "0"]);
        }
        Encoder::Nvenc => args.extend([
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
            "-no-scenecut",
            "1",
            "-strict_gop",
            "1",
            "-forced-idr",
            "1",
        ]),
    }
    args.extend(["-profile:v", "high", "-flags:v", "+cgop+bitexact", "-g", &group]);
    args.extend(["-force_key_frames", &key_expression]);
    // A buffer of one second keeps every segment close to the cap, and so the measured peak.
    args.extend(["-maxrate", &rate, "-bufsize", &rate]);
    args.into_iter().map(str::to_owned).collect()
}

/// The longest group of pictures in frames: long enough to leave forced key frames alone.
fn group_length(frames: f64) -> String {
    format!("{:.0}", frames.ceil())
}
