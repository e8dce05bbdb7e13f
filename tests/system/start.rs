//! `scripts/run` up to where it starts anything: what it refuses, and that it can be stopped.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use e2e::{
    process::{Process, command},
    settings,
    wait::until,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::SOON;

/// Plays a build: a process of a process, which says who it is and goes on for longer than a test.
const BUILD: &str = "#!/bin/bash\nbash -c 'echo $$ >compiler; exec sleep 600'\necho over\n";

/// A checkout with the real `scripts/run`, and a build that never ends.
fn checkout() -> Result<(TempDir, PathBuf)> {
    let directory = tempfile::tempdir()?;
    let scripts = directory.path().join("scripts");
    fs::create_dir(&scripts)?;
    let run = scripts.join("run");
    fs::copy(settings::root().join("scripts/run"), &run)?;
    let setup = scripts.join("setup");
    fs::write(&setup, BUILD)?;
    fs::set_permissions(&setup, fs::Permissions::from_mode(0o755))?;
    Ok((directory, run))
}

#[test]
fn a_file_that_cannot_be_uploaded_is_refused_in_one_line_before_anything_is_built() -> Result<()> {
    let (directory, run) = checkout()?;
    let at = directory.path();
    fs::write(at.join("fine.mp4"), "a source")?;
    fs::write(at.join("empty.mp4"), "")?;
    fs::create_dir(at.join("folder.mp4"))?;
    for (file, expected) in [
        ("missing.mp4", "error: missing.mp4: no such file\n"),
        ("empty.mp4", "error: empty.mp4: is empty\n"),
        ("folder.mp4", "error: folder.mp4: is a directory\n"),
        ("/dev/null", "error: /dev/null: is no regular file\n"),
    ] {
        let output = command(&run).args(["fine.mp4", file]).current_dir(at).output()?;
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
        assert!(output.stdout.is_empty());
        assert!(!at.join("compiler").exists(), "nothing was built");
    }
    Ok(())
}

#[tokio::test]
async fn a_signal_during_the_build_stops_all_of_it() -> Result<()> {
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let (directory, run) = checkout()?;
        let at = directory.path();
        let mut start = command(&run);
        start.current_dir(at);
        let mut run = Process::start(start, at.join("log"))?;
        let compiler: u32 = until("it builds", SOON, async || {
            Ok(fs::read_to_string(at.join("compiler")).ok().and_then(|pid| pid.trim().parse().ok()))
        })
        .await?;
        ensure!(lives(compiler), "the build goes on");
        // To the script alone, as a supervisor does, and not to its group, as a terminal does.
        kill(Pid::from_raw(i32::try_from(run.id())?), signal)?;
        let ended = until("it stops", SOON, async || Ok(run.ended())).await?;
        assert_eq!((ended.code(), ended.signal()), (Some(status), None), "{}", run.output());
        assert!(!lives(compiler), "{signal} reached what was under way");
        assert_eq!(run.output(), "");
    }
    Ok(())
}

/// Whether a process runs; one that has ended and waits to be collected does not.
fn lives(pid: u32) -> bool {
    let stat = Path::new("/proc").join(pid.to_string()).join("stat");
    let state = fs::read_to_string(stat).ok().and_then(|stat| {
        let (_, rest) = stat.rsplit_once(") ")?;
        rest.chars().next()
    });
    state.is_some_and(|state| state != 'Z')
}
