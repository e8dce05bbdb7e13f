//! Where a GPU is demanded, nothing is done in software instead.

use std::process::{Command, Output};

use reelmill_shared::job::{Failure, FailureCode, Outcome, Pipeline};
use rstest::rstest;
use serde_json::{Value, json};

use crate::card::{clip, machine, made};

const REQUIRED: &[(&str, &str)] = &[("REELMILL_REQUIRE_GPU", "true")];

/// Every way in which the GPU cannot do a job is the same to those who have other backends.
#[rstest]
#[case::gives_up(json!({"dies": "v720/000001.m4s"}), "")]
#[case::nothing_to_do(json!({"nvenc": false}), "-c:v mpeg4")]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_fails_rather_than_to_be_done_in_software(
    #[case] change: Value,
    #[case] options: &str,
) {
    let (bench, _slots) = machine(change, REQUIRED).await;
    let (done, _) = bench.run(&clip(&bench, 9, options), Pipeline::default()).await;
    let Outcome::Failed { error } = &done.report.outcome else { panic!("{:?}", done.report) };
    assert_eq!((error.code, error.transient), (FailureCode::NoGpu, true));
}

/// Which engine does a part is not what is demanded, and sound has no use for any.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_gpu_has_a_part_in_is_done() {
    let (bench, _slots) = machine(json!({"nvenc": false}), REQUIRED).await;
    let (_, metrics, _) = made(&bench, &clip(&bench, 3, "")).await;
    assert_eq!(metrics.decoder.as_deref(), Some("nvdec"));
    let sound = clip(&bench, 3, "-f lavfi -i sine=duration=3 -map 1:a");
    let (done, _) = bench.run(&sound, Pipeline::default()).await;
    assert!(matches!(done.report.outcome, Outcome::Completed { .. }), "{:?}", done.report);
    assert_eq!(done.report.metrics.decoder, None);
}

/// A file that no engine could read is not the GPU's fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_source_fails_as_such() {
    let (bench, _slots) = machine(json!({}), REQUIRED).await;
    let source = clip(&bench, 3, "-pix_fmt yuv420p");
    let mut bytes = std::fs::read(&source).expect("read");
    let middle = bytes.len() / 8;
    bytes[middle..].fill(0);
    std::fs::write(&source, bytes).expect("written");
    let (done, _) = bench.run(&source, Pipeline::default()).await;
    if let Outcome::Failed { error: Failure { code, .. } } = &done.report.outcome {
        assert_ne!(*code, FailureCode::NoGpu);
    }
}

/// The binary, on this machine as it is.
#[expect(clippy::disallowed_methods, reason = "the binary is what is tested")]
fn serve(variable: (&str, &str)) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gpu-handler"))
        .arg("serve")
        .env("HANDLER_API_KEY", "key")
        .env("HANDLER_WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
        .env("REELMILL_HANDLER_LISTEN", "127.0.0.1:0")
        .env("CUDA_VISIBLE_DEVICES", "-1")
        .env(variable.0, variable.1)
        .output()
        .expect("the handler runs")
}

#[rstest]
#[case("REELMILL_ENCODER", "nvenc")]
#[case("REELMILL_DECODER", "nvdec")]
#[case("REELMILL_REQUIRE_GPU", "true")]
fn without_what_is_demanded_the_handler_does_not_start(#[case] name: &str, #[case] value: &str) {
    let ended = serve((name, value));
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ended.stderr);
    let line = said.lines().find(|line| line.starts_with("gpu-handler: no_gpu: "));
    assert!(line.is_some_and(|line| line.contains(name)), "{said}");
}
