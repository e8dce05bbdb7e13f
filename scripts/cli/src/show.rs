//! Results on standard output: for people by default, as JSON lines with `--json`.

use std::io::{self, Write};

use indicatif::HumanBytes;
use serde_json::Value;

use crate::failure::{Failure, Kind};

/// What a shell says of a program whose output nobody reads any more (128 + SIGPIPE).
pub(crate) const NOBODY_READS: u8 = 141;

/// Text from elsewhere without what would move a terminal's cursor or hide what it says.
pub(crate) fn printable(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hides(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Prints lines.
///
/// # Errors
/// Standard output is closed or full.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => Kind::Interrupted(NOBODY_READS),
            _ => Kind::Failed,
        };
        Failure::new(kind, format!("cannot write to standard output: {error}"))
    })
}

/// A media in a few lines.
pub(crate) fn media(media: &Value) -> String {
    let progress = &media["progress"];
    let status = match progress["percent"].as_f64() {
        Some(percent) => {
            format!("{}, {} {percent:.0}%", text(media, "status"), text(progress, "stage"))
        }
        None => text(media, "status"),
    };
    let summary = &media["summary"];
    let picture = match (summary["width"].as_u64(), summary["height"].as_u64()) {
        (Some(width), Some(height)) => format!("{width}×{height}"),
        _ => String::new(),
    };
    let error = &media["error"];
    let error = match error["message"].as_str() {
        Some(message) => format!("{} ({})", printable(message), text(error, "code")),
        None => String::new(),
    };
    let rows = [
        ("status", status),
        ("filename", text(media, "filename")),
        ("source", text(media, "sourceUrl")),
        ("size", size(media)),
        ("type", text(media, "contentType")),
        ("duration", summary["duration"].as_f64().map_or(String::new(), |s| format!("{s:.1} s"))),
        ("picture", picture),
        ("error", error),
        ("retries", format!("{} left", media["retriesLeft"])),
        ("created", text(media, "createdAt")),
        ("updated", text(media, "updatedAt")),
    ];
    let rows = rows.iter().filter(|(_, value)| !value.is_empty());
    let rows: String = rows.map(|(name, value)| format!("\n  {name:12} {value}")).collect();
    text(media, "id") + &rows
}

/// A media in one line of a table, under [`HEADING`].
pub(crate) fn row(media: &Value) -> String {
    let (id, status, created) =
        (text(media, "id"), text(media, "status"), text(media, "createdAt"));
    let size = size(media);
    let name = Some(text(media, "filename")).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| text(media, "sourceUrl"));
    format!("{id:36}  {status:11}  {size:>10}  {created:20.19}  {name}").trim_end().to_owned()
}

/// The heading of a table of media.
pub(crate) const HEADING: &str =
    "ID                                    STATUS             SIZE  CREATED (UTC)         NAME";

/// What a playback answer offers, one URL a line.
pub(crate) fn playback(playback: &Value) -> String {
    let urls = playback.as_object().into_iter().flatten().filter_map(|(what, url)| {
        let url = url.as_str().filter(|url| url.starts_with("http"))?;
        Some(format!("  {what:12} {}", printable(url)))
    });
    urls.collect::<Vec<_>>().join("\n")
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().map(printable).unwrap_or_default()
}

fn size(media: &Value) -> String {
    media["size"].as_u64().map_or(String::new(), |bytes| HumanBytes(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn example() -> Value {
        json!({
            "id": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "status": "transcoding",
            "filename": "evil\u{1b}[2J\u{202e}4pm.mp4", "size": 7_608_204, "retriesLeft": 1,
            "createdAt": "2026-11-21T10:00:00.123Z", "updatedAt": "2026-11-21T10:00:05Z",
            "progress": {"stage": "encoding", "percent": 41.5},
            "summary": {"duration": 52.2, "width": 1280, "height": 720},
        })
    }

    #[test]
    fn a_media_for_people() {
        let expected = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5
  status       transcoding, encoding 42%
  filename     evil\u{fffd}[2J\u{fffd}4pm.mp4
  size         7.26 MiB
  duration     52.2 s
  picture      1280×720
  retries      1 left
  created      2026-11-21T10:00:00.123Z
  updated      2026-11-21T10:00:05Z";
        assert_eq!(media(&example()), expected);
    }

    #[test]
    fn rows_stand_under_their_heading() {
        let row = row(&example());
        let at = |word: &str| HEADING.find(word).expect("a heading");
        assert_eq!(&row[at("STATUS")..at("STATUS") + 11], "transcoding");
        assert_eq!(&row[at("CREATED")..at("CREATED") + 19], "2026-11-21T10:00:00");
        assert!(row[at("NAME")..].starts_with("evil"));
        assert_eq!(at("SIZE") + 4, row.find(" MiB").expect("a size") + 4);
    }

    #[test]
    fn only_urls_are_listed() {
        let answer =
            json!({"token": "x", "hls": "https://g/hls", "live": false, "poster": "https://g/p"});
        assert_eq!(playback(&answer), "  hls          https://g/hls\n  poster       https://g/p");
    }
}
