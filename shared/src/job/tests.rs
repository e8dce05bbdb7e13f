//! The JSON that gateway and handler exchange, pinned: they are deployed apart.

use super::*;
use serde_json::json;

fn round_trip<T>(value: serde_json::Value) -> T
where
    T: Serialize + serde::de::DeserializeOwned,
{
    let parsed: T = serde_json::from_value(value.clone()).expect("the pinned form parses");
    assert_eq!(serde_json::to_value(&parsed).expect("json"), value, "written as it was read");
    parsed
}

const MEDIA: &str = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";

#[test]
fn job_is_pinned() {
    let job: JobSpec = round_trip(json!({
        "version": 1,
        "mediaId": MEDIA,
        "attempt": 2,
        "pipeline": {"segmentFormat": "ts", "segmentSeconds": 6, "retry": "automatic"},
        "input": {
            "url": "https://gateway.example/api/handler/source/AQ",
            "size": 7608204, "etag": "0cc175b9", "sha256": "ca97",
        },
        "output": {"baseUrl": "https://gateway.example/api/handler/outputs/AQ/"},
        "callback": {
            "reportUrl": "https://gateway.example/api/handler/report",
            "progressUrl": "https://gateway.example/api/handler/progress",
            "leaseSeconds": 60,
        },
    }));
    assert_eq!(job.pipeline.segment_seconds.get(), 6);
}

#[test]
fn ingest_is_pinned() {
    let json = json!({
        "version": 1,
        "kind": "ingest",
        "mediaId": MEDIA,
        "attempt": 101,
        "sourceUrl": "https://example.com/a.mp4?signature=s3cret",
        "size": 7608204,
        "maxBytes": 1_099_511_627_776u64,
        "uploadUrl": "https://gateway.example/api/uploads?token=AQ",
        "callback": {
            "reportUrl": "https://gateway.example/api/handler/report",
            "progressUrl": "https://gateway.example/api/handler/progress",
            "leaseSeconds": 60,
        },
    });
    let spec: IngestSpec = round_trip(json.clone());
    assert!(!format!("{spec:?}").contains("s3cret"));
    let job = Job::read(json.clone()).expect("a job");
    assert_eq!(job.attempt(), (MEDIA.parse().expect("an id"), INGEST + 1));
    assert_eq!(serde_json::to_value(&job).expect("json"), json);
}

#[test]
fn waking_is_pinned() {
    let json = json!({"version": 1, "kind": "warm"});
    assert_eq!(serde_json::to_value(WarmSpec::default()).expect("json"), json);
    assert!(WarmSpec::is(&json));
    assert!(Job::read(json).is_err(), "it is no job");
    for other in [json!({"version": 2, "kind": "warm"}), json!({"kind": "warm"}), json!("warm")] {
        assert!(!WarmSpec::is(&other), "{other}");
    }
}

#[test]
fn a_job_of_an_unknown_kind_is_none() {
    assert!(Job::read(json!({"version": 1, "kind": "analyse", "mediaId": MEDIA})).is_err());
    assert!(Job::read(json!({"version": 1, "mediaId": MEDIA})).is_err());
}

#[test]
fn progress_is_pinned() {
    round_trip::<Progress>(json!({
        "mediaId": MEDIA, "attempt": 1, "stage": "encoding", "percent": 41.5, "speed": 3.25,
        "etaSeconds": 12.0, "playable": true,
    }));
    round_trip::<Progress>(json!({
        "mediaId": MEDIA, "attempt": 1, "stage": "downloading", "percent": 41.5, "bytes": 7608204,
        "playable": false,
    }));
}

#[test]
fn reports_are_pinned() {
    let metrics = json!({
        "startedAt": "2026-11-21T10:00:00Z", "totalSeconds": 4.5, "fetchSeconds": 0.5,
        "encodeSeconds": 4.0, "playableSeconds": 1.5, "cpuSeconds": 7.0, "inputBytes": 1,
        "outputBytes": 2, "gpuType": "NVIDIA L4",
        "device": "NVIDIA L4", "decoder": "nvdec", "encoder": "h264_nvenc+libx264",
        "fellBack": "encoder_sessions",
    });
    round_trip::<JobReport>(json!({
        "mediaId": MEDIA, "attempt": 1, "status": "completed",
        "outputs": {
            "hls": "hls/main.m3u8", "poster": "poster.jpg", "storyboard": "storyboard/storyboard.vtt",
            "waveform": "waveform/16384.json", "waveformDat": "waveform/16384.dat",
            "metadata": "metadata.json",
        },
        "summary": {
            "duration": 52.2, "width": 1280, "height": 720, "frameRate": 24.0,
            "renditions": [720, 480, 360], "audioTracks": 1, "subtitleTracks": 0,
            "waveformZooms": [256, 16384], "encoder": "libx264", "warnings": ["The source is cut off."],
        },
        "sourceSha256": "ca97",
        "metrics": metrics.clone(),
    }));
    let failed: JobReport = round_trip(json!({
        "mediaId": MEDIA, "attempt": 1, "status": "failed",
        "error": {"code": "timed_out", "message": "FFmpeg made no progress.", "transient": true},
        "metrics": metrics,
    }));
    assert!(matches!(failed.outcome, Outcome::Failed { error } if error.code.is_transient()));
}

/// Handlers from before they told it, and those to come with reasons that are not known yet.
#[test]
fn metrics_of_other_releases_are_read() {
    let metrics: Metrics = serde_json::from_value(json!({"totalSeconds": 1.0})).expect("metrics");
    assert_eq!((metrics.device, metrics.fell_back), (None, None));
    let metrics: Metrics =
        serde_json::from_value(json!({"fellBack": "sun_spots"})).expect("metrics");
    assert_eq!(metrics.fell_back, Some(FellBack::GpuFailed));
}

#[rstest::rstest]
#[case::too_short(json!({"segmentSeconds": 3}))]
#[case::too_long(json!({"segmentSeconds": 7}))]
#[case::unknown_format(json!({"segmentFormat": "dash"}))]
#[case::unknown_option(json!({"flags": "-vf drawtext"}))]
fn refuses_pipelines(#[case] pipeline: serde_json::Value) {
    assert!(serde_json::from_value::<Pipeline>(pipeline).is_err());
}

#[test]
fn an_output_role_cannot_point_outside_its_attempt() {
    let report = json!({
        "mediaId": MEDIA, "attempt": 1, "status": "completed", "summary": {},
        "outputs": {"hls": "../../med_ffffffffffffffffffffffffffffffff/source"},
    });
    assert!(serde_json::from_value::<JobReport>(report).is_err());
}
