//! The walls themselves, tried with ordinary programs in FFmpeg's place.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use gpu_handler::{
    config::Tools,
    ffmpeg::{Captured, Ending, Run, Runner},
    sandbox::{Landlock, Limits, Order, Profile},
};
use rstest::rstest;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const LIMITS: Limits =
    Limits { cpu_seconds: 60, memory_bytes: None, file_bytes: 1 << 20, open_files: 64 };

/// A directory that may be written, with one file in it.
struct Cell {
    dir: TempDir,
    profile: Profile,
}

impl Cell {
    fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("mine"), vec![b'x'; 100_000]).expect("written");
        let write = vec![dir.path().to_owned()];
        Self { dir, profile: Profile { gpu: false, read: vec![], write, limits } }
    }

    fn run(&self) -> Run<'_> {
        let wall = Duration::from_secs(20);
        Run { dir: self.dir.path(), profile: &self.profile, wall, max_output: 1 << 20 }
    }

    async fn try_out(&self, program: &str, args: &[&str]) -> Captured {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        runner(program).ffprobe(&args, self.run()).await.expect("it starts")
    }
}

const LAUNCHER: &str = env!("CARGO_BIN_EXE_gpu-handler");

fn tools(ffprobe: &str) -> Tools {
    Tools {
        launcher: LAUNCHER.into(),
        ffmpeg: "/usr/bin/ffmpeg".into(),
        ffprobe: PathBuf::from(ffprobe),
        sandbox_required: false,
    }
}

fn runner(ffprobe: &str) -> Runner {
    Runner::new(tools(ffprobe))
}

/// Whether this kernel has all layers; says so when not.
async fn complete(cell: &Cell) -> bool {
    let layers = runner("/bin/true").layers(cell.run()).await.expect("layers");
    if !layers.complete() {
        eprintln!("SKIPPED: this kernel lacks layers: {layers:?}");
    }
    layers.landlock == Landlock::Full && layers.complete()
}

#[rstest]
#[case::another_file("/bin/cat", &["/etc/passwd"], "Permission denied")]
#[case::another_directory("/bin/ls", &["/tmp"], "Permission denied")]
#[case::another_process("/bin/cat", &["/proc/1/environ"], "Permission denied")]
#[case::writing_elsewhere("/usr/bin/touch", &["/tmp/reelmill-escaped"], "Permission denied")]
#[case::a_program("/usr/bin/env", &["/bin/cat", "mine"], "Permission denied")]
#[case::a_process("/bin/bash", &["-c", "(true); (true)"], "Operation not permitted")]
#[case::a_socket(
    "/bin/bash",
    &["-c", "echo > /dev/tcp/127.0.0.1/9"],
    "Operation not permitted"
)]
#[tokio::test]
async fn keeps_from(#[case] program: &str, #[case] args: &[&str], #[case] reason: &str) {
    let cell = Cell::new(LIMITS);
    if !complete(&cell).await {
        return;
    }
    let tried = cell.try_out(program, args).await;
    let log = tried.log.text();
    assert!(matches!(tried.ending, Ending::Code(1..)), "{:?}: {log}", tried.ending);
    assert!(log.contains(reason), "{log}");
    assert!(!Path::new("/tmp/reelmill-escaped").exists());
}

/// Every run is told what the configuration says, not only the trial at start.
#[rstest]
#[case(true)]
#[case(false)]
#[tokio::test]
async fn tells_every_run_whether_walls_are_required(#[case] required: bool) {
    let cell = Cell::new(LIMITS);
    // In the launcher's place: says what it is told.
    let echo = Tools { launcher: "/bin/echo".into(), sandbox_required: required, ..tools("x") };
    let told = Runner::new(echo).ffprobe(&[], cell.run()).await.expect("it starts");
    let told = String::from_utf8(told.stdout).expect("text");
    let order: Order =
        serde_json::from_str(told.split_whitespace().nth(1).expect("an order")).expect("JSON");
    assert_eq!(order, Order { required, profile: cell.profile });
}

/// Landlock bears sixteen layers, so in the seventeenth sandbox a wall is missing.
#[tokio::test]
async fn without_a_required_wall_nothing_runs() {
    let cell = Cell::new(LIMITS);
    if !complete(&cell).await {
        return;
    }
    let order = |required| {
        let order = Order { required, profile: cell.profile.clone() };
        serde_json::to_string(&order).expect("plain data")
    };
    for required in [false, true] {
        let mut args = Vec::new();
        for _ in 0..16 {
            args.extend(["sandbox".to_owned(), order(false), "--".into(), LAUNCHER.into()]);
        }
        args.extend(["sandbox".to_owned(), order(required)]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let tried = cell.try_out(LAUNCHER, &args).await;
        let log = tried.log.text();
        if required {
            assert_eq!(tried.ending, Ending::Code(125), "{log}");
            assert!(log.contains("the sandbox is required"), "{log}");
        } else {
            assert_eq!(tried.ending, Ending::Success, "{log}");
            assert!(String::from_utf8_lossy(&tried.stdout).contains("\"landlock\":\"none\""));
        }
    }
}

#[tokio::test]
async fn lets_through_what_is_named_and_no_environment() {
    let cell = Cell::new(LIMITS);
    let read = cell.try_out("/bin/cat", &["mine"]).await;
    assert_eq!((read.ending, read.stdout.len()), (Ending::Success, 100_000));
    let written = cell.try_out("/bin/cp", &["mine", "copy"]).await;
    assert_eq!(written.ending, Ending::Success, "{}", written.log.text());
    let environment = cell.try_out("/usr/bin/env", &[]).await;
    let environment = String::from_utf8_lossy(&environment.stdout).into_owned();
    let ours = ["PATH=", "HOME=", "CARGO", "HANDLER_"];
    let leaked = |line: &str| ours.iter().any(|name| line.starts_with(name));
    assert!(!environment.lines().any(leaked), "{environment}");
}

#[rstest]
#[case::cpu(
    Limits { cpu_seconds: 1, ..LIMITS }, "/usr/bin/md5sum", &["/dev/zero"],
    Ending::Signal(24)
)]
#[case::file_size(
    Limits { file_bytes: 1000, ..LIMITS }, "/bin/cp", &["mine", "copy"],
    Ending::Signal(25)
)]
#[case::memory(
    Limits { memory_bytes: Some(32 << 20), ..LIMITS }, "/usr/bin/tail", &["/dev/zero"],
    Ending::Code(1)
)]
#[tokio::test]
async fn bounds(
    #[case] limits: Limits,
    #[case] program: &str,
    #[case] args: &[&str],
    #[case] ending: Ending,
) {
    assert_eq!(Cell::new(limits).try_out(program, args).await.ending, ending);
}

#[tokio::test]
async fn ends_what_takes_too_long_or_talks_too_much() {
    let cell = Cell::new(LIMITS);
    let args: Vec<OsString> = vec!["1000".into()];
    let run = Run { wall: Duration::from_millis(200), ..cell.run() };
    let slept = runner("/bin/sleep").ffprobe(&args, run).await.expect("it starts");
    assert_eq!(slept.ending, Ending::TimedOut);
    let run = Run { max_output: 1000, ..cell.run() };
    let read = runner("/bin/cat").ffprobe(&["mine".into()], run).await.expect("it starts");
    assert_eq!(read.ending, Ending::TooMuchOutput);
}

/// FFmpeg with a generated source, in real time where `pace` says so.
fn encoding(cell: &Cell, pace: &str, output: &str) -> gpu_handler::ffmpeg::Encoding {
    let line =
        format!("-nostdin -progress pipe:0 -stats_period 0.1 {pace} -f lavfi -i sine {output}");
    let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    runner("/bin/true").start(&args, cell.run()).expect("it starts")
}

#[tokio::test]
async fn an_encoding_that_is_dropped_is_killed() {
    let cell = Cell::new(LIMITS);
    let mut running = encoding(&cell, "-re", "-f s16le pipe:1");
    let (mut pcm, _) = running.take_pcm().expect("a pipe");
    running.progress().changed().await.expect("it runs");
    drop(running);
    // The pipe ends when its last writer is gone.
    let mut rest = Vec::new();
    pcm.read_to_end(&mut rest).await.expect("the end");
}

#[tokio::test]
async fn an_encoding_that_stalls_or_drags_on_is_ended() {
    let cell = Cell::new(LIMITS);
    // Nobody reads its samples: it fills the pipe and waits.
    let stalled = encoding(&cell, "", "-f s16le pipe:1");
    let finished = stalled.finish(Duration::from_secs(60), Duration::from_secs(1)).await;
    let failure = finished.result.expect_err("stopped");
    assert_eq!(failure.to_string(), "timed_out: encoding made no progress for too long");
    let dragging = encoding(&cell, "-re", "-f null -");
    let finished = dragging.finish(Duration::from_secs(1), Duration::from_secs(60)).await;
    let failure = finished.result.expect_err("stopped");
    assert_eq!(failure.to_string(), "timed_out: encoding took too long");
}

/// An output whose first frame comes last silences FFmpeg's own progress; life shows all the same.
#[tokio::test]
async fn an_encoding_with_a_late_output_shows_life() {
    let cell = Cell::new(LIMITS);
    let line = "-nostdin -progress pipe:0 -re -f lavfi -i testsrc=size=64x64:rate=50:duration=60 \
                -filter_complex [0:v]split[a][b];[b]tile=60x60[late] \
                -map [a] -c:v libx264 -tune zerolatency -f null - -map [late] -f null -";
    let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let running = runner("/bin/true").start(&args, cell.run()).expect("it starts");
    let mut progress = running.progress();
    progress.changed().await.expect("a sign of life");
    let tick = *progress.borrow();
    assert!(tick.frames > 0 && !tick.ended, "{tick:?}");
}

#[tokio::test]
async fn an_encoding_tells_what_it_did() {
    let cell = Cell::new(LIMITS);
    let short = encoding(&cell, "", "-t 2 -f null -");
    let finished = short.finish(Duration::from_secs(60), Duration::from_secs(60)).await;
    assert_eq!(finished.result, Ok(()), "{}", finished.log.text());
    assert!(finished.last.ended && finished.last.out_time.as_secs_f64() > 1.9);
}
