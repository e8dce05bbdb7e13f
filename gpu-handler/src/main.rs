//! The handler's command line.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};
use gpu_handler::sandbox;

/// Reelmill's handler: makes HLS, waveform and pictures of a source with FFmpeg.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Become a tool, behind walls.
    #[command(hide = true)]
    Sandbox {
        /// What the tool may reach, as JSON.
        profile: String,
        /// The tool and its arguments; without, tell which walls there are.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        // Before there is a second thread: some of the walls surround only the calling one.
        Command::Sandbox { profile, command } => enter_sandbox(&profile, &command),
    }
}

fn enter_sandbox(profile: &str, command: &[OsString]) -> ExitCode {
    match sandbox::enter(profile, command) {
        Ok(layers) => {
            println!("{}", serde_json::to_string(&layers).expect("layers are plain data"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("[fatal] sandbox: {error}");
            ExitCode::from(sandbox::EXIT_SANDBOX)
        }
    }
}
