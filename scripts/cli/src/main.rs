//! `reelmill`: a Reelmill gateway from the command line.
//!
//! * [`arguments`]: what can be asked. [`config`]: which gateway, and as whom.
//! * [`commands`]: what is done, one function a command; [`upload`] is the long one.
//! * [`tus`]: one file on its way, over a network that breaks. [`resume`]: what is remembered of it
//!   between two runs. [`follow`]: a media's way to its end.
//! * [`http`]: requests and how often they are repeated. [`failure`]: what went wrong, and the exit code.
//! * [`board`]: progress on standard error. [`show`]: results on standard output.

mod arguments;
mod board;
mod commands;
mod config;
mod failure;
mod follow;
mod http;
mod input;
mod resume;
mod show;
mod tus;
mod upload;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{arguments::Arguments, failure::Failure};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let uploads = arguments.command.uploads();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = commands::run(arguments) => ended,
            failure = stopped(uploads) => Err(failure),
        }
    });
    // A read of a file that hangs must not keep the program from ending.
    runtime.shutdown_background();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Waits for Ctrl-C or a request to end.
async fn stopped(uploads: bool) -> Failure {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Then a signal ends the program as it ends any other.
        return std::future::pending().await;
    };
    let code = tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    Failure::interrupted(code, uploads)
}
