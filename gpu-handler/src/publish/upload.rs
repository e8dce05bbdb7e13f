//! Single uploads, each of which holds one file in memory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use reelmill_shared::{
    job::{Failure, FailureCode, SegmentFormat},
    object_key::OutputPath,
    playlist::Segment,
    segment::{first_key_frame, video_codec},
};
use tokio::{fs::File, io::AsyncReadExt};

use super::rendition::SegmentJob;
use crate::storage::Storage;

/// How an upload ends.
pub(super) type Result = std::result::Result<Done, Failure>;

/// What an upload has done.
pub(super) enum Done {
    /// A segment is stored, and its codec known if it told one.
    Segment { rendition: usize, number: usize, segment: Segment, codec: Option<String> },
    /// A rendition's playlist is stored.
    Playlist { rendition: usize },
    /// The multivariant playlist is stored.
    Main,
}

/// Stores a segment, then removes its files.
pub(super) async fn segment(
    storage: Arc<dyn Storage>,
    rendition: usize,
    job: SegmentJob,
) -> Result {
    let SegmentJob { number, seconds, files, path, init, format, is_video } = job;
    let mut codec = None;
    if let Some((file, path)) = init {
        let body = read(&file).await?;
        codec = video_codec(format, &body).filter(|_| is_video);
        storage.put(&path, body).await?;
    }
    let body = join(&files).await?;
    let key_frame = is_video.then(|| first_key_frame(format, &body)).flatten();
    if is_video && number == 0 && format == SegmentFormat::Ts {
        codec = video_codec(format, &body);
    }
    let segment = Segment {
        seconds,
        bytes: body.len() as u64,
        key_frame_bytes: key_frame.map(|frame| frame.end),
    };
    storage.put(&path, body).await?;
    for file in &files {
        if let Err(error) = tokio::fs::remove_file(file).await {
            // Disk space only; the directory goes with the job.
            tracing::debug!(%error, "a stored segment could not be removed");
        }
    }
    Ok(Done::Segment { rendition, number, segment, codec })
}

/// Stores a rendition's playlist.
pub(super) async fn playlist(
    storage: Arc<dyn Storage>,
    rendition: usize,
    path: OutputPath,
    body: Bytes,
) -> Result {
    storage.put(&path, body).await.map(|()| Done::Playlist { rendition })
}

/// Stores the multivariant playlist.
pub(super) async fn main(storage: Arc<dyn Storage>, path: OutputPath, body: Bytes) -> Result {
    storage.put(&path, body).await.map(|()| Done::Main)
}

/// Joins the pieces of a segment: fragments of MP4, or packets of TS, one after the other.
async fn join(files: &[PathBuf]) -> std::result::Result<Bytes, Failure> {
    if let [file] = files {
        return read(file).await;
    }
    let mut whole = Vec::new();
    for file in files {
        let mut piece = File::open(file).await.map_err(|error| unreadable(&error))?;
        piece.read_to_end(&mut whole).await.map_err(|error| unreadable(&error))?;
    }
    Ok(Bytes::from(whole))
}

/// Reads a file that FFmpeg wrote.
pub(super) async fn read(file: &Path) -> std::result::Result<Bytes, Failure> {
    tokio::fs::read(file).await.map(Bytes::from).map_err(|error| unreadable(&error))
}

/// An upload that panicked.
pub(super) fn crashed() -> Failure {
    Failure::new(FailureCode::Internal, "an upload ended unexpectedly")
}

/// FFmpeg's files are ours: failing to read one is the handler's fault.
pub(super) fn unreadable(error: &io::Error) -> Failure {
    let message = format!("an output of FFmpeg cannot be read ({})", error.kind());
    Failure::new(FailureCode::Internal, message)
}
