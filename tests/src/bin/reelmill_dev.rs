//! What `scripts/run` starts: gateway and handler on this machine, until Ctrl-C.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Parser;
use e2e::{
    clips,
    control::Control,
    settings::{self, variable},
    stack::{Options, Stack},
    stand_in::StandIn,
};
use tokio::signal::unix::{SignalKind, signal};

/// Starts Reelmill on this machine and serves until Ctrl-C. Files are uploaded; once they are ready
/// their signed URLs are printed.
#[derive(Parser)]
struct Arguments {
    /// Media files to upload.
    files: Vec<PathBuf>,
    /// Instead: runs this command over an empty system of its own and ends with it. The command
    /// finds REELMILL_URL, REELMILL_API_KEY and REELMILL_TEST_FILE in its environment, and in
    /// REELMILL_CONTROL where it may have the gateway killed and started again.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, conflicts_with = "files")]
    around: Vec<String>,
    /// With a handler that takes jobs and does nothing with them. Before --around.
    #[arg(long, requires = "around")]
    idle_handler: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread: children die with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    match runtime.block_on(until_stopped(&arguments)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes. Whatever was started is stopped on every way out, by drop.
async fn until_stopped(arguments: &Arguments) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        result = around(&arguments.around, arguments.idle_handler), if !arguments.around.is_empty() => result,
        result = serve(&arguments.files), if arguments.around.is_empty() => {
            result.map(|()| ExitCode::SUCCESS)
        }
        _ = interrupt.recv() => Ok(stopping(130)),
        _ = terminate.recv() => Ok(stopping(143)),
        _ = hangup.recv() => Ok(stopping(129)),
    }
}

fn stopping(code: u8) -> ExitCode {
    eprintln!("\nstopping");
    // Ending on request is no failure; a script that sent SIGTERM sees the customary code.
    if code == 130 { ExitCode::SUCCESS } else { ExitCode::from(code) }
}

async fn serve(files: &[PathBuf]) -> Result<()> {
    for file in files {
        std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let port = match variable("REELMILL_PORT") {
        None => 8787,
        Some(text) => text.parse().with_context(|| {
            format!("REELMILL_PORT must be a port from 1 to 65535, not {text:?}")
        })?,
    };
    let mut options = Options::new(
        variable("REELMILL_DATA_DIR")
            .map_or_else(|| settings::root().join(".reelmill"), PathBuf::from),
    );
    options.port = port;
    options.api_key = variable("REELMILL_API_KEY");
    let given = options.api_key.is_some();

    let mut stack = Stack::start(options).await?;
    let url = stack.url();
    let key = &stack.secrets.api_key;
    println!("gateway  {url}");
    println!("handler  {}", stack.handler_url());
    println!("data     {}", stack.data().display());
    println!("API key  {}", if given { "as in REELMILL_API_KEY" } else { key });
    println!("console  {url}/#key={}", if given { "<API key>" } else { key });

    if !files.is_empty() {
        println!();
        let uploading = upload(&stack, files)?;
        tokio::select! {
            result = uploading => result?,
            result = casualty(&mut stack) => result?,
        }
    }
    println!("\nserving until Ctrl-C");
    casualty(&mut stack).await
}

/// Returns, with an error, once gateway or handler has ended by itself.
async fn casualty(stack: &mut Stack) -> Result<()> {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some(casualty) = stack.casualty() {
            bail!(casualty);
        }
    }
}

/// Has the command line upload the files, wait for them and print their signed URLs. What goes
/// wrong with one of them it says itself.
fn upload(stack: &Stack, files: &[PathBuf]) -> Result<impl Future<Output = Result<()>> + use<>> {
    let program = settings::cli_binary();
    let mut command = tokio::process::Command::from(e2e::process::command(&program));
    let mut child = command
        .args(["upload", "--play", "--"])
        .args(files)
        .env("REELMILL_URL", stack.url())
        .env("REELMILL_API_KEY", &stack.secrets.api_key)
        .env("XDG_STATE_HOME", stack.data().join("cli"))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    Ok(async move {
        child.wait().await?;
        Ok(())
    })
}

/// Runs a command beside an empty system and ends as it does.
async fn around(command: &[String], idle_handler: bool) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("a command")?;
    let handler = if idle_handler { Some(Arc::new(StandIn::start().await?)) } else { None };
    let mut stack = Stack::temporary(|options| match &handler {
        Some(handler) => options.stand_in(&handler.url),
        None => options,
    })
    .await?;
    let mut control = Control::start(handler).await?;
    let mut command = tokio::process::Command::from(e2e::process::command(program));
    command
        .args(arguments)
        .env("REELMILL_URL", stack.url())
        .env("REELMILL_API_KEY", &stack.secrets.api_key)
        .env("REELMILL_CONTROL", &control.url)
        .kill_on_drop(true);
    if !idle_handler {
        command.env("REELMILL_TEST_FILE", clips::video(1280, 720, 20)?);
    }
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let status = tokio::select! {
        status = child.wait() => status?,
        () = control.serve(&mut stack) => bail!("the control ended"),
    };
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
