//! Operations: the poster, and the sprite sheets of the storyboard.
//!
//! Both pick their few frames before scaling, and before they come down from a GPU, so they cost next
//! to nothing.

use serde::Serialize;

use super::{Builder, route::Route};
use crate::{ladder, probe::VideoTrack};

/// File of the poster; absent where every frame that was looked at is nearly black.
pub const POSTER_FILE: &str = "poster.jpg";
/// File of the first frame, for when there is no [`POSTER_FILE`].
pub const POSTER_FALLBACK_FILE: &str = "first.jpg";
/// The longest side of a poster in pixels.
const POSTER_SIDE: u32 = 1280;
/// Mean luma (of 16 to 235) up to which a frame counts as black.
const BLACK: u32 = 24;

/// The longest side of a storyboard tile in pixels.
const TILE_SIDE: u32 = 160;
/// Tiles in a row and in a column of a sheet.
const GRID: u32 = 10;
/// The most tiles in all.
const MAX_TILES: f64 = 200.0;

/// Sprite sheets of tiles taken at a fixed interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Storyboard {
    /// Seconds between two tiles, at least 1.
    pub interval: f64,
    /// Width of a tile in pixels.
    pub tile_width: u32,
    /// Height of a tile in pixels.
    pub tile_height: u32,
    /// Tiles in a row.
    pub columns: u32,
    /// Rows of a sheet.
    pub rows: u32,
}

impl Storyboard {
    /// Name of the file of a sheet, counted from 0.
    pub fn sheet_file(sheet: u32) -> String {
        format!("storyboard-{sheet:03}.jpg")
    }
}

/// Adds the poster: of frames between a tenth and a third of the duration, the most typical one
/// that is not black.
pub(super) fn add_poster(
    track: &VideoTrack,
    duration: Option<f64>,
    route: &Route,
    builder: &mut Builder,
) {
    let (width, height) = fit(track, POSTER_SIDE);
    let scale = format!("{}scale=w={width}:h={height}", route.to_still());
    let length = duration.unwrap_or(0.0);
    let (start, step) = if length > 2.0 { (length * 0.1, length * 0.02) } else { (0.0, 0.1) };
    let candidates = format!(
        "select='gte(t,{start:.3}+selected_n*{step:.3})*lt(selected_n,12)',{scale},\
         signalstats,metadata=mode=select:key=lavfi.signalstats.YAVG:value={BLACK}:function=greater,\
         thumbnail=n=12"
    );
    for (label, filters, file) in [
        ("poster", candidates, POSTER_FILE),
        ("first", format!("select='eq(n,0)',{scale}"), POSTER_FALLBACK_FILE),
    ] {
        let label = builder.tap(track.index, label, format!("{filters},format=yuvj420p"));
        builder.output(jpeg(&label, "3", &["-frames:v", "1", "-update", "1", file]));
    }
}

/// Adds the sheets of the storyboard.
pub(super) fn add_storyboard(
    track: &VideoTrack,
    duration: Option<f64>,
    route: &Route,
    builder: &mut Builder,
) -> Storyboard {
    let (tile_width, tile_height) = fit(track, TILE_SIDE);
    let interval = duration.map_or(10.0, |seconds| (seconds / MAX_TILES).ceil()).max(1.0);
    let filters = format!(
        "select='gte(t,selected_n*{interval})',{}scale=w={tile_width}:h={tile_height},\
         format=yuvj420p,tile=layout={GRID}x{GRID}",
        route.to_still()
    );
    let label = builder.tap(track.index, "storyboard", filters);
    builder.output(jpeg(&label, "5", &["-start_number", "0", "storyboard-%03d.jpg"]));
    Storyboard { interval, tile_width, tile_height, columns: GRID, rows: GRID }
}

fn jpeg<'a>(label: &'a str, quality: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "-map",
        label,
        "-map_metadata",
        "-1",
        "-c:v",
        "mjpeg",
        "-q:v",
        quality,
        "-fps_mode",
        "passthrough",
        "-flags:v",
        "+bitexact",
        "-f",
        "image2",
    ];
    args.extend(rest);
    args
}

/// The displayed size, scaled down so that no side is longer than `side`.
fn fit(track: &VideoTrack, side: u32) -> (u32, u32) {
    let top = ladder::ladder(track.width, track.height)[0];
    let longest = top.width.max(top.height);
    let scaled = |size: u32| match longest > side {
        true => (size * side / longest).max(2) / 2 * 2,
        false => size,
    };
    (scaled(top.width), scaled(top.height))
}
