//! Cards that give up in the middle of a job.

use reelmill_shared::job::FellBack;
use rstest::rstest;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::card::{MODEL, clip, machine, made};

/// Another program has taken every session since the start: the GPU goes on decoding.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_others_took_are_done_without() {
    let (bench, slots) = machine(json!({"sessions": 4}), &[]).await;
    let taken: Vec<std::fs::File> = (0..4)
        .map(|number| {
            let slot = std::fs::File::create(slots.path().join(number.to_string()));
            let slot = slot.expect("a slot");
            flock(&slot, FlockOperation::NonBlockingLockExclusive).expect("a free slot");
            slot
        })
        .collect();
    let (summary, metrics, _) = made(&bench, &clip(&bench, 3, "")).await;
    assert_eq!(metrics.fell_back, Some(FellBack::EncoderSessions));
    assert_eq!(metrics.decoder.as_deref(), Some("nvdec"));
    assert_eq!(metrics.encoder.as_deref(), Some("libx264"));
    assert_eq!(summary.warnings, ["the GPU gave up in part: encoded in software"]);
    drop(taken);
    let (_, metrics, _) = made(&bench, &clip(&bench, 3, "")).await;
    assert_eq!((metrics.encoder.as_deref(), metrics.fell_back), (Some("h264_nvenc"), None));
}

/// FFmpeg decodes in software without a word but in its log: where frames were to stay on the GPU
/// nothing comes of it, where they come down at once nobody would notice.
#[rstest]
#[case::stays("", true)]
#[case::comes_down("-pix_fmt yuvj420p", false)]
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nvdec_refuses_is_decoded_in_software(
    #[case] options: &str,
    #[case] fails: bool,
) {
    let (bench, _slots) = machine(json!({"refuses": ["source"]}), &[]).await;
    let (summary, metrics, _) = made(&bench, &clip(&bench, 3, options)).await;
    assert_eq!(metrics.fell_back, Some(FellBack::DecoderRefused));
    assert_eq!(metrics.decoder.as_deref(), Some("software"));
    assert_eq!(metrics.encoder.as_deref(), Some("h264_nvenc"));
    assert_eq!(metrics.device.as_deref(), Some(MODEL));
    let warning = "the GPU gave up in part: decoded in software".to_owned();
    assert_eq!(summary.warnings, Vec::from_iter(fails.then_some(warning)));
}

/// What is published by then stays, and what follows lies beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_fails_in_mid_run_costs_time_alone() {
    let (bench, _slots) = machine(json!({"dies": "v720/000001.m4s"}), &[]).await;
    let (summary, metrics, _) = made(&bench, &clip(&bench, 9, "")).await;
    assert_eq!(metrics.fell_back, Some(FellBack::GpuLost));
    assert_eq!(metrics.decoder.as_deref(), Some("software"));
    assert_eq!(metrics.encoder.as_deref(), Some("libx264"));
    assert_ne!(metrics.device.as_deref(), Some(MODEL));
    assert_eq!(summary.warnings, ["the GPU gave up: encoded in software"]);
    assert!((summary.duration - 9.0).abs() < 0.1, "{summary:?}");
}
