//! FFmpeg's machine-readable progress: `key=value` lines in blocks that end with `progress=`.

use std::time::Duration;

/// How far FFmpeg is, by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tick {
    /// End of what was written, in the outputs' time.
    pub out_time: Duration,
    /// Frames of the first video output.
    pub frames: u64,
    /// Multiple of real time, since the start.
    pub speed: Option<f32>,
    /// Whether FFmpeg said that it is done.
    pub ended: bool,
}

impl Tick {
    /// Whether work was done between `earlier` and this one.
    pub fn advances(&self, earlier: &Self) -> bool {
        self.out_time > earlier.out_time || self.frames > earlier.frames || self.ended
    }
}

/// Reads the lines of `-progress`, one after the other. Unknown keys are ignored, unreadable values
/// leave what was known before.
#[derive(Debug, Default)]
pub struct Parser {
    current: Tick,
}

impl Parser {
    /// Takes one line; gives a [`Tick`] whenever a block is complete.
    pub fn line(&mut self, line: &str) -> Option<Tick> {
        let (key, value) = line.trim().split_once('=')?;
        let value = value.trim();
        match key {
            // Microseconds; "N/A" or negative before the first packet.
            "out_time_us" => {
                if let Ok(us) = value.parse() {
                    self.current.out_time = self.current.out_time.max(Duration::from_micros(us));
                }
            }
            "frame" => self.current.frames = value.parse().unwrap_or(self.current.frames),
            "speed" => {
                let speed = value.trim_end_matches('x').trim().parse().ok();
                self.current.speed = speed.filter(|speed: &f32| speed.is_finite() && *speed > 0.0);
            }
            "progress" => {
                self.current.ended = value == "end";
                return Some(self.current);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Tick> {
        let mut parser = Parser::default();
        text.lines().filter_map(|line| parser.line(line)).collect()
    }

    /// As FFmpeg 5.1 writes it.
    #[test]
    fn reads_blocks() {
        let ticks = parse(
            "frame=0\nfps=0.00\nstream_0_0_q=0.0\nbitrate=N/A\ntotal_size=N/A\nout_time_us=N/A\n\
             out_time_ms=N/A\nout_time=N/A\ndup_frames=0\nspeed=N/A\nprogress=continue\n\
             frame=61\nfps=121.31\nout_time_us=2066667\nout_time=00:00:02.066667\nspeed=4.11x\n\
             progress=continue\nframe=120\nout_time_us=4000000\nspeed=   4e+03x\nprogress=end\n",
        );
        assert_eq!(ticks[0], Tick::default());
        assert_eq!(ticks[1].out_time, Duration::from_micros(2_066_667));
        assert_eq!((ticks[1].frames, ticks[1].speed, ticks[1].ended), (61, Some(4.11), false));
        assert_eq!((ticks[2].frames, ticks[2].speed, ticks[2].ended), (120, Some(4000.0), true));
        assert!(ticks[2].advances(&ticks[1]) && !ticks[1].advances(&ticks[1]));
    }

    #[test]
    fn survives_nonsense_and_never_goes_back() {
        let ticks = parse(
            "out_time_us=5\nprogress=continue\nout_time_us=-9223372036854775807\nframe=x\n\
             speed=infx\n=\n\nno line\nprogress=\n",
        );
        assert_eq!(ticks[1].out_time, Duration::from_micros(5));
        assert_eq!(ticks[1].speed, None);
    }
}
