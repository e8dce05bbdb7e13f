//! What can be asked on the command line.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};
use reelmill_shared::id::MediaId;

use crate::input::Input;

/// What every exit code means.
const EXIT_CODES: &str = "\
Exit codes (of several files or ids, the highest):
  0    done
  1    the media failed, or a file could not be read to its end
  2    usage: a missing file, a malformed id, an unknown option
  3    no API key, a wrong one, or one that may not do this
  4    there is no such media
  5    the gateway refused
  6    the gateway cannot be reached or is in trouble
  130  interrupted (143: asked to end); an upload goes on with the same command

Environment:
  REELMILL_URL      the gateway, http://localhost:8787 by default
  REELMILL_API_KEY  the API key; --api-key-file comes before it";

/// Uploads media to a Reelmill gateway, and shows, plays and deletes what is there.
#[derive(Debug, Parser)]
#[command(name = "reelmill", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Print JSON, one document a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which gateway, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The gateway; REELMILL_URL otherwise.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A file with the API key; REELMILL_API_KEY otherwise. A key is never an argument: those are
    /// readable for everybody on the machine.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Upload files, or have the gateway fetch URLs. What was interrupted goes on where it stopped.
    Upload(Upload),
    /// Show media.
    Get {
        /// Media ids.
        #[arg(required = true)]
        ids: Vec<MediaId>,
    },
    /// List media, newest first.
    List(List),
    /// Try failed media again; each has one retry.
    Retry {
        /// Media ids.
        #[arg(required = true)]
        ids: Vec<MediaId>,
        /// Wait until they are ready, or failed again.
        #[arg(long)]
        wait: bool,
    },
    /// Stop the work on media.
    Cancel {
        /// Media ids.
        #[arg(required = true)]
        ids: Vec<MediaId>,
    },
    /// Delete media with all their files.
    Delete {
        /// Media ids.
        #[arg(required = true)]
        ids: Vec<MediaId>,
    },
    /// Sign playback URLs and print them.
    Play(Play),
}

#[derive(Debug, Args)]
pub(crate) struct Upload {
    /// Files, or http(s) URLs for the gateway to fetch.
    #[arg(required = true, value_name = "FILE|URL", value_parser = OsStringValueParser::new().try_map(Input::parse))]
    pub(crate) inputs: Vec<Input>,
    /// Wait until the media are ready or failed.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait, and print signed playback URLs.
    #[arg(long)]
    pub(crate) play: bool,
    /// Something to remember with every media; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) metadata: Vec<(String, String)>,
    /// How many files are sent at a time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) parallel: u8,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only media with this status.
    #[arg(long, value_parser = ["uploading", "uploaded", "transcoding", "ready", "failed"])]
    pub(crate) status: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// All there are.
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Play {
    /// Media ids.
    #[arg(required = true)]
    pub(crate) ids: Vec<MediaId>,
    /// How long the URLs are valid, in seconds; the gateway's own choice otherwise.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires_in: Option<u32>,
    /// Whom they are for.
    #[arg(long, value_name = "NAME")]
    pub(crate) viewer: Option<String>,
}

impl Command {
    /// Whether an interruption leaves something that the same command takes up again.
    pub(crate) fn uploads(&self) -> bool {
        matches!(self, Self::Upload(_))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be like key=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, error::ErrorKind};
    use rstest::rstest;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn takes_options_before_and_after_the_command() {
        let line =
            ["reelmill", "--json", "upload", "a.mp4", "--url", "http://x", "--metadata=a=b=c"];
        let found = Arguments::try_parse_from(line).expect("arguments");
        assert!(found.json && found.connection.url.as_deref() == Some("http://x"));
        let Command::Upload(upload) = found.command else { panic!("an upload") };
        assert_eq!(upload.metadata, [("a".to_owned(), "b=c".to_owned())]);
    }

    #[rstest]
    #[case(&["upload"], ErrorKind::MissingRequiredArgument)]
    #[case(&["upload", "-"], ErrorKind::ValueValidation)]
    #[case(&["upload", "a", "--metadata", "novalue"], ErrorKind::ValueValidation)]
    #[case(&["upload", "a", "--parallel", "0"], ErrorKind::ValueValidation)]
    #[case(&["get", "med_1"], ErrorKind::ValueValidation)]
    #[case(&["delete", "../keys/key_1"], ErrorKind::ValueValidation)]
    #[case(&["list", "--status", "gone"], ErrorKind::InvalidValue)]
    #[case(&["list", "--all", "--limit", "3"], ErrorKind::ArgumentConflict)]
    #[case(&["--api-key", "k", "list"], ErrorKind::UnknownArgument)]
    fn refuses_what_makes_no_sense(#[case] line: &[&str], #[case] kind: ErrorKind) {
        let line = ["reelmill"].iter().chain(line);
        let error = Arguments::try_parse_from(line).expect_err("no arguments");
        assert_eq!((error.kind(), error.exit_code()), (kind, 2));
    }
}
