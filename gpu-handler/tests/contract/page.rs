//! What the cases show stands in `docs/handler.md`, and nothing else does there.

use reelmill_shared::job::FailureCode;

use crate::{
    cases::{
        bad_input::{Answer, OUTPUT_URLS, SOURCE_URLS},
        buckets::REFUSALS,
    },
    home::{Fate, Fates, Home},
    lambda::Lambda,
    runpod::Runpod,
    serve::Serve,
    sqs::Sqs,
};

const PAGE: &str = include_str!("../../../docs/handler.md");

/// What may become of a message, and where its fate is told.
type Row = (&'static str, fn(&Fates) -> Fate);

const ROWS: [Row; 9] = [
    ("done, and reported", |fates| fates.completed),
    ("failed, permanently or not, and reported", |fates| fates.failed),
    ("given up: the gateway waits no longer", |fates| fates.stale),
    ("done, but nobody takes the report", |fates| fates.unheard),
    ("in hand when its worker is asked to end and has no time", |fates| fates.stopped),
    ("in hand when its worker crashes", |fates| fates.crashed),
    ("no job for this handler", |fates| fates.refused),
    ("unreadable", |fates| fates.poisonous),
    ("over 10 MB", |fates| fates.oversized),
];

/// A fate in words.
const fn words(fate: Fate) -> &'static str {
    match fate {
        Fate::Completed => "`COMPLETED`",
        Fate::Failed => "`FAILED`",
        Fate::Cancelled => "`CANCELLED`",
        Fate::Refused => "refused",
        Fate::Unknown => "forgotten",
        Fate::Open => "kept",
        Fate::Deleted => "deleted",
        Fate::ComesAgain => "comes again",
        Fate::DeadLetter => "dead letter",
    }
}

/// The lines of the table below a heading.
fn table(heading: &str) -> Vec<&'static str> {
    let (_, rest) = PAGE.split_once(heading).expect("a heading of docs/handler.md");
    let lines = rest.lines().skip_while(|line| !line.starts_with('|'));
    lines.skip(2).take_while(|line| line.starts_with('|')).collect()
}

#[test]
fn the_page_tells_what_becomes_of_messages() {
    let homes = [Serve::FATES, Runpod::FATES, Sqs::FATES, Lambda::FATES];
    let row = |(what, fate): Row| {
        let fates = homes.iter().map(|home| words(fate(home)));
        format!("| {what} | {} |", fates.collect::<Vec<_>>().join(" | "))
    };
    assert_eq!(table("### What becomes of a message"), ROWS.map(row));
}

/// Whether there is a row that begins with `what` and names the failure that it leads to.
fn assert_row(rows: &[&str], what: &str, code: &str, transient: bool) {
    let found = rows.iter().find(|line| line.starts_with(what));
    let found = found.unwrap_or_else(|| panic!("docs/handler.md lacks: {what}"));
    assert!(found.contains(&format!("| `{code}` | {} |", kind(transient))), "{found}");
}

const fn kind(transient: bool) -> &'static str {
    if transient { "transient" } else { "permanent" }
}

#[test]
fn the_page_tells_which_failure_bad_input_is() {
    let rows = table("### Bad input");
    for (who, answers) in [("source", SOURCE_URLS), ("store", OUTPUT_URLS)] {
        for Answer { status, code, transient } in answers {
            assert_row(&rows, &format!("| the {who} answers {status} |"), code, *transient);
        }
    }
    for refusal in REFUSALS {
        for (who, (code, transient)) in [("source", refusal.source), ("store", refusal.store)] {
            let what = format!("| S3, as the {who}, answers `{}` |", refusal.word);
            assert_row(&rows, &what, code, transient);
        }
    }
    // Whatever else stands there is a code that there is.
    for line in rows {
        let code = line.split('|').nth(2).expect("a column").trim().trim_matches('`');
        let known = FailureCode::ALL.iter().find(|known| known.as_str() == code);
        match known {
            Some(known) => assert_row(&[line], "|", code, known.is_transient()),
            None => assert_eq!(code, "none", "{line}"),
        }
    }
}
