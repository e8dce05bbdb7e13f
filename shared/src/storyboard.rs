//! The storyboard's WebVTT: which tile of which sheet stands for which time, as media fragments
//! (`#xywh=`, W3C Media Fragments 1.0), the form that players take for previews.

use std::fmt::Write;

use crate::{plan::Storyboard, subtitle::timestamp};

/// How far the last frame's time may be off, in seconds: it is summed up from rounded durations.
const TOLERANCE: f64 = 1e-4;

/// WebVTT for a storyboard of a media that lasts `duration` seconds and whose last frame is shown
/// from `last_frame` on, with `sheets` sheets named by `sheet_name`. The last tile stands for all
/// the rest, as the last frame does where sound goes on without pictures.
pub fn web_vtt(
    storyboard: &Storyboard,
    last_frame: f64,
    duration: f64,
    sheets: u32,
    sheet_name: impl Fn(u32) -> String,
) -> String {
    let Storyboard { interval, tile_width, tile_height, columns, rows } = *storyboard;
    let mut text = "WEBVTT\n".to_owned();
    let start = |tile: u32| f64::from(tile) * interval;
    // A tile is there if a frame is: the rest of a sheet is empty.
    let tiles = (1..columns * rows * sheets)
        .take_while(|tile| start(*tile) <= last_frame + TOLERANCE)
        .last()
        .map_or(sheets.min(1), |last| last + 1);
    for tile in 0..tiles {
        let end = if tile + 1 < tiles { start(tile + 1) } else { duration };
        let (sheet, place) = (tile / (columns * rows), tile % (columns * rows));
        let (x, y) = (place % columns * tile_width, place / columns * tile_height);
        let name = sheet_name(sheet);
        let (start, end) = (timestamp(start(tile)), timestamp(end));
        write!(text, "\n{start} --> {end}\n{name}#xywh={x},{y},{tile_width},{tile_height}\n")
            .expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn points_into_sheets() {
        let storyboard =
            Storyboard { interval: 2.0, tile_width: 160, tile_height: 90, columns: 2, rows: 2 };
        let text = web_vtt(&storyboard, 9.46, 9.5, 2, |sheet| format!("{sheet:03}.jpg"));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn never_points_past_the_last_sheet() {
        let storyboard =
            Storyboard { interval: 1.0, tile_width: 2, tile_height: 2, columns: 1, rows: 1 };
        let text = web_vtt(&storyboard, 1e12, 1e12, 3, |sheet| format!("{sheet}.jpg"));
        assert_eq!(text.matches("-->").count(), 3);
    }

    #[rstest]
    // 150 frames at 30000/1001: none begins at 5 s or later.
    #[case::ntsc(149.0 * 1001.0 / 30_000.0, 5.005, "00:00:04.000 --> 00:00:05.005\n0.jpg#xywh=0,2,")]
    #[case::exact(5.0, 5.04, "00:00:05.000 --> 00:00:05.040\n0.jpg#xywh=2,2,")]
    #[case::sound_goes_on(4.96, 15.0, "00:00:04.000 --> 00:00:15.000\n0.jpg#xywh=0,2,")]
    #[case::one_frame(0.0, 0.04, "00:00:00.000 --> 00:00:00.040\n0.jpg#xywh=0,0,")]
    fn the_last_cue_shows_the_last_tile(
        #[case] last_frame: f64,
        #[case] duration: f64,
        #[case] expected: &str,
    ) {
        let storyboard =
            Storyboard { interval: 1.0, tile_width: 2, tile_height: 2, columns: 4, rows: 4 };
        let text = web_vtt(&storyboard, last_frame, duration, 1, |sheet| format!("{sheet}.jpg"));
        let (_, cue) = text.trim_end().rsplit_once("\n\n").expect("a cue");
        assert!(cue.starts_with(expected), "{text}");
    }

    #[test]
    fn no_sheet_no_cue() {
        let storyboard =
            Storyboard { interval: 1.0, tile_width: 2, tile_height: 2, columns: 4, rows: 4 };
        assert_eq!(web_vtt(&storyboard, 1.0, 1.0, 0, |_| String::new()), "WEBVTT\n");
    }
}
