//! Finds out what a source is, by ffprobe within its walls.

use std::{ffi::OsString, path::Path, time::Duration};

use reelmill_shared::{
    job::{Failure, FailureCode},
    plan,
    probe::{Limits as MediaLimits, Probe, SourceInfo},
};

use super::{Engine, source};
use crate::{
    ffmpeg::{Ending, Run},
    sandbox::{Limits, Profile},
};

/// Longest time that looking at a source may take.
const WALL: Duration = Duration::from_secs(20);
/// Most bytes that a description may have.
const MAX_OUTPUT: usize = 4 << 20;

impl Engine {
    /// What the source in `work` is, or why it is not taken.
    pub(super) async fn probe(&self, work: &Path) -> Result<SourceInfo, Failure> {
        let limits = Limits {
            cpu_seconds: WALL.as_secs(),
            memory_bytes: Some(1 << 30),
            file_bytes: 0,
            open_files: 64,
        };
        let profile =
            Profile { gpu: false, read: vec![work.join(source::NAME)], write: Vec::new(), limits };
        let run = Run { dir: work, profile: &profile, wall: WALL, max_output: MAX_OUTPUT };
        let probed = self.runner.ffprobe(&arguments(), run).await?;
        match probed.ending {
            Ending::Success => {}
            Ending::Code(_) => return Err(refusal(probed.log.diagnose())),
            ending => return Err(ending.failure(&probed.log)),
        }
        let probe = Probe::from_json(&probed.stdout).map_err(|_| {
            Failure::new(FailureCode::UnsupportedMedia, "the source describes nothing")
        })?;
        let can_decode = |codec: &str| self.host.decoders.contains(codec);
        probe.check(&MediaLimits::default(), &can_decode)
    }
}

fn arguments() -> Vec<OsString> {
    let input = format!("file:{}", source::NAME);
    let mut args =
        vec!["-hide_banner".to_owned(), "-loglevel".to_owned(), "level+error".to_owned()];
    args.extend(plan::confinement());
    args.extend(["-of", "json", "-show_format", "-show_streams", "-i", &input].map(str::to_owned));
    args.into_iter().map(OsString::from).collect()
}

/// A file that ffprobe cannot open is no media to us, unless the handler itself is to blame.
fn refusal(diagnosis: Option<Failure>) -> Failure {
    use FailureCode::{Internal, UnsupportedCodec, UnsupportedMedia};
    diagnosis
        .filter(|failure| matches!(failure.code, UnsupportedMedia | UnsupportedCodec | Internal))
        .unwrap_or_else(|| {
            let message = "the source is no video or audio file that can be read";
            Failure::new(UnsupportedMedia, message)
        })
}
