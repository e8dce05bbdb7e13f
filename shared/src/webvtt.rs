//! WebVTT: cues read from what FFmpeg wrote, and cut into segments of an HLS subtitle rendition.
//!
//! Cue text is a stranger's. What goes out is well-formed cue text (W3C WebVTT §4.2.2) with only the
//! markup that styles text; everything else is shown as it was written instead of being obeyed.

use std::fmt::Write;

/// Seconds of a subtitle segment. Longer than media segments, since cues are few and small; RFC
/// 8216 §6.2.4 allows subtitle renditions of type VOD a target duration of their own.
pub const SEGMENT_SECONDS: u32 = 60;
/// The most cues of one track; further ones are dropped.
pub const MAX_CUES: usize = 50_000;
/// The most cues of one segment, so that cues that never end cannot multiply without bound.
const MAX_CUES_PER_SEGMENT: usize = 1000;
/// The most bytes of one cue's text, before escaping.
const MAX_CUE_BYTES: usize = 4096;
/// Tags that style text, with `v`, `c` and `lang`, whose annotations are dropped.
const STYLE_TAGS: [&str; 8] = ["b", "i", "u", "c", "v", "ruby", "rt", "lang"];

/// Text to show from one time to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, in milliseconds.
    pub start: u64,
    /// When it goes, in milliseconds; later than `start`.
    pub end: u64,
    /// Cue text, escaped.
    pub text: String,
}

/// Reads the cues of a WebVTT file, in order of their start. Malformed blocks are passed over, as
/// the specification's own parser does.
pub fn parse(file: &str) -> Vec<Cue> {
    let file = file.replace("\r\n", "\n").replace('\r', "\n");
    let mut cues: Vec<Cue> = file.split("\n\n").filter_map(cue).take(MAX_CUES).collect();
    cues.sort_by_key(|cue| cue.start);
    cues
}

fn cue(block: &str) -> Option<Cue> {
    let mut lines = block.trim_start_matches('\n').lines();
    let timing = lines.find(|line| line.contains("-->"))?;
    let (start, end) = timing.split_once("-->")?;
    let start = milliseconds(start.trim())?;
    let end = milliseconds(end.split_whitespace().next()?)?;
    let text: Vec<_> = lines.filter(|line| !line.trim().is_empty()).map(escape).collect();
    (end > start && !text.is_empty()).then(|| Cue { start, end, text: text.join("\n") })
}

/// `[hours:]minutes:seconds.milliseconds` (W3C WebVTT §4.1, "WebVTT timestamp").
fn milliseconds(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once('.')?;
    let fields =
        clock.split(':').map(|field| field.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    let (hours, minutes, seconds) = match fields[..] {
        [minutes, seconds] => (0, minutes, seconds),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let valid = fraction.len() == 3 && minutes < 60 && seconds < 60 && hours < 1_000_000;
    valid.then_some(())?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction.parse::<u64>().ok()?)
}

/// One line of cue text with only style tags left as tags, and no way out of the cue.
fn escape(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = &line[..line.floor_char_boundary(MAX_CUE_BYTES)];
    while let Some(at) = rest.find(['<', '>', '&']) {
        out.extend(rest[..at].chars().filter(|c| !c.is_control()));
        let special = &rest[at..];
        if let Some((tag, length)) = style_tag(special) {
            out.push_str(&tag);
            rest = &special[length..];
            continue;
        }
        out.push_str(match special.as_bytes()[0] {
            b'<' => "&lt;",
            b'>' => "&gt;",
            _ if is_entity(special) => "&",
            _ => "&amp;",
        });
        rest = &special[1..];
    }
    out.extend(rest.chars().filter(|c| !c.is_control()));
    out
}

/// The style tag that the text begins with, without its annotation and classes, and its length.
fn style_tag(text: &str) -> Option<(String, usize)> {
    let end = text.find('>')?;
    let inner = text.get(1..end)?;
    let (slash, inner) = match inner.strip_prefix('/') {
        Some(inner) => ("/", inner),
        None => ("", inner),
    };
    let name = inner.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    let known = STYLE_TAGS.contains(&name) && text.starts_with('<');
    known.then(|| (format!("<{slash}{name}>"), end + 1))
}

fn is_entity(text: &str) -> bool {
    ["&amp;", "&lt;", "&gt;", "&nbsp;", "&lrm;", "&rlm;"]
        .iter()
        .any(|entity| text.starts_with(entity))
}

/// One WebVTT file of a rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Its length in seconds.
    pub seconds: f64,
    /// The file.
    pub body: String,
}

/// Cuts cues into segments that cover `duration` seconds from 0. A cue stands in every segment that
/// it overlaps, with its own times. Media time `origin` (seconds) is when the cues' clock starts
/// (RFC 8216 §3.5).
pub fn segments(cues: &[Cue], duration: f64, origin: u32) -> impl Iterator<Item = Segment> {
    let total = (duration.max(0.0) * 1000.0) as u64;
    let step = u64::from(SEGMENT_SECONDS) * 1000;
    let header = format!(
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{},LOCAL:00:00:00.000\n",
        u64::from(origin) * 90_000
    );
    (0..total.div_ceil(step).max(1)).map(move |number| {
        let (from, to) = (number * step, ((number + 1) * step).min(total));
        let mut body = header.clone();
        let visible = cues.iter().take_while(|cue| cue.start < to).filter(|cue| cue.end > from);
        for cue in visible.take(MAX_CUES_PER_SEGMENT) {
            let (start, end) = (timestamp(cue.start), timestamp(cue.end.min(total)));
            write!(body, "\n{start} --> {end}\n{}\n", cue.text).expect("writing to a string");
        }
        Segment { seconds: (to - from) as f64 / 1000.0, body }
    })
}

/// `hours:minutes:seconds.milliseconds`, with two digits of hours or as many as it takes.
pub fn timestamp(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        milliseconds % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const FILE: &str = "WEBVTT\n\nNOTE a comment\n\n00:01.000 --> 00:02.500\nHello\n- <b>world</b>\n\n\
                        id\n00:59.000 --> 99999:00:00.000 line:0\nto the end\n\nnonsense --> 00:01.000\nx\n";

    #[test]
    fn reads_cues() {
        let cues = parse(FILE);
        assert_eq!(cues.len(), 2);
        assert_eq!(cues[0], Cue { start: 1000, end: 2500, text: "Hello\n- <b>world</b>".into() });
        assert_eq!((cues[1].start, cues[1].end), (59_000, 99_999 * 3_600_000));
    }

    #[test]
    fn cuts_segments() {
        let cues = parse(FILE);
        let segments: Vec<_> = segments(&cues, 90.0, 10).collect();
        let lengths: Vec<_> = segments.iter().map(|segment| segment.seconds).collect();
        assert_eq!(lengths, [60.0, 30.0]);
        insta::assert_snapshot!(segments[1].body, @r"
        WEBVTT
        X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000

        00:00:59.000 --> 00:01:30.000
        to the end
        ");
        assert!(segments[0].body.contains("Hello") && segments[0].body.contains("to the end"));
    }

    #[test]
    fn a_source_without_cues_has_one_empty_segment() {
        let segments: Vec<_> = segments(&[], 0.0, 10).collect();
        assert_eq!(segments.len(), 1);
        assert!(segments[0].body.starts_with("WEBVTT\n"));
    }

    #[rstest]
    #[case("a < b & c > d", "a &lt; b &amp; c &gt; d")]
    #[case("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;")]
    #[case("<i.loud>x</i>", "<i>x</i>")]
    #[case("<v Fred \"x\">hi</v>", "<v>hi</v>")]
    #[case("<b onclick=x>hi", "<b>hi")]
    #[case("x --> y", "x --&gt; y")]
    #[case("&lt;kept&gt; &copy;", "&lt;kept&gt; &amp;copy;")]
    #[case("bell\u{7}", "bell")]
    #[case("<", "&lt;")]
    #[case("><b>", "&gt;<b>")]
    fn escapes(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(escape(line), expected);
    }

    #[rstest]
    #[case("00:00.000", Some(0))]
    #[case("01:02:03.004", Some(3_723_004))]
    #[case("100:00:00.000", Some(360_000_000))]
    #[case("00:60.000", None)]
    #[case("00:00,000", None)]
    #[case("-1:00.000", None)]
    #[case("99999999999999999999:00:00.000", None)]
    fn reads_timestamps(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(milliseconds(text), expected);
    }

    proptest::proptest! {
        #[test]
        fn survives_any_text(file in "\\PC{0,200}", timing in "[0-9:.]{0,12}") {
            let cues = parse(&format!("{file}\n\n{timing} --> 01:00.000\n{file}"));
            for segment in segments(&cues, 70.0, 0) {
                let arrows = segment.body.matches("-->").count();
                proptest::prop_assert!(arrows <= cues.len());
            }
        }
    }
}
