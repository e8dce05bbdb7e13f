//! Workers that cannot do what is demanded of them: they say so and end, and take no message. The next
//! worker finds it where it was.

use crate::{
    bench::{Bench, Source},
    home::Home,
};

/// Tries a worker with a variable, which is to say something about it.
async fn misfit<H: Home>(variable: &'static str, value: &str, said: &str) {
    let mut bench = Bench::<H>::without_worker(Source::Short).await;
    let mut ticket = None;
    if H::QUEUES {
        ticket = Some(bench.run(&bench.gateway.job(1)).await);
    }
    // Wherever this is tried there is no GPU then.
    bench.launch(&[(variable, value), ("CUDA_VISIBLE_DEVICES", "-1")]);
    assert_eq!(bench.worker_ended().await.code(), Some(2));
    bench.says(said).await;
    assert_eq!(bench.gateway.record().progress.len(), 0, "it began");
    bench.start(&[]).await;
    let ticket = match ticket {
        Some(ticket) => ticket,
        None => bench.run(&bench.gateway.job(1)).await,
    };
    bench.until(&ticket, H::FATES.completed).await;
    let record = bench.end().await;
    assert_eq!((record.reports.len(), record.stored("metadata.json")), (1, 1));
}

/// One that is none of ours.
pub(crate) async fn unknown_encoder<H: Home>() {
    misfit::<H>("REELMILL_ENCODER", "vulkan", "REELMILL_ENCODER must be").await;
}

/// One that does not work here.
pub(crate) async fn encoder_without_a_gpu<H: Home>() {
    misfit::<H>("REELMILL_ENCODER", "nvenc", "no_gpu: REELMILL_ENCODER is").await;
}

pub(crate) async fn gpu_demanded<H: Home>() {
    misfit::<H>("REELMILL_REQUIRE_GPU", "true", "no_gpu: REELMILL_REQUIRE_GPU is").await;
}
