//! What this machine can do, found out at start by trying.

use std::{collections::BTreeSet, ffi::OsString, path::Path, time::Duration};

use reelmill_shared::job::{Failure, FailureCode};
use serde::Serialize;

use crate::{
    config::Config,
    ffmpeg::{Captured, Ending, Run, Runner},
    sandbox::{Layers, Limits, Profile},
};

/// Encoders of H.264, the best first. One counts only once it has encoded a frame: being compiled in
/// says nothing about a GPU, and a GPU nothing about NVENC (A100 and H100 have none).
const ENCODERS: &[(&str, bool)] = &[("h264_nvenc", true), ("libx264", false)];

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// FFmpeg's version.
    pub ffmpeg: String,
    /// FFmpeg's name of the H.264 encoder that works.
    pub encoder: &'static str,
    /// Whether that encoder runs on a GPU.
    pub gpu: bool,
    /// Which layers of the sandbox work.
    pub sandbox: Layers,
    /// Codecs that can be decoded, as FFmpeg names them.
    #[serde(skip)]
    pub decoders: BTreeSet<String>,
}

impl Host {
    /// Tries everything out; takes about a second.
    ///
    /// # Errors
    /// `internal`, with the reason, when there is no working FFmpeg, no working encoder, or no
    /// sandbox although it is required.
    pub async fn detect(config: &Config, runner: &Runner) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new()
            .prefix("reelmill-start-")
            .tempdir_in(&config.work_dir)
            .map_err(|error| broken(format!("the work directory cannot be used: {error}")))?;
        let trial = Trial { runner, dir: dir.path() };
        let sandbox = runner.layers(trial.run(&profile(dir.path(), false))).await?;
        let version = trial.ffmpeg("-version", false).await?;
        let codecs = trial.ffmpeg("-codecs", false).await?;
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version.lines().next().and_then(|line| line.split_whitespace().nth(2));
        for (encoder, gpu) in ENCODERS {
            let line = format!(
                "-f lavfi -i color=size=256x256:rate=25:duration=1 -frames:v 1 -pix_fmt yuv420p \
                 -c:v {encoder} -f null -"
            );
            let tried = trial.ffmpeg(&line, *gpu).await?;
            if tried.ending == Ending::Success {
                return Ok(Self {
                    ffmpeg: version.unwrap_or("unknown").to_owned(),
                    encoder,
                    gpu: *gpu,
                    sandbox,
                    decoders: decoders(&String::from_utf8_lossy(&codecs.stdout)),
                });
            }
            tracing::info!(encoder, "encoder does not work here");
        }
        Err(broken("no H.264 encoder works: FFmpeg needs libx264 or NVENC".to_owned()))
    }
}

struct Trial<'a> {
    runner: &'a Runner,
    dir: &'a Path,
}

impl Trial<'_> {
    fn run<'a>(&'a self, profile: &'a Profile) -> Run<'a> {
        let wall = Duration::from_secs(30);
        Run { dir: self.dir, profile, wall, max_output: 1 << 20 }
    }

    async fn ffmpeg(&self, line: &str, gpu: bool) -> Result<Captured, Failure> {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        self.runner.ffmpeg(&args, self.run(&profile(self.dir, gpu))).await
    }
}

fn profile(dir: &Path, gpu: bool) -> Profile {
    let limits =
        Limits { cpu_seconds: 60, memory_bytes: None, file_bytes: 1 << 20, open_files: 256 };
    Profile { required: false, gpu, read: Vec::new(), write: vec![dir.to_owned()], limits }
}

fn broken(message: String) -> Failure {
    Failure::new(FailureCode::Internal, message)
}

/// The names in `ffmpeg -codecs` whose first flag says that there is a decoder.
fn decoders(codecs: &str) -> BTreeSet<String> {
    let rows = codecs.lines().skip_while(|line| !line.trim_start().starts_with("-----")).skip(1);
    rows.filter_map(|row| {
        let mut columns = row.split_whitespace();
        let flags = columns.next()?;
        flags.starts_with('D').then(|| columns.next().map(str::to_owned))?
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_list_of_codecs() {
        let list = "Codecs:\n D..... = Decoding supported\n .E.... = Encoding supported\n -------\n \
                    DEV.LS h264                 H.264 (decoders: h264 h264_qsv )\n \
                    ..V.L. vvc                  H.266 / VVC\n DEA.L. aac                  AAC\n";
        assert_eq!(decoders(list), BTreeSet::from(["h264".to_owned(), "aac".to_owned()]));
    }
}
