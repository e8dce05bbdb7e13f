//! What the cases show stands in `docs/handler.md`, and nothing else does there.

use crate::{
    cases::bad_input::{Answer, OUTPUT_URLS, SOURCE_URLS},
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

#[test]
fn the_page_tells_which_failure_bad_input_is() {
    let rows = table("### Bad input");
    let answers = [("source", SOURCE_URLS), ("store", OUTPUT_URLS)];
    for (who, answers) in answers {
        for Answer { status, code, transient } in answers {
            let kind = if *transient { "transient" } else { "permanent" };
            let row = format!("| the {who} answers {status}");
            let found = rows.iter().find(|line| line.starts_with(&row));
            let found = found.unwrap_or_else(|| panic!("docs/handler.md lacks: {row}"));
            assert!(found.contains(&format!("| `{code}` | {kind} |")), "{found}");
        }
    }
    let kind = |code: &reelmill_shared::job::FailureCode| {
        if code.is_transient() { "transient" } else { "permanent" }
    };
    for line in &rows {
        let code = line.split('|').nth(2).expect("a column").trim().trim_matches('`');
        if code == "none" {
            continue;
        }
        let known = reelmill_shared::job::FailureCode::ALL.iter();
        let known = known.clone().find(|known| known.as_str() == code);
        let known = known.unwrap_or_else(|| panic!("no such code: {line}"));
        assert!(line.contains(&format!("| {} |", kind(known))), "{line}");
    }
}
