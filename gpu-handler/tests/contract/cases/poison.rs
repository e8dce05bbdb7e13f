//! Messages that hold no job, each of which could be the end of a careless worker. They are dealt with
//! at once, nothing is run, and the next job is done.

use handler_harness::Report;
use serde_json::{Value, json};

use crate::{
    bench::{Bench, Source, error},
    home::{Fate, Home},
};

/// What nobody can read, down to who sent it.
pub(crate) async fn poisonous_messages<H: Home>() {
    let bench = Bench::<H>::new(Source::Short).await;
    let job = json!({"input": bench.gateway.job(1)}).to_string();
    let deep = "[".repeat(500) + &"]".repeat(500);
    let messages = [
        "no JSON at all",
        "\u{0}\u{1}\u{fffd}",
        &job[..job.len() / 2],
        "null",
        "[]",
        "{}",
        r#"{"input": null}"#,
        r#"{"input": "{\"version\": 1"}"#,
        r#"{"input": {"version": 1}}"#,
        r#"{"input": {"version": 2}}"#,
        r#"{"input": {"version": "1", "kind": 7}}"#,
        r#"{"input": {"version": 1, "kind": "bake"}}"#,
        &format!(r#"{{"input": {deep}}}"#),
    ];
    for message in messages {
        let ticket = bench.home.hand_in(message.as_bytes()).await;
        // Not every home takes every text.
        let fate = if ticket.id.is_none() { Fate::Refused } else { H::FATES.poisonous };
        bench.until(&ticket, fate).await;
        assert!(ticket.refusal.is_none_or(|code| code == "invalid_request"), "{message}");
    }
    let record = bench.end().await;
    assert_eq!((record.fetched, record.reports.len(), record.stored.len()), (0, 0, 0));
}

/// A message that is larger than any job.
pub(crate) async fn too_large<H: Home>() {
    let bench = Bench::<H>::new(Source::Short).await;
    let mut job = bench.gateway.job(1);
    job["pipeline"] = json!("x".repeat(11 << 20));
    let ticket = bench.run(&job).await;
    bench.until(&ticket, H::FATES.oversized).await;
    assert!(ticket.refusal.is_none_or(|code| code == "body_too_large"));
    let record = bench.end().await;
    assert_eq!((record.fetched, record.stored.len()), (0, 0));
}

/// A job that this handler must not take may still say who waits for it: where messages come from a
/// queue, whoever does hears of it; at a door, whoever knocks.
pub(crate) async fn refused_jobs<H: Home>() {
    let bench = Bench::<H>::new(Source::Short).await;
    let changes: [(&str, Value); 7] = [
        ("/version", json!(2)),
        ("/input", Value::Null),
        ("/input/size", json!("a secret that is in the wrong place")),
        ("/input/url", json!("file:///etc/passwd")),
        ("/output/baseUrl", json!("gopher://127.0.0.1/")),
        ("/kind", json!("bake")),
        ("/pipeline", json!({"unknown": 1})),
    ];
    for (attempt, (member, value)) in (1..).zip(changes) {
        let mut job = bench.gateway.job(attempt);
        (job["pipeline"], job["kind"]) = (json!({}), Value::Null);
        *job.pointer_mut(member).expect("a member") = value;
        if member != "/kind" {
            job.as_object_mut().expect("an object").remove("kind");
        }
        let ticket = bench.run(&job).await;
        bench.until(&ticket, H::FATES.refused).await;
        // A queue may deliver it some times before it puts it aside: each time the same is told.
        let reports = bench.gateway.record().reports;
        let mut reports = reports.iter().filter(|report| report.body["attempt"] == attempt);
        assert_eq!(reports.clone().count() > 0, H::FATES.reports_refusals, "{member}");
        let refused = |report: &Report| {
            error(&report.body) == Some(("unsupported_job", false))
                && !report.body.to_string().contains("a secret")
        };
        assert!(reports.all(refused), "{member}");
    }
    let record = bench.end().await;
    assert_eq!((record.fetched, record.stored.len()), (0, 0));
}
