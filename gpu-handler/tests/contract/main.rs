//! What every home of the handler has to give a job: one list of cases, tried with the real binary in
//! each of them.
//!
//! * [`home`]: what a home is to a test, and what becomes of a message there.
//! * `serve`, `runpod`, `sqs`, `lambda`: the homes.
//! * [`bench`]: a home, a worker and the gateway together.
//! * [`cases`]: what is tried.
//!
//! A test is called `<case>::<home>`.

mod bench;
mod cases;
mod home;
mod lambda;
mod page;
mod runpod;
mod serve;
mod sqs;

/// Makes a test of each case in each of the homes.
macro_rules! contract {
    (in $homes:tt: $($cases:ident: $($case:ident)+;)+) => {
        $($(contract!(@case $homes $cases $case);)+)+
    };
    (@case [$($home:ident $place:ident),+] $cases:ident $case:ident) => {
        mod $case {
            $(#[tokio::test]
            async fn $home() {
                crate::cases::$cases::$case::<crate::$home::$place>().await;
            })+
        }
    };
}

contract! {
    in [serve Serve, runpod Runpod, sqs Sqs, lambda Lambda]:
    outcome: success permanent_failure transient_failure report_not_taken;
    cancel: cancelled_by_the_gateway;
    duplicates: again_while_it_runs again_when_it_is_over;
    crash: crash_while_fetching crash_while_probing crash_while_encoding crash_while_publishing
        crash_while_reporting;
    shutdown: shutdown_without_time;
    poison: poisonous_messages too_large refused_jobs;
    bad_input: source_urls output_urls source_too_large;
    buckets: refusing_buckets;
    misfit: unknown_encoder encoder_without_a_gpu gpu_demanded;
}

// Lambda gives nobody time.
contract! {
    in [serve Serve, runpod Runpod, sqs Sqs]:
    shutdown: shutdown_with_time;
}

// A queue of AWS's gives no message back that a worker has.
contract! {
    in [serve Serve, runpod Runpod]:
    cancel: cancelled_by_its_home;
}
