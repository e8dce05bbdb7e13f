//! Interlaced sources come out without combs.

#[path = "support/workbench.rs"]
mod workbench;

use std::{path::Path, process::Command};

use reelmill_shared::job::{Outcome, Pipeline};
use rstest::rstest;
use workbench::{Workbench, files};

const WIDTH: usize = 320;

/// What FFmpeg writes to its standard output.
#[expect(clippy::disallowed_methods, reason = "the clips of tests come from FFmpeg itself")]
fn ffmpeg(input: &[&str], args: &str, output: &Path) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).args(input);
    let done = command.args(args.split_whitespace()).arg(output).output();
    let done = done.expect("ffmpeg is installed");
    assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// How much more a line of a frame after a second differs from the next than from the one after
/// that: far above 1 where two fields of a moving picture are woven together.
fn combs(video: &Path) -> f64 {
    let input = ["-ss", "1", "-i", video.to_str().expect("a path of ours")];
    let args = format!("-frames:v 1 -vf scale={WIDTH}:ih:flags=neighbor -pix_fmt gray -f rawvideo");
    let frame = ffmpeg(&input, &args, Path::new("-"));
    let lines: Vec<&[u8]> = frame.chunks_exact(WIDTH).collect();
    let differ = |a: &[u8], b: &[u8]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum()
    };
    let over = |gap: usize| -> f64 { lines.windows(3).map(|l| differ(l[0], l[gap])).sum() };
    over(1) / over(2)
}

#[rstest]
#[case::said_by_the_container(
    "a.mp4",
    "-vf FIELDS,format=yuv420p -flags +ildct+ilme -preset ultrafast"
)]
#[case::said_by_the_frames_alone("a.dv", "-vf FIELDS,scale=720:576:interl=1,format=yuv420p")]
#[tokio::test(flavor = "multi_thread")]
async fn combs_are_gone(#[case] name: &str, #[case] args: &str) {
    let bench = Workbench::new().await;
    let source = bench.root.path().join(name);
    let fields = "scroll=h=0.02,tinterlace=interleave_top,setfield=tff";
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=720x576:rate=50:duration=3"];
    ffmpeg(&picture, &args.replace("FIELDS", fields), &source);
    assert!(combs(&source) > 2.0, "the source is woven: {}", combs(&source));

    let (done, outputs) = bench.run(&source, Pipeline::default()).await;
    assert!(matches!(done.report.outcome, Outcome::Completed { .. }), "{}", done.log);
    let whole = bench.root.path().join("whole.mp4");
    let segments = files(&outputs).into_iter().filter(|file| file.starts_with("hls/v576/0"));
    let parts = std::iter::once("hls/v576/init.mp4".to_owned()).chain(segments);
    let parts = parts.map(|file| std::fs::read(outputs.join(file)).expect("a stored file"));
    let parts: Vec<Vec<u8>> = parts.collect();
    std::fs::write(&whole, parts.concat()).expect("a file");
    assert!(combs(&whole) < 1.0, "{}", combs(&whole));
}
