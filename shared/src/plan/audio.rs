//! Operations: every audio track as AAC-LC, and the samples for the waveform.

use super::{AudioOutput, Builder, Pcm, Request, command::Kind, hls_output};

/// Bits per second of every audio rendition.
pub const BIT_RATE: u32 = 128_000;

/// Adds every audio rendition, and PCM of the first.
pub(super) fn add(request: &Request<'_>, builder: &mut Builder) -> (Vec<AudioOutput>, Option<Pcm>) {
    let mut outputs = Vec::new();
    let mut pcm = None;
    for (number, track) in request.source.audio.iter().enumerate() {
        // Gaps are filled, so that sound stays with the picture, from time 0 on. Integers hold
        // neither NaN nor infinity, on which the AAC encoder would stop.
        let scale = full_scale(&track.codec);
        let shared = format!("aresample=async=1:first_pts=0,{scale}aformat=sample_fmts=s16");
        builder.decode(track.index, Kind::Audio, shared);
        let directory = request.directory(&format!("a{number}"));
        let sample_rate = output_rate(track.sample_rate);
        let filters =
            format!("aresample={sample_rate},aformat=sample_fmts=fltp:channel_layouts=stereo");
        let label = builder.tap(track.index, &directory, filters);
        let bit_rate = BIT_RATE.to_string();
        let mut args: Vec<String> =
            ["-map", &label, "-c:a", "aac", "-b:a", &bit_rate, "-flags:a", "+bitexact"]
                .map(str::to_owned)
                .to_vec();
        args.extend(hls_output(&directory, request.pipeline));
        builder.output(args);
        outputs.push(AudioOutput { directory, track: track.clone(), sample_rate });
        if pcm.is_none() {
            let label = builder.tap(track.index, "pcm", "anull".to_owned());
            builder.output(["-map", &label, "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"]);
            pcm = Some(Pcm { sample_rate: track.sample_rate, channels: track.channels });
        }
    }
    (outputs, pcm)
}

/// Vorbis decodes to fractions, and libsndfile, which audiowaveform reads it with, takes 1.0 for
/// 32767 where FFmpeg takes it for 32768: followed here, for waveforms that agree to the byte.
fn full_scale(codec: &str) -> &'static str {
    if codec == "vorbis" { "volume=volume=32767/32768:precision=float," } else { "" }
}

/// 44.1 or 48 kHz, whichever the source's rate divides: Apple's authoring specification knows no
/// others, and what 128 kbit/s can hold at lower rates varies.
fn output_rate(source: u32) -> u32 {
    if source.is_multiple_of(11_025) { 44_100 } else { 48_000 }
}
