//! Progress on standard error: a bar for every file at a terminal, a few plain lines elsewhere.

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex},
    time::Duration,
};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::{failure::Failure, show::printable, tus::Observer};

const BYTES: &str = "{prefix:24!} {msg:12} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
const SHARE: &str = "{prefix:24!} {msg:12} {bar:24} {percent}%";
const WORDS: &str = "{prefix:24!} {msg} {spinner}";
/// In plain lines: a word every so many percent.
const STEP: u64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Bars,
    Lines,
    Silent,
}

/// All lines of progress.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    multi: MultiProgress,
    style: Style,
}

impl Board {
    /// For this standard error.
    pub(crate) fn new(quiet: bool) -> Self {
        let style = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Silent,
            (false, true) => Style::Bars,
            (false, false) => Style::Lines,
        };
        Self { multi: MultiProgress::new(), style }
    }

    /// A line about `name`.
    pub(crate) fn line(&self, name: &str) -> Line {
        let name = printable(name);
        let bar = match self.style {
            Style::Bars => self.multi.add(ProgressBar::new_spinner()),
            Style::Lines | Style::Silent => ProgressBar::hidden(),
        };
        bar.set_prefix(name.clone());
        let said = Mutex::new(Said::default());
        Line(Arc::new(Inner { bar, name, style: self.style, said }))
    }

    /// Does something to the terminal while no bar is in the way.
    pub(crate) fn aside<T>(&self, action: impl FnOnce() -> T) -> T {
        match self.style {
            Style::Bars => self.multi.suspend(action),
            Style::Lines | Style::Silent => action(),
        }
    }
}

/// What the line says, so that it is said once.
#[derive(Debug, Default)]
struct Said {
    what: String,
    percent: u64,
    total: u64,
}

/// One line, about one file or media. Cheap to clone; it goes when the last clone goes.
#[derive(Debug, Clone)]
pub(crate) struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bar: ProgressBar,
    name: String,
    style: Style,
    said: Mutex<Said>,
}

impl Line {
    /// From now on bytes are counted, up to `total`.
    pub(crate) fn bytes(&self, what: &str, total: u64) {
        self.0.lock().total = total;
        self.0.bar.set_length(total);
        self.0.say(what, BYTES);
        self.0.bar.reset_eta();
    }

    /// What a `progress` event says.
    pub(crate) fn progress(&self, event: &Value) {
        self.0.lock().total = 0;
        self.0.bar.set_length(1000);
        self.0.say(event["stage"].as_str().unwrap_or("working"), SHARE);
        let percent = event["percent"].as_f64().unwrap_or_default().clamp(0.0, 100.0);
        self.0.bar.set_position((percent * 10.0) as u64);
        self.0.reached(percent as u64);
    }

    /// Something goes on that is not measured.
    pub(crate) fn stage(&self, what: &str) {
        self.0.say(what, WORDS);
        self.0.bar.enable_steady_tick(Duration::from_millis(250));
    }
}

impl Observer for Line {
    fn sent(&self, bytes: u64) {
        self.0.bar.set_position(bytes);
        let total = self.0.lock().total;
        if let Some(percent) = (bytes * 100).checked_div(total) {
            self.0.reached(percent);
        }
    }

    fn trouble(&self, failure: Option<&Failure>) {
        match failure {
            Some(failure) => self.0.say(&format!("trying again: {failure}"), WORDS),
            None if self.0.lock().total > 0 => self.0.say("uploading", BYTES),
            None => {}
        }
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().expect("nothing panics while it holds the lock")
    }

    fn say(&self, what: &str, template: &str) {
        let what = printable(what);
        {
            let mut said = self.lock();
            if said.what == what {
                return;
            }
            said.what.clone_from(&what);
            said.percent = 0;
        }
        self.bar.set_style(
            ProgressStyle::with_template(template).expect("the templates are well formed"),
        );
        if self.style == Style::Lines {
            eprintln!("{}: {what}", self.name);
        }
        self.bar.set_message(what);
    }

    fn reached(&self, percent: u64) {
        let step = percent / STEP * STEP;
        let mut said = self.lock();
        if step <= said.percent {
            return;
        }
        said.percent = step;
        if self.style == Style::Lines {
            let of = if said.total > 0 {
                format!(" of {}", HumanBytes(said.total))
            } else {
                String::new()
            };
            eprintln!("{}: {} {step}%{of}", self.name, said.what);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
