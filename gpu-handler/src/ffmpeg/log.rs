//! What a tool wrote to stderr, kept in bounded memory, and what it tells about a failure.

use ffmpeg_sidecar::{
    event::{FfmpegEvent, LogLevel},
    log_parser::FfmpegLogParser,
};
use reelmill_shared::job::{Failure, FailureCode};

const HEAD: usize = 16 * 1024;
const TAIL: usize = 48 * 1024;

/// The beginning and the end of a log: the cause stands in the one or in the other.
#[derive(Debug, Default, Clone)]
pub struct Log {
    head: Vec<u8>,
    tail: Vec<u8>,
    left_out: u64,
}

impl Log {
    /// Adds what was read.
    pub fn push(&mut self, mut bytes: &[u8]) {
        let room = HEAD - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        bytes = rest;
        self.tail.extend_from_slice(bytes);
        // Cut at twice the size, so that a long log is not moved with every line.
        if self.tail.len() > 2 * TAIL {
            let cut = self.tail.len() - TAIL;
            self.tail.drain(..cut);
            self.left_out += cut as u64;
        }
    }

    /// The log as text, with a note where something was left out.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n… {} bytes left out …\n", self.left_out));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }

    /// Whether a decoder complained. A tool that ended well may have skipped what it could not read.
    pub fn tells_of_damage(&self) -> bool {
        let signs = ["rror while decoding", "Invalid data found", "corrupt", "Invalid NAL"];
        self.errors().iter().any(|line| signs.iter().any(|sign| line.contains(sign)))
    }

    /// Whether FFmpeg met packets that are shorter than their container announces, or that were
    /// damaged on their way: it decodes what is there and goes on.
    pub fn tells_of_missing_data(&self) -> bool {
        let warnings = self.lines(&|level| matches!(level, LogLevel::Warning));
        let told = |sign: &str| warnings.iter().any(|line| line.contains(sign));
        // A WAV that was written into a pipe announces the most that it can.
        told("corrupt input packet in stream") && !told("Ignoring maximum wav data size")
    }

    /// The first complaint, cut short. It may quote the file: for logs, not for callers.
    pub fn first_error(&self) -> Option<String> {
        Some(self.errors().first()?.chars().take(200).collect())
    }

    /// Lines of the levels error and fatal.
    pub(super) fn errors(&self) -> Vec<String> {
        self.lines(&|level| matches!(level, LogLevel::Error | LogLevel::Fatal))
    }

    fn lines(&self, wanted: &dyn Fn(&LogLevel) -> bool) -> Vec<String> {
        let text = self.text();
        let mut parser = FfmpegLogParser::new(text.as_bytes());
        let mut lines = Vec::new();
        loop {
            match parser.parse_next_event() {
                Ok(FfmpegEvent::LogEOF) => return lines,
                Ok(FfmpegEvent::Log(level, line)) if wanted(&level) => lines.push(line),
                // A stream line outside of a section is an error to the parser, but not to us.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Why a tool failed, as far as its own words tell. The message is ours: a log holds names and
    /// texts out of the file.
    pub fn diagnose(&self) -> Option<Failure> {
        let errors = self.errors();
        SIGNS
            .iter()
            .find(|(sign, _, _)| errors.iter().any(|line| line.contains(sign)))
            .map(|(_, code, message)| Failure::new(*code, *message))
    }
}

/// Signs in a log, the most telling first.
const SIGNS: &[(&str, FailureCode, &str)] = {
    use FailureCode::{CorruptMedia, Internal, NoSpace, UnsupportedCodec, UnsupportedMedia};
    &[
        ("No space left on device", NoSpace, "the handler's disk is full"),
        ("Cannot allocate memory", Internal, "FFmpeg ran out of the memory it may use"),
        ("sandbox:", Internal, "FFmpeg's sandbox could not be built"),
        ("error while loading shared libraries", Internal, "FFmpeg could not be started"),
        ("Format not on whitelist", UnsupportedMedia, "this kind of file is not taken"),
        ("Protocol '", UnsupportedMedia, "the file refers to other files, which is not allowed"),
        ("moov atom not found", UnsupportedMedia, "the file is not complete: its index is missing"),
        (
            "Decoding requested, but no decoder found",
            UnsupportedCodec,
            "a codec has no decoder here",
        ),
        ("Unknown/unsupported AVCodecID", UnsupportedCodec, "a codec is not known here"),
        ("Cannot determine format of input", CorruptMedia, "nothing in the file can be decoded"),
        ("Invalid data found", CorruptMedia, "the file is damaged"),
        ("Error while decoding", CorruptMedia, "the file is damaged"),
        ("could not find codec parameters", CorruptMedia, "the file is damaged"),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn log(text: &str) -> Log {
        let mut log = Log::default();
        log.push(text.as_bytes());
        log
    }

    #[test]
    fn keeps_head_and_tail_in_bounded_memory() {
        let mut log = Log::default();
        for number in 0..200_000 {
            log.push(format!("line {number}\n").as_bytes());
        }
        let text = log.text();
        assert!(text.starts_with("line 0\n") && text.ends_with("line 199999\n"));
        assert!(text.contains("bytes left out") && text.len() < HEAD + 2 * TAIL + 64);
    }

    #[rstest]
    #[case(
        "[mov,mp4 @ 0x1] [error] moov atom not found\n[error] file:source: Invalid data found when processing input\n",
        FailureCode::UnsupportedMedia
    )]
    #[case("[hls @ 0x1] [error] Format not on whitelist 'mov'\n", FailureCode::UnsupportedMedia)]
    #[case(
        "[error] Error while decoding stream #0:0: Invalid data found\n",
        FailureCode::CorruptMedia
    )]
    #[case("[fatal] av_interleaved_write_frame(): No space left on device\n", FailureCode::NoSpace)]
    fn diagnoses(#[case] text: &str, #[case] code: FailureCode) {
        assert_eq!(log(text).diagnose().expect("a reason").code, code);
    }

    #[rstest]
    #[case("[info] Invalid data found\n[error] Conversion failed!\n")]
    #[case("")]
    fn does_not_guess(#[case] text: &str) {
        assert_eq!(log(text).diagnose(), None);
    }

    #[test]
    fn messages_are_ours() {
        let log = log("[error] /secret/path: Invalid data found in CANARY\n");
        let message = log.diagnose().expect("a reason").message;
        assert!(!message.contains("secret") && !message.contains("CANARY"));
    }
}
