//! The layout of an attempt's outputs.
//!
//! ```text
//! hls/main.m3u8
//! hls/v{rung}/{index.m3u8,iframes.m3u8,init.mp4,000000.m4s…}   video
//! hls/a{n}/{index.m3u8,init.mp4,000000.m4s…}                   audio
//! hls/s{n}/{index.m3u8,000000.vtt…}                            subtitles
//! poster.jpg
//! storyboard/{storyboard.vtt,000.jpg…}
//! waveform/{samples per pixel}.{json,dat}
//! metadata.json
//! ```
//!
//! Where one encoder gave up in mid-source and another began anew, the second's renditions lie in
//! `v{rung}-2` and `a{n}-2`, a third's in `…-3`, and those before remain, named by no playlist.

use super::OutputPath;

impl OutputPath {
    /// The multivariant playlist.
    pub fn main_playlist() -> Self {
        Self::known("hls/main.m3u8".to_owned())
    }

    /// A file of an HLS rendition, such as `000000.m4s` of `v720`. Both names must be our own.
    pub fn rendition(directory: &str, file: &str) -> Self {
        Self::known(format!("hls/{directory}/{file}"))
    }

    /// The poster.
    pub fn poster() -> Self {
        Self::known("poster.jpg".to_owned())
    }

    /// The storyboard's WebVTT.
    pub fn storyboard() -> Self {
        Self::known("storyboard/storyboard.vtt".to_owned())
    }

    /// A sheet of the storyboard, counted from 0, as the WebVTT beside it names it.
    pub fn storyboard_sheet(sheet: u32) -> Self {
        Self::known(format!("storyboard/{}", Self::storyboard_sheet_name(sheet)))
    }

    /// The name of a storyboard's sheet, relative to the WebVTT.
    pub fn storyboard_sheet_name(sheet: u32) -> String {
        format!("{sheet:03}.jpg")
    }

    /// A waveform as JSON.
    pub fn waveform_json(samples_per_pixel: u32) -> Self {
        Self::known(format!("waveform/{samples_per_pixel}.json"))
    }

    /// A waveform as `.dat`.
    pub fn waveform_dat(samples_per_pixel: u32) -> Self {
        Self::known(format!("waveform/{samples_per_pixel}.dat"))
    }

    /// What is known about the source and the outputs.
    pub fn metadata() -> Self {
        Self::known("metadata.json".to_owned())
    }

    fn known(path: String) -> Self {
        path.parse().expect("the layout has valid paths only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_pinned() {
        let paths = [
            OutputPath::main_playlist(),
            OutputPath::rendition("v720", "000000.m4s"),
            OutputPath::poster(),
            OutputPath::storyboard(),
            OutputPath::storyboard_sheet(7),
            OutputPath::waveform_json(256),
            OutputPath::waveform_dat(16_384),
            OutputPath::metadata(),
        ];
        let paths: Vec<&str> = paths.iter().map(OutputPath::as_str).collect();
        assert_eq!(
            paths,
            [
                "hls/main.m3u8",
                "hls/v720/000000.m4s",
                "poster.jpg",
                "storyboard/storyboard.vtt",
                "storyboard/007.jpg",
                "waveform/256.json",
                "waveform/16384.dat",
                "metadata.json"
            ]
        );
    }
}
