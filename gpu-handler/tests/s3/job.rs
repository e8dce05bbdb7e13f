//! Whole jobs from bucket to bucket: in the engine, and by the binary with nothing but AWS's own
//! variables.
#![expect(clippy::disallowed_methods, reason = "the binary itself is what is tried")]

use std::{path::Path, process::Stdio};

use gpu_handler::{s3::Provider, stop::Stop, tracker::Tracker};
use reelmill_shared::{
    id::MediaId,
    job::{JobSpec, Outcome, OutputTarget, Pipeline},
};
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::{
    bench::{connect, input},
    server::{KEY, Storehouse},
    strict::State,
    workbench::{Workbench, files},
};

/// Has FFmpeg write a clip.
async fn clip(path: &Path) -> Vec<u8> {
    let args = "-v error -nostdin -f lavfi -i testsrc2=size=640x360:rate=25 \
                -f lavfi -i sine=sample_rate=48000 -t 7 -preset ultrafast";
    let mut command = Command::new("ffmpeg");
    command.args(args.split_whitespace()).arg(path);
    assert!(command.status().await.expect("ffmpeg is installed").success());
    std::fs::read(path).expect("a clip")
}

/// Whether two runs make the same of it to the byte. Of pictures that are held below a bitrate x264
/// does not, with more than one thread.
fn is_exact(name: &str) -> bool {
    !name.starts_with("hls/v") && !["hls/main.m3u8", "metadata.json"].contains(&name)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_bucket_to_bucket_is_as_from_file_to_directory() {
    let house = Storehouse::start(State::default()).await;
    let Workbench { engine, root } = Workbench::new().await;
    let s3 = connect(&house, KEY, Provider::Aws).await;
    let bench = Workbench { engine: engine.with_s3(Some(s3)), root };
    let source = bench.root.path().join("source.mp4");
    let bytes = clip(&source).await;
    house.place("sources", "in/source.mp4", &bytes);
    let (_, directory) = bench.run(&source, Pipeline::default()).await;
    let spec = JobSpec {
        version: 1,
        media_id: MediaId::new(Uuid::now_v7()),
        attempt: 1,
        pipeline: Pipeline::default(),
        input: input("s3://sources/in/source.mp4", bytes.len()),
        output: OutputTarget { base_url: "s3://outputs/jobs/7/".parse().expect("a URL") },
        callback: None,
    };
    let tracker = Tracker::new(spec.media_id, 1);
    let done = bench.engine.run(&spec, &tracker, &Stop::default()).await;
    assert!(matches!(done.report.outcome, Outcome::Completed { .. }), "{:?}", done.report);
    assert!(done.report.source_sha256.is_some());
    let bucket = house.root.path().join("outputs/jobs/7");
    let names = files(&directory);
    assert_eq!(files(&bucket), names);
    assert!(names.contains(&"hls/v360/000001.m4s".to_owned()), "{names:?}");
    let exact: Vec<&String> = names.iter().filter(|name| is_exact(name)).collect();
    assert!(exact.iter().any(|name| *name == "hls/a0/000000.m4s"), "{exact:?}");
    assert!(exact.iter().any(|name| *name == "poster.jpg"), "{exact:?}");
    for name in exact {
        let [there, here] = [&bucket, &directory].map(|root| std::fs::read(root.join(name)));
        assert!(there.expect("a file") == here.expect("a file"), "{name} differs");
    }
}

/// The binary, with a job from bucket to bucket.
pub(crate) struct Run {
    root: tempfile::TempDir,
    pub(crate) command: Command,
}

impl Run {
    pub(crate) fn new(house: &Storehouse, key: &str, size: u64) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let job = json!({"version": 1, "mediaId": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
            "attempt": 1, "input": {"url": format!("s3://sources/{key}"), "size": size},
            "output": {"baseUrl": "s3://outputs/jobs/7/"}});
        let file = root.path().join("job.json");
        std::fs::write(&file, job.to_string()).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-handler"));
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"] {
            command.env_remove(name);
        }
        command
            .arg("run")
            .arg(file)
            .env("REELMILL_WORK_DIR", root.path())
            .env("REELMILL_S3_BUCKETS", "sources,outputs")
            .env("AWS_ENDPOINT_URL_S3", house.endpoint().as_str())
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", KEY.0)
            .env("AWS_SECRET_ACCESS_KEY", KEY.1)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/nowhere")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { root, command }
    }

    /// The exit code, the report and the log.
    async fn end(mut self) -> (i32, Value, String) {
        let output = self.command.output().await.expect("run");
        drop(self.root);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().expect("a code"), report, log)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_aws_suffice() {
    let house = Storehouse::start(State::default()).await;
    let folder = tempfile::tempdir().expect("a directory");
    let bytes = clip(&folder.path().join("clip.mp4")).await;
    house.place("sources", "clip.mp4", &bytes);
    let (code, report, log) = Run::new(&house, "clip.mp4", bytes.len() as u64).end().await;
    assert_eq!((code, &report["status"]), (0, &json!("completed")), "{log}");
    let bucket = house.root.path().join("outputs/jobs/7");
    assert!(files(&bucket).contains(&"hls/main.m3u8".to_owned()));
    // Every output came with a checksum, as Amazon's clients send it.
    assert_eq!(house.state.checksums.lock().expect("a lock").len(), house.count("PutObject"));
    assert!(!log.contains(KEY.1), "a secret is in the log");
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let house = Storehouse::start(State::default()).await;
    house.place("sources", "clip.mp4", b"0123456789");
    let run = |change: fn(&mut Command)| {
        let mut run = Run::new(&house, "clip.mp4", 10);
        change(&mut run.command);
        run.end()
    };
    let (code, report, _) = run(|command| {
        command.env_remove("REELMILL_S3_BUCKETS");
    })
    .await;
    assert_eq!((code, &report["error"]["code"]), (1, &json!("unsupported_job")));
    let (code, _, log) = run(|command| {
        command.env_remove("AWS_REGION");
    })
    .await;
    assert_eq!(code, 2);
    assert!(log.contains("REELMILL_S3_REGION"), "{log}");
    let (code, report, log) = run(|command| {
        command.env_remove("AWS_ACCESS_KEY_ID");
    })
    .await;
    assert_eq!((code, &report["error"]["code"]), (1, &json!("access_denied")), "{log}");
    assert_eq!(report["error"]["transient"], json!(false));
    assert!(house.state.log.lock().expect("a lock").is_empty());
}
