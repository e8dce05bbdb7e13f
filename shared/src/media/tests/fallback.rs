//! From one backend to the next: when, how often, and what is still heard of the one before.

use super::{orders::offered, *};
use proptest::prelude::*;

fn rules() -> Rules {
    let names = ["box", "gpu", "lambda"];
    let routes = "video=gpu,box,lambda;audio=lambda;ingest=box,gpu";
    Rules { routes: Routes::parse(routes, &names).expect("routes"), ..RULES.clone() }
}

fn apply(media: &Media, event: Event, second: i64) -> Result<(Media, Vec<Effect>), Rejected> {
    media.clone().apply(event, at(second), &rules())
}

fn accept(media: &Media, event: Event, second: i64) -> (Media, Vec<Effect>) {
    apply(media, event, second).expect("an accepted event")
}

/// Offered to `gpu` at second 1, which has it in its queue.
fn queued() -> Media {
    let (media, _) = create(RetryPolicy::Automatic, false, &rules());
    [Event::SourceStored(source()), Event::Dispatched, accepted(1)]
        .into_iter()
        .fold(media, |media, event| accept(&media, event, 1).0)
}

fn not_taken(dispatch: u8) -> Event {
    Event::NotTaken { attempt: 1, dispatch }
}

fn start(dispatch: u8) -> Effect {
    Effect::StartJob { attempt: 1, dispatch }
}

fn cancel(backend: &str) -> Effect {
    Effect::CancelJob { backend: backend.into(), job: "job".into() }
}

fn where_it_is(media: &Media) -> (&str, u8, u8) {
    let attempt = media.running().expect("it runs");
    (&attempt.backend, attempt.number, attempt.dispatch)
}

#[test]
fn a_job_that_no_worker_takes_goes_on_to_the_next_backend() {
    let media = queued();
    let waiting = Event::StillQueued { attempt: 1, dispatch: 0 };
    let (media, _) = accept(&media, waiting, 100);
    assert_eq!(media.deadline(), Some((at(121), not_taken(0))));
    assert_eq!(apply(&media, not_taken(0), 120), Err(Rejected::Stale), "not early");

    let (media, effects) = accept(&media, not_taken(0), 121);
    assert_eq!(effects, [cancel("gpu"), start(1)]);
    assert_eq!(where_it_is(&media), ("box", 1, 1));
    assert_eq!(media.attempts, 1, "the same attempt");
    assert_eq!(apply(&media, not_taken(0), 1000), Err(Rejected::Stale), "once");

    // It never answered: there is nothing to cancel. The last one keeps it, whatever the time.
    let (media, effects) = accept(&media, not_taken(1), 241);
    assert_eq!((effects, where_it_is(&media)), (vec![start(2)], ("lambda", 1, 2)));
    assert_eq!(
        media.deadline().map(|(_, event)| event),
        Some(Event::LeaseExpired { attempt: 1, dispatch: 2 })
    );
    assert_eq!(apply(&media, not_taken(2), 100_000), Err(Rejected::Stale));
}

#[test]
fn what_comes_of_an_earlier_offer_changes_nothing() {
    let (media, _) = accept(&queued(), not_taken(0), 121);
    for late in [
        accepted(1),
        Event::DispatchFailed { attempt: 1, dispatch: 0, message: "no".into() },
        Event::StillQueued { attempt: 1, dispatch: 0 },
        Event::Taken { attempt: 1, dispatch: 0 },
        progress(1, 50.0, true),
        completed(1),
        failed(1, FailureCode::Internal),
        Event::LeaseExpired { attempt: 1, dispatch: 0 },
    ] {
        assert_eq!(apply(&media, late.clone(), 122), Err(Rejected::Stale), "{late:?}");
    }
    // Neither while the second works nor when it is done, although what it says is the same.
    let (media, _) = accept(&media, offered(completed(1), 1), 123);
    assert_eq!(apply(&media, completed(1), 124), Err(Rejected::Stale));
    assert_eq!(apply(&media, offered(completed(1), 1), 124), Err(Rejected::Duplicate));
    assert_eq!(apply(&media, progress(1, 50.0, true), 124), Err(Rejected::Stale));
}

#[test]
fn an_earlier_offer_of_a_download_is_not_taken_for_the_one_that_brought_the_source() {
    let (media, _) = create(RetryPolicy::Manual, true, &rules());
    let (media, effects) = accept(&media, Event::NotTaken { attempt: 101, dispatch: 0 }, 120);
    assert_eq!(effects, [Effect::StartJob { attempt: 101, dispatch: 1 }]);
    assert_eq!(where_it_is(&media), ("gpu", 101, 1));
    let (media, _) = accept(&media, Event::SourceStored(source()), 130);
    assert_eq!(apply(&media, offered(progress(101, 9.0, false), 1), 131), Err(Rejected::Duplicate));
    assert_eq!(apply(&media, progress(101, 9.0, false), 131), Err(Rejected::Stale));
}

#[test]
fn a_refusal_and_a_lapsed_lease_send_it_on_as_well() {
    let refusal = |dispatch| Event::DispatchFailed { attempt: 1, dispatch, message: "no".into() };
    let (media, effects) = accept(&queued(), refusal(0), 5);
    assert_eq!((effects, where_it_is(&media)), (vec![cancel("gpu"), start(1)], ("box", 1, 1)));
    let lapsed = Event::LeaseExpired { attempt: 1, dispatch: 1 };
    assert_eq!(apply(&media, lapsed.clone(), 64), Err(Rejected::Stale));
    let (media, effects) = accept(&media, lapsed, 65);
    assert_eq!((effects, where_it_is(&media)), (vec![start(2)], ("lambda", 1, 2)));
    // Refused by the last, the attempt has failed, and is retried from the beginning.
    let (media, effects) = accept(&media, refusal(2), 66);
    assert!(effects.contains(&Effect::Dispatch));
    let (media, _) = accept(&media, Event::Dispatched, 67);
    assert_eq!(where_it_is(&media), ("gpu", 2, 0));
}

#[test]
fn what_a_worker_has_taken_stays_with_it() {
    let signs = [Event::Taken { attempt: 1, dispatch: 0 }, progress(1, 0.0, false)];
    for sign in signs {
        let (media, _) = accept(&queued(), sign, 100);
        assert_eq!(media.deadline().map(|(at, _)| at), Some(at(160)), "only its lease is left");
        assert_eq!(apply(&media, not_taken(0), 159), Err(Rejected::Stale));
        let refusal = Event::DispatchFailed { attempt: 1, dispatch: 0, message: "no".into() };
        assert_eq!(apply(&media, refusal, 159), Err(Rejected::Stale));
        let (media, effects) = accept(&media, Event::LeaseExpired { attempt: 1, dispatch: 0 }, 160);
        assert_eq!(media.state.name(), "uploaded", "lost, and retried");
        assert!(effects.contains(&cancel("gpu")) && effects.contains(&Effect::Dispatch));
    }
}

/// A handler of one's own says that it lives while jobs wait in it.
#[test]
fn to_wait_in_a_handler_is_not_to_be_taken() {
    let Event::Progressed { mut progress, dispatch } = progress(1, 0.0, false) else { panic!() };
    progress.stage = Stage::Queued;
    let (media, _) = accept(&queued(), Event::Progressed { progress, dispatch }, 100);
    let (media, _) = accept(&media, not_taken(0), 121);
    assert_eq!(where_it_is(&media), ("box", 1, 1));
    assert!(media.running().expect("it runs").progress.is_none());
}

#[test]
fn a_retry_avoids_the_backend_that_missed_its_deadline() {
    let (media, _) = accept(&queued(), not_taken(0), 121);
    let (media, _) = accept(&media, offered(progress(1, 1.0, false), 1), 122);
    let (media, _) = accept(&media, offered(failed(1, FailureCode::Deadline), 1), 123);
    assert_eq!(media.missed.as_deref(), Some("box"));
    let (media, _) = accept(&media, Event::Dispatched, 124);
    assert_eq!(where_it_is(&media), ("gpu", 2, 0));
    assert_eq!(media.running().expect("it runs").next, ["lambda"]);
}

proptest! {
    /// Whatever the route, silence alone brings an attempt to an end, having been offered to each of
    /// its backends once and in order.
    #[test]
    fn silence_goes_through_the_route_and_ends(count in 1usize..=MAX_ROUTE, fallback in 1i64..300) {
        let names: Vec<String> = (0..count).map(|number| format!("b{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rules = Rules {
            routes: Routes::parse(&format!("video={}", names.join(",")), &names).expect("routes"),
            fallback: SignedDuration::from_secs(fallback),
            ..RULES.clone()
        };
        let mut media = create(RetryPolicy::Manual, false, &rules).0;
        for event in [Event::SourceStored(source()), Event::Dispatched] {
            media = media.apply(event, at(0), &rules).expect("in order").0;
        }
        let mut offered = vec![];
        while let Some(attempt) = media.running() {
            prop_assert_eq!(usize::from(attempt.dispatch), offered.len());
            offered.push(attempt.backend.clone());
            let (now, event) = media.deadline().expect("a deadline");
            media = media.apply(event, now, &rules).expect("a due event").0;
        }
        prop_assert_eq!(offered, names);
        let State::Failed { error, .. } = &media.state else { panic!("{:?}", media.state) };
        prop_assert_eq!(error.code, FailureCode::HandlerLost);
    }
}
