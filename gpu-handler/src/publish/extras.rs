//! The outputs beside HLS video and audio: subtitles, poster, storyboard, waveforms.

use std::{collections::BTreeMap, io, path::Path};

use bytes::Bytes;
use reelmill_shared::{
    job::{Failure, OutputRole},
    object_key::OutputPath,
    plan::{POSTER_FALLBACK_FILE, POSTER_FILE, Storyboard, SubtitleOutput},
    playlist::{MediaPlaylist, SubtitleRendition},
    storyboard,
    subtitle::{self, SubtitleSegment},
    waveform::{self, Bits, Waveform},
};

use super::{
    Publisher, charset,
    rendition::{PLAYLIST, Rendition},
    upload,
};

/// Seconds of a subtitle segment: text is small, and every segment is a request.
const SUBTITLE_SECONDS: f64 = 60.0;
/// The most bytes of a subtitle track; hostile ones know no bounds.
const MAX_SUBTITLES: u64 = 16 << 20;

/// Where outputs lie, by what they are for.
pub(super) type Outputs = BTreeMap<OutputRole, OutputPath>;

impl Publisher {
    /// Stores every subtitle track that has cues within the video.
    pub(super) async fn store_subtitles(
        &self,
        duration: f64,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<SubtitleRendition>, Failure> {
        let mut renditions = Vec::new();
        for SubtitleOutput { directory, file, track } in &self.plan.subtitles {
            let Some(bytes) = read_captions(&self.out.join(file)).await? else {
                warnings.push(format!("subtitle stream {} left out: too large", track.index));
                continue;
            };
            let (text, guessed) = charset::decode(&bytes);
            let cues = subtitle::parse(&text, duration);
            if cues.is_empty() {
                warnings.push(format!("subtitle stream {} left out: no cues", track.index));
                continue;
            }
            if let Some(guessed) = guessed {
                warnings.push(format!(
                    "subtitle stream {} is not UTF-8: taken for {guessed}",
                    track.index
                ));
            }
            let segments = subtitle::segments(&cues, duration, SUBTITLE_SECONDS);
            self.store_subtitle_segments(directory, segments).await?;
            renditions
                .push(SubtitleRendition { directory: directory.clone(), track: track.clone() });
        }
        Ok(renditions)
    }

    async fn store_subtitle_segments(
        &self,
        directory: &str,
        segments: Vec<SubtitleSegment>,
    ) -> Result<(), Failure> {
        let seconds: Vec<f64> = segments.iter().map(|segment| segment.seconds).collect();
        let playlist = MediaPlaylist::web_vtt(&seconds);
        let files = segments.into_iter().enumerate().map(|(number, segment)| {
            let name = playlist.segment_name(number);
            (OutputPath::rendition(directory, &name), Bytes::from(segment.text))
        });
        self.store_all(files).await?;
        let path = OutputPath::rendition(directory, PLAYLIST);
        self.storage.put(&path, Bytes::from(playlist.to_string())).await
    }

    /// Stores the poster, if there was a frame.
    pub(super) async fn store_poster(&self, outputs: &mut Outputs) -> Result<(), Failure> {
        for file in [POSTER_FILE, POSTER_FALLBACK_FILE] {
            let Some(body) = read_if_any(&self.out.join(file)).await? else { continue };
            self.storage.put(&OutputPath::poster(), body).await?;
            outputs.insert(OutputRole::Poster, OutputPath::poster());
            break;
        }
        Ok(())
    }

    /// Stores the storyboard's sheets and the WebVTT that points into them.
    pub(super) async fn store_storyboard(
        &self,
        duration: f64,
        outputs: &mut Outputs,
    ) -> Result<(), Failure> {
        let Some(storyboard) = &self.plan.storyboard else { return Ok(()) };
        let mut sheets = 0;
        while let Some(body) = read_if_any(&self.out.join(Storyboard::sheet_file(sheets))).await? {
            self.storage.put(&OutputPath::storyboard_sheet(sheets), body).await?;
            sheets += 1;
        }
        if sheets > 0 {
            let name = OutputPath::storyboard_sheet_name;
            let text = storyboard::web_vtt(storyboard, self.last_frame(), duration, sheets, name);
            self.storage.put(&OutputPath::storyboard(), Bytes::from(text)).await?;
            outputs.insert(OutputRole::Storyboard, OutputPath::storyboard());
        }
        Ok(())
    }

    /// When the last frame begins, in seconds.
    fn last_frame(&self) -> f64 {
        let seconds = self.renditions.iter().find(|r| r.is_video).map_or(0.0, Rendition::seconds);
        let frame = self.plan.video.first().map_or(0.0, |output| 1.0 / output.frame_rate.as_f64());
        (seconds - frame).max(0.0)
    }

    /// Stores every zoom in both formats, one after the other: the finest has megabytes.
    pub(super) async fn store_waveforms(
        &self,
        waveforms: &[Waveform],
        outputs: &mut Outputs,
    ) -> Result<(), Failure> {
        for waveform in waveforms {
            let json = OutputPath::waveform_json(waveform.samples_per_pixel);
            self.storage.put(&json, waveform::json(waveform, Bits::Eight).into()).await?;
            let dat = OutputPath::waveform_dat(waveform.samples_per_pixel);
            self.storage.put(&dat, waveform::dat(waveform, Bits::Eight).into()).await?;
            // The coarsest comes last and stays.
            outputs.insert(OutputRole::Waveform, json);
            outputs.insert(OutputRole::WaveformDat, dat);
        }
        Ok(())
    }
}

/// A track's file, `None` if it is too large.
async fn read_captions(file: &Path) -> Result<Option<Bytes>, Failure> {
    match tokio::fs::metadata(file).await {
        Ok(metadata) if metadata.len() > MAX_SUBTITLES => Ok(None),
        Ok(_) => upload::read(file).await.map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Bytes::new())),
        Err(error) => Err(upload::unreadable(&error)),
    }
}

/// A file, `None` if it is missing or empty.
async fn read_if_any(file: &Path) -> Result<Option<Bytes>, Failure> {
    match tokio::fs::read(file).await {
        Ok(body) if body.is_empty() => Ok(None),
        Ok(body) => Ok(Some(Bytes::from(body))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(upload::unreadable(&error)),
    }
}
