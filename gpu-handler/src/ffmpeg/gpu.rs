//! What a log tells about a GPU that does not do what it should.

use reelmill_shared::job::FellBack;

use super::Log;

/// Signs in a log, the most telling first; FFmpeg 5.1 to 7.1 write them alike.
const SIGNS: &[(&str, FellBack)] = &[
    // "out of memory (10)" is what the driver says where a card's sessions are used up, too.
    ("OpenEncodeSessionEx failed", FellBack::EncoderSessions),
    ("No capable devices found", FellBack::EncoderSessions),
    ("CUDA_ERROR_OUT_OF_MEMORY", FellBack::GpuMemory),
    ("Failed setup for format cuda", FellBack::DecoderRefused),
    ("No decoder surfaces left", FellBack::DecoderRefused),
    ("CUDA_ERROR_", FellBack::GpuLost),
    ("Device creation failed", FellBack::GpuLost),
    ("Could not dynamically load CUDA", FellBack::GpuLost),
    ("Cannot load lib", FellBack::GpuLost),
    // CUDA filters that were given frames of main memory: they were decoded in software.
    ("Impossible to convert between the formats", FellBack::DecoderRefused),
];

impl Log {
    /// What a GPU did not do, if the log tells of one.
    pub fn gpu_trouble(&self) -> Option<FellBack> {
        let errors = self.errors();
        let told = |sign: &str| errors.iter().any(|line| line.contains(sign));
        SIGNS.iter().find(|(sign, _)| told(sign)).map(|(_, reason)| *reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "[h264_nvenc @ 0x1] [error] OpenEncodeSessionEx failed: out of memory (10): (no details)",
        Some(FellBack::EncoderSessions)
    )]
    #[case(
        "[h264_nvenc @ 0x1] [error] dl_fn->cuda_dl->cuMemAlloc failed -> CUDA_ERROR_OUT_OF_MEMORY: \
         out of memory",
        Some(FellBack::GpuMemory)
    )]
    #[case(
        "[h264 @ 0x1] [error] Failed setup for format cuda: hwaccel initialisation returned error.\n\
         [error] Impossible to convert between the formats supported by the filter 'a' and 'b'",
        Some(FellBack::DecoderRefused)
    )]
    #[case(
        "[error] cuda_dl->cuvidMapVideoFrame failed -> CUDA_ERROR_UNKNOWN: unknown error",
        Some(FellBack::GpuLost)
    )]
    #[case("[AVHWDeviceContext @ 0x1] [error] Cannot load libcuda.so.1", Some(FellBack::GpuLost))]
    #[case("[error] Error while decoding stream #0:0: Invalid data found", None)]
    #[case("[info] CUDA_ERROR_UNKNOWN", None)]
    fn tells_what_a_gpu_did_not_do(#[case] text: &str, #[case] reason: Option<FellBack>) {
        let mut log = Log::default();
        log.push(text.as_bytes());
        log.push(b"\n");
        assert_eq!(log.gpu_trouble(), reason);
    }
}
