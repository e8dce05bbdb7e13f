//! `reelmill`, the command line, as a person runs it.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    api::Answer,
    clips,
    gate::Gate,
    process, settings,
    stack::{Stack, claim_port},
    stand_in::Signing,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{ENCODE, SOON, publish, with_stand_in};

const MIB: u64 = 1024 * 1024;

/// The command line, with a gateway, a key and a place for its state.
struct Cli {
    url: String,
    key: String,
    state: tempfile::TempDir,
}

/// What a run of it left.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Cli {
    fn new(stack: &Stack) -> Result<Self> {
        let state = tempfile::tempdir()?;
        Ok(Self { url: stack.url(), key: stack.secrets.api_key.clone(), state })
    }

    fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::from(process::command(settings::cli_binary()));
        command
            .args(arguments)
            .env("REELMILL_URL", &self.url)
            .env("REELMILL_API_KEY", &self.key)
            .env("XDG_STATE_HOME", self.state.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().context("reelmill: run scripts/build")
    }

    async fn run(&self, arguments: &[&str]) -> Result<Run> {
        ended(self.start(arguments)?).await
    }

    /// What is remembered of unfinished uploads.
    fn memories(&self) -> usize {
        std::fs::read_dir(self.state.path().join("reelmill/uploads")).map_or(0, Iterator::count)
    }
}

impl Run {
    fn expect(self, code: i32) -> Result<Self> {
        let Self { code: found, out, err } = &self;
        ensure!(*found == code, "exit code {code} expected, got {found}:\n{out}\n{err}");
        Ok(self)
    }

    /// The id in the first line.
    fn id(&self) -> Result<&str> {
        self.out.split_whitespace().find(|word| word.starts_with("med_")).context("an id")
    }

    /// The one line that says what went wrong.
    fn error(&self) -> Result<&str> {
        let errors: Vec<_> = self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        ensure!(errors.len() == 1, "one error expected:\n{}", self.err);
        Ok(errors[0])
    }
}

async fn ended(child: Child) -> Result<Run> {
    let output = tokio::time::timeout(ENCODE, child.wait_with_output()).await??;
    Ok(Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

/// A file whose bytes differ from place to place.
fn noise(path: &Path, size: u64) -> Result<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    std::fs::write(path, &bytes)?;
    Ok(bytes)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_killed_and_where_it_was_interrupted() -> Result<()> {
    let port = claim_port(0)?;
    // One whole request of 64 MiB, which is stored by the time that the next one begins.
    let gate = Gate::start(port, 66 * MIB).await?;
    let (stack, handler) = with_stand_in(|mut options| {
        options.port = port;
        options.gateway("PUBLIC_URL", &gate.url)
    })
    .await?;
    let cli = Cli { url: gate.url.clone(), ..Cli::new(&stack)? };
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("long.mp4");
    let bytes = noise(&file, 70 * MIB)?;
    let upload = ["upload", text(&file)?];

    let mut killed = cli.start(&upload)?;
    gate.full().await?;
    killed.kill().await?;
    gate.cut_and_allow(MIB);

    let interrupted = cli.start(&upload)?;
    gate.full().await?;
    let pid = interrupted.id().context("it runs")?;
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGINT)?;
    let run = ended(interrupted).await?.expect(130)?;
    assert!(run.error()?.contains("the same command again goes on"), "{}", run.err);
    assert_eq!((run.out.as_str(), cli.memories()), ("", 1));
    gate.cut_and_allow(u64::MAX);

    let before = gate.passed();
    let run = cli.run(&upload).await?.expect(0)?;
    let last = gate.passed() - before;
    assert!(last < 7 * MIB, "6 MiB and what goes around them were left, not {last} bytes");
    assert_eq!(cli.memories(), 0);

    // One media, and its source is the file.
    let list = cli.run(&["list", "--json"]).await?.expect(0)?;
    let media: Value = serde_json::from_str(&list.out).context("one media")?;
    assert_eq!(media["id"], run.id()?);
    let job = handler.job(1).await?;
    let request = stack.api().request(Method::GET, job.spec.input.url.as_str());
    let source = Answer::of(request.send().await?).await?;
    source.expect(200)?;
    assert!(source.body == bytes, "the source is not the file");
    Ok(())
}

#[tokio::test]
async fn uploads_waits_shows_plays_and_deletes() -> Result<()> {
    let stack = Stack::temporary(|options| options).await?;
    let cli = Cli::new(&stack)?;
    let clip = clips::video(640, 360, 6)?;
    let run = cli.run(&["upload", "--play", "--metadata", "order=17", text(&clip)?]).await?;
    let run = run.expect(0)?;
    let id = run.id()?;
    assert!(run.out.starts_with("pattern-640x360-6s.mp4  med_"), "{}", run.out);
    let hls = run.out.lines().find_map(|line| line.trim().strip_prefix("hls "));
    let playlist = stack.api().get(hls.context("an hls line")?.trim()).await?;
    playlist.expect(200)?;
    assert!(playlist.text().starts_with("#EXTM3U"));
    for word in ["uploading", "100%", "waiting for the handler"] {
        assert!(run.err.contains(word), "{word}? {}", run.err);
    }

    let got = cli.run(&["get", "--json", id]).await?.expect(0)?;
    let media: Value = serde_json::from_str(&got.out)?;
    assert_eq!((&media["status"], &media["metadata"]["order"]), (&"ready".into(), &"17".into()));
    assert!(cli.run(&["get", id]).await?.expect(0)?.out.contains("status       ready"));
    let list = cli.run(&["list", "--status", "ready", "--all"]).await?.expect(0)?;
    assert!(list.out.lines().nth(1).is_some_and(|line| line.starts_with(id)), "{}", list.out);
    assert_eq!(cli.run(&["list", "--status", "failed"]).await?.expect(0)?.out, "");
    let play = cli.run(&["play", "--json", "--expires-in", "60", id]).await?.expect(0)?;
    assert!(serde_json::from_str::<Value>(&play.out)?["hls"].is_string());

    // What makes no sense now is refused.
    let refused = cli.run(&["retry", id]).await?.expect(5)?;
    assert!(refused.error()?.contains("(not_failed)"), "{}", refused.err);
    cli.run(&["cancel", id]).await?.expect(5)?;
    assert!(cli.run(&["delete", id]).await?.expect(0)?.out.contains("deleted"));
    let gone = cli.run(&["get", id]).await?.expect(4)?;
    assert!(gone.error()?.contains("media_"), "{}", gone.err);
    Ok(())
}

#[tokio::test]
async fn while_it_waits_it_shows_what_the_handler_says() -> Result<()> {
    let (stack, handler) = with_stand_in(|options| options).await?;
    let cli = Cli::new(&stack)?;
    let mut running = cli.start(&["upload", "--wait", text(&clips::video(640, 360, 6)?)?])?;
    let mut lines = BufReader::new(running.stderr.take().context("its errors")?).lines();
    let mut said = async |what: &'static str| -> Result<()> {
        let search = async {
            while let Some(line) = lines.next_line().await? {
                if line.ends_with(what) {
                    return Ok(());
                }
            }
            bail!("it ended without a word of {what}")
        };
        tokio::time::timeout(SOON, search).await.with_context(|| format!("no word of {what}"))?
    };
    let job = handler.job(1).await?;
    let signing = Signing::now(&stack.secrets.webhook_secret);
    // From here on it follows the media.
    said("transcoding").await?;
    job.send_progress(&job.progress(42.0, false), &signing).await?.expect(200)?;
    said("encoding 40%").await?;
    publish(&stack, &job).await?;
    let run = ended(running).await?.expect(0)?;
    assert!(run.out.contains(run.id()?), "{}", run.out);
    Ok(())
}

#[tokio::test]
async fn of_several_files_each_has_its_own_end() -> Result<()> {
    let stack = Stack::temporary(|options| options).await?;
    let cli = Cli::new(&stack)?;
    let directory = tempfile::tempdir()?;
    let (junk, empty) = (directory.path().join("junk.mp4"), directory.path().join("empty.mp4"));
    std::fs::write(&junk, "this is not media. ".repeat(1000))?;
    std::fs::write(&empty, "")?;
    let clip = clips::video(640, 360, 6)?;
    let files = [text(&junk)?, text(&empty)?, text(&clip)?];
    let run = cli.run(&[&["upload", "--wait"], &files[..]].concat()).await?.expect(5)?;
    assert!(run.err.contains("error: junk.mp4: ") && run.err.contains("(unsupported_media)"));
    assert!(run.err.contains("error: empty.mp4: ") && run.err.contains("(empty_upload)"));
    assert!(run.err.contains("1 of 3 done, 2 failed"), "{}", run.err);
    assert!(run.out.contains("pattern-640x360-6s.mp4  med_"), "{}", run.out);
    assert_eq!(cli.memories(), 0);

    let run = cli.run(&["upload", "--wait", "--json", text(&junk)?]).await?.expect(1)?;
    let media: Value = serde_json::from_str(&run.out)?;
    assert_eq!(media["error"]["code"], "unsupported_media");
    Ok(())
}

#[tokio::test]
async fn says_what_is_wrong_by_its_exit_code() -> Result<()> {
    let (stack, _handler) = with_stand_in(|options| options).await?;
    let cli = Cli::new(&stack)?;
    let missing = cli.run(&["upload", "/nowhere/film.mp4"]).await?.expect(2)?;
    assert!(missing.error()?.contains("/nowhere/film.mp4"), "{}", missing.err);
    cli.run(&["upload", "-"]).await?.expect(2)?;
    cli.run(&["get", "film.mp4"]).await?.expect(2)?;
    let unknown = format!("med_{}", "0".repeat(32));
    cli.run(&["get", &unknown]).await?.expect(4)?;

    let wrong = Cli { key: "wrong".to_owned(), ..Cli::new(&stack)? };
    let refused = wrong.run(&["list"]).await?.expect(3)?;
    assert!(refused.error()?.contains("(unauthorized)"), "{}", refused.err);
    // A file with the key comes before the environment.
    let key = cli.state.path().join("key");
    std::fs::write(&key, format!("{}\n", cli.key))?;
    wrong.run(&["--api-key-file", text(&key)?, "list"]).await?.expect(0)?;

    let nobody = Cli { url: format!("http://127.0.0.1:{}", claim_port(0)?), ..cli };
    let unreachable = nobody.run(&["list"]).await?.expect(6)?;
    assert!(unreachable.error()?.contains("cannot be reached"), "{}", unreachable.err);
    Ok(())
}
