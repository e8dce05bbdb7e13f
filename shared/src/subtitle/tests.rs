use proptest::prelude::*;
use rstest::rstest;

use super::*;

const FILE: &str = "WEBVTT\n\n00:01.000 --> 00:05.500\nHello\nyou\n\n\
                    00:00:04.000 --> 99999:00:00.000\n<i>for ever</i>\n";

#[test]
fn cuts_into_segments_with_cues_that_span_them() {
    let segments = segments(&parse(FILE, 9.0), 9.0, 4.0);
    assert_eq!(segments.iter().map(|s| s.seconds).collect::<Vec<_>>(), [4.0, 4.0, 1.0]);
    let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
    insta::assert_snapshot!(texts.join("\n----\n"));
}

#[test]
fn a_track_without_cues_is_all_empty_segments() {
    let segments = segments(&parse("WEBVTT\n\n", 5.0), 5.0, 4.0);
    assert_eq!(segments.len(), 2);
    assert!(segments.iter().all(|segment| !segment.text.contains("-->")));
}

#[rstest]
#[case::plain("a & b", "a &amp; b")]
#[case::entity("a &amp; b", "a &amp; b")]
#[case::known_tag("<b>x</b>", "<b>x</b>")]
#[case::script("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;")]
#[case::attributes("<b onclick=x>y</b>", "&lt;b onclick=x&gt;y</b>")]
#[case::unclosed("1 < 2", "1 &lt; 2")]
#[case::control("a\u{0}b\u{7}", "ab")]
fn escapes(#[case] text: &str, #[case] expected: &str) {
    let cues = parse(&format!("WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n"), 5.0);
    assert_eq!(cues[0].text, expected);
}

#[rstest]
#[case::backwards("00:05.000 --> 00:01.000\nx")]
#[case::too_late("01:00.000 --> 01:01.000\nx")]
#[case::no_time("x --> y\nx")]
#[case::negative("-00:01.000 --> 00:02.000\nx")]
#[case::empty("00:00.000 --> 00:01.000\n")]
#[case::no_cue("STYLE\n::cue { background: url(http://example.com) }")]
fn leaves_out(#[case] block: &str) {
    assert_eq!(parse(&format!("WEBVTT\n\n{block}\n"), 10.0), []);
}

#[rstest]
#[case(0.0, "00:00:00.000")]
#[case(3661.0015, "01:01:01.002")]
#[case(-1.0, "00:00:00.000")]
#[case(360_000.0, "100:00:00.000")]
fn writes_time(#[case] seconds: f64, #[case] expected: &str) {
    assert_eq!(timestamp(seconds), expected);
}

proptest! {
    /// Whatever is in the file, a segment has as many arrows as cues and no foreign line.
    #[test]
    fn hostile_text_breaks_no_segment(text in "(\\PC|\n|-->|<|&|WEBVTT){0,60}") {
        let file = format!("WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n");
        for segment in segments(&parse(&file, 4.0), 4.0, 4.0) {
            for block in segment.text.split("\n\n").skip(1) {
                prop_assert_eq!(block.matches("-->").count(), 1);
            }
        }
    }
}
