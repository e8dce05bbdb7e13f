//! Operation: every text subtitle track as a WebVTT file, cut into segments afterwards.

use super::{Builder, SubtitleOutput};
use crate::probe::SourceInfo;

/// Adds every subtitle track.
pub(super) fn add(source: &SourceInfo, builder: &mut Builder) -> Vec<SubtitleOutput> {
    let outputs = source.subtitles.iter().enumerate().map(|(number, track)| {
        let file = format!("s{number}.vtt");
        let stream = format!("0:{}", track.index);
        builder.output([
            "-map",
            &stream,
            "-map_metadata",
            "-1",
            "-map_chapters",
            "-1",
            "-c:s",
            "webvtt",
            "-f",
            "webvtt",
            &file,
        ]);
        SubtitleOutput { directory: format!("s{number}"), file, track: track.clone() }
    });
    outputs.collect()
}
