//! Single trials: FFmpeg does a little of what it is to do later, within the same walls.

use std::{ffi::OsString, path::Path, time::Duration};

use reelmill_shared::{job::Failure, plan::Encoder};

use crate::{
    ffmpeg::{Captured, Ending, Run, Runner},
    sandbox::{Limits, Profile},
};

/// Where trials are made.
pub(super) struct Trial<'a> {
    pub(super) runner: &'a Runner,
    pub(super) dir: &'a Path,
}

impl Trial<'_> {
    /// The circumstances of a trial.
    pub(super) fn run<'a>(&'a self, profile: &'a Profile) -> Run<'a> {
        let wall = Duration::from_secs(30);
        Run { dir: self.dir, profile, wall, max_output: 1 << 20 }
    }

    /// FFmpeg with the words of `line`.
    pub(super) async fn ffmpeg(&self, line: &str, gpu: bool) -> Result<Captured, Failure> {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        self.runner.ffmpeg(&args, self.run(&profile(self.dir, gpu))).await
    }

    /// Whether FFmpeg does what `line` says; `what` is for the log.
    pub(super) async fn succeeds(
        &self,
        what: &str,
        line: &str,
        gpu: bool,
    ) -> Result<bool, Failure> {
        let tried = self.ffmpeg(line, gpu).await?;
        let works = tried.ending == Ending::Success;
        if !works {
            tracing::debug!(what, said = ?tried.log.first_error(), "does not work here");
        }
        Ok(works)
    }
}

/// Words that encode a frame, `times` at once: an encoder once open stays so until the end.
pub(super) fn encode(encoder: Encoder, times: u32) -> String {
    let name = encoder.name();
    let output = format!(" -map 0:v -frames:v 1 -pix_fmt yuv420p -c:v {name} -f null -");
    let input = "-loglevel level+verbose -f lavfi -i color=size=256x256:rate=25:duration=1";
    input.to_owned() + &output.repeat(times as usize)
}

/// What a trial may reach and use.
pub(super) fn profile(dir: &Path, gpu: bool) -> Profile {
    let limits =
        Limits { cpu_seconds: 60, memory_bytes: None, file_bytes: 1 << 20, open_files: 256 };
    Profile { gpu, read: Vec::new(), write: vec![dir.to_owned()], limits }
}
