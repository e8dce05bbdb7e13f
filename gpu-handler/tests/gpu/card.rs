//! Cards to put into a workbench, and clips to work on.

use std::path::{Path, PathBuf};

use gpu_handler::engine::Done;
use reelmill_shared::job::{Metrics, Outcome, Pipeline, Summary};
use serde_json::{Value, json};

use crate::workbench::{Workbench, files};

/// What the card is called.
pub(crate) const MODEL: &str = "NVIDIA Test Card";

/// A card that decodes H.264 and HEVC and opens eight NVENC sessions, changed by `change`.
pub(crate) fn card(change: Value) -> Value {
    let mut card = json!({
        "handler": env!("CARGO_BIN_EXE_gpu-handler"), "model": MODEL, "cuda": true,
        "decodes": ["h264/yuv420p", "hevc/yuv420p", "hevc/yuv420p10le"],
        "nvenc": true, "sessions": 8,
    });
    let change = change.as_object().expect("an object").clone();
    card.as_object_mut().expect("an object").extend(change);
    card
}

/// A launcher with the card in it, in a directory that has to be kept.
pub(crate) fn launcher(mut card: Value) -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    card["slots"] = json!(dir.path());
    let path = dir.path().join("launcher");
    let fake = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gpu/nvidia.py");
    let script = format!("#!/bin/sh\nexec /usr/bin/python3 '{fake}' '{card}' \"$@\"\n");
    std::fs::write(&path, script).expect("written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("executable");
    (dir, path)
}

/// An engine on a machine with a card, and where the card's sessions are.
pub(crate) async fn machine(
    change: Value,
    variables: &[(&str, &str)],
) -> (Workbench, tempfile::TempDir) {
    let (slots, launcher) = launcher(card(change));
    (Workbench::with(launcher, variables).await, slots)
}

/// An H.264 of 720p, with what `options` say, in Matroska.
#[expect(clippy::disallowed_methods, reason = "the clips of tests come from FFmpeg itself")]
pub(crate) fn clip(bench: &Workbench, seconds: u32, options: &str) -> PathBuf {
    let path = bench.root.path().join("clip.mkv");
    let mut command = std::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"]);
    command.arg(format!("testsrc2=size=1280x720:rate=25:duration={seconds}"));
    command.args(options.split_whitespace()).args(["-preset", "ultrafast"]).arg(&path);
    assert!(command.status().expect("ffmpeg is installed").success(), "{options}");
    path
}

/// A job on a file that must become complete.
pub(crate) async fn made(bench: &Workbench, source: &Path) -> (Summary, Metrics, PathBuf) {
    let (done, root) = bench.run(source, Pipeline::default()).await;
    let (summary, metrics) = complete(&done, &root);
    (summary, metrics, root)
}

/// The parts of a job that is complete: every rendition has the source's length, cut at the same
/// places.
pub(crate) fn complete(done: &Done, root: &Path) -> (Summary, Metrics) {
    let Outcome::Completed { summary, .. } = &done.report.outcome else {
        panic!("{:?}\n{}", done.report.outcome, done.log)
    };
    let main = std::fs::read_to_string(root.join("hls/main.m3u8")).expect("stored");
    let named = main.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let cuts: Vec<Vec<String>> = named.map(|uri| cuts(&root.join("hls").join(uri))).collect();
    assert_eq!(cuts.len(), 3, "{main}");
    assert!(cuts.windows(2).all(|pair| pair[0] == pair[1]), "{cuts:?}");
    let total: f64 = cuts[0].iter().map(|length| length.parse::<f64>().expect("a number")).sum();
    assert!((total - summary.duration).abs() < 0.1, "{total} {summary:?}");
    assert!(files(root).contains(&"poster.jpg".to_owned()));
    (summary.clone(), done.report.metrics.clone())
}

/// The lengths of a media playlist's segments.
fn cuts(playlist: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(playlist).expect("stored");
    assert!(text.contains("#EXT-X-ENDLIST"), "{text}");
    let lengths = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    lengths.map(|line| line.trim_end_matches(',').to_owned()).collect()
}
