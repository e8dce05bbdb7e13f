//! What every home of the handler has to give a job: one list of cases, tried with the real binary in
//! each of them.
//!
//! * [`home`]: what a home is to a test, and what becomes of a message there.
//! * `serve`, `runpod`: the homes.
//! * [`bench`]: a home, a worker and the gateway together.
//! * [`cases`]: what is tried.
//!
//! A test is called `<case>::<home>`.

mod bench;
mod cases;
mod home;
mod page;
mod runpod;
mod serve;

/// Makes a test of each case in each home.
macro_rules! contract {
    ($($cases:ident: $($case:ident)+;)+) => {$($(
        mod $case {
            #[tokio::test]
            async fn serve() {
                crate::cases::$cases::$case::<crate::serve::Serve>().await;
            }

            #[tokio::test]
            async fn runpod() {
                crate::cases::$cases::$case::<crate::runpod::Runpod>().await;
            }
        }
    )+)+};
}

contract! {
    outcome: success permanent_failure transient_failure report_not_taken;
    cancel: cancelled_by_its_home cancelled_by_the_gateway;
    duplicates: again_while_it_runs again_when_it_is_over;
    crash: crash_while_fetching crash_while_probing crash_while_encoding crash_while_publishing
        crash_while_reporting;
    shutdown: shutdown_with_time shutdown_without_time;
    poison: poisonous_messages too_large refused_jobs;
    bad_input: source_urls output_urls source_too_large;
}
