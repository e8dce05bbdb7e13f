//! One rendition on its way: what FFmpeg has finished, what is stored, what is published.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use reelmill_shared::{
    job::{Failure, SegmentFormat},
    object_key::OutputPath,
    plan::{Plan, groups_per_segment},
    playlist::{LocalSegment, MediaPlaylist, Segment, read_local},
};
use tokio::time::Instant;

use super::upload;

/// Name of a media playlist, FFmpeg's and ours.
pub(super) const PLAYLIST: &str = "index.m3u8";

/// A video or audio rendition.
pub(super) struct Rendition {
    pub(super) directory: String,
    pub(super) is_video: bool,
    format: SegmentFormat,
    /// What is stored without a gap, as it is published.
    pub(super) playlist: MediaPlaylist,
    /// Pieces that FFmpeg has finished and nobody has begun to store: a group of pictures each.
    waiting: VecDeque<LocalSegment>,
    /// How many pieces make a segment.
    groups: usize,
    /// How many pieces were taken out of `waiting`.
    taken: usize,
    /// How many pieces FFmpeg has finished.
    finished: usize,
    /// Length of FFmpeg's playlist when it was last read.
    seen_length: u64,
    /// How many segments were begun to be stored.
    started: usize,
    /// Segments that are stored, but behind one that is not.
    ahead: BTreeMap<usize, Segment>,
    codec: Option<String>,
    /// The least time between two writes of the playlist.
    rewrite: Duration,
    /// When the playlist was last begun to be written, and with how many segments.
    write_began: Option<Instant>,
    segments_written: usize,
    writing: bool,
    published: bool,
}

/// One segment to store.
pub(super) struct SegmentJob {
    pub(super) number: usize,
    pub(super) seconds: f64,
    /// The pieces that it is joined from.
    pub(super) files: Vec<PathBuf>,
    pub(super) path: OutputPath,
    /// The initialization segment, to be stored before the first segment.
    pub(super) init: Option<(PathBuf, OutputPath)>,
    pub(super) format: SegmentFormat,
    pub(super) is_video: bool,
}

impl Rendition {
    pub(super) fn new(directory: &str, is_video: bool, plan: &Plan, rewrite: Duration) -> Self {
        Self {
            directory: directory.to_owned(),
            is_video,
            format: plan.segment_format,
            playlist: MediaPlaylist::new(plan.segment_format, plan.segment_seconds),
            waiting: VecDeque::new(),
            groups: usize::from(groups_per_segment(plan.segment_seconds)),
            taken: 0,
            finished: 0,
            seen_length: 0,
            started: 0,
            ahead: BTreeMap::new(),
            codec: None,
            rewrite,
            write_began: None,
            segments_written: 0,
            writing: false,
            published: false,
        }
    }

    /// Reads FFmpeg's playlist, if it has grown. FFmpeg replaces it in one step.
    pub(super) async fn look(&mut self, out: &Path) -> Result<(), Failure> {
        let file = out.join(&self.directory).join(PLAYLIST);
        let length = match tokio::fs::metadata(&file).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(upload::unreadable(&error)),
        };
        if length == self.seen_length {
            return Ok(());
        }
        let text = tokio::fs::read_to_string(&file).await.map_err(|e| upload::unreadable(&e))?;
        let (segments, _) = read_local(&text, self.finished);
        self.seen_length = text.len() as u64;
        self.finished += segments.len();
        self.waiting.extend(segments);
        Ok(())
    }

    /// How many pieces the next segment is joined from, if they are there: one for the first, so
    /// that a player can begin soon; what there is for the last.
    fn next_pieces(&self, ended: bool) -> Option<usize> {
        let wanted = if self.started == 0 { 1 } else { self.groups };
        match self.waiting.len() {
            0 => None,
            there if there >= wanted => Some(wanted),
            there => ended.then_some(there),
        }
    }

    /// Whether there is a segment to store.
    pub(super) fn waits(&self, ended: bool) -> bool {
        self.next_pieces(ended).is_some()
    }

    pub(super) fn started(&self) -> usize {
        self.started
    }

    /// Takes the next segment to store.
    pub(super) fn next_job(&mut self, out: &Path, ended: bool) -> Option<SegmentJob> {
        let pieces = self.next_pieces(ended)?;
        let seconds = self.waiting.drain(..pieces).map(|piece| piece.seconds).sum();
        let directory = out.join(&self.directory);
        // FFmpeg was told to name its pieces as segments are named.
        let files = (self.taken..self.taken + pieces)
            .map(|piece| directory.join(self.playlist.segment_name(piece)))
            .collect();
        self.taken += pieces;
        let number = self.started;
        self.started += 1;
        let path = OutputPath::rendition(&self.directory, &self.playlist.segment_name(number));
        let init = self.playlist.init_name().filter(|_| number == 0);
        let init =
            init.map(|name| (directory.join(name), OutputPath::rendition(&self.directory, name)));
        let (format, is_video) = (self.format, self.is_video);
        Some(SegmentJob { number, seconds, files, path, init, format, is_video })
    }

    /// Takes note of a stored segment.
    pub(super) fn stored(&mut self, number: usize, segment: Segment, codec: Option<String>) {
        self.codec = self.codec.take().or(codec);
        self.ahead.insert(number, segment);
        while let Some(segment) = self.ahead.remove(&self.playlist.segments.len()) {
            self.playlist.segments.push(segment);
        }
    }

    /// The playlist, if it has grown and may be written again.
    pub(super) fn due(&mut self, now: Instant) -> Option<(OutputPath, Bytes)> {
        let grown = self.playlist.segments.len() > self.segments_written;
        let rested = self.write_began.is_none_or(|began| now >= began + self.rewrite);
        if !grown || !rested || self.writing {
            return None;
        }
        (self.write_began, self.writing) = (Some(now), true);
        self.segments_written = self.playlist.segments.len();
        let path = OutputPath::rendition(&self.directory, PLAYLIST);
        Some((path, Bytes::from(self.playlist.to_string())))
    }

    /// Takes note that the playlist is written.
    pub(super) fn written(&mut self) {
        (self.writing, self.published) = (false, true);
    }

    /// Whether a playlist with a segment is stored.
    pub(super) fn published(&self) -> bool {
        self.published
    }

    /// When the playlist may be written again.
    pub(super) fn rested_at(&self) -> Option<Instant> {
        self.write_began.map(|began| began + self.rewrite)
    }

    pub(super) fn codec(&self) -> Option<&str> {
        self.codec.as_deref()
    }

    /// Duration of what is stored, in seconds: to the microsecond, as FFmpeg tells each piece's.
    pub(super) fn seconds(&self) -> f64 {
        let sum: f64 = self.playlist.segments.iter().map(|segment| segment.seconds).sum();
        (sum * 1e6).round() / 1e6
    }

    /// Whether nothing was decoded. FFmpeg's muxer closes a segment even of nothing, which lasts no
    /// time.
    pub(super) fn is_empty(&self) -> bool {
        self.seconds() <= 0.0
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.playlist.segments.iter().map(|segment| segment.bytes).sum()
    }
}
