//! What an NVIDIA GPU was seen to do, and what of a video it can take over.
//!
//! In scope: which codecs, pixel formats and sizes go to NVDEC and NVENC. What a GPU does is found out
//! by whoever has one; nothing here is taken for granted because a table of cards says so.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    ladder::{self, Rendition},
    probe::{SourceInfo, VideoTrack},
};

/// What a host's GPU was seen to do; the default is a host without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hardware {
    /// What NVDEC decoded: for each codec its pixel formats, both as FFmpeg names them.
    pub decodes: BTreeMap<String, BTreeSet<String>>,
    /// Whether frames get into GPU memory, are scaled there, and come back.
    pub scales: bool,
    /// The best deinterlacer that works on the GPU.
    pub deinterlacer: Option<Deinterlacer>,
    /// How many NVENC sessions may be open at the same time; 0 without NVENC.
    pub sessions: u32,
}

/// Which of a GPU's engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// Neither: everything is done in software.
    None,
    /// It decodes alone, as A100 and H100 do.
    Nvdec,
    /// It encodes alone.
    Nvenc,
    /// It decodes and encodes.
    Full,
}

/// Filters that make whole frames out of fields in GPU memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Deinterlacer {
    /// FFmpeg 6.1 and newer.
    #[serde(rename = "bwdif_cuda")]
    Bwdif,
    /// FFmpeg 4.2 and newer.
    #[serde(rename = "yadif_cuda")]
    Yadif,
}

impl Deinterlacer {
    /// All of them, the best first.
    pub const ALL: [Self; 2] = [Self::Bwdif, Self::Yadif];

    /// FFmpeg's name of the filter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bwdif => "bwdif_cuda",
            Self::Yadif => "yadif_cuda",
        }
    }
}

/// How frames lie in GPU memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// 4:2:0 with 8 bits.
    Nv12,
    /// 4:2:0 with 10 bits.
    P010,
}

impl Surface {
    /// That of frames of a pixel format that NVDEC decodes.
    ///
    /// 4:2:2, 4:4:4 and 12 bits have none here: what GPUs decode them, and which of their surfaces
    /// CUDA filters take, differs between releases of FFmpeg.
    pub fn of(pixel_format: &str) -> Option<Self> {
        match pixel_format {
            "yuv420p" | "yuvj420p" => Some(Self::Nv12),
            "yuv420p10le" => Some(Self::P010),
            _ => None,
        }
    }

    /// FFmpeg's name of the format.
    pub const fn format(self) -> &'static str {
        match self {
            Self::Nv12 => "nv12",
            Self::P010 => "p010le",
        }
    }
}

/// The smallest side that every NVDEC decodes in every codec (HEVC's).
const DECODED_SIDE: u32 = 144;
/// The smallest picture that every NVENC encodes is 145 × 49.
const ENCODED_SIZE: (u32, u32) = (160, 64);
/// The longest side of H.264 and older codecs for both engines.
const LONGEST_SIDE: u32 = 4096;
/// The longest side of newer codecs.
const LONGEST_NEW_SIDE: u32 = 8192;

impl Hardware {
    /// Which of the engines there are.
    pub fn class(&self) -> Class {
        match (self.decodes.is_empty(), self.sessions) {
            (true, 0) => Class::None,
            (false, 0) => Class::Nvdec,
            (true, _) => Class::Nvenc,
            (false, _) => Class::Full,
        }
    }

    /// How NVDEC would hand out the frames of a video, if it decodes it.
    ///
    /// Odd sizes are left to software: a surface has none, and what becomes of the last column
    /// differs between drivers.
    pub(super) fn decodes(&self, track: &VideoTrack) -> Option<Surface> {
        let format = track.pixel_format.as_deref()?;
        let surface = Surface::of(format)?;
        // The `j` says that the range is full, which is nothing to a decoder.
        let format = format.replace("yuvj", "yuv");
        let longest = match track.codec.as_str() {
            "hevc" | "vp9" | "av1" => LONGEST_NEW_SIDE,
            _ => LONGEST_SIDE,
        };
        let sides = [track.coded_width, track.coded_height];
        let fits =
            sides.iter().all(|side| side % 2 == 0 && (DECODED_SIDE..=longest).contains(side));
        let known = self.decodes.get(&track.codec).is_some_and(|formats| formats.contains(&format));
        (fits && known).then_some(surface)
    }
}

/// Whether NVENC encodes pictures of this size.
pub(super) fn nvenc_takes(rendition: &Rendition) -> bool {
    let Rendition { width, height, .. } = *rendition;
    let (least_width, least_height) = ENCODED_SIZE;
    width >= least_width && height >= least_height && width.max(height) <= LONGEST_SIDE
}

/// How many NVENC sessions the renditions of a source would take: one each.
pub fn sessions_wanted(source: &SourceInfo) -> u32 {
    let Some(video) = &source.video else { return 0 };
    let ladder = ladder::ladder(video.width, video.height);
    ladder.iter().filter(|rendition| nvenc_takes(rendition)).map(|_| 1).sum()
}
