//! Folds taps and outputs into one command line with one filter graph and one decode.

use std::collections::BTreeMap;

/// Options that come first.
const GLOBAL: &[&str] = &[
    "-hide_banner",
    "-nostdin",
    "-nostats",
    "-loglevel",
    "level+warning",
    // The runner puts a socket on file descriptor 0: FFmpeg writes its progress there.
    "-progress",
    "pipe:0",
    "-stats_period",
    "0.5",
    "-y",
];

/// A command under construction.
pub(super) struct Builder {
    input: Vec<String>,
    /// By stream index: what all taps of the stream share, and each tap's own filters.
    sources: BTreeMap<u32, Source>,
    outputs: Vec<Vec<String>>,
}

struct Source {
    kind: Kind,
    shared: String,
    taps: Vec<Tap>,
}

struct Tap {
    filters: String,
    label: String,
}

/// What a stream is; it names the splitting filter.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl Builder {
    /// A command that reads one input, given with its options.
    pub(super) fn new(input: Vec<String>) -> Self {
        Self { input, sources: BTreeMap::new(), outputs: Vec::new() }
    }

    /// Decodes a stream, once, and sends it through `shared` filters.
    pub(super) fn decode(&mut self, stream: u32, kind: Kind, shared: String) {
        self.sources.insert(stream, Source { kind, shared, taps: Vec::new() });
    }

    /// Hangs `filters` on a decoded stream and returns the label to map.
    pub(super) fn tap(&mut self, stream: u32, label: &str, filters: String) -> String {
        let label = format!("[{label}]");
        let source = self.sources.get_mut(&stream).expect("operations tap what they decoded");
        source.taps.push(Tap { filters, label: label.clone() });
        label
    }

    /// Adds an output: its maps, its options and, last, its path.
    pub(super) fn output<I>(&mut self, args: I)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.outputs.push(args.into_iter().map(Into::into).collect());
    }

    /// The finished arguments.
    pub(super) fn build(self) -> Vec<String> {
        let mut args: Vec<String> = GLOBAL.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(self.input);
        let graph: Vec<String> =
            self.sources.iter().flat_map(|(stream, source)| source.chains(*stream)).collect();
        if !graph.is_empty() {
            args.extend(["-filter_complex".to_owned(), graph.join(";")]);
        }
        args.extend(self.outputs.into_iter().flatten());
        args
    }
}

impl Source {
    /// `[0:1]shared,split=2[1.0][1.1]`, then one chain a tap.
    fn chains(&self, stream: u32) -> Vec<String> {
        let split = match self.kind {
            Kind::Video => "split",
            Kind::Audio => "asplit",
        };
        let pads: Vec<String> =
            (0..self.taps.len()).map(|number| format!("[{stream}.{number}]")).collect();
        let head = format!("[0:{stream}]{},{split}={}{}", self.shared, pads.len(), pads.concat());
        let taps = pads
            .iter()
            .zip(&self.taps)
            .map(|(pad, tap)| format!("{pad}{}{}", tap.filters, tap.label));
        std::iter::once(head).chain(taps).collect()
    }
}
