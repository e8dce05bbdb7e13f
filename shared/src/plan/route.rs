//! The way of a video's frames: where they are decoded, filtered and split, with as few copies between
//! GPU and CPU as can be.
//!
//! | what decodes | what is filtered | the way of a frame |
//! |---|---|---|
//! | NVDEC | scaling and deinterlacing alone | never leaves the GPU; for x264 each rendition comes down once it is scaled |
//! | NVDEC | HDR | comes down once, after it is scaled to the top rendition |
//! | NVDEC | turning, full range, no CUDA filters | comes down as it is decoded |
//! | software | anything | stays on the CPU |
//!
//! Frames that are on the CPU by then and that NVENC is to encode go up once, all renditions are
//! scaled there: less traffic than a rendition each, and scaling costs no CPU. Scaled frames come
//! down even where together they are more than the one they were made of (a ladder from 1080p has
//! 1.75 times its pixels): the bus has room for that, and the CPU is what x264 needs.

use super::{Decoder, Request, hardware::Surface};
use crate::{
    ladder::Rendition,
    probe::{Colour, VideoTrack},
};

/// How the frames of one video go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    /// What decodes.
    pub decoder: Decoder,
    /// Whether decoded frames are left in GPU memory.
    pub stays: bool,
    /// What is done once for all renditions and stills: whole frames, a constant rate from time 0,
    /// SDR colours.
    pub shared: String,
    /// How frames lie in GPU memory when they are split; absent where they are on the CPU.
    pub surface: Option<Surface>,
}

impl Route {
    /// The way to the renditions, of which `top` is the largest; `nvenc` says whether any is for NVENC.
    pub(super) fn new(
        request: &Request<'_>,
        track: &VideoTrack,
        top: &Rendition,
        nvenc: bool,
    ) -> Self {
        let hardware = request.hardware;
        let decoded = hardware.decodes(track);
        // FFmpeg turns pictures before anything else, and no CUDA filter of 5.1 does, nor changes
        // the range.
        let filtered = hardware.scales && !track.rotated && !track.full_range;
        let whole = !track.interlaced || hardware.deinterlacer.is_some();
        let kept = decoded.filter(|_| filtered && whole);

        let mut filters = Vec::new();
        if track.interlaced {
            let on_gpu = kept.and(hardware.deinterlacer).map(|filter| filter.name());
            let filter = on_gpu.unwrap_or("bwdif");
            filters.push(format!("{filter}=mode=send_frame:deint=interlaced"));
        }
        filters.push(format!("fps=fps={}:start_time=0", track.frame_rate));
        let mut surface = kept;
        if let Some(format) = kept.map(Surface::format)
            && track.colour != Colour::Sdr
        {
            if top.width < track.coded_width || top.height < track.coded_height {
                filters.push(scale_cuda(top, format));
            }
            filters.push(download(format));
            surface = None;
        }
        filters.extend(to_sdr(track.colour, top));
        if surface.is_none() && nvenc && hardware.scales {
            filters.push(upload(track, top));
            surface = Some(Surface::Nv12);
        }
        Self {
            decoder: if decoded.is_some() { Decoder::Nvdec } else { Decoder::Software },
            stays: kept.is_some(),
            shared: filters.join(","),
            surface,
        }
    }

    /// The options before the input.
    pub(super) const fn options(&self) -> &'static [&'static str] {
        match (self.decoder, self.stays) {
            (Decoder::Software, _) => &[],
            (Decoder::Nvdec, false) => &["-hwaccel", "cuda"],
            // Filters hold on to frames that the decoder would use again: it needs some more.
            (Decoder::Nvdec, true) => {
                &["-hwaccel", "cuda", "-hwaccel_output_format", "cuda", "-extra_hw_frames", "8"]
            }
        }
    }

    /// From wherever frames are split to 4:2:0 frames of a rendition's size: in GPU memory for NVENC
    /// where they are there, else in main memory.
    pub(super) fn to_rendition(&self, rendition: &Rendition, nvenc: bool) -> String {
        let Rendition { width, height, .. } = rendition;
        match (self.surface, nvenc) {
            (None, _) => format!(
                "scale=w={width}:h={height}:flags=bicubic:out_range=tv,format=yuv420p,setsar=1"
            ),
            (Some(_), true) => format!("{},setsar=1", scale_cuda(rendition, "yuv420p")),
            (Some(_), false) => {
                let scale = scale_cuda(rendition, "yuv420p");
                format!("{scale},{},setsar=1", download("yuv420p"))
            }
        }
    }

    /// What brings a single frame down, to be followed by other filters.
    pub(super) fn to_still(&self) -> String {
        self.surface.map_or_else(String::new, |surface| download(surface.format()) + ",")
    }
}

fn scale_cuda(size: &Rendition, format: &str) -> String {
    let Rendition { width, height, .. } = size;
    format!("scale_cuda=w={width}:h={height}:interp_algo=bicubic:format={format}")
}

fn download(format: &str) -> String {
    format!("hwdownload,format={format}")
}

/// Into GPU memory, whose frames have even sizes.
fn upload(track: &VideoTrack, top: &Rendition) -> String {
    let even = track.coded_width.is_multiple_of(2) && track.coded_height.is_multiple_of(2);
    let size = if even {
        String::new()
    } else {
        format!("w={}:h={}:flags=bicubic:", top.width, top.height)
    };
    format!("scale={size}out_range=tv,format=nv12,hwupload_cuda")
}

/// Mapping to BT.709. The source's properties are spelt out, as files often leave some unsaid, and
/// the picture is first brought to the size of the top rendition, since linear light is costly.
fn to_sdr(colour: Colour, top: &Rendition) -> Option<String> {
    let transfer = match colour {
        Colour::Sdr => return None,
        Colour::Wide => {
            return Some(
                "zscale=pin=bt2020:tin=bt709:min=bt2020nc:p=bt709:t=bt709:m=bt709:r=limited,\
                 format=yuv420p"
                    .to_owned(),
            );
        }
        Colour::Pq => "smpte2084",
        Colour::Hlg => "arib-std-b67",
    };
    let Rendition { width, height, .. } = top;
    Some(format!(
        "zscale=w={width}:h={height}:pin=bt2020:tin={transfer}:min=bt2020nc:t=linear:npl=100,\
         format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0,\
         zscale=t=bt709:m=bt709:r=limited,format=yuv420p"
    ))
}
