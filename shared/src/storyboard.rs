//! Storyboard: WebVTT whose cues are the tiles of sprite sheets, for thumbnails on a seek bar.
//!
//! Each cue's text is the URI of a sheet, relative to the WebVTT file, with a media fragment
//! `#xywh=x,y,width,height` in pixels (W3C Media Fragments §4.2.2).

use std::fmt::Write;

use crate::{plan::Storyboard, webvtt::timestamp};

/// The WebVTT file for a source of `duration` seconds of which `sheets` sheets were made, named by
/// `sheet`.
pub fn webvtt(
    grid: Storyboard,
    duration: f64,
    sheets: u32,
    sheet: impl Fn(u32) -> String,
) -> String {
    let per_sheet = grid.columns * grid.rows;
    let tiles = ((duration / grid.interval).ceil() as u32).clamp(1, (per_sheet * sheets).max(1));
    let mut vtt = "WEBVTT\n".to_owned();
    for tile in 0..tiles {
        let start = f64::from(tile) * grid.interval;
        let end =
            if tile + 1 == tiles { duration.max(start + 0.001) } else { start + grid.interval };
        let place = tile % per_sheet;
        let (x, y) =
            (place % grid.columns * grid.tile_width, place / grid.columns * grid.tile_height);
        write!(
            vtt,
            "\n{} --> {}\n{}#xywh={x},{y},{},{}\n",
            timestamp((start * 1000.0) as u64),
            timestamp((end * 1000.0) as u64),
            sheet(tile / per_sheet),
            grid.tile_width,
            grid.tile_height,
        )
        .expect("writing to a string");
    }
    vtt
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Storyboard =
        Storyboard { interval: 2.0, tile_width: 160, tile_height: 90, columns: 2, rows: 1 };

    #[test]
    fn points_into_the_sheets() {
        let vtt = webvtt(GRID, 5.2, 2, |sheet| format!("{sheet:03}.jpg"));
        insta::assert_snapshot!(vtt, @r"
        WEBVTT

        00:00:00.000 --> 00:00:02.000
        000.jpg#xywh=0,0,160,90

        00:00:02.000 --> 00:00:04.000
        000.jpg#xywh=160,0,160,90

        00:00:04.000 --> 00:00:05.200
        001.jpg#xywh=0,0,160,90
        ");
    }

    #[test]
    fn never_points_at_a_sheet_that_was_not_made() {
        let vtt = webvtt(GRID, 1000.0, 1, |sheet| format!("{sheet:03}.jpg"));
        assert_eq!(vtt.matches("000.jpg").count(), 2);
        assert!(!vtt.contains("001.jpg"));
        assert!(vtt.contains("--> 00:16:40.000"), "the last tile stays until the end");
    }

    #[test]
    fn an_instant_has_one_tile() {
        assert_eq!(webvtt(GRID, 0.0, 1, |_| "0.jpg".into()).matches("-->").count(), 1);
    }
}
