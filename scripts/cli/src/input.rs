//! What is to be uploaded: a file here, or a URL for the gateway to fetch.

use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use url::Url;

use crate::failure::{Failure, Kind};

/// An argument of `upload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file on this machine.
    File(PathBuf),
    /// Fetched by the gateway.
    Url(Url),
}

impl Input {
    /// Reads an argument. What does not begin with `http://` or `https://` is a file's name.
    ///
    /// # Errors
    /// It is `-`, or a malformed URL.
    pub(crate) fn parse(argument: OsString) -> Result<Self, String> {
        if argument == "-" {
            let why = "standard input cannot be uploaded: what breaks off could not go on";
            return Err(format!("{why}. Name a file"));
        }
        let text = argument.to_string_lossy();
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            return Url::parse(&text).map(Self::Url).map_err(|error| error.to_string());
        }
        Ok(Self::File(argument.into()))
    }
}

/// What to call it: a file's name, or a URL without credentials and query.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => {
                f.write_str(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
            }
            Self::Url(url) => write!(f, "{}{}", url.host_str().unwrap_or_default(), url.path()),
        }
    }
}

/// One version of a file: what must not change while it is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Absolute, without links.
    pub(crate) path: PathBuf,
    /// The last part of the path as it was given.
    pub(crate) name: String,
    /// In bytes.
    pub(crate) size: u64,
    modified: SystemTime,
}

impl Source {
    /// Looks at a file, and makes sure that it can be read.
    ///
    /// # Errors
    /// There is none, it is no regular file, or it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let name = Input::File(path.to_owned()).to_string();
        let cannot =
            |error: io::Error| Failure::usage(error.to_string()).about(&path.to_string_lossy());
        let kind = fs::metadata(path).map_err(cannot)?;
        if !kind.is_file() {
            // Opening a pipe would wait for its writer.
            return Err(cannot(io::Error::other("not a regular file")));
        }
        let found = fs::File::open(path).and_then(|file| file.metadata()).map_err(cannot)?;
        let (size, modified) = (found.len(), found.modified().map_err(cannot)?);
        Ok(Self { path: fs::canonicalize(path).map_err(cannot)?, name, size, modified })
    }

    /// Makes sure that it is still the same.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let now = fs::metadata(&self.path).and_then(|found| Ok((found.len(), found.modified()?)));
        match now {
            Ok(now) if now == (self.size, self.modified) => Ok(()),
            Ok(_) => Err(Failure::new(Kind::Failed, "the file changed while it was uploaded")),
            Err(error) => {
                Err(Failure::new(Kind::Failed, format!("cannot read it any more: {error}")))
            }
        }
    }

    /// What tells this version from others of the same file.
    pub(crate) fn version(&self) -> String {
        let since = self.modified.duration_since(SystemTime::UNIX_EPOCH);
        format!("{} {}", self.size, since.map_or(0, |time| time.as_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a.mp4", "a.mp4")]
    #[case("/some/where/b.mov", "b.mov")]
    #[case("c:http://x", "x")]
    #[case("https://user:secret@host.example/v/c.mkv?sig=secret", "host.example/v/c.mkv")]
    fn has_a_name_without_secrets(#[case] text: &str, #[case] name: &str) {
        assert_eq!(Input::parse(text.into()).expect("an input").to_string(), name);
    }

    #[test]
    fn standard_input_is_refused_in_words() {
        assert!(Input::parse("-".into()).expect_err("refused").contains("standard input"));
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a");
        fs::write(&path, "one").expect("written");
        let source = Source::open(&path).expect("a source");
        assert_eq!((source.size, source.check()), (3, Ok(())));
        fs::write(&path, "longer").expect("written");
        assert_eq!(source.check().expect_err("changed").kind, Kind::Failed);
        assert_ne!(Source::open(&path).expect("a source").version(), source.version());
        fs::remove_file(&path).expect("removed");
        assert_eq!(source.check().expect_err("gone").kind, Kind::Failed);
        assert_eq!(Source::open(&path).expect_err("gone").kind, Kind::Usage);
        assert_eq!(Source::open(directory.path()).expect_err("a directory").kind, Kind::Usage);
    }
}
