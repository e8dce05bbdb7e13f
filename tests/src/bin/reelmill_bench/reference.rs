//! What people write by hand: the naive way, and the best single command that we know.
//!
//! Both at the same preset, quality, caps, key frames and segments as ours.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use e2e::process::command;

/// Name, height and bits per second at most of every rendition.
pub(crate) const LADDER: [(u32, &str); 4] =
    [(1080, "5000k"), (720, "2500k"), (480, "1000k"), (360, "600k")];

/// The rungs that a source of this height gets.
pub(crate) fn rungs(height: u32) -> impl Iterator<Item = (u32, &'static str)> {
    LADDER.into_iter().filter(move |(rung, _)| *rung <= height)
}

fn ffmpeg(source: &Path) -> Command {
    let mut command = command("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i"]).arg(source);
    command
}

fn video(command: &mut Command, preset: &str, cap: &str) {
    command
        .args(["-c:v", "libx264", "-preset", preset, "-crf", "23", "-sc_threshold", "0"])
        .args(["-profile:v", "high", "-pix_fmt", "yuv420p", "-flags:v", "+cgop", "-g", "60"])
        .args(["-force_key_frames", "expr:gte(t,n_forced*2)", "-maxrate", cap, "-bufsize", cap]);
}

fn segments(command: &mut Command, directory: &Path) -> PathBuf {
    std::fs::create_dir_all(directory).expect("the benchmark's own directory is writable");
    let playlist = directory.join("index.m3u8");
    command
        .args(["-f", "hls", "-hls_time", "4", "-hls_list_size", "0", "-hls_playlist_type", "event"])
        .args(["-hls_segment_type", "fmp4", "-hls_flags", "independent_segments"])
        .args(["-hls_fmp4_init_filename", "init.mp4", "-hls_segment_filename"])
        .arg(directory.join("%06d.m4s"))
        .arg(&playlist);
    playlist
}

/// The naive way: one run after the other, each with its own decode and its own audio.
pub(crate) fn sequential(source: &Path, height: u32, preset: &str, into: &Path) -> Vec<Command> {
    rungs(height)
        .map(|(rung, cap)| {
            let mut command = ffmpeg(source);
            command.args(["-vf", &format!("scale=-2:{rung}")]);
            video(&mut command, preset, cap);
            command.args(["-c:a", "aac", "-b:a", "128k", "-ac", "2"]);
            segments(&mut command, &into.join(rung.to_string()));
            command
        })
        .collect()
}

/// The best single command: one decode, the audio once, and poster, storyboard and samples for a
/// waveform from the same decode. Also the playlists that make it playable.
pub(crate) fn single(
    source: &Path,
    height: u32,
    preset: &str,
    into: &Path,
) -> (Command, Vec<PathBuf>) {
    let rungs: Vec<_> = rungs(height).collect();
    let outputs: String = rungs.iter().map(|(rung, _)| format!("[s{rung}]")).collect();
    let mut graph = format!("[0:v:0]split={}{outputs}[sp][ss];", rungs.len() + 2);
    for (rung, _) in &rungs {
        graph += &format!("[s{rung}]scale=-2:{rung}:flags=bicubic[v{rung}];");
    }
    graph += "[sp]select='eq(n,30)',scale=1280:-2[poster];";
    graph += "[ss]select='gte(t,selected_n)',scale=160:-2,tile=10x10[sheet]";
    let mut command = ffmpeg(source);
    command.args(["-filter_complex", &graph]);
    let mut playlists = Vec::new();
    for (rung, cap) in rungs {
        command.args(["-map", &format!("[v{rung}]")]);
        video(&mut command, preset, cap);
        playlists.push(segments(&mut command, &into.join(rung.to_string())));
    }
    command.args(["-map", "0:a:0", "-c:a", "aac", "-b:a", "128k", "-ac", "2"]);
    playlists.push(segments(&mut command, &into.join("audio")));
    command
        .args(["-map", "[poster]", "-frames:v", "1", "-update", "1"])
        .arg(into.join("poster.jpg"));
    command.args(["-map", "[sheet]", "-fps_mode", "passthrough"]).arg(into.join("sheet-%03d.jpg"));
    command
        .args(["-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "s16le"])
        .arg(into.join("samples.pcm"));
    (command, playlists)
}
