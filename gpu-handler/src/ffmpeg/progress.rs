//! FFmpeg's machine-readable progress, of two kinds on one pipe.
//!
//! * `-progress`: `key=value` lines in blocks that end with `progress=`. FFmpeg is silent, though,
//!   until every output has had its first packet, and a sheet of thumbnails has it at the very end.
//! * `-vstats_file`: one line for each encoded frame of each output, from the first one on.

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

/// Reads the lines of both, one after the other. Unknown keys are ignored, unreadable values (the two
/// may cut each other's lines) leave what was known before.
#[derive(Debug, Default)]
pub struct Parser {
    current: Tick,
}

impl Parser {
    /// Takes one line; gives a [`Tick`] whenever there is something new to tell.
    pub fn line(&mut self, line: &str) -> Option<Tick> {
        if line.starts_with("out=") {
            return self.frame(line);
        }
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

    /// `out= 0 st= 0 frame= 113 q= 28.0 f_size= 5120 … time= 3.767 br= …`; the first output counts.
    fn frame(&mut self, line: &str) -> Option<Tick> {
        let mut words = line.split_whitespace();
        let mut value = |key| {
            words.by_ref().find(|word| *word == key)?;
            words.next()
        };
        value("out=").filter(|output| *output == "0")?;
        let frames = value("frame=")?.parse().ok()?;
        let seconds: f64 = value("time=")?.parse().ok()?;
        let time = Duration::try_from_secs_f64(seconds).ok()?;
        self.current.frames = self.current.frames.max(frames);
        self.current.out_time = self.current.out_time.max(time);
        Some(self.current)
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

    /// As FFmpeg 5.1 writes it, with a block of the other kind cut in.
    #[test]
    fn reads_frames_of_the_first_output() {
        let ticks = parse(
            "out=  0 st=  0 frame=    25 q= 27.0 f_size=    42 s_size=       1KiB time= 0.833 \
             br=    10.1kbits/s avg_br=    10.1kbits/s type= B\n\
             out=  4 st=  0 frame=     1 q= 3.0 f_size= 99 s_size= 1kB time= 99.0 br= 1 type= I\n\
             out=  0 st=  0 frame=    26 q= 27.0 f_size=    42 s_size= 1KiB time= 1.2frame=30\n\
             out_time_us=1000000\nprogress=continue\n",
        );
        assert_eq!(ticks.len(), 2);
        assert_eq!((ticks[0].frames, ticks[0].out_time), (25, Duration::from_millis(833)));
        assert_eq!(ticks[1].out_time, Duration::from_secs(1));
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
