//! Tools in FFmpeg's place.
#![expect(clippy::disallowed_methods, reason = "a test makes its own tools")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A program in `directory` that waits until it is killed, whatever it is asked: a real one, since the
/// sandbox lets no interpreter run.
///
/// # Panics
/// Without a C compiler, which building Rust needs as well.
pub fn stuck_tool(directory: &Path) -> PathBuf {
    let (source, program) = (directory.join("stuck.c"), directory.join("stuck"));
    let text = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";
    std::fs::write(&source, text).expect("written");
    let status = Command::new("cc").arg(&source).arg("-o").arg(&program).status();
    assert!(status.expect("cc is installed").success());
    program
}
