//! Reads single variables, and refuses them by name.

use std::{path::PathBuf, str::FromStr, time::Duration};

use super::ConfigError;

/// The variables, and how values are read from them.
pub(super) struct Source<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    pub(super) fn parse<T: FromStr>(
        &self,
        name: &'static str,
        expected: &'static str,
        default: T,
    ) -> Result<T, ConfigError> {
        match (self.lookup)(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| invalid(name, expected)),
        }
    }

    pub(super) fn number(
        &self,
        name: &'static str,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> Result<u64, ConfigError> {
        let value = self.parse(name, "a whole number", default)?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(invalid(name, "a whole number within sensible bounds"))
        }
    }

    pub(super) fn seconds(
        &self,
        name: &'static str,
        default: u64,
    ) -> Result<Duration, ConfigError> {
        self.number(name, 0..=30 * 86_400, default).map(Duration::from_secs)
    }

    /// The presets of x264, so that a typing error stops the start and not the first job.
    pub(super) fn preset(&self) -> Result<String, ConfigError> {
        const PRESETS: &[&str] = &[
            "ultrafast",
            "superfast",
            "veryfast",
            "faster",
            "fast",
            "medium",
            "slow",
            "slower",
            "veryslow",
        ];
        let preset = (self.lookup)("REELMILL_X264_PRESET").unwrap_or_else(|| "veryfast".to_owned());
        if PRESETS.contains(&preset.as_str()) {
            Ok(preset)
        } else {
            Err(invalid("REELMILL_X264_PRESET", "a preset of x264, ultrafast to veryslow"))
        }
    }

    /// An absolute path to a program: as named, or as found in `PATH`.
    pub(super) fn program(
        &self,
        name: &'static str,
        default: &str,
    ) -> Result<PathBuf, ConfigError> {
        let wanted = PathBuf::from((self.lookup)(name).unwrap_or_else(|| default.to_owned()));
        let path = (self.lookup)("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let candidates: Vec<PathBuf> = if wanted.components().count() > 1 {
            vec![wanted]
        } else {
            std::env::split_paths(&path).map(|folder| folder.join(&wanted)).collect()
        };
        candidates
            .iter()
            .find(|candidate| candidate.is_file())
            .and_then(|candidate| candidate.canonicalize().ok())
            .ok_or(ConfigError::ProgramMissing { name })
    }
}

/// The refusal of a variable.
pub(super) const fn invalid(name: &'static str, expected: &'static str) -> ConfigError {
    ConfigError::Invalid { name, expected }
}
