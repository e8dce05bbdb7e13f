//! What this machine can do, found out at start by trying.
//!
//! An engine of a GPU counts only once it has done its work: being compiled into FFmpeg says nothing
//! about a GPU, and a GPU nothing about its engines (A100 and H100 have no NVENC).

mod device;
mod nvidia;
mod trial;

use std::collections::BTreeSet;

use reelmill_shared::{
    job::{Failure, FailureCode},
    plan::{Class, Encoder, Hardware},
};
use serde::Serialize;

use crate::{
    config::{
        Config,
        gpu::{Choice, Gpu},
    },
    ffmpeg::Runner,
    sandbox::Layers,
    workplace,
};
use nvidia::Nvidia;
use trial::{Trial, profile};

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// FFmpeg's version.
    pub ffmpeg: String,
    /// The H.264 encoder that is used first.
    pub encoder: Encoder,
    /// Whether that encoder runs on a GPU.
    pub gpu: bool,
    /// Which engines of a GPU are used.
    pub class: Class,
    /// Model of the GPU, or of the CPU where no GPU is used.
    pub device: String,
    /// Model of the CPU.
    #[serde(skip)]
    pub cpu: String,
    /// What the GPU does.
    pub hardware: Hardware,
    /// Which layers of the sandbox work.
    pub sandbox: Layers,
    /// Codecs that can be decoded, as FFmpeg names them.
    #[serde(skip)]
    pub decoders: BTreeSet<String>,
}

impl Host {
    /// Tries everything out, as much as possible at once; takes some tenths of a second.
    ///
    /// # Errors
    /// `internal`, with the reason, when there is no working FFmpeg, no working encoder, or no
    /// sandbox although it is required; `no_gpu` when the configuration demands of a GPU what does
    /// not work.
    pub async fn detect(config: &Config, runner: &Runner) -> Result<Self, Failure> {
        let dir = workplace::make(&config.work_dir)?;
        let trial = Trial { runner, dir: dir.path() };
        let (walls, encoding) = (profile(dir.path(), false), trial::encode(Encoder::X264, 1));
        let (sandbox, codecs, x264, nvidia) = tokio::try_join!(
            runner.layers(trial.run(&walls)),
            trial.ffmpeg("-codecs", false),
            trial.succeeds("libx264", &encoding, false),
            nvidia::look(&trial, config),
        )?;
        let Nvidia { hardware, model, complaint } = nvidia;
        demand(&config.gpu, &hardware, complaint.as_deref())?;
        let class = hardware.class();
        if class == Class::None && config.gpu.may_be_used() && device::has_nvidia() {
            let complaint = complaint.as_deref().unwrap_or("unknown");
            tracing::warn!(complaint, "there is an NVIDIA GPU, but FFmpeg cannot use it");
        }
        let encoder = match hardware.sessions {
            1.. => Encoder::Nvenc,
            0 if x264 => Encoder::X264,
            0 => {
                let message = "no H.264 encoder works: FFmpeg needs libx264 or NVENC";
                return Err(Failure::new(FailureCode::Internal, message));
            }
        };
        let cpu = device::cpu();
        Ok(Self {
            ffmpeg: version(&codecs.log.text()).unwrap_or("unknown").to_owned(),
            encoder,
            gpu: encoder == Encoder::Nvenc,
            class,
            device: match class {
                Class::None => cpu.clone(),
                _ => model.unwrap_or_else(device::unknown_gpu),
            },
            cpu,
            hardware,
            sandbox,
            decoders: decoders(&String::from_utf8_lossy(&codecs.stdout)),
        })
    }
}

/// Whether what the configuration demands was found.
fn demand(gpu: &Gpu, hardware: &Hardware, complaint: Option<&str>) -> Result<(), Failure> {
    let class = hardware.class();
    let missing = if gpu.encoder == Choice::Gpu && hardware.sessions == 0 {
        "REELMILL_ENCODER is `nvenc`, but NVENC encodes nothing here"
    } else if gpu.decoder == Choice::Gpu && hardware.decodes.is_empty() {
        "REELMILL_DECODER is `nvdec`, but NVDEC decodes nothing here"
    } else if gpu.required && class == Class::None {
        "REELMILL_REQUIRE_GPU is set, but FFmpeg can use no GPU here"
    } else {
        return Ok(());
    };
    let complaint = complaint.map_or_else(String::new, |text| format!(" ({text})"));
    Err(Failure::new(FailureCode::NoGpu, format!("{missing}{complaint}")))
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

    #[test]
    fn a_demand_that_is_not_met_is_typed_and_transient() {
        let none = Hardware::default();
        for gpu in [
            Gpu { encoder: Choice::Gpu, ..Gpu::default() },
            Gpu { decoder: Choice::Gpu, ..Gpu::default() },
            Gpu { required: true, ..Gpu::default() },
        ] {
            let failure = demand(&gpu, &none, Some("Cannot load libcuda.so.1")).expect_err("none");
            assert_eq!((failure.code, failure.transient), (FailureCode::NoGpu, true));
            assert!(failure.message.contains("libcuda"), "{failure}");
        }
        assert_eq!(demand(&Gpu::default(), &none, None), Ok(()));
    }
}
