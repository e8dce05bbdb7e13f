//! Whatever order events come in.

use proptest::prelude::*;

use super::*;

fn any_event() -> impl Strategy<Value = Event> {
    let attempt = prop_oneof![3 => 0u8..4, 2 => INGEST..INGEST + 4];
    (any_first_offer(attempt), prop_oneof![3 => Just(0), 1 => 1u8..4])
        .prop_map(|(event, dispatch)| offered(event, dispatch))
}

/// The same event about another offer of its attempt.
pub(super) fn offered(mut event: Event, offer: u8) -> Event {
    match &mut event {
        Event::JobAccepted { dispatch, .. }
        | Event::DispatchFailed { dispatch, .. }
        | Event::StillQueued { dispatch, .. }
        | Event::Taken { dispatch, .. }
        | Event::NotTaken { dispatch, .. }
        | Event::NoAnswer { dispatch, .. }
        | Event::Ended { dispatch, .. }
        | Event::LookDue { dispatch, .. }
        | Event::Progressed { dispatch, .. }
        | Event::Reported { dispatch, .. }
        | Event::LeaseExpired { dispatch, .. } => *dispatch = offer,
        _ => {}
    }
    event
}

fn any_first_offer(
    attempt: impl Strategy<Value = u8> + Clone + 'static,
) -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::SourceStored(source())),
        1 => (0i64..200_000).prop_map(|second| Event::UploadKept { until: at(second) }),
        1 => Just(Event::UploadExpired),
        4 => Just(Event::Dispatched),
        1 => attempt.clone().prop_map(accepted),
        1 => attempt.clone().prop_map(|attempt| Event::DispatchFailed { attempt, dispatch: 0, message: "no".into() }),
        1 => attempt.clone().prop_map(|attempt| Event::StillQueued { attempt, dispatch: 0 }),
        1 => attempt.clone().prop_map(|attempt| Event::Taken { attempt, dispatch: 0 }),
        2 => attempt.clone().prop_map(|attempt| Event::NotTaken { attempt, dispatch: 0 }),
        1 => attempt.clone().prop_map(|attempt| Event::NoAnswer { attempt, dispatch: 0 }),
        1 => attempt.clone().prop_map(ended),
        1 => attempt.clone().prop_map(|attempt| Event::LookDue { attempt, dispatch: 0 }),
        1 => (0u8..3).prop_map(|job| billed(&format!("job {job}"))),
        1 => (attempt.clone(), 0f32..100.0, any::<bool>())
            .prop_map(|(attempt, percent, playable)| progress(attempt, percent, playable)),
        1 => attempt.clone().prop_map(completed),
        1 => (attempt.clone(), prop::sample::select(FailureCode::ALL))
            .prop_map(|(attempt, code)| failed(attempt, code)),
        1 => attempt.prop_map(|attempt| Event::LeaseExpired { attempt, dispatch: 0 }),
        2 => Just(Event::Retry),
        1 => Just(Event::Cancel),
        1 => Just(Event::Delete),
    ]
}

fn running(media: &Media) -> Option<(u8, u8)> {
    media.running().map(Attempt::id)
}

/// Up to three backends for each class.
fn any_rules() -> impl Strategy<Value = Rules> {
    let names = ["box", "gpu", "lambda"];
    (1..=names.len(), 30i64..200).prop_map(move |(count, fallback)| {
        let route = names[..count].join(",");
        let routes = format!("video={route};audio={route};ingest={route}");
        let routes = Routes::parse(&routes, &names).expect("routes");
        Rules { routes, fallback: SignedDuration::from_secs(fallback), ..RULES.clone() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Duplicates, late and reordered events, in any order and at any pace.
    #[test]
    fn invariants_hold_in_every_order(
        automatic in any::<bool>(),
        // The source first, mostly: else half of the runs would never get anywhere.
        upload in prop::bool::weighted(0.7),
        url in any::<bool>(),
        rules in any_rules(),
        events in prop::collection::vec((any_event(), 0i64..100), 0..40),
    ) {
        let retry = if automatic { RetryPolicy::Automatic } else { RetryPolicy::Manual };
        let (mut media, _) = create(retry, url, &rules);
        let mut now = at(1);
        let mut sequence = media.sequence;
        let (mut starts, mut ingests) = (0, u8::from(url));
        let events = upload.then_some((Event::SourceStored(source()), 0)).into_iter().chain(events);
        for (event, wait) in events {
            now += SignedDuration::from_secs(wait);
            let before = media.clone();
            let Ok((next, effects)) = media.clone().apply(event.clone(), now, &rules) else { continue };

            if let Some(attempt) = event.attempt() {
                prop_assert_eq!(running(&before), Some(attempt), "a stale event changed something");
            }
            match before.state {
                State::Ready { .. } => {
                    prop_assert!(matches!(event, Event::Delete | Event::Billed(_)), "{event:?}");
                }
                State::Deleted { .. } => prop_assert!(false, "something left deleted"),
                _ => {}
            }
            if let Event::Billed(_) = event {
                // Late as it may be, it changes no state and is told to nobody.
                let unbilled = Media { costs: before.costs.clone(), ..next.clone() };
                prop_assert_eq!((&unbilled, effects.len()), (&before, 0));
                prop_assert_eq!(next.costs.len(), before.costs.len() + 1);
            }
            for effect in &effects {
                match effect {
                    Effect::Announce { sequence: number, .. } => {
                        sequence += 1;
                        prop_assert_eq!(*number, sequence);
                    }
                    Effect::StartJob { attempt, dispatch: 1.. } => {
                        let (from, to) = (before.running().expect("it ran"), next.running().expect("it runs"));
                        prop_assert_eq!((from.number, from.dispatch + 1), to.id(), "one after the other");
                        prop_assert_eq!(*attempt, to.number);
                        prop_assert!(!from.taken, "a worker has it");
                        prop_assert_eq!(&from.next[..1], std::slice::from_ref(&to.backend));
                        prop_assert!(to.job.is_none() && !to.taken && to.progress.is_none());
                    }
                    Effect::CancelJob { backend, job } => {
                        let before = before.running().expect("it ran");
                        prop_assert_eq!((&before.backend, before.job.as_ref()), (backend, Some(job)));
                    }
                    Effect::StartJob { attempt, .. } if *attempt > INGEST => {
                        ingests += 1;
                        prop_assert_eq!(*attempt, INGEST + ingests);
                        prop_assert!(starts == 0, "a source was brought that was there");
                    }
                    Effect::StartJob { attempt, .. } => {
                        starts += 1;
                        prop_assert_eq!(*attempt, starts);
                    }
                    _ => {}
                }
            }
            prop_assert!(next.attempts <= MAX_ATTEMPTS && next.attempts == starts);
            prop_assert!(next.ingests <= MAX_INGESTS && next.ingests == ingests);
            let known = format!("{:?}", next.details.source_url.as_ref().map(|url| url.expose().query()));
            let waits = matches!(next.state, State::Uploading { .. } | State::Failed { source: None, .. });
            prop_assert_eq!(known.contains("s3cret"), url && waits, "kept as long as it is needed");
            prop_assert_eq!(next.sequence, sequence);
            if let Some(attempt) = next.running() {
                prop_assert_eq!(attempt.fallback_at.is_some(), !attempt.taken && !attempt.next.is_empty());
            }
            prop_assert!(next.updated_at >= before.updated_at);
            media = next;
        }

        // However it was left, its deadlines and its own effects alone bring it to an end.
        for _ in 0..10 {
            let event = match media.deadline() {
                Some((due, event)) => {
                    now = now.max(due);
                    event
                }
                None if matches!(media.state, State::Uploaded { .. }) => Event::Dispatched,
                None => break,
            };
            media = media.apply(event, now, &rules).expect("a due event").0;
        }
        prop_assert!(
            matches!(media.state, State::Ready { .. } | State::Failed { .. } | State::Deleted { .. }),
            "left hanging: {:?}", media.state
        );
    }
}
