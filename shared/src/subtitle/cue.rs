//! Reading cues.

/// One cue.
#[derive(Debug, Clone, PartialEq)]
pub struct Cue {
    /// When it appears, in seconds.
    pub start: f64,
    /// When it disappears, in seconds; after `start`.
    pub end: f64,
    /// Its text, safe to put into a WebVTT file: no empty line, no arrow, only known tags.
    pub text: String,
}

/// The most cues of a track; more are left out.
const MAX_CUES: usize = 50_000;
/// The most characters of a cue.
const MAX_TEXT: usize = 2_000;
/// The tags of WebVTT that are kept, without attributes.
const TAGS: [&str; 3] = ["b", "i", "u"];

/// Reads a WebVTT file, in order of start. Cues that end before they start, or start after
/// `duration`, are left out; cues that end later are cut.
pub fn parse(text: &str, duration: f64) -> Vec<Cue> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut cues: Vec<Cue> =
        text.split("\n\n").filter_map(|block| cue(block, duration)).take(MAX_CUES).collect();
    cues.sort_by(|a, b| a.start.total_cmp(&b.start));
    cues
}

fn cue(block: &str, duration: f64) -> Option<Cue> {
    let mut lines = block.lines().skip_while(|line| !line.contains("-->"));
    let (start, rest) = lines.next()?.split_once("-->")?;
    let start = seconds(start.trim())?;
    let end = seconds(rest.split_whitespace().next()?)?.min(duration);
    let lines: Vec<String> = lines.map(escape).filter(|line| !line.trim().is_empty()).collect();
    (start < end && !lines.is_empty()).then(|| Cue { start, end, text: lines.join("\n") })
}

/// Reads `HH:MM:SS.mmm` or `MM:SS.mmm`, with any number of hours.
fn seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        if !part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        total = total * 60.0 + part.parse::<f64>().ok()?;
    }
    total.is_finite().then_some(total)
}

/// Escapes a line of text but for the tags that are kept and the entities that WebVTT knows.
fn escape(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    let mut rest: &str = line.char_indices().nth(MAX_TEXT).map_or(line, |(end, _)| &line[..end]);
    while let Some(first) = rest.chars().next() {
        if let Some(kept) = kept(rest) {
            escaped.push_str(kept);
            rest = &rest[kept.len()..];
            continue;
        }
        match first {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
        rest = &rest[first.len_utf8()..];
    }
    escaped
}

/// The tag or entity that `text` begins with, if it is kept.
fn kept(text: &str) -> Option<&str> {
    for entity in ["&amp;", "&lt;", "&gt;", "&lrm;", "&rlm;", "&nbsp;"] {
        if text.starts_with(entity) {
            return Some(&text[..entity.len()]);
        }
    }
    let name = text.strip_prefix('<')?;
    let name = name.strip_prefix('/').unwrap_or(name);
    let (name, _) = name.split_once('>')?;
    let length = text.find('>')? + 1;
    TAGS.contains(&name).then(|| &text[..length])
}
