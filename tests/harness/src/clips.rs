//! Sources that FFmpeg makes within tenths of a second.
#![expect(clippy::disallowed_methods, reason = "a test makes its own clip")]

use std::{path::Path, process::Command};

use axum::body::Bytes;

/// A second of video.
pub fn short(directory: &Path) -> Bytes {
    ffmpeg(
        "-f lavfi -i testsrc2=size=160x120:rate=25 -t 1 -preset ultrafast",
        directory,
        "short.mp4",
    )
}

/// Half a minute of video: with a slow preset, an encoder is busy with it for seconds.
pub fn long(directory: &Path) -> Bytes {
    let second = "-f lavfi -i testsrc2=size=640x360:rate=25 -t 1 -preset ultrafast";
    ffmpeg(second, directory, "second.mp4");
    // The same second thirty times, without encoding it again.
    ffmpeg("-stream_loop 29 -i second.mp4 -c copy", directory, "long.mp4")
}

/// A file that is no media.
pub fn junk() -> Bytes {
    Bytes::from_static(b"This is a text, and no film.\n")
}

fn ffmpeg(line: &str, directory: &Path, name: &str) -> Bytes {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).args(line.split_whitespace()).arg(name);
    let status = command.current_dir(directory).status();
    assert!(status.expect("ffmpeg is installed").success(), "ffmpeg {line}");
    std::fs::read(directory.join(name)).expect("made").into()
}
