//! What the gateway does with requests other than what it should.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;

/// All of it.
#[derive(Debug)]
pub(super) struct Rules {
    /// Ends of paths whose requests wait.
    held: BTreeSet<&'static str>,
    /// Beginnings of paths whose requests are answered so.
    answers: BTreeMap<&'static str, StatusCode>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { held: BTreeSet::from(["/held"]), answers: BTreeMap::new() }
    }
}

impl Rules {
    pub(super) fn hold(&mut self, end: &'static str) {
        self.held.insert(end);
    }

    pub(super) fn release(&mut self) {
        self.held.clear();
    }

    pub(super) fn answer(&mut self, beginning: &'static str, status: StatusCode) {
        self.answers.insert(beginning, status);
    }

    pub(super) fn holds(&self, path: &str) -> bool {
        self.held.iter().any(|end| path.ends_with(end))
    }

    pub(super) fn verdict(&self, path: &str) -> Result<(), StatusCode> {
        let answer = self.answers.iter().find(|(beginning, _)| path.starts_with(*beginning));
        answer.map_or(Ok(()), |(_, status)| if status.is_success() { Ok(()) } else { Err(*status) })
    }
}
