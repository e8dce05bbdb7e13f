//! What a backend says of a job, and what comes of it.

use super::*;
use proptest::prelude::*;
use rstest::rstest;

const LEASE: i64 = 60;

fn stored() -> [Event; 3] {
    [Event::SourceStored(source()), Event::Dispatched, accepted(1)]
}

/// Accepted at second 1, and not heard of since.
fn queued() -> Media {
    after(stored())
}

fn lapsed() -> Event {
    Event::LeaseExpired { attempt: 1, dispatch: 0 }
}

fn judge(media: &Media, due: Event, status: &JobStatus, second: i64) -> Event {
    media.running().expect("it runs").judge(due, status, at(second), &RULES)
}

fn failed_with(words: &str) -> JobStatus {
    JobStatus::Ended(Ending::Failed(Some(words.to_owned())))
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::StillQueued { .. } => "waits",
        Event::Taken { .. } => "taken",
        Event::NoAnswer { .. } => "no answer",
        Event::Ended { .. } => "over",
        Event::LeaseExpired { .. } => "lapsed",
        Event::NotTaken { .. } => "not taken",
        Event::LookDue { .. } => "look again",
        _ => "something else",
    }
}

/// Everything that a backend may say, of a job at every stage, at every occasion.
#[rstest]
#[case::waiting(JobStatus::Waiting, ["waits", "lapsed", "lapsed", "not taken", "waits", "look again"])]
#[case::running(JobStatus::Running, ["taken", "lapsed", "lapsed", "taken", "taken", "look again"])]
#[case::completed(JobStatus::Ended(Ending::Completed), ["over", "over", "over", "over", "over", "over"])]
#[case::failed(failed_with("no"), ["over", "over", "over", "over", "over", "over"])]
#[case::cancelled(JobStatus::Ended(Ending::Cancelled), ["over", "over", "over", "over", "over", "over"])]
#[case::timed_out(JobStatus::Ended(Ending::TimedOut), ["over", "over", "over", "over", "over", "over"])]
#[case::unknown(JobStatus::Unknown, ["over", "over", "over", "not taken", "over", "over"])]
#[case::no_answer(JobStatus::NoAnswer, ["no answer", "lapsed", "lapsed", "not taken", "no answer", "look again"])]
fn judges(#[case] status: JobStatus, #[case] expected: [&str; 6]) {
    let taken = Event::Taken { attempt: 1, dispatch: 0 };
    let (waits, has_one, begun) =
        (queued(), on(queued(), [taken]), on(queued(), [progress(1, 1.0, false)]));
    let not_taken = Event::NotTaken { attempt: 1, dispatch: 0 };
    let look = Event::LookDue { attempt: 1, dispatch: 0 };
    let due = [
        (&waits, lapsed()),
        (&has_one, lapsed()),
        (&begun, lapsed()),
        (&waits, not_taken),
        (&waits, look.clone()),
        (&begun, look),
    ];
    let judged = due.map(|(media, due)| name(&judge(media, due, &status, 61)));
    assert_eq!(judged, expected);
}

#[test]
fn waiting_and_silence_have_an_end() {
    let media = queued();
    let long = RULES.queue.as_secs() + 1;
    assert_eq!(name(&judge(&media, lapsed(), &JobStatus::Waiting, long - 1)), "waits");
    assert_eq!(name(&judge(&media, lapsed(), &JobStatus::Waiting, long)), "lapsed");
    let out = LEASE * i64::from(OUTAGE);
    assert_eq!(name(&judge(&media, lapsed(), &JobStatus::NoAnswer, out)), "no answer");
    assert_eq!(name(&judge(&media, lapsed(), &JobStatus::NoAnswer, out + 1)), "lapsed");
    // An answer in between begins the count anew, a silence does not.
    let (media, _) = media
        .apply(Event::StillQueued { attempt: 1, dispatch: 0 }, at(100), &RULES)
        .expect("a sign of life");
    let (media, _) =
        media.apply(Event::NoAnswer { attempt: 1, dispatch: 0 }, at(160), &RULES).expect("silence");
    assert_eq!(name(&judge(&media, lapsed(), &JobStatus::NoAnswer, 100 + out - 1)), "no answer");
    assert_eq!(name(&judge(&media, lapsed(), &JobStatus::NoAnswer, 100 + out)), "lapsed");
}

/// Reads the status and applies what follows, at each deadline, until the media rests.
fn sweep(mut media: Media, status: &JobStatus) -> (Media, i64) {
    let mut now = at(1);
    for _ in 0..10_000 {
        let Some((due, event)) = media.deadline() else { break };
        let Some(attempt) = media.running() else { break };
        now = now.max(due);
        let event = attempt.judge(event, status, now, &RULES);
        media = media.apply(event, now, &RULES).expect("a due event").0;
    }
    (media, now.as_second())
}

#[rstest]
#[case::lost_by_the_queue(JobStatus::Unknown, 71, "handler_lost", "does not know the job")]
#[case::no_report(JobStatus::Ended(Ending::Completed), 71, "handler_lost", "no report of it came")]
#[case::in_its_words(failed_with("CUDA error"), 71, "handler_lost", "failed: CUDA error")]
#[case::without_words(JobStatus::Ended(Ending::Failed(None)), 71, "handler_lost", "and not why")]
#[case::by_hand(JobStatus::Ended(Ending::Cancelled), 71, "handler_lost", "cancelled there")]
#[case::too_long(JobStatus::Ended(Ending::TimedOut), 71, "timed_out", "execution timeout")]
#[case::a_worker_without_a_word(JobStatus::Running, 121, "handler_lost", "fell silent")]
#[case::out_of_reach(JobStatus::NoAnswer, 181, "handler_lost", "fell silent")]
#[case::for_ever_in_the_queue(JobStatus::Waiting, 21_601, "handler_lost", "fell silent")]
fn a_job_without_a_report_is_lost(
    #[case] status: JobStatus,
    #[case] second: i64,
    #[case] code: &str,
    #[case] says: &str,
) {
    let (media, now) = sweep(queued(), &status);
    let State::Failed { error, .. } = &media.state else { panic!("{:?}", media.state) };
    assert_eq!((now, error.code.as_str(), error.transient), (second, code, true));
    assert!(error.message.contains(says), "{error}");
}

#[test]
fn a_report_that_comes_within_the_grace_counts() {
    let (media, _) = queued().apply(ended(1), at(30), &RULES).expect("news");
    assert_eq!(media.deadline(), Some((at(40), lapsed())), "sooner than the lease");
    assert_eq!(media.clone().apply(ended(1), at(35), &RULES), Err(Rejected::Stale), "no news");
    let (ready, _) = media.apply(completed(1), at(39), &RULES).expect("the report");
    assert_eq!(ready.state.name(), "ready");
}

#[test]
fn a_signed_word_outweighs_the_platform() {
    let (media, _) = queued().apply(ended(1), at(30), &RULES).expect("news");
    let (media, _) = media.apply(progress(1, 5.0, false), at(31), &RULES).expect("a sign of life");
    assert_eq!(media.deadline(), Some((at(91), lapsed())), "a whole lease again");
    let (lost, _) = media.apply(lapsed(), at(91), &RULES).expect("silence");
    let State::Failed { error, .. } = &lost.state else { panic!("{:?}", lost.state) };
    assert_eq!(error.message, "The handler fell silent in mid-job.");
}

#[test]
fn a_silent_job_is_looked_at_long_before_results_are_forgotten() {
    let rules = Rules { lease: SignedDuration::from_hours(1), ..RULES.clone() };
    let mut media = create(RetryPolicy::Manual, false, &rules).0;
    for event in [stored().as_slice(), &[progress(1, 1.0, false)]].concat() {
        media = media.apply(event, at(0), &rules).expect("in order").0;
    }
    let look = Event::LookDue { attempt: 1, dispatch: 0 };
    for due in [300, 600, 900] {
        assert_eq!(media.deadline(), Some((at(due), look.clone())));
        assert_eq!(media.clone().apply(look.clone(), at(due - 1), &rules), Err(Rejected::Stale));
        media = media.apply(look.clone(), at(due), &rules).expect("due").0;
    }
    let attempt = media.running().expect("it runs");
    assert_eq!(attempt.lease_until, at(3600), "a look is no sign of life");
}

/// The platform may say anything at any time: without a signed report nothing is ready.
#[test]
fn only_a_report_makes_ready() {
    let endings = [Ending::Completed, Ending::Cancelled, Ending::TimedOut, Ending::Failed(None)]
        .map(JobStatus::Ended);
    for status in [JobStatus::Waiting, JobStatus::Running, JobStatus::Unknown, JobStatus::NoAnswer]
        .into_iter()
        .chain(endings)
    {
        assert_eq!(sweep(queued(), &status).0.state.name(), "failed", "{status:?}");
    }
}

#[test]
fn a_cost_is_noted_once_whenever_it_comes() {
    let ready = on(queued(), [completed(1)]);
    let (billed_once, effects) = ready.clone().apply(billed("a"), at(9), &RULES).expect("a cost");
    assert_eq!((effects.len(), billed_once.updated_at), (0, ready.updated_at));
    assert_eq!(billed_once.clone().apply(billed("a"), at(10), &RULES), Err(Rejected::Duplicate));
    let (both, _) = billed_once.apply(billed("b"), at(10), &RULES).expect("another job");
    assert_eq!(crate::cost::total(&both.costs), "0.00038".parse().ok());
    let deleted = on(ready, [Event::Delete]);
    assert_eq!(deleted.apply(billed("a"), at(9), &RULES), Err(Rejected::Deleted));
}

#[test]
fn a_job_is_left_when_its_attempt_is_over_or_elsewhere() {
    let media = queued();
    let left = |event: Event| {
        let job = media.running_job(&event).expect("it has one");
        let (next, _) = media.clone().apply(event, at(10_000), &RULES).expect("an accepted event");
        next.has_left(&job).then_some(job)
    };
    let Event::Reported { mut report, dispatch } = completed(1) else { panic!("no report") };
    report.metrics.gpu_type = Some("NVIDIA L4".into());
    let job = left(Event::Reported { report, dispatch }).expect("over");
    let json =
        serde_json::json!({"attempt": 1, "backend": "box", "job": "job", "gpu": "NVIDIA L4"});
    assert_eq!(serde_json::to_value(&job).expect("json"), json);
    for event in [lapsed(), Event::Cancel, Event::Delete, failed(1, FailureCode::Internal)] {
        assert_eq!(left(event).map(|job| job.gpu), Some(None));
    }
    for event in [progress(1, 5.0, true), ended(1), billed("job")] {
        assert_eq!(left(event), None);
    }
    assert_eq!(created(RetryPolicy::Manual).running_job(&Event::Cancel), None);
}

proptest! {
    /// A stranger's words become one printable line of bounded length, and show no path, URL or key.
    #[test]
    fn words_are_tamed(words in "(\\PC|[\u{0}-\u{1f}]| |https://u:p@h/x|/etc/passwd|[a-zA-Z0-9]{64}){0,60}") {
        let status = failed_with(&words);
        let Event::Ended { error, .. } = judge(&queued(), lapsed(), &status, 61) else {
            return Err(TestCaseError::fail("not over"));
        };
        prop_assert!(error.message.chars().count() < 250);
        prop_assert!(!error.message.chars().any(char::is_control));
        prop_assert!(!error.message.contains('/'), "{}", error.message);
        prop_assert!(error.message.split(' ').all(|word| word.chars().count() <= 40));
    }
}
