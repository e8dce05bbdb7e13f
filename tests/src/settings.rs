//! Where things are, and the secrets of a data directory.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The checkout that this was built from.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

/// A variable of the environment, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this package that reads the environment"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The handler's binary: `REELMILL_HANDLER_BIN`, or what `scripts/build` made.
pub fn handler_binary() -> PathBuf {
    variable("REELMILL_HANDLER_BIN")
        .map_or_else(|| root().join("target/release/gpu-handler"), PathBuf::from)
}

/// The command line's binary, as `scripts/build` makes it.
pub fn cli_binary() -> PathBuf {
    root().join("target/release/reelmill")
}

/// Media to test with beyond the generated ones: `REELMILL_TEST_MEDIA`, or `../shared/media`.
pub fn test_media() -> Option<PathBuf> {
    let path = variable("REELMILL_TEST_MEDIA")
        .map_or_else(|| root().join("../shared/media"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// Everything secret that gateway and handler share. Generated once for each data directory.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secrets {
    /// The root API key.
    pub api_key: String,
    /// What the gateway shows the handler.
    pub handler_key: String,
    /// What the handler signs its reports with (`whsec_…`).
    pub webhook_secret: String,
    /// What tokens are signed with (`1:<base64>`).
    pub token_keys: String,
}

impl Secrets {
    /// Fresh ones from the operating system.
    pub fn generate() -> Result<Self> {
        Ok(Self {
            api_key: format!("reelmill_{}", BASE64_URL_SAFE_NO_PAD.encode(random()?)),
            handler_key: BASE64_URL_SAFE_NO_PAD.encode(random()?),
            webhook_secret: format!("whsec_{}", BASE64_STANDARD.encode(random()?)),
            token_keys: format!("1:{}", BASE64_STANDARD.encode(random()?)),
        })
    }

    /// Those of a data directory; made and stored there, for its owner alone, if there are none.
    pub fn of(data: &Path) -> Result<Self> {
        let path = data.join("secrets.json");
        if let Ok(text) = fs::read(&path) {
            return serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged", path.display()));
        }
        let secrets = Self::generate()?;
        write_private(&path, &serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets)
    }

    /// What the gateway knows of the root API key.
    pub fn api_key_hash(&self) -> String {
        Sha256::digest(self.api_key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Writes a file that only its owner can read.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}
