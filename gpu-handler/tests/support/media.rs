//! The collection of media that is not part of this repository.

use std::path::{Path, PathBuf};

/// A folder of the collection, or `None`, said aloud, where there is no collection.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
pub(crate) fn media(folder: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let root = std::env::var("REELMILL_TEST_MEDIA").map_or(beside, PathBuf::from);
    let path = root.join(folder);
    if path.is_dir() {
        return path.canonicalize().ok();
    }
    eprintln!("SKIPPED: no test media at {} (set REELMILL_TEST_MEDIA)", path.display());
    None
}
