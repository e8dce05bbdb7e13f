//! What this machine can do, found out at start by trying.

use std::{collections::BTreeSet, ffi::OsString, path::Path, time::Duration};

use futures::future::try_join_all;
use reelmill_shared::job::{Failure, FailureCode};
use serde::Serialize;

use crate::{
    config::Config,
    ffmpeg::{Captured, Ending, Run, Runner},
    sandbox::{Layers, Limits, Profile},
    workplace,
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
    /// Tries everything out, all at once; takes some tenths of a second.
    ///
    /// # Errors
    /// `internal`, with the reason, when there is no working FFmpeg, no working encoder, or no
    /// sandbox although it is required.
    pub async fn detect(config: &Config, runner: &Runner) -> Result<Self, Failure> {
        let dir = workplace::make(&config.work_dir)?;
        let trial = Trial { runner, dir: dir.path() };
        let walls = profile(dir.path(), false);
        let (sandbox, codecs, working) = tokio::try_join!(
            runner.layers(trial.run(&walls)),
            trial.ffmpeg("-codecs", false),
            try_join_all(ENCODERS.iter().map(|(encoder, gpu)| trial.encodes(encoder, *gpu))),
        )?;
        let mut works = ENCODERS.iter().zip(working);
        let Some(((encoder, gpu), _)) = works.find(|(_, works)| *works) else {
            let message = "no H.264 encoder works: FFmpeg needs libx264 or NVENC";
            return Err(broken(message.to_owned()));
        };
        Ok(Self {
            ffmpeg: version(&codecs.log.text()).unwrap_or("unknown").to_owned(),
            encoder,
            gpu: *gpu,
            sandbox,
            decoders: decoders(&String::from_utf8_lossy(&codecs.stdout)),
        })
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

    /// Whether an encoder encodes a frame.
    async fn encodes(&self, encoder: &str, gpu: bool) -> Result<bool, Failure> {
        let line = format!(
            "-f lavfi -i color=size=256x256:rate=25:duration=1 -frames:v 1 -pix_fmt yuv420p \
             -c:v {encoder} -f null -"
        );
        let works = self.ffmpeg(&line, gpu).await?.ending == Ending::Success;
        if !works {
            tracing::info!(encoder, "encoder does not work here");
        }
        Ok(works)
    }
}

fn profile(dir: &Path, gpu: bool) -> Profile {
    let limits =
        Limits { cpu_seconds: 60, memory_bytes: None, file_bytes: 1 << 20, open_files: 256 };
    Profile { gpu, read: Vec::new(), write: vec![dir.to_owned()], limits }
}

fn broken(message: String) -> Failure {
    Failure::new(FailureCode::Internal, message)
}

/// FFmpeg's version, out of the banner that it writes to stderr.
fn version(log: &str) -> Option<&str> {
    log.split_once("ffmpeg version ")?.1.split_whitespace().next()
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
    fn reads_the_version() {
        let banner = "[info] ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026\n  built with";
        assert_eq!(version(banner), Some("5.1.9-0+deb12u1"));
        assert_eq!(version("no banner"), None);
    }

    #[test]
    fn reads_the_list_of_codecs() {
        let list = "Codecs:\n D..... = Decoding supported\n .E.... = Encoding supported\n -------\n \
                    DEV.LS h264                 H.264 (decoders: h264 h264_qsv )\n \
                    ..V.L. vvc                  H.266 / VVC\n DEA.L. aac                  AAC\n";
        assert_eq!(decoders(list), BTreeSet::from(["h264".to_owned(), "aac".to_owned()]));
    }
}
