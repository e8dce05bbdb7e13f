//! Every pair of state and event, every order of events ([`orders`]), the way from one backend to
//! the next ([`fallback`]), and what backends say of jobs ([`lookup`]).

use std::{fmt::Write, sync::LazyLock};

mod fallback;
mod lookup;
mod orders;

use super::*;
use crate::cost::{Prices, Usage};
use crate::job::{INGEST, JobReport, Metrics, Progress, RetryPolicy, Stage, Summary};

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    upload: SignedDuration::from_hours(24),
    lease: SignedDuration::from_secs(60),
    fallback: SignedDuration::from_secs(120),
    queue: SignedDuration::from_hours(6),
    routes: Routes::only("box"),
});

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn source() -> Source {
    Source { size: 9, etag: "e".into(), sha256: Some("5".repeat(64)), content_type: None }
}

fn created(retry: RetryPolicy) -> Media {
    create(retry, false, &RULES).0
}

/// A media whose source is brought from its URL.
fn from_url(retry: RetryPolicy) -> Media {
    create(retry, true, &RULES).0
}

fn progress(attempt: u8, percent: f32, playable: bool) -> Event {
    let progress = Progress {
        media_id: MediaId::derived(&["test"]),
        attempt,
        stage: Stage::Encoding,
        percent,
        speed: None,
        eta_seconds: None,
        bytes: None,
        playable,
    };
    Event::Progressed { progress, dispatch: 0 }
}

fn report(attempt: u8, outcome: Outcome) -> Event {
    let media_id = MediaId::derived(&["test"]);
    let metrics = Metrics::default();
    let report = JobReport { media_id, attempt, outcome, source_sha256: None, metrics };
    Event::Reported { report: Box::new(report), dispatch: 0 }
}

fn completed(attempt: u8) -> Event {
    report(attempt, Outcome::Completed { outputs: Default::default(), summary: Summary::default() })
}

fn failed(attempt: u8, code: FailureCode) -> Event {
    report(attempt, Outcome::Failed { error: Failure::new(code, "no") })
}

fn ended(attempt: u8) -> Event {
    let error = Failure::new(FailureCode::HandlerLost, "It is over.");
    Event::Ended { attempt, dispatch: 0, error }
}

fn billed(job: &str) -> Event {
    let (usage, prices) = (Usage { execution_ms: 1000, ..Usage::default() }, Prices::default());
    Event::Billed(JobCost::new(1, job, Some("NVIDIA L4"), &usage, &prices))
}

fn create(retry: RetryPolicy, from_url: bool, rules: &Rules) -> (Media, Vec<Effect>) {
    let mut details = Details::default();
    details.pipeline.retry = retry;
    if from_url {
        let url = "https://example.com/a.mp4?key=s3cret".to_owned();
        details.source_url = Some(url.try_into().expect("a URL"));
    }
    Media::create(MediaId::derived(&["test"]), details, at(0), rules)
}

/// Applies events that must all be accepted.
fn after(events: impl IntoIterator<Item = Event>) -> Media {
    on(created(RetryPolicy::Manual), events)
}

fn on(media: Media, events: impl IntoIterator<Item = Event>) -> Media {
    events
        .into_iter()
        .fold(media, |media, event| media.apply(event, at(1), &RULES).expect("an accepted event").0)
}

fn accepted(attempt: u8) -> Event {
    Event::JobAccepted { attempt, dispatch: 0, job: "job".into() }
}

fn states() -> Vec<(&'static str, Media)> {
    let stored = || Event::SourceStored(source());
    let first = || vec![stored(), Event::Dispatched, accepted(1)];
    let then = |more: &[Event]| after(first().into_iter().chain(more.iter().cloned()));
    let broken = failed(1, FailureCode::Internal);
    let ingesting = |more: &[Event]| {
        on(from_url(RetryPolicy::Manual), [&[accepted(INGEST + 1)], more].concat())
    };
    let gone = failed(INGEST + 1, FailureCode::SourceNotFound);
    vec![
        ("uploading", created(RetryPolicy::Manual)),
        ("uploaded", after([stored()])),
        ("transcoding 1", then(&[])),
        ("failed 1", then(std::slice::from_ref(&broken))),
        ("transcoding 2", then(&[broken.clone(), Event::Retry, Event::Dispatched])),
        (
            "failed 2",
            then(&[broken, Event::Retry, Event::Dispatched, failed(2, FailureCode::Internal)]),
        ),
        ("failed, no source", after([Event::Cancel])),
        ("ready", then(&[completed(1)])),
        ("deleted", then(&[Event::Delete])),
        ("ingesting 101", ingesting(&[])),
        ("ingest 101 failed", ingesting(std::slice::from_ref(&gone))),
        ("ingesting 102", ingesting(&[gone.clone(), Event::Retry])),
        (
            "ingest 102 failed",
            ingesting(&[gone.clone(), Event::Retry, failed(102, FailureCode::SourceNotFound)]),
        ),
        ("ingested, transcoding 1", ingesting(&[stored(), Event::Dispatched, accepted(1)])),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("source stored", Event::SourceStored(source())),
        ("upload kept", Event::UploadKept { until: at(90_000) }),
        ("upload expired", Event::UploadExpired),
        ("dispatched", Event::Dispatched),
        ("job accepted 1", accepted(1)),
        (
            "dispatch failed 1",
            Event::DispatchFailed { attempt: 1, dispatch: 0, message: "no".into() },
        ),
        ("still queued 1", Event::StillQueued { attempt: 1, dispatch: 0 }),
        ("taken 1", Event::Taken { attempt: 1, dispatch: 0 }),
        ("not taken 1", Event::NotTaken { attempt: 1, dispatch: 0 }),
        ("no answer 1", Event::NoAnswer { attempt: 1, dispatch: 0 }),
        ("ended 1", ended(1)),
        ("look due 1", Event::LookDue { attempt: 1, dispatch: 0 }),
        ("billed", billed("job")),
        ("progressed 1", progress(1, 1.0, true)),
        ("progressed 2", progress(2, 1.0, false)),
        ("completed 1", completed(1)),
        ("completed 2", completed(2)),
        ("failed 1", failed(1, FailureCode::Internal)),
        ("failed 2", failed(2, FailureCode::Internal)),
        ("lease expired 1", Event::LeaseExpired { attempt: 1, dispatch: 0 }),
        ("lease expired 2", Event::LeaseExpired { attempt: 2, dispatch: 0 }),
        ("job accepted 101", accepted(101)),
        ("refused 101", Event::DispatchFailed { attempt: 101, dispatch: 0, message: "no".into() }),
        ("still queued 101", Event::StillQueued { attempt: 101, dispatch: 0 }),
        ("progressed 101", progress(101, 1.0, false)),
        ("completed 101", completed(101)),
        ("failed 101", failed(101, FailureCode::SourceNotFound)),
        ("lease expired 101", Event::LeaseExpired { attempt: 101, dispatch: 0 }),
        ("progressed 102", progress(102, 1.0, false)),
        ("completed 102", completed(102)),
        ("failed 102", failed(102, FailureCode::SourceNotFound)),
        ("lease expired 102", Event::LeaseExpired { attempt: 102, dispatch: 0 }),
        ("retry", Event::Retry),
        ("cancel", Event::Cancel),
        ("delete", Event::Delete),
    ]
}

/// The whole behaviour on one page, long after every deadline.
#[test]
fn every_state_and_event() {
    let mut table = String::new();
    for (state_name, media) in states() {
        writeln!(table, "{state_name}").expect("a string");
        for (event_name, event) in events() {
            let answer = match media.clone().apply(event, at(1_000_000), &RULES) {
                Ok((next, effects)) => {
                    let effects: Vec<_> = effects.iter().map(effect_name).collect();
                    format!("→ {} [{}]", next.state.name(), effects.join(", "))
                }
                Err(rejected) => format!("✗ {rejected:?}"),
            };
            writeln!(table, "  {event_name:18} {answer}").expect("a string");
        }
    }
    insta::assert_snapshot!(table);
}

fn effect_name(effect: &Effect) -> String {
    match effect {
        Effect::Dispatch => "dispatch".into(),
        Effect::StartJob { attempt, dispatch: 0 } => format!("start {attempt}"),
        Effect::StartJob { attempt, dispatch } => format!("start {attempt} again, {dispatch}"),
        Effect::CancelJob { backend, job } => format!("cancel {job} at {backend}"),
        Effect::DeleteObjects => "delete objects".into(),
        Effect::Announce { kind, sequence } => format!("{} #{sequence}", kind.as_str()),
    }
}

#[test]
fn the_stored_form_is_pinned() {
    let media = after([
        Event::SourceStored(source()),
        Event::Dispatched,
        accepted(1),
        progress(1, 41.5, true),
    ]);
    let json = serde_json::to_value(&media).expect("json");
    insta::assert_json_snapshot!(json);
    assert_eq!(serde_json::from_value::<Media>(json).expect("a media"), media);
}

#[test]
fn deadlines_are_not_met_early() {
    let uploading = created(RetryPolicy::Manual);
    let (due, event) = uploading.deadline().expect("a deadline");
    assert_eq!((due, &event), (at(86_400), &Event::UploadExpired));
    assert_eq!(uploading.apply(event, at(86_399), &RULES), Err(Rejected::Stale));

    let running = after([Event::SourceStored(source()), Event::Dispatched]);
    let (due, event) = running.deadline().expect("a deadline");
    assert_eq!((due, &event), (at(61), &Event::LeaseExpired { attempt: 1, dispatch: 0 }));
    assert_eq!(running.clone().apply(event.clone(), at(60), &RULES), Err(Rejected::Stale));
    let (renewed, _) = running.apply(progress(1, 5.0, false), at(60), &RULES).expect("progress");
    assert_eq!(renewed.deadline().expect("a deadline").0, at(120));
    assert_eq!(renewed.apply(event, at(61), &RULES), Err(Rejected::Stale));
}

#[test]
fn progress_that_was_overtaken_takes_nothing_back() {
    let media = after([Event::SourceStored(source()), Event::Dispatched, progress(1, 50.0, true)]);
    let (media, effects) = media.apply(progress(1, 40.0, false), at(2), &RULES).expect("progress");
    assert!(effects.is_empty());
    let State::Transcoding { attempt, .. } = &media.state else { panic!("{:?}", media.state) };
    assert_eq!(attempt.progress.as_ref().map(|progress| progress.percent), Some(50.0));
    assert_eq!(media.playable_attempt(), Some(1));
}

#[test]
fn is_final_when_nothing_but_deletion_can_follow() {
    let finals: Vec<_> =
        states().into_iter().filter(|(_, media)| media.is_final()).map(|(name, _)| name).collect();
    let expected = ["failed 2", "failed, no source", "ready", "deleted", "ingest 102 failed"];
    assert_eq!(finals, expected);
    for (name, media) in states() {
        let retried = media.clone().apply(Event::Retry, at(1), &RULES).is_ok();
        assert_eq!(retried, media.state.name() == "failed" && !media.is_final(), "{name}");
    }
}

#[test]
fn a_failed_download_is_retried_once_if_asked_for() {
    let run = |media: Media, event| media.apply(event, at(1), &RULES).expect("an accepted event");
    let gone = |attempt| failed(attempt, FailureCode::SourceUnreachable);
    let (media, effects) = run(from_url(RetryPolicy::Automatic), gone(101));
    assert_eq!((media.state.name(), media.retries_left()), ("uploading", 0));
    assert!(effects.contains(&Effect::StartJob { attempt: 102, dispatch: 0 }));
    let (media, _) = run(media, gone(102));
    assert!(media.is_final());

    let refused = failed(101, FailureCode::SourceUrlRefused);
    let (media, _) = run(from_url(RetryPolicy::Automatic), refused);
    assert_eq!((media.state.name(), media.retries_left()), ("failed", 1));
}

#[test]
fn a_digest_that_was_not_known_comes_with_the_report() {
    let digest = |source: Source, outcome: Outcome| {
        let media = after([Event::SourceStored(source), Event::Dispatched]);
        let report = JobReport {
            media_id: media.id,
            attempt: 1,
            outcome,
            source_sha256: Some("7".repeat(64)),
            metrics: Metrics::default(),
        };
        let (media, _) = media
            .apply(Event::Reported { report: Box::new(report), dispatch: 0 }, at(2), &RULES)
            .expect("a report");
        match media.state {
            State::Ready { source, .. } | State::Failed { source: Some(source), .. } => {
                source.sha256
            }
            other => panic!("{other:?}"),
        }
    };
    let ready = || Outcome::Completed { outputs: Default::default(), summary: Summary::default() };
    let broken =
        || Outcome::Failed { error: Failure::new(FailureCode::CorruptMedia, "It is damaged.") };
    let unknown = || Source { sha256: None, ..source() };
    assert_eq!(digest(unknown(), ready()), Some("7".repeat(64)));
    assert_eq!(digest(unknown(), broken()), Some("7".repeat(64)));
    assert_eq!(digest(source(), ready()), source().sha256, "what is known stays");
}

#[test]
fn a_transient_failure_is_retried_once_if_asked_for() {
    let run = |media: Media, event| media.apply(event, at(1), &RULES).expect("an accepted event");
    let start = || {
        let (media, _) = run(created(RetryPolicy::Automatic), Event::SourceStored(source()));
        run(media, Event::Dispatched).0
    };

    let (media, effects) = run(start(), failed(1, FailureCode::Internal));
    assert_eq!(media.state.name(), "uploaded");
    assert!(effects.contains(&Effect::Dispatch));
    let (media, _) = run(media, Event::Dispatched);
    let (media, effects) = run(media, failed(2, FailureCode::Internal));
    assert_eq!((media.state.name(), media.retries_left()), ("failed", 0));
    assert!(!effects.contains(&Effect::Dispatch));

    let (media, _) = run(start(), failed(1, FailureCode::CorruptMedia));
    assert_eq!((media.state.name(), media.retries_left()), ("failed", 1));
}
