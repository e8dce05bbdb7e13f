//! The storyboard's WebVTT: which tile of which sheet stands for which time, as media fragments
//! (`#xywh=`, W3C Media Fragments 1.0), the form that players take for previews.

use std::fmt::Write;

use crate::{plan::Storyboard, subtitle::timestamp};

/// WebVTT for a storyboard of a video that lasts `duration` seconds and has `sheets` sheets named
/// by `sheet_name`. The last cue ends with the video.
pub fn web_vtt(
    storyboard: &Storyboard,
    duration: f64,
    sheets: u32,
    sheet_name: impl Fn(u32) -> String,
) -> String {
    let Storyboard { interval, tile_width, tile_height, columns, rows } = *storyboard;
    let mut text = "WEBVTT\n".to_owned();
    for tile in 0..columns * rows * sheets {
        let start = f64::from(tile) * interval;
        if start >= duration {
            break;
        }
        let end = (start + interval).min(duration);
        let (sheet, place) = (tile / (columns * rows), tile % (columns * rows));
        let (x, y) = (place % columns * tile_width, place / columns * tile_height);
        let name = sheet_name(sheet);
        let (start, end) = (timestamp(start), timestamp(end));
        write!(text, "\n{start} --> {end}\n{name}#xywh={x},{y},{tile_width},{tile_height}\n")
            .expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_into_sheets() {
        let storyboard =
            Storyboard { interval: 2.0, tile_width: 160, tile_height: 90, columns: 2, rows: 2 };
        let text = web_vtt(&storyboard, 9.5, 2, |sheet| format!("{sheet:03}.jpg"));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn never_points_past_the_last_sheet() {
        let storyboard =
            Storyboard { interval: 1.0, tile_width: 2, tile_height: 2, columns: 1, rows: 1 };
        let text = web_vtt(&storyboard, 1e12, 3, |sheet| format!("{sheet}.jpg"));
        assert_eq!(text.matches("-->").count(), 3);
    }
}
