//! What follows when FFmpeg has ended well: the final playlists and everything that is made of
//! whole files.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use reelmill_shared::{
    job::{Failure, Metrics, OutputRole, Summary},
    object_key::OutputPath,
    playlist::{Bandwidth, MediaPlaylist, Multivariant, Segment, SubtitleRendition},
    probe::SourceInfo,
    waveform::Waveform,
};
use serde_json::{Value, json};

use super::{Publisher, UPLOADS, extras::Outputs, rendition::PLAYLIST};

/// Name of an I-frame playlist.
const I_FRAMES: &str = "iframes.m3u8";

/// What the publisher cannot know by itself.
#[derive(Debug, Clone, Copy)]
pub struct Finale<'a> {
    /// The source.
    pub source: &'a SourceInfo,
    /// The waveforms, finest first; none without sound.
    pub waveforms: &'a [Waveform],
    /// What it has cost so far, for `metadata.json`.
    pub metrics: &'a Metrics,
}

/// What is stored when all is.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Where the outputs lie.
    pub outputs: Outputs,
    /// What the media is.
    pub summary: Summary,
}

impl Publisher {
    /// Stores all that remains, the multivariant playlist and `metadata.json` last. For what
    /// [`check`](Self::check) has found well.
    ///
    /// # Errors
    /// Those of the storage; `internal` if FFmpeg's files cannot be read.
    pub async fn finish(mut self, finale: Finale<'_>) -> Result<Published, Failure> {
        let duration = self.duration(finale.source.duration);
        let mut warnings = finale.source.warnings.clone();
        self.drop_empty(&mut warnings);
        if let Some(warning) = shortfall(finale.source.duration, duration) {
            warnings.push(warning);
        }
        let subtitles = self.store_subtitles(duration, &mut warnings).await?;
        let mut outputs = Outputs::new();
        self.store_poster(&mut outputs).await?;
        self.store_storyboard(duration, &mut outputs).await?;
        self.store_waveforms(finale.waveforms, &mut outputs).await?;
        let playlist = self.store_playlists(subtitles).await?;
        outputs.insert(OutputRole::Hls, OutputPath::main_playlist());
        outputs.insert(OutputRole::Metadata, OutputPath::metadata());
        let summary = self.summary(&finale, &playlist, duration, warnings);
        let metadata = self.metadata(&finale, &summary, &playlist);
        self.storage.put(&OutputPath::metadata(), Bytes::from(metadata.to_string())).await?;
        Ok(Published { outputs, summary })
    }

    /// Duration in seconds: of the longest rendition, but of the video, or else of what the source
    /// claims, where sound is longer only by what its encoder adds.
    fn duration(&self, claimed: Option<f64>) -> f64 {
        let longest = self.renditions.iter().map(|r| r.seconds()).fold(0.0, f64::max);
        let video = self.renditions.iter().find(|rendition| rendition.is_video);
        let exact = video.map_or(claimed, |rendition| Some(rendition.seconds()));
        exact.filter(|seconds| (0.0..0.1).contains(&(longest - seconds))).unwrap_or(longest)
    }

    /// Forgets audio tracks that decoded to nothing.
    fn drop_empty(&mut self, warnings: &mut Vec<String>) {
        for rendition in self.renditions.iter().filter(|rendition| rendition.is_empty()) {
            let directory = &rendition.directory;
            if let Some(lost) = self.plan.audio.iter().find(|audio| audio.directory == *directory) {
                warnings.push(format!("audio stream {} left out: no sound", lost.track.index));
            }
            self.plan.audio.retain(|audio| audio.directory != *directory);
        }
        self.renditions.retain(|rendition| !rendition.is_empty());
    }

    /// Stores the final media playlists, I-frame playlists and, last, the multivariant playlist.
    async fn store_playlists(
        &mut self,
        subtitles: Vec<SubtitleRendition>,
    ) -> Result<Multivariant, Failure> {
        let mut playlist = self.provisional();
        playlist.subtitles = subtitles;
        let mut files = Vec::new();
        let mut rested = self.main_rested_at;
        for (number, rendition) in self.renditions.iter_mut().enumerate() {
            rendition.playlist.ended = true;
            rested = rested.max(rendition.rested_at());
            let MediaPlaylist { segments, .. } = &rendition.playlist;
            let target = rendition.playlist.target_seconds();
            let bandwidth = Bandwidth::measure(segments, target);
            let path = OutputPath::rendition(&rendition.directory, PLAYLIST);
            files.push((path, Bytes::from(rendition.playlist.to_string())));
            if let Some(variant) = playlist.video.get_mut(number) {
                variant.bandwidth = bandwidth;
                if let Some(text) = rendition.playlist.i_frames() {
                    let heads: Vec<Segment> = segments.iter().map(head).collect();
                    variant.i_frames = Bandwidth::measure(&heads, target);
                    let path = OutputPath::rendition(&rendition.directory, I_FRAMES);
                    files.push((path, Bytes::from(text)));
                }
            } else {
                playlist.audio[number - playlist.video.len()].bandwidth = bandwidth;
            }
        }
        // The last growing playlists may be less than a second old.
        if let Some(rested) = rested {
            tokio::time::sleep_until(rested).await;
        }
        self.store_all(files).await?;
        let main = OutputPath::main_playlist();
        self.storage.put(&main, Bytes::from(playlist.to_string())).await?;
        Ok(playlist)
    }

    /// Stores files, a few at a time.
    pub(super) async fn store_all(
        &self,
        files: impl IntoIterator<Item = (OutputPath, Bytes)>,
    ) -> Result<(), Failure> {
        stream::iter(files)
            .map(|(path, body)| async move { self.storage.put(&path, body).await })
            .buffer_unordered(UPLOADS)
            .try_collect()
            .await
    }

    fn summary(
        &self,
        finale: &Finale<'_>,
        playlist: &Multivariant,
        duration: f64,
        warnings: Vec<String>,
    ) -> Summary {
        let video = finale.source.video.as_ref();
        Summary {
            duration,
            width: video.map(|track| track.width),
            height: video.map(|track| track.height),
            frame_rate: video.map(|track| track.frame_rate.as_f64()),
            renditions: self.plan.video.iter().map(|output| output.rendition.name).collect(),
            audio_tracks: u32::try_from(playlist.audio.len()).unwrap_or(u32::MAX),
            subtitle_tracks: u32::try_from(playlist.subtitles.len()).unwrap_or(u32::MAX),
            waveform_zooms: finale.waveforms.iter().map(|w| w.samples_per_pixel).collect(),
            encoder: finale.metrics.encoder.clone(),
            warnings,
        }
    }

    /// The contents of `metadata.json`.
    fn metadata(&self, finale: &Finale<'_>, summary: &Summary, playlist: &Multivariant) -> Value {
        let measured = playlist
            .video
            .iter()
            .map(|variant| variant.bandwidth)
            .chain(playlist.audio.iter().map(|audio| audio.bandwidth));
        let renditions: Vec<Value> = self
            .renditions
            .iter()
            .zip(measured)
            .map(|(rendition, bandwidth)| {
                json!({
                    "path": OutputPath::rendition(&rendition.directory, PLAYLIST),
                    "segments": rendition.playlist.segments.len(),
                    "bytes": rendition.bytes(),
                    "duration": rendition.seconds(),
                    "codec": rendition.codec(),
                    "bandwidth": bandwidth,
                })
            })
            .collect();
        json!({
            "version": 1,
            "source": finale.source,
            "summary": summary,
            "segmentFormat": self.plan.segment_format,
            "video": self.plan.video,
            "audio": self.plan.audio,
            "storyboard": self.plan.storyboard,
            "renditions": renditions,
            "metrics": finale.metrics,
        })
    }
}

/// A segment up to the end of its first key frame.
fn head(segment: &Segment) -> Segment {
    Segment { bytes: segment.key_frame_bytes.unwrap_or(0), ..*segment }
}

/// What to say of a source that holds less than it claims.
fn shortfall(claimed: Option<f64>, made: f64) -> Option<String> {
    let claimed = claimed?;
    (made < claimed * 0.95 - 1.0).then(|| {
        format!("the source claims to last {claimed:.1} s, but only {made:.1} s could be decoded")
    })
}
