//! What `scripts/run` starts: gateway and handler on this machine, until Ctrl-C.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use e2e::{
    api::{Answer, Api},
    clips,
    settings::{self, variable},
    sse::Events,
    stack::{Options, Stack},
};
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::io::ReaderStream;

/// Longer than the gateway's keep-alive would allow a living stream to be silent.
const SILENCE: Duration = Duration::from_secs(120);

/// Starts Reelmill on this machine and serves until Ctrl-C. Files are uploaded, one after the
/// other; once they are ready their signed URLs are printed.
#[derive(Parser)]
struct Arguments {
    /// Media files to upload.
    files: Vec<PathBuf>,
    /// Instead: runs this command over an empty system of its own and ends with it. The command
    /// finds REELMILL_URL, REELMILL_API_KEY and REELMILL_TEST_FILE in its environment.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, conflicts_with = "files")]
    around: Vec<String>,
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
        result = around(&arguments.around), if !arguments.around.is_empty() => result,
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

    let api = stack.api();
    let mut failed = 0;
    for file in files {
        println!();
        if let Err(error) = process(&api, file).await {
            if let Some(casualty) = stack.casualty() {
                bail!(casualty);
            }
            failed += 1;
            eprintln!("error: {}: {error:#}", file.display());
        }
    }
    if failed > 0 {
        eprintln!("{failed} of {} files failed", files.len());
    }
    println!("\nserving until Ctrl-C");
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some(casualty) = stack.casualty() {
            bail!(casualty);
        }
    }
}

/// Runs a command beside an empty system and ends as it does.
async fn around(command: &[String]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("a command")?;
    let stack = Stack::temporary(|options| options).await?;
    let mut command = tokio::process::Command::from(e2e::process::command(program));
    command
        .args(arguments)
        .env("REELMILL_URL", stack.url())
        .env("REELMILL_API_KEY", &stack.secrets.api_key)
        .env("REELMILL_TEST_FILE", clips::video(1280, 720, 20)?)
        .kill_on_drop(true);
    let status = command.status().await.with_context(|| format!("cannot start {program}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One file from the disk to signed URLs.
async fn process(api: &Api, path: &Path) -> Result<()> {
    let name = path.file_name().context("it has no name")?.to_string_lossy().into_owned();
    let file = tokio::fs::File::open(path).await?;
    let size = file.metadata().await?.len();
    let media = api.create(json!({ "filename": name, "size": size })).await?;
    let id = media["id"].as_str().context("a media has an id")?;
    println!("{name}  {id}");

    let bar = bar(size, "{msg:12} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.set_message("uploading");
    let body = {
        let bar = bar.clone();
        ReaderStream::with_capacity(file, 256 * 1024)
            .inspect_ok(move |chunk| bar.inc(chunk.len() as u64))
    };
    let request = api
        .request(reqwest::Method::PUT, &format!("/api/media/{id}/source"))
        .header(reqwest::header::CONTENT_LENGTH, size)
        .body(reqwest::Body::wrap_stream(body));
    let answer = Answer::of(request.send().await?).await?;
    bar.finish_and_clear();
    if answer.status != 200 {
        bail!(problem(&answer.json()));
    }
    let media = follow(api, id).await?;
    if media["status"] != "ready" {
        bail!(problem(&media["error"]));
    }
    let playback = api.playback(id).await?;
    for (what, url) in playback.as_object().into_iter().flatten() {
        if let Some(url) = url.as_str().filter(|url| url.starts_with("http")) {
            println!("  {what:12} {url}");
        }
    }
    Ok(())
}

/// Follows a media's events until they end; answers with the media as it then is.
async fn follow(api: &Api, id: &str) -> Result<Value> {
    let bar = bar(1000, "{msg:12} {bar:30} {percent}% {prefix}");
    let url = format!("/api/media/{id}/events");
    let mut last = None;
    loop {
        let mut events = Events::subscribe(api, &url, last).await?;
        // A broken stream is taken up again where it broke.
        while let Ok(Some(message)) = events.next(SILENCE).await {
            last = Some(message.id);
            let data = &message.data;
            if message.kind == "progress" {
                bar.set_position((data["percent"].as_f64().unwrap_or_default() * 10.0) as u64);
                bar.set_message(data["stage"].as_str().unwrap_or_default().to_owned());
                let speed = data["speed"].as_f64().map(|speed| format!("{speed:.1}× "));
                let eta = data["etaSeconds"].as_f64().map(|eta| format!("{eta:.0} s left"));
                bar.set_prefix(speed.unwrap_or_default() + &eta.unwrap_or_default());
            } else {
                bar.set_message(data["status"].as_str().unwrap_or_default().to_owned());
                // The stream of a failed media stays open for its retry, which we will not ask for.
                if data["status"] == "failed" {
                    break;
                }
            }
        }
        let media = api.media(id).await?;
        if media["status"] == "ready" || media["status"] == "failed" {
            bar.finish_and_clear();
            return Ok(media);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(length)
    } else {
        ProgressBar::hidden()
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
}

/// A problem or a failure in one line.
fn problem(body: &Value) -> String {
    let field = |name: &str| body[name].as_str().unwrap_or_default();
    let text = if body["detail"].is_string() { field("detail") } else { field("message") };
    format!("{text} ({})", field("code"))
}
