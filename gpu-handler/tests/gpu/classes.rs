//! What is found out about a card, and what a job is then done with.

use reelmill_shared::{
    job::FellBack,
    plan::{Class, Deinterlacer},
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::card::{MODEL, clip, complete, machine, made};

#[rstest]
#[case::full(json!({}), Class::Full, "nvdec", "h264_nvenc")]
#[case::nvdec(json!({"nvenc": false}), Class::Nvdec, "nvdec", "libx264")]
#[case::nvenc(json!({"decodes": []}), Class::Nvenc, "software", "h264_nvenc")]
#[case::none(json!({"cuda": false, "model": null}), Class::None, "software", "libx264")]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_with_what_there_is(
    #[case] change: Value,
    #[case] class: Class,
    #[case] decoder: &str,
    #[case] encoder: &str,
) {
    let (bench, _slots) = machine(change, &[]).await;
    let host = bench.engine.host();
    assert_eq!(host.class, class);
    assert_eq!(host.device == MODEL, class != Class::None, "{}", host.device);
    let (summary, metrics, root) = made(&bench, &clip(&bench, 5, "")).await;
    assert_eq!(metrics.device.as_deref(), Some(host.device.as_str()));
    assert_eq!(metrics.decoder.as_deref(), Some(decoder));
    assert_eq!(metrics.encoder.as_deref(), Some(encoder));
    assert_eq!((metrics.fell_back, summary.encoder.as_deref()), (None, Some(encoder)));
    assert_eq!(summary.warnings, Vec::<String>::new());
    let metadata = std::fs::read_to_string(root.join("metadata.json")).expect("stored");
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    assert_eq!(metadata["metrics"]["decoder"], decoder);
    assert_eq!(metadata["video"][0]["encoder"], encoder);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_card_does_is_found_out_by_trying() {
    let (bench, _slots) = machine(json!({"sessions": 3}), &[("REELMILL_CONCURRENCY", "2")]).await;
    let hardware = &bench.engine.host().hardware;
    assert_eq!(hardware.sessions, 3, "eight were wanted");
    assert!(hardware.scales);
    assert_eq!(hardware.deinterlacer, Some(Deinterlacer::Yadif));
    let health = serde_json::to_value(bench.engine.host()).expect("JSON");
    assert_eq!((&health["class"], &health["gpu"]), (&json!("full"), &json!(true)));
    assert_eq!(
        health["hardware"],
        json!({
            "decodes": {"h264": ["yuv420p"], "hevc": ["yuv420p", "yuv420p10le"]},
            "scales": true, "deinterlacer": "yadif_cuda", "sessions": 3,
        })
    );
}

#[rstest]
#[case::ten_bits("-c:v libx265 -x265-params log-level=error -pix_fmt yuv420p10le", "nvdec")]
#[case::interlaced("-flags +ildct+ilme -vf setfield=tff", "nvdec")]
#[case::chroma_422("-pix_fmt yuv422p", "software")]
#[case::full_range("-pix_fmt yuvj420p", "nvdec")]
#[case::another_codec("-c:v mpeg4", "software")]
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_source_is_made(#[case] options: &str, #[case] decoder: &str) {
    let (bench, _slots) = machine(json!({}), &[]).await;
    let (_, metrics, _) = made(&bench, &clip(&bench, 3, options)).await;
    assert_eq!(metrics.decoder.as_deref(), Some(decoder));
    assert_eq!((metrics.encoder.as_deref(), metrics.fell_back), (Some("h264_nvenc"), None));
}

/// The renditions beyond a card's sessions are for x264, and cut at the same frames.
#[tokio::test(flavor = "multi_thread")]
async fn too_few_sessions_are_shared_with_x264() {
    let (bench, _slots) = machine(json!({"sessions": 2}), &[]).await;
    let (summary, metrics, root) = made(&bench, &clip(&bench, 5, "")).await;
    assert_eq!(metrics.encoder.as_deref(), Some("h264_nvenc+libx264"));
    assert_eq!(metrics.fell_back, Some(FellBack::EncoderSessions));
    assert_eq!(summary.warnings, Vec::<String>::new(), "nothing failed");
    let metadata = std::fs::read_to_string(root.join("metadata.json")).expect("stored");
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let encoders: Vec<&str> =
        (0..3).filter_map(|at| metadata["video"][at]["encoder"].as_str()).collect();
    assert_eq!(encoders, ["h264_nvenc", "h264_nvenc", "libx264"]);
}

/// The card refuses a session too many, so that neither job could end without a fault if there were.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_share_the_sessions_of_a_card() {
    let (bench, _slots) = machine(json!({"sessions": 4}), &[("REELMILL_CONCURRENCY", "2")]).await;
    let source = clip(&bench, 5, "");
    let job = || bench.beside_others(&source, Default::default());
    let ((one, one_root), (two, two_root)) = tokio::join!(job(), job());
    let encoders = [(&one, &one_root), (&two, &two_root)].map(|(done, root)| {
        let (summary, metrics) = complete(done, root);
        assert_eq!(summary.warnings, Vec::<String>::new());
        metrics.encoder.expect("an encoder")
    });
    assert!(encoders.iter().all(|encoder| encoder.contains("h264_nvenc")), "{encoders:?}");
}

#[rstest]
#[case("REELMILL_ENCODER", "x264", Class::Nvdec)]
#[case("REELMILL_DECODER", "software", Class::Nvenc)]
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_ruled_out_is_not_used(
    #[case] name: &str,
    #[case] value: &str,
    #[case] class: Class,
) {
    let (bench, _slots) = machine(json!({}), &[(name, value)]).await;
    assert_eq!(bench.engine.host().class, class);
}
