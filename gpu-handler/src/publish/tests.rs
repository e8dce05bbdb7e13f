use std::{path::Path, sync::Mutex};

use futures::{FutureExt, future::BoxFuture};
use reelmill_shared::{
    job::{FailureCode, Metrics, OutputRole, Pipeline},
    plan::{Hardware, Request},
    probe::{Limits, Probe, SourceInfo},
    waveform::{Reducer, Waveform, ZOOMS},
};
use rstest::rstest;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// Remembers every write in order and when it came, or refuses all.
struct Memory {
    writes: Mutex<Vec<(String, Bytes, Instant)>>,
    refuses: bool,
    rewrite_interval: Duration,
}

impl Default for Memory {
    /// As demanding as R2.
    fn default() -> Self {
        let rewrite_interval = Duration::from_millis(1100);
        Self { writes: Mutex::default(), refuses: false, rewrite_interval }
    }
}

impl Storage for Memory {
    fn put<'a>(&'a self, path: &'a OutputPath, body: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            if self.refuses {
                return Err(Failure::new(FailureCode::StoreFailed, "full"));
            }
            self.writes.lock().expect("no panic").push((path.to_string(), body, Instant::now()));
            Ok(())
        }
        .boxed()
    }

    fn rewrite_interval(&self) -> Duration {
        self.rewrite_interval
    }
}

impl Memory {
    fn paths(&self) -> Vec<String> {
        self.writes.lock().expect("no panic").iter().map(|(path, ..)| path.clone()).collect()
    }

    fn text(&self, path: &str) -> String {
        let writes = self.writes.lock().expect("no panic");
        let (_, body, _) =
            writes.iter().rfind(|(stored, ..)| stored == path).expect("a stored file");
        String::from_utf8(body.to_vec()).expect("text")
    }

    /// When `path` was written.
    fn times(&self, path: &str) -> Vec<Instant> {
        let writes = self.writes.lock().expect("no panic");
        writes.iter().filter(|(stored, ..)| stored == path).map(|(.., at)| *at).collect()
    }

    /// Where the first write of `path` stands among all.
    fn at(&self, path: &str) -> usize {
        self.paths().iter().position(|stored| stored == path).expect("a stored file")
    }
}

fn source() -> SourceInfo {
    let json = json!({"format": {"format_name": "mov,mp4", "duration": "8"}, "streams": [
        {"index": 0, "codec_type": "video", "codec_name": "h264", "width": 640, "height": 360,
            "r_frame_rate": "30/1", "avg_frame_rate": "30/1"},
        {"index": 1, "codec_type": "audio", "codec_name": "aac", "sample_rate": "48000", "channels": 2},
        {"index": 2, "codec_type": "subtitle", "codec_name": "subrip"},
        {"index": 3, "codec_type": "audio", "codec_name": "aac", "sample_rate": "48000", "channels": 2},
    ]});
    let probe = Probe::from_json(json.to_string().as_bytes()).expect("ffprobe's JSON");
    probe.check(&Limits::default(), &|_| true).expect("a source")
}

/// Stands in for FFmpeg: a directory in which files appear as it would leave them.
struct Work {
    root: TempDir,
    source: SourceInfo,
    plan: Plan,
}

impl Work {
    fn new() -> Self {
        Self::make(1)
    }

    fn make(take: u8) -> Self {
        let source = source();
        let plan = Plan::new(&Request {
            source: &source,
            pipeline: &Pipeline::default(),
            hardware: &Hardware::default(),
            preset: "veryfast",
            input: "file:source",
            max_seconds: 100.0,
            take,
        });
        let root = tempfile::tempdir().expect("a directory");
        for directory in &plan.directories {
            std::fs::create_dir(root.path().join(directory)).expect("a directory");
        }
        Self { root, source, plan }
    }

    fn write(&self, file: &str, body: impl AsRef<[u8]>) {
        std::fs::write(self.root.path().join(file), body).expect("a file");
    }

    /// Finishes `count` groups of pictures of two seconds in a rendition.
    fn finish_groups(&self, directory: &str, count: usize) {
        let mut playlist = "#EXTM3U\n".to_owned();
        self.write(&format!("{directory}/init.mp4"), "init");
        for number in 0..count {
            let name = format!("{number:06}.m4s");
            self.write(&format!("{directory}/{name}"), vec![0; 1000 * (number + 1)]);
            playlist.push_str(&format!("#EXTINF:2.000000,\n{name}\n"));
        }
        self.write(&format!("{directory}/index.m3u8"), playlist);
    }

    fn publisher(&self, storage: &Arc<Memory>) -> Publisher {
        let storage: Arc<dyn Storage> = Arc::<Memory>::clone(storage);
        Publisher::new(self.plan.clone(), self.root.path().to_owned(), storage)
    }

    async fn finish(&self, publisher: Publisher) -> Result<Published, Failure> {
        let waveforms = waveforms();
        let metrics = Metrics { encoder: Some("libx264".to_owned()), ..Metrics::default() };
        let (source, waveforms, metrics) = (&self.source, &waveforms, &metrics);
        publisher.finish(Finale { source, waveforms, metrics }).await
    }
}

fn waveforms() -> Vec<Waveform> {
    let mut reducer = Reducer::new(48_000, 2, &ZOOMS);
    reducer.push(&[1; 4000]);
    reducer.finish()
}

#[tokio::test(start_paused = true)]
async fn is_playable_before_the_end_and_names_nothing_that_is_not_stored() {
    let work = Work::new();
    let storage = Arc::new(Memory::default());
    let mut publisher = work.publisher(&storage);
    for directory in &work.plan.directories {
        work.finish_groups(directory, 1);
    }
    // FFmpeg ends once a player could begin: whoever waits for its end would wait for ever.
    let playable = tokio::sync::Notify::new();
    publisher.watch(playable.notified(), || playable.notify_one()).await.expect("stored");

    for directory in ["v360", "a0", "a1"] {
        let at = |file: &str| storage.at(&format!("hls/{directory}/{file}"));
        assert!(at("init.mp4") < at("000000.m4s"));
        assert!(at("000000.m4s") < at("index.m3u8"));
        assert!(at("index.m3u8") < storage.at("hls/main.m3u8"));
        assert!(!work.root.path().join(directory).join("000000.m4s").exists(), "removed here");
    }
    let playlist = storage.text("hls/v360/index.m3u8");
    assert!(playlist.contains("PLAYLIST-TYPE:EVENT") && !playlist.contains("ENDLIST"));
    assert!(storage.text("hls/main.m3u8").contains("BANDWIDTH=800800"), "caps while it grows");
}

#[tokio::test(start_paused = true)]
async fn stores_everything_in_the_end() {
    let work = Work::new();
    let storage = Arc::new(Memory::default());
    let mut publisher = work.publisher(&storage);
    for directory in ["v360", "a0"] {
        work.finish_groups(directory, 4);
    }
    work.write("s0.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n");
    work.write("first.jpg", "jpeg");
    work.write("storyboard-000.jpg", "jpeg");
    publisher.watch(async {}, || ()).await.expect("stored");
    let published = work.finish(publisher).await.expect("published");

    let mut paths = storage.paths();
    paths.sort();
    paths.dedup();
    insta::assert_snapshot!("paths", paths.join("\n"));
    insta::assert_json_snapshot!("published", published.summary);
    assert!(published.outputs.values().all(|path| paths.contains(&path.to_string())));
    assert_eq!(published.outputs[&OutputRole::Waveform].as_str(), "waveform/16384.json");
    // The first segment is one group, for an early start; the last is what was left.
    insta::assert_snapshot!("media_playlist", storage.text("hls/v360/index.m3u8"));
    insta::assert_snapshot!("main", storage.text("hls/main.m3u8"));
    let metadata: serde_json::Value =
        serde_json::from_str(&storage.text("metadata.json")).expect("JSON");
    insta::assert_json_snapshot!("metadata", metadata);
}

#[rstest]
#[case::as_seldom_as_r2_asks(1100)]
#[case::at_once_where_nobody_asks(0)]
#[tokio::test(start_paused = true)]
async fn rewrites_playlists_as_often_as_the_storage_takes(#[case] millis: u64) {
    let work = Work::new();
    let rewrite_interval = Duration::from_millis(millis);
    let storage = Arc::new(Memory { rewrite_interval, ..Memory::default() });
    let mut publisher = work.publisher(&storage);
    let grow = async {
        for count in 1..=10 {
            for directory in ["v360", "a0", "a1"] {
                work.finish_groups(directory, count);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    publisher.watch(grow, || ()).await.expect("stored");
    let ended = Instant::now();
    work.finish(publisher).await.expect("published");
    assert!(ended.elapsed() <= rewrite_interval, "the end took {:?}", ended.elapsed());
    for path in ["hls/v360/index.m3u8", "hls/a0/index.m3u8", "hls/main.m3u8"] {
        let times = storage.times(path);
        assert!(times.len() >= 2, "{path} was written {} times", times.len());
        assert!(times.is_sorted_by(|a, b| *b - *a >= rewrite_interval), "{path}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stops_when_nothing_can_be_stored() {
    let work = Work::new();
    let storage = Arc::new(Memory { refuses: true, ..Memory::default() });
    let mut publisher = work.publisher(&storage);
    work.finish_groups("v360", 1);
    let failure = publisher.watch(std::future::pending(), || ()).await.expect_err("refused");
    assert_eq!(failure.code, FailureCode::StoreFailed);
}

/// An encoder fails in mid-source, another begins anew: whoever plays either mixes nothing.
#[tokio::test(start_paused = true)]
async fn what_is_made_anew_replaces_nothing_but_the_main_playlist() {
    let storage = Arc::new(Memory::default());
    let mut published = Vec::new();
    for take in [1, 2] {
        let work = Work::make(take);
        let mut publisher = work.publisher(&storage);
        for directory in &work.plan.directories {
            work.finish_groups(directory, 3);
        }
        let playable = tokio::sync::Notify::new();
        publisher.watch(playable.notified(), || playable.notify_one()).await.expect("stored");
        if take == 2 {
            work.finish(publisher).await.expect("published");
        } else {
            assert!(publisher.abandon().await, "segments are stored");
        }
        published.push(storage.paths());
    }
    let first = &published[0];
    let mut again = published[1][first.len()..].iter().filter(|path| first.contains(path));
    assert!(again.all(|path| path == "hls/main.m3u8"), "{published:?}");
    assert!(
        storage.times("hls/main.m3u8").is_sorted_by(|a, b| *b - *a >= storage.rewrite_interval)
    );
    let main = storage.text("hls/main.m3u8");
    assert!(main.contains("v360-2/index.m3u8") && !main.contains("v360/index.m3u8"), "{main}");
}

#[tokio::test(start_paused = true)]
async fn abandons_without_a_trace_what_has_not_begun() {
    let work = Work::new();
    let storage = Arc::new(Memory::default());
    assert!(!work.publisher(&storage).abandon().await);
    assert_eq!(storage.paths(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_source_without_pictures_where_there_should_be_some_is_corrupt() {
    let work = Work::new();
    let storage = Arc::new(Memory::default());
    let mut publisher = work.publisher(&storage);
    work.finish_groups("a0", 1);
    publisher.watch(async {}, || ()).await.expect("stored");
    let failure = publisher.check().expect_err("no video");
    assert_eq!(failure.code, FailureCode::CorruptMedia);
    assert!(!storage.paths().contains(&"hls/main.m3u8".to_owned()));
}

#[test]
fn the_plan_leaves_files_where_the_publisher_looks() {
    let work = Work::new();
    let publisher = work.publisher(&Arc::new(Memory::default()));
    for rendition in &publisher.renditions {
        let playlist = format!("{}/index.m3u8", rendition.directory);
        assert!(work.plan.args.contains(&playlist));
        assert!(Path::new(&playlist).starts_with(&rendition.directory));
    }
}
