//! Uploads what FFmpeg makes while it makes it, and publishes playlists as they grow.
//!
//! * [`Publisher::watch`] runs beside FFmpeg: it takes up the pieces that FFmpeg's own playlists
//!   name as finished, a group of pictures each, joins them into segments, stores those, removes
//!   the pieces, and then publishes the grown playlist. The first segment is a single group, so
//!   that a player can begin sooner.
//! * [`Publisher::finish`] runs when FFmpeg has ended well: final playlists with measured
//!   bandwidths, subtitles, pictures, waveforms and `metadata.json`.
//!
//! Nothing names an output that is not stored yet. At most [`UPLOADS`] files are in memory at once,
//! however long the source is.

mod charset;
mod extras;
mod finale;
mod rendition;
mod upload;

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use reelmill_shared::{
    job::{Failure, FailureCode},
    object_key::OutputPath,
    plan::Plan,
    playlist::Multivariant,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::storage::Storage;
pub use finale::{Finale, Published};
use rendition::Rendition;
use upload::Done;

/// Files that are uploaded at the same time.
const UPLOADS: usize = 6;
/// How often FFmpeg's playlists are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The outputs of one job on their way into storage.
pub struct Publisher {
    plan: Plan,
    storage: Arc<dyn Storage>,
    /// The directory that FFmpeg works in.
    out: PathBuf,
    renditions: Vec<Rendition>,
    uploads: JoinSet<upload::Result>,
    playable: bool,
    /// When the multivariant playlist may be written again.
    main_rested_at: Option<Instant>,
}

impl Publisher {
    /// A publisher of what `plan` makes in the directory `out`.
    pub fn new(plan: Plan, out: PathBuf, storage: Arc<dyn Storage>) -> Self {
        let video = plan.video.iter().map(|output| (&output.directory, true));
        let audio = plan.audio.iter().map(|output| (&output.directory, false));
        let rewrite = storage.rewrite_interval();
        let renditions = video
            .chain(audio)
            .map(|(directory, is_video)| Rendition::new(directory, is_video, &plan, rewrite))
            .collect();
        Self {
            plan,
            storage,
            out,
            renditions,
            uploads: JoinSet::new(),
            playable: false,
            main_rested_at: None,
        }
    }

    /// Stores segments and publishes growing playlists until `over` is ready and all that FFmpeg
    /// has finished by then is stored. Calls `playable` once, when a player could begin.
    ///
    /// # Errors
    /// Those of the storage; `internal` if FFmpeg's files cannot be read.
    pub async fn watch(
        &mut self,
        over: impl Future<Output = ()>,
        playable: impl Fn(),
    ) -> Result<(), Failure> {
        let mut over = std::pin::pin!(over);
        let mut ended = false;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.start_uploads(ended);
            if ended && self.uploads.is_empty() {
                return Ok(());
            }
            tokio::select! {
                Some(done) = self.uploads.join_next() => {
                    self.settle(done.unwrap_or_else(|_| Err(upload::crashed()))?, &playable);
                }
                _ = look.tick(), if !ended => self.look().await?,
                () = &mut over, if !ended => {
                    ended = true;
                    self.look().await?;
                }
            }
        }
    }

    /// Whether there is what there has to be, once FFmpeg has ended.
    ///
    /// # Errors
    /// `corrupt_media` if nothing was decoded, or no picture where there should be some.
    pub fn check(&self) -> Result<(), Failure> {
        let nothing = self.renditions.iter().all(Rendition::is_empty);
        if nothing || self.renditions.iter().any(|r| r.is_video && r.is_empty()) {
            let message = "nothing in the source could be decoded";
            return Err(Failure::new(FailureCode::CorruptMedia, message));
        }
        Ok(())
    }

    /// Leaves everything as it is, since FFmpeg failed and is to begin anew. Returns, when nothing
    /// is on its way any more, whether a segment may be stored.
    pub async fn abandon(mut self) -> bool {
        // Cut off, an upload could still arrive, and after what follows it.
        while self.uploads.join_next().await.is_some() {}
        if let Some(rested) = self.main_rested_at {
            tokio::time::sleep_until(rested).await;
        }
        self.renditions.iter().any(|rendition| rendition.started() > 0)
    }

    /// Takes note of the segments that FFmpeg has finished.
    async fn look(&mut self) -> Result<(), Failure> {
        for rendition in &mut self.renditions {
            rendition.look(&self.out).await?;
        }
        Ok(())
    }

    /// Fills the free places: playlists first, as they are small and somebody waits for them. After
    /// the end only segments remain to be stored; the final playlists follow.
    fn start_uploads(&mut self, ended: bool) {
        if !ended {
            let now = Instant::now();
            for (number, rendition) in self.renditions.iter_mut().enumerate() {
                if let Some((path, body)) = rendition.due(now) {
                    self.uploads.spawn(upload::playlist(self.storage.clone(), number, path, body));
                }
            }
            if !self.playable && self.renditions.iter().all(Rendition::published) {
                self.playable = true;
                self.main_rested_at = Some(now + self.storage.rewrite_interval());
                let body = Bytes::from(self.provisional().to_string());
                let path = OutputPath::main_playlist();
                self.uploads.spawn(upload::main(self.storage.clone(), path, body));
            }
        }
        // The first segments of all renditions before the second of any.
        while self.uploads.len() < UPLOADS {
            let waiting = self.renditions.iter_mut().enumerate();
            let next = waiting
                .filter(|(_, rendition)| rendition.waits(ended))
                .min_by_key(|(_, r)| r.started());
            let Some((number, rendition)) = next else { break };
            let Some(job) = rendition.next_job(&self.out, ended) else { break };
            self.uploads.spawn(upload::segment(self.storage.clone(), number, job));
        }
    }

    fn settle(&mut self, done: Done, playable: &impl Fn()) {
        match done {
            Done::Segment { rendition, number, segment, codec } => {
                self.renditions[rendition].stored(number, segment, codec);
            }
            Done::Playlist { rendition } => self.renditions[rendition].written(),
            Done::Main => playable(),
        }
    }

    /// The multivariant playlist while nothing is measured yet.
    fn provisional(&self) -> Multivariant {
        let mut playlist = Multivariant::provisional(&self.plan);
        for (variant, rendition) in playlist.video.iter_mut().zip(&self.renditions) {
            variant.codec = rendition.codec().map(str::to_owned);
        }
        playlist
    }
}

#[cfg(test)]
mod tests;
