//! What of a GPU may be used, and what must.

use super::{
    ConfigError,
    source::{Source, invalid},
};

/// The choices about an NVIDIA GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gpu {
    /// What decodes video.
    pub decoder: Choice,
    /// What encodes video.
    pub encoder: Choice,
    /// Whether to refuse to work without a GPU rather than to work in software.
    pub required: bool,
}

/// Which of two engines does a part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The GPU's where it works, else software.
    #[default]
    Auto,
    /// The GPU's: without it the handler does not start.
    Gpu,
    /// Software, whatever there is.
    Software,
}

impl Gpu {
    /// Reads `REELMILL_DECODER`, `REELMILL_ENCODER` and `REELMILL_REQUIRE_GPU`.
    ///
    /// # Errors
    /// [`ConfigError`]; also where a GPU is demanded and at the same time none may be used.
    pub(super) fn read(source: &Source<'_>) -> Result<Self, ConfigError> {
        let choice =
            |name, gpu: &str, software: &str, expected| match (source.lookup)(name).as_deref() {
                None | Some("auto") => Ok(Choice::Auto),
                Some(value) if value == gpu => Ok(Choice::Gpu),
                Some(value) if value == software => Ok(Choice::Software),
                Some(_) => Err(invalid(name, expected)),
            };
        let decoder =
            choice("REELMILL_DECODER", "nvdec", "software", "`auto`, `nvdec` or `software`")?;
        let encoder = choice("REELMILL_ENCODER", "nvenc", "x264", "`auto`, `nvenc` or `x264`")?;
        let required = source.parse("REELMILL_REQUIRE_GPU", "`true` or `false`", false)?;
        let gpu = Self { decoder, encoder, required };
        if required && !gpu.may_be_used() {
            let expected = "`false` where REELMILL_DECODER and REELMILL_ENCODER rule the GPU out";
            return Err(invalid("REELMILL_REQUIRE_GPU", expected));
        }
        Ok(gpu)
    }

    /// Whether there is any use for a GPU.
    pub fn may_be_used(&self) -> bool {
        self.decoder != Choice::Software || self.encoder != Choice::Software
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(pairs: &[(&str, &str)]) -> Result<Gpu, String> {
        let lookup = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Gpu::read(&Source { lookup: &lookup }).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case(&[], Gpu::default())]
    #[case(&[("REELMILL_ENCODER", "auto")], Gpu::default())]
    #[case(&[("REELMILL_ENCODER", "nvenc")], Gpu { encoder: Choice::Gpu, ..Gpu::default() })]
    #[case(&[("REELMILL_ENCODER", "x264")], Gpu { encoder: Choice::Software, ..Gpu::default() })]
    #[case(&[("REELMILL_DECODER", "nvdec")], Gpu { decoder: Choice::Gpu, ..Gpu::default() })]
    #[case(&[("REELMILL_DECODER", "software")], Gpu { decoder: Choice::Software, ..Gpu::default() })]
    #[case(&[("REELMILL_REQUIRE_GPU", "true")], Gpu { required: true, ..Gpu::default() })]
    fn reads(#[case] pairs: &[(&str, &str)], #[case] expected: Gpu) {
        assert_eq!(read(pairs), Ok(expected));
    }

    #[rstest]
    #[case("REELMILL_ENCODER", "h264_qsv")]
    #[case("REELMILL_DECODER", "cuda")]
    #[case("REELMILL_REQUIRE_GPU", "yes")]
    fn refuses_by_name(#[case] name: &str, #[case] value: &str) {
        let message = read(&[(name, value)]).expect_err("refused");
        assert!(message.contains(name) && !message.contains(value), "{message}");
    }

    #[test]
    fn a_gpu_cannot_be_demanded_and_ruled_out() {
        let out = [("REELMILL_ENCODER", "x264"), ("REELMILL_DECODER", "software")];
        assert!(!read(&out).expect("a choice").may_be_used());
        let both = [out[0], out[1], ("REELMILL_REQUIRE_GPU", "true")];
        assert!(read(&both).expect_err("refused").contains("REELMILL_REQUIRE_GPU"));
    }
}
