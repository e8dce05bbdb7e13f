//! Trials of an NVIDIA GPU's engines.
//!
//! First whether NVENC or CUDA do anything at all, which costs a machine without a GPU next to nothing;
//! then everything else at once. No trial can pass in software: every graph has a filter that takes
//! frames in GPU memory alone, and FFmpeg does not bring them there by itself.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use reelmill_shared::{
    job::{Failure, FailureCode},
    ladder,
    plan::{Deinterlacer, Encoder, Hardware, Surface},
};

use super::{
    device,
    trial::{self, Trial},
};
use crate::{
    config::{Config, gpu::Choice},
    ffmpeg::Ending,
};

/// Most NVENC sessions that are tried at once: more than the engines of any card keep busy.
const MOST_SESSIONS: u32 = 32;

/// A frame of each codec and pixel format that NVDEC may decode, made by FFmpeg of its test pattern.
macro_rules! samples {
    ($($codec:literal $format:literal,)*) => {
        const SAMPLES: &[(&str, &str, &[u8])] = &[
            $(($codec, $format, include_bytes!(concat!("samples/", $codec, "-", $format, ".mkv")))),*
        ];
    };
}

samples! {
    "h264" "yuv420p",
    "h264" "yuv420p10le",
    "hevc" "yuv420p",
    "hevc" "yuv420p10le",
    "av1" "yuv420p",
    "av1" "yuv420p10le",
    "vp9" "yuv420p",
    "vp9" "yuv420p10le",
    "vp8" "yuv420p",
    "mpeg2video" "yuv420p",
}

/// A frame that goes up into GPU memory and through `filter` there, and comes down.
fn on_gpu(filter: &str) -> String {
    format!(
        "-f lavfi -i color=size=256x256:rate=25:duration=1 -frames:v 2 \
         -vf format=nv12,hwupload_cuda,{filter}hwdownload,format=nv12 -f null -"
    )
}

/// What was found of a GPU.
pub(super) struct Nvidia {
    /// What it does, as far as the configuration lets it.
    pub(super) hardware: Hardware,
    /// What it is called, if FFmpeg tells.
    pub(super) model: Option<String>,
    /// The first thing that FFmpeg said, where something does not work.
    pub(super) complaint: Option<String>,
}

/// Tries all that the configuration allows.
pub(super) async fn look(trial: &Trial<'_>, config: &Config) -> Result<Nvidia, Failure> {
    let mut found = Nvidia { hardware: Hardware::default(), model: None, complaint: None };
    if !config.gpu.may_be_used() {
        return Ok(found);
    }
    let up_and_down = on_gpu("");
    let encoding = trial::encode(Encoder::Nvenc, 1);
    let (nvenc, cuda) =
        tokio::try_join!(trial.ffmpeg(&encoding, true), trial.ffmpeg(&up_and_down, true))?;
    let (encodes, moves) = (nvenc.ending == Ending::Success, cuda.ending == Ending::Success);
    found.model = device::in_log(&nvenc.log.text(), encodes);
    let silent = [(&nvenc, encodes), (&cuda, moves)].into_iter().find(|(_, works)| !works);
    found.complaint = silent.and_then(|(tried, _)| tried.log.first_error());
    if !encodes && !moves {
        return Ok(found);
    }
    let encodes = encodes && config.gpu.encoder != Choice::Software;
    let (decodes, scales, deinterlacer, sessions) = tokio::try_join!(
        decodes(trial, config.gpu.decoder),
        scales(trial, moves),
        deinterlacer(trial, moves),
        sessions(trial, if encodes { wanted(config.concurrency) } else { 0 }),
    )?;
    found.hardware = Hardware { decodes, scales, deinterlacer, sessions };
    Ok(found)
}

async fn decodes(
    trial: &Trial<'_>,
    choice: Choice,
) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if choice == Choice::Software {
        return Ok(found);
    }
    let tried = SAMPLES.iter().map(async |(codec, format, sample)| {
        let file = format!("{codec}-{format}.mkv");
        tokio::fs::write(trial.dir.join(&file), sample).await.map_err(|error| {
            let message = format!("no sample could be written ({})", error.kind());
            Failure::new(FailureCode::Internal, message)
        })?;
        let surface = Surface::of(format).expect("a sample has a surface").format();
        // Decoded in software, frames would not be where `hwdownload` takes them.
        let line = format!(
            "-hwaccel cuda -hwaccel_output_format cuda -i file:{file} \
             -vf hwdownload,format={surface} -f null -"
        );
        let works = trial.succeeds(&format!("NVDEC of {codec} in {format}"), &line, true).await?;
        Ok::<_, Failure>((works, codec, format))
    });
    for (_, codec, format) in try_join_all(tried).await?.into_iter().filter(|(works, _, _)| *works)
    {
        found.entry((*codec).to_owned()).or_default().insert((*format).to_owned());
    }
    Ok(found)
}

async fn scales(trial: &Trial<'_>, moves: bool) -> Result<bool, Failure> {
    let line = on_gpu("scale_cuda=w=128:h=128:interp_algo=bicubic:format=nv12,");
    Ok(moves && trial.succeeds("scale_cuda", &line, true).await?)
}

async fn deinterlacer(trial: &Trial<'_>, moves: bool) -> Result<Option<Deinterlacer>, Failure> {
    if !moves {
        return Ok(None);
    }
    let tried = Deinterlacer::ALL.map(async |filter| {
        let line = on_gpu(&format!("{}=mode=send_frame:deint=interlaced,", filter.name()));
        let works = trial.succeeds(filter.name(), &line, true).await?;
        Ok::<_, Failure>(works.then_some(filter))
    });
    Ok(try_join_all(tried).await?.into_iter().flatten().next())
}

/// As many sessions as all jobs together can use.
fn wanted(concurrency: usize) -> u32 {
    let jobs = u32::try_from(concurrency).unwrap_or(u32::MAX);
    jobs.saturating_mul(ladder::MOST).min(MOST_SESSIONS)
}

/// How many NVENC sessions open at once, at most `wanted`: consumer cards allow few. NVENC is known
/// to work, so that one at least does.
async fn sessions(trial: &Trial<'_>, wanted: u32) -> Result<u32, Failure> {
    let opens = async |count| {
        let line = trial::encode(Encoder::Nvenc, count);
        trial.succeeds(&format!("NVENC with {count} sessions"), &line, true).await
    };
    if wanted == 0 || opens(wanted).await? {
        return Ok(wanted);
    }
    let (mut some, mut too_many) = (1, wanted);
    while some + 1 < too_many {
        let middle = some.midpoint(too_many);
        if opens(middle).await? {
            some = middle;
        } else {
            too_many = middle;
        }
    }
    tracing::warn!(sessions = some, wanted, "NVENC has few sessions: x264 encodes what is beyond");
    Ok(some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_wanted_for_all_jobs_within_reason() {
        assert_eq!((wanted(1), wanted(3), wanted(64)), (4, 12, 32));
    }

    /// Matroska's mark, and the name of a codec that FFmpeg has.
    #[test]
    fn samples_are_what_they_are_called() {
        assert!(SAMPLES.iter().all(|(_, _, bytes)| bytes.starts_with(b"\x1a\x45\xdf\xa3")));
        assert!(SAMPLES.iter().all(|(_, format, _)| Surface::of(format).is_some()));
    }
}
