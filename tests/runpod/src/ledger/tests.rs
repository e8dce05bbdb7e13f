use super::*;

fn ledger(policy: Policy) -> (Ledger, Instant) {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.push("a", json!({"x": 1}), Some("https://x.example".into()), policy, now);
    (ledger, now)
}

#[test]
fn a_job_is_taken_and_ends_once() {
    let (mut ledger, now) = ledger(Policy::default());
    assert_eq!(ledger.status("a", now).expect("known")["status"], "IN_QUEUE");
    let message = ledger.take("w", now).expect("a job");
    let expected =
        json!({"id": "a", "input": {"x": 1}, "webhook": "https://x.example", "delayTime": 0});
    assert_eq!(message, expected);
    assert_eq!(ledger.take("w", now), None);
    assert!(ledger.progress("a", json!(50)));
    assert_eq!(ledger.result("a", Some(json!(1)), None, now), Taken::First);
    let late = ledger.result("a", None, Some("no".into()), now);
    assert_eq!(late, Taken::Late(State::Completed));
    assert!(!ledger.progress("a", json!(60)));
    let expected = json!({"id": "a", "status": "COMPLETED", "delayTime": 0,
        "executionTime": 0, "workerId": "w", "output": 1});
    assert_eq!(ledger.status("a", now), Some(expected));
}

#[test]
fn who_has_a_cancelled_job_is_told_once() {
    let (mut ledger, now) = ledger(Policy::default());
    ledger.take("w", now);
    assert_eq!(ledger.cancel("a", now), Some(State::Cancelled));
    assert_eq!(ledger.cancel("b", now), None);
    assert!(ledger.take_stops("other").is_empty());
    assert_eq!(ledger.take_stops("w"), BTreeSet::from(["a".to_owned()]));
    assert!(ledger.take_stops("w").is_empty());
    assert_eq!(ledger.retry("a"), Some((State::Cancelled, false)));
}

#[test]
fn time_kills() {
    let policy = Policy { execution: Duration::from_secs(10), ttl: Duration::from_secs(20) };
    let (mut ledger, now) = ledger(policy);
    let at = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(ledger.pass(at(5)), Some(at(20)));
    ledger.take("w", at(5));
    assert_eq!(ledger.pass(at(6)), Some(at(15)));
    ledger.pass(at(15));
    assert_eq!(ledger.get("a").map(|job| job.state), Some(State::TimedOut));
    assert_eq!(ledger.retry("a"), Some((State::InQueue, true)));
    ledger.take("w", at(16));
    ledger.pass(at(20));
    assert!(ledger.status("a", at(20)).is_none(), "deleted in mid-run");
    assert_eq!(ledger.result("a", None, None, at(20)), Taken::Unknown);
    assert_eq!(ledger.retried(), 1);
}

#[test]
fn a_result_is_kept_for_half_an_hour() {
    let (mut ledger, now) = ledger(Policy::default());
    ledger.take("w", now);
    ledger.result("a", None, None, now);
    ledger.pass(now + KEPT - Duration::from_secs(1));
    assert!(ledger.get("a").is_some());
    ledger.pass(now + KEPT);
    assert!(ledger.get("a").is_none());
}
