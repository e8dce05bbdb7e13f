//! Captions in whatever character set: UTF-8 is known for sure, all else is guessed.
//!
//! Matroska asks for UTF-8, but files are full of SRT as it was found: Windows-1251, Shift JIS, …
//! FFmpeg is told to leave the bytes alone, since all of these hold ASCII, and so WebVTT's syntax.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

/// Captions as text, and what they were written in if that was not UTF-8.
pub(super) fn decode(bytes: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    let broken = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    // In other character sets hardly two letters in a row look like UTF-8: text with more letters
    // than errors is UTF-8 that was cut in the middle of one.
    let letters = || {
        let valid = bytes.utf8_chunks().map(|chunk| chunk.valid());
        valid.flat_map(str::chars).filter(|letter| !letter.is_ascii()).count()
    };
    if broken == 0 || letters() > broken {
        return (String::from_utf8_lossy(bytes), None);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    (text, Some(encoding.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEAD: &str = "WEBVTT\n\n00:01.000 --> 00:02.000\n";

    #[rstest]
    #[case("windows-1252", "Où êtes-vous ? À l'école, garçon, ça va très bien.")]
    #[case("windows-1251", "Привет, как дела? Всё хорошо.")]
    #[case("windows-1250", "Příliš žluťoučký kůň úpěl ďábelské ódy.")]
    #[case("windows-1253", "Καλημέρα, τι κάνεις; Όλα καλά.")]
    #[case("windows-1256", "صباح الخير، كيف حالك؟")]
    #[case("Shift_JIS", "こんにちは、世界。ソフトの表です。")]
    #[case("EUC-KR", "안녕하세요, 잘 지내세요?")]
    #[case("GBK", "你好，世界。今天天气很好。")]
    #[case("Big5", "你好，世界。今天天氣很好。")]
    fn is_guessed(#[case] name: &str, #[case] words: &str) {
        let encoding = encoding_rs::Encoding::for_label(name.as_bytes()).expect("a character set");
        let file = format!("{HEAD}{words}\n");
        let (bytes, _, lossy) = encoding.encode(&file);
        assert!(!lossy, "the words are not in this character set");
        let (text, guessed) = decode(&bytes);
        assert_eq!((text.as_ref(), guessed), (file.as_str(), Some(encoding.name())));
    }

    #[rstest]
    #[case::ascii(b"plain", "plain")]
    #[case::utf8("Où êtes-vous ? 😀".as_bytes(), "Où êtes-vous ? 😀")]
    #[case::cut_in_a_letter(b"\xc3\xa9t\xc3\xa9 et automne, \xc3", "été et automne, \u{fffd}")]
    #[case::empty(b"", "")]
    fn utf8_is_not(#[case] bytes: &[u8], #[case] expected: &str) {
        let (text, guessed) = decode(bytes);
        assert_eq!((text.as_ref(), guessed), (expected, None));
    }
}
