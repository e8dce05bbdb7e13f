//! What the machine's processors are called.

use std::path::Path;

/// Where the NVIDIA driver describes its GPUs, a directory each.
const GPUS: &str = "/proc/driver/nvidia/gpus";

/// Whether the NVIDIA driver shows a GPU to this process.
pub(super) fn has_nvidia() -> bool {
    [GPUS, "/dev/nvidiactl", "/dev/dxg"].iter().any(|path| Path::new(path).exists())
}

/// A GPU's name in FFmpeg's log, where NVENC lists those it looks at
/// (`[ GPU #0 - < NVIDIA L4 > has Compute SM 8.9 ]`): the one it took, which is the last, if it
/// `works`, else the first.
pub(super) fn in_log(log: &str, works: bool) -> Option<String> {
    let mut names = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once("[ GPU #")?;
        let (name, _) = rest.split_once("< ")?.1.split_once(" >")?;
        (!name.is_empty()).then(|| name.to_owned())
    });
    if works { names.next_back() } else { names.next() }
}

/// A GPU whose name FFmpeg does not tell: as the driver calls its first one, or by its make alone.
pub(super) fn unknown_gpu() -> String {
    let mut found: Vec<_> =
        std::fs::read_dir(GPUS).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    let texts =
        found.iter().filter_map(|gpu| std::fs::read_to_string(gpu.join("information")).ok());
    let mut models = texts.filter_map(|text| labelled(&text, "Model"));
    models.next().unwrap_or_else(|| "NVIDIA GPU".to_owned())
}

/// The CPU's name. ARM's has none in Linux: it goes by its architecture.
pub(super) fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    labelled(&text, "model name").unwrap_or_else(|| format!("CPU ({})", std::env::consts::ARCH))
}

/// The value of the first line `label : value`.
fn labelled(text: &str, label: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == label && !value.trim().is_empty()).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As FFmpeg 5.1 to 7.1 write it.
    #[test]
    fn finds_the_gpu_in_the_log() {
        let log = "[h264_nvenc @ 0x1] [verbose] [ GPU #0 - < NVIDIA T400 > has Compute SM 7.5 ]\n\
                   [h264_nvenc @ 0x1] [verbose] [ GPU #1 - < NVIDIA L4 > has Compute SM 8.9 ]\n";
        assert_eq!(in_log(log, true).as_deref(), Some("NVIDIA L4"));
        assert_eq!(in_log(log, false).as_deref(), Some("NVIDIA T400"));
        assert_eq!(in_log("[h264_nvenc @ 0x1] [error] Cannot load libcuda.so.1", false), None);
    }

    #[test]
    fn reads_labels() {
        let x86 = "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nmodel name\t: another\n";
        assert_eq!(labelled(x86, "model name").as_deref(), Some("AMD EPYC 7B13"));
        let driver = "Model: \t\t NVIDIA L4\nIRQ:   \t\t 0\n";
        assert_eq!(labelled(driver, "Model").as_deref(), Some("NVIDIA L4"));
        assert_eq!(labelled("processor\t: 0\nBogoMIPS\t: 48.00\n", "model name"), None);
        assert!(!cpu().is_empty() && !unknown_gpu().is_empty());
    }
}
