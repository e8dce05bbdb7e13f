//! Capabilities stay out of logs, also where other programs write them.
//!
//! wrangler's proxy names the whole URL of a request that breaks off, and our URLs carry tokens.

/// What stands before a capability in a URL.
const BEFORE: &[&str] =
    &["token=", "/play/", "/api/handler/source/", "/api/handler/outputs/", "upl_"];

/// `line` with `…` in place of every capability.
pub(super) fn redact(line: &str) -> String {
    let mut rest = line;
    let mut clean = String::with_capacity(line.len());
    loop {
        let found =
            BEFORE.iter().filter_map(|mark| rest.find(mark).map(|at| at + mark.len())).min();
        let Some(at) = found else { break };
        let (before, after) = rest.split_at(at);
        let part_of_token = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let end = after.find(|c| !part_of_token(c)).unwrap_or(after.len());
        clean.push_str(before);
        if end > 0 {
            clean.push('…');
        }
        rest = &after[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_goes_and_the_rest_stays() {
        let cases = [
            (
                "PUT http://h/api/media/med_1/source?token=Ab-_9&sha256=00 failed",
                "PUT http://h/api/media/med_1/source?token=…&sha256=00 failed",
            ),
            (
                "GET /play/AbC/hls/main.m3u8, GET /play/dEf/poster.jpg",
                "GET /play/…/hls/main.m3u8, GET /play/…/poster.jpg",
            ),
            (
                "PUT /api/handler/outputs/xyz/hls/main.m3u8",
                "PUT /api/handler/outputs/…/hls/main.m3u8",
            ),
            ("PATCH /api/uploads/upl_0192f0c1", "PATCH /api/uploads/upl_…"),
            ("token=", "token="),
            ("ready on http://127.0.0.1:8787", "ready on http://127.0.0.1:8787"),
        ];
        for (line, expected) in cases {
            assert_eq!(redact(line), expected);
        }
    }
}
