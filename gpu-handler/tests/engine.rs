//! Whole jobs, from file to directory: what is stored, and that it is what it says.

#[path = "support/media.rs"]
mod media;
#[path = "support/workbench.rs"]
mod workbench;

use std::path::{Path, PathBuf};

use gpu_handler::engine::Done;
use media::media;
use reelmill_shared::{
    job::{FailureCode, FellBack, Outcome, OutputRole, Pipeline, Summary},
    plan::Class,
};
use rstest::rstest;
use serde_json::json;
use workbench::{Workbench, files};

/// Has FFmpeg write a clip of its own test sources.
#[expect(clippy::disallowed_methods, reason = "the clips of tests come from FFmpeg itself")]
fn generate(bench: &Workbench, name: &str, args: &str) -> PathBuf {
    let path = bench.root.path().join(name);
    let mut command = std::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).args(args.split_whitespace()).arg(&path);
    assert!(command.status().expect("ffmpeg is installed").success(), "{args}");
    path
}

const PICTURE: &str = "-f lavfi -i testsrc2=size=1280x720:rate=30";
const TONE: &str = "-f lavfi -i sine=sample_rate=48000";

fn completed(done: &Done) -> &Summary {
    match &done.report.outcome {
        Outcome::Completed { summary, .. } => summary,
        Outcome::Failed { error } => panic!("{error}\n{}", done.log),
    }
}

fn text(root: &Path, file: &str) -> String {
    std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Sum of the `EXTINF` durations of a finished media playlist, all of whose segments are there.
fn seconds(root: &Path, folder: &str) -> f64 {
    let playlist = text(root, &format!("{folder}/index.m3u8"));
    assert!(playlist.starts_with("#EXTM3U") && playlist.trim_end().ends_with("#EXT-X-ENDLIST"));
    assert!(playlist.contains("#EXT-X-PLAYLIST-TYPE:VOD"), "{playlist}");
    for segment in playlist.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(root.join(folder).join(segment).is_file(), "{folder}/{segment}");
    }
    let durations = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    durations.map(|line| line.trim_end_matches(',').parse::<f64>().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn makes_everything_of_a_video() {
    let bench = Workbench::new().await;
    let source = generate(&bench, "a.mp4", &format!("{PICTURE} {TONE} -t 9 -preset ultrafast"));
    let (done, root) = bench.run(&source, Pipeline::default()).await;
    let summary = completed(&done);
    assert_eq!((summary.width, summary.height), (Some(1280), Some(720)));
    assert_eq!((summary.renditions.as_slice(), summary.audio_tracks), (&[720, 480, 360][..], 1));
    assert_eq!(summary.frame_rate, Some(30.0));
    assert!((summary.duration - 9.0).abs() < 0.1, "{}", summary.duration);
    assert_eq!(summary.warnings, Vec::<String>::new());
    let mut expected =
        vec!["hls/main.m3u8".to_owned(), "metadata.json".into(), "poster.jpg".into()];
    for folder in ["v720", "v480", "v360", "a0"] {
        assert!((seconds(&root, &format!("hls/{folder}")) - 9.0).abs() < 0.1, "{folder}");
        let video = folder.starts_with('v');
        let names = ["000000.m4s", "000001.m4s", "000002.m4s", "index.m3u8", "init.mp4"];
        expected.extend(names.iter().map(|name| format!("hls/{folder}/{name}")));
        expected.extend(video.then(|| format!("hls/{folder}/iframes.m3u8")));
    }
    expected.extend(["storyboard/000.jpg".to_owned(), "storyboard/storyboard.vtt".to_owned()]);
    for zoom in [256, 1024, 4096, 16384] {
        expected.extend([format!("waveform/{zoom}.dat"), format!("waveform/{zoom}.json")]);
    }
    expected.sort();
    assert_eq!(files(&root), expected);
    let main = text(&root, "hls/main.m3u8");
    assert!(main.contains("RESOLUTION=1280x720") && main.contains("CODECS=\"avc1."), "{main}");
    let Outcome::Completed { outputs, .. } = &done.report.outcome else { unreachable!() };
    for role in [OutputRole::Hls, OutputRole::Poster, OutputRole::Storyboard, OutputRole::Waveform]
    {
        assert!(root.join(outputs[&role].as_str()).is_file(), "{role:?}");
    }
    let metrics = &done.report.metrics;
    assert!(metrics.cpu_seconds > 0.0 && metrics.output_bytes > 0, "{metrics:?}");
    assert!(metrics.playable_seconds.is_some_and(|at| at <= metrics.total_seconds), "{metrics:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn makes_transport_streams() {
    let bench = Workbench::new().await;
    let source = generate(&bench, "a.mp4", &format!("{PICTURE} {TONE} -t 5 -s 640x360"));
    let pipeline = serde_json::from_value(json!({"segmentFormat": "ts"})).expect("a pipeline");
    let (done, root) = bench.run(&source, pipeline).await;
    completed(&done);
    let names = files(&root);
    assert!(names.contains(&"hls/v360/000001.ts".to_owned()), "{names:?}");
    assert!(
        !names.iter().any(|name| name.ends_with(".m4s") || name.ends_with(".mp4")),
        "{names:?}"
    );
}

#[rstest]
#[case::silent("silent.mp4", "-f lavfi -i testsrc=size=320x180 -t 3", 1, 0)]
#[case::short("short.mp4", "-f lavfi -i testsrc=size=320x180:rate=25 -t 0.2", 1, 0)]
#[case::one_frame("frame.mp4", "-f lavfi -i testsrc=size=320x180:rate=25 -frames:v 1", 1, 0)]
#[case::tiny("tiny.mp4", "-f lavfi -i testsrc=size=16x16 -t 1", 1, 0)]
#[case::sound("sound.mp3", "-f lavfi -i sine -t 3", 0, 1)]
#[case::mono_8k("mono.wav", "-f lavfi -i sine=sample_rate=8000 -t 1", 0, 1)]
#[tokio::test(flavor = "multi_thread")]
async fn makes_something_of_little(
    #[case] name: &str,
    #[case] args: &str,
    #[case] renditions: usize,
    #[case] audio: u32,
) {
    let bench = Workbench::new().await;
    let (done, root) = bench.run(&generate(&bench, name, args), Pipeline::default()).await;
    let summary = completed(&done);
    assert_eq!((summary.renditions.len(), summary.audio_tracks), (renditions, audio));
    let names = files(&root);
    let has = |start: &str| names.iter().any(|name| name.starts_with(start));
    assert_eq!((has("poster.jpg"), has("waveform/")), (renditions > 0, audio > 0), "{names:?}");
    assert!(has("hls/main.m3u8"), "{names:?}");
}

/// A GPU that does not do what it should costs time and a warning, but never the outputs.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_gpu_refuses_is_made_in_software() {
    let mut class = Class::None;
    let bench = Workbench::on(|host| {
        class = host.class;
        host.hardware.sessions = 4;
    })
    .await;
    if class != Class::None {
        eprintln!("SKIPPED: the GPU of this machine would not refuse");
        return;
    }
    let source = generate(&bench, "a.mp4", &format!("{PICTURE} {TONE} -t 3 -s 640x360"));
    let (done, root) = bench.run(&source, Pipeline::default()).await;
    let summary = completed(&done);
    assert_eq!(summary.encoder.as_deref(), Some("libx264"));
    assert_eq!(summary.warnings, ["the GPU gave up: encoded in software"]);
    assert!((seconds(&root, "hls/v360") - 3.0).abs() < 0.1);
    assert!(text(&root, "metadata.json").contains("the GPU gave up"));
    let metrics = &done.report.metrics;
    assert_eq!(metrics.encoder.as_deref(), Some("libx264"));
    assert_eq!(metrics.fell_back, Some(FellBack::GpuLost));
}

/// What the AAC encoder puts before and after the sound is not the source's.
#[tokio::test(flavor = "multi_thread")]
async fn sound_lasts_as_long_as_the_source() {
    let bench = Workbench::new().await;
    let source = generate(&bench, "sound.wav", "-f lavfi -i sine=sample_rate=48000 -t 2");
    let (done, root) = bench.run(&source, Pipeline::default()).await;
    assert!((completed(&done).duration - 2.0).abs() < 1e-6);
    let metadata: serde_json::Value =
        serde_json::from_str(&text(&root, "metadata.json")).expect("JSON");
    let [all, encode] = ["totalSeconds", "encodeSeconds"]
        .map(|name| metadata["metrics"][name].as_f64().expect("a number"));
    assert!(all >= encode && encode > 0.0, "{metadata}");
}

/// A header with nothing behind it is no media.
#[tokio::test(flavor = "multi_thread")]
async fn sound_without_a_sample_is_corrupt() {
    let bench = Workbench::new().await;
    let header = bench.root.path().join("header.wav");
    let whole = std::fs::read(generate(&bench, "whole.wav", "-f lavfi -i sine -t 1 -bitexact"));
    let mut bytes = whole.expect("read")[..44].to_vec();
    bytes[40..44].fill(0);
    std::fs::write(&header, bytes).expect("written");
    let (done, _) = bench.run(&header, Pipeline::default()).await;
    let Outcome::Failed { error } = &done.report.outcome else { panic!("{:?}", done.report) };
    assert_eq!(error.code, FailureCode::CorruptMedia);
}

/// A source that ends long before it says is told of, not passed over.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_source_fails_or_warns() {
    let bench = Workbench::new().await;
    let args = format!("{PICTURE} -t 10 -preset ultrafast -g 30 -movflags +faststart");
    let whole = std::fs::read(generate(&bench, "whole.mp4", &args)).expect("read");
    let path = bench.root.path().join("cut.mp4");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let (done, _) = bench.run(&path, Pipeline::default()).await;
    match &done.report.outcome {
        Outcome::Completed { summary, .. } => {
            assert!(summary.duration < 9.0);
            assert!(!summary.warnings.is_empty(), "{summary:?}");
        }
        Outcome::Failed { error } => assert_eq!(error.code, FailureCode::CorruptMedia),
    }
}

/// Where a container has no duration, its length is what it claims.
#[rstest]
#[case("cut.wav")]
#[case("cut.w64")]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_short_is_told_of(#[case] name: &str) {
    let bench = Workbench::new().await;
    let whole = generate(&bench, name, &format!("{TONE} -t 4"));
    let (done, _) = bench.run(&whole, Pipeline::default()).await;
    assert_eq!(completed(&done).warnings, Vec::<String>::new());
    let bytes = std::fs::read(&whole).expect("read");
    std::fs::write(&whole, &bytes[..bytes.len() / 2]).expect("written");
    let (done, _) = bench.run(&whole, Pipeline::default()).await;
    let summary = completed(&done);
    assert!((summary.duration - 2.0).abs() < 0.1, "{}", summary.duration);
    let told = "the source is incomplete: it lacks data that it announces";
    assert!(summary.warnings.iter().any(|warning| warning == told), "{:?}", summary.warnings);
}

/// A recorder that writes into a pipe cannot know the length: it claims none.
#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_wav_is_whole() {
    let bench = Workbench::new().await;
    let path = generate(&bench, "streamed.wav", &format!("{TONE} -t 1"));
    let mut bytes = std::fs::read(&path).expect("read");
    let data = bytes.windows(4).position(|window| window == b"data").expect("a chunk");
    bytes[4..8].fill(0xff);
    bytes[data + 4..data + 8].fill(0xff);
    std::fs::write(&path, bytes).expect("written");
    let (done, _) = bench.run(&path, Pipeline::default()).await;
    assert_eq!(completed(&done).warnings, Vec::<String>::new());
}

/// Sound behind junk is found or refused; noise is made of neither.
#[rstest]
#[case::like_amr(&[0xde, 0xad, 0xbe, 0xef])]
#[case::like_gsm(&[0xd4])]
#[case::zeros(&[0])]
#[case::text(b"HTTP/1.1 502 Bad Gateway\r\n")]
#[tokio::test(flavor = "multi_thread")]
async fn junk_does_not_become_noise(#[case] junk: &[u8]) {
    let bench = Workbench::new().await;
    let path = generate(&bench, "sound.mp3", &format!("{TONE} -t 6 -b:a 128k"));
    let sound = std::fs::read(&path).expect("read");
    let prefix = junk.iter().copied().cycle().take(200_000);
    std::fs::write(&path, prefix.chain(sound).collect::<Vec<u8>>()).expect("written");
    let (done, _) = bench.run(&path, Pipeline::default()).await;
    match &done.report.outcome {
        Outcome::Completed { summary, .. } => {
            assert!((summary.duration - 6.0).abs() < 0.1, "{} s", summary.duration);
        }
        Outcome::Failed { error } => assert_eq!(error.code, FailureCode::UnsupportedMedia),
    }
}

/// Captions as they were found, whatever was written where, come out as UTF-8.
#[rstest]
#[case("windows-1252", "Où êtes-vous ? À l'école, garçon.", "Ça va très bien.")]
#[case("windows-1251", "Привет, как дела?", "Всё хорошо, спасибо.")]
#[case("shift_jis", "こんにちは、世界。", "ソフトの表です。ボ")]
#[tokio::test(flavor = "multi_thread")]
async fn captions_become_utf8(#[case] charset: &str, #[case] one: &str, #[case] two: &str) {
    let bench = Workbench::new().await;
    let captions = bench.root.path().join("found.srt");
    let found = format!(
        "1\n00:00:00,500 --> 00:00:01,000\n{one}\n{two}\n\n\
         2\n00:00:01,500 --> 00:00:02,000\n{two}\n"
    );
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).expect("a character set");
    std::fs::write(&captions, encoding.encode(&found).0).expect("written");
    let args = format!("{PICTURE} -i {} -map 0 -map 1 -t 3", captions.display());
    let source = generate(&bench, "found.mkv", &format!("{args} -s 320x180 -c:s copy"));
    let (done, root) = bench.run(&source, Pipeline::default()).await;
    let told = format!("subtitle stream 1 is not UTF-8: taken for {}", encoding.name());
    assert_eq!(completed(&done).warnings, [told]);
    let captions = text(&root, "hls/s0/000000.vtt");
    for cue in [format!("00:00:01.000\n{one}\n{two}\n"), format!("00:00:02.000\n{two}\n")] {
        assert!(captions.contains(&cue), "{captions}");
    }
}

/// Captions that go on after the film are not a promise of more film.
#[tokio::test(flavor = "multi_thread")]
async fn captions_may_outlast_the_film() {
    let bench = Workbench::new().await;
    let captions = bench.root.path().join("late.srt");
    let late = "1\n00:00:01,000 --> 00:00:02,000\nA\n\n2\n00:00:28,000 --> 00:00:30,000\nB\n";
    std::fs::write(&captions, late).expect("written");
    let captions = captions.display();
    let args = format!("{PICTURE} {TONE} -i {captions} -map 0 -map 1 -map 2 -s 320x180");
    let limits = "-frames:v 60 -filter:a atrim=end=2 -preset ultrafast -c:s srt";
    let source = generate(&bench, "film.mkv", &format!("{args} {limits}"));
    let (done, _) = bench.run(&source, Pipeline::default()).await;
    let summary = completed(&done);
    assert!((summary.duration - 2.0).abs() < 0.1, "{}", summary.duration);
    assert_eq!((summary.subtitle_tracks, summary.warnings.as_slice()), (1, &[][..]));
}

/// Real files of every kind; what each must come out as is known from looking at it.
#[rstest]
#[case("edge/rot90_720p_5s.mp4", Some((720, 1280)), 4.97)]
#[case("edge/sar_2x1.mp4", Some((1280, 360)), 5.0)]
#[case("edge/start10s.mp4", None, 4.0)]
#[case("edge/odd_518x488_vfr.mp4", None, 5.5)]
#[case("edge/portrait_720x1080.mp4", Some((720, 1080)), 1.0)]
#[case("derived/interlaced_tff_29.97.mp4", None, 4.0)]
#[case("video/vp9_bbb_642x642.webm", Some((642, 642)), 3.0)]
#[tokio::test(flavor = "multi_thread")]
async fn real_files_come_out_right(
    #[case] name: &str,
    #[case] size: Option<(u32, u32)>,
    #[case] duration: f64,
) {
    let Some(root) = media("") else { return };
    let bench = Workbench::new().await;
    let (done, outputs) = bench.run(&root.join(name), Pipeline::default()).await;
    let summary = completed(&done);
    if let Some((width, height)) = size {
        assert_eq!((summary.width, summary.height), (Some(width), Some(height)));
        let main = text(&outputs, "hls/main.m3u8");
        assert!(main.contains(&format!("RESOLUTION={width}x{height}")), "{main}");
    }
    assert!((summary.duration - duration).abs() < 0.6, "{} s", summary.duration);
}

/// Every real file ends well or with its own reason, and never with a fault of ours.
#[rstest]
#[case("edge")]
#[case("derived")]
#[case("audio")]
#[case("hdr")]
#[tokio::test(flavor = "multi_thread")]
async fn every_real_file_is_made(#[case] folder: &str) {
    let Some(root) = media(folder) else { return };
    let bench = Workbench::new().await;
    let mut complaints = Vec::new();
    for name in files(&root) {
        let (done, _) = bench.run(&root.join(&name), Pipeline::default()).await;
        let expected = match name.as_str() {
            "theora_none_vvc.mp4" => Some(FailureCode::UnsupportedCodec),
            // Nothing tells what it is: the junk before its first frame looks like other things.
            "garbage_prefix_200k.mp3" => Some(FailureCode::UnsupportedMedia),
            _ => None,
        };
        let (got, words) = match &done.report.outcome {
            Outcome::Completed { .. } => (None, String::new()),
            Outcome::Failed { error } => (Some(error.code), error.to_string()),
        };
        if got != expected {
            complaints.push(format!("{name}: {words}\n{}", done.log));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
