//! Names and languages of tracks, which come from hostile files, as playlist attributes.

use std::collections::BTreeSet;

use isolang::Language;

/// The most characters of a name.
const MAX_NAME: usize = 100;

/// ISO 639-2/B: the codes that differ from ISO 639-2/T, which is a part of ISO 639-3.
const BIBLIOGRAPHIC: [(&str, &str); 20] = [
    ("alb", "sqi"),
    ("arm", "hye"),
    ("baq", "eus"),
    ("bur", "mya"),
    ("chi", "zho"),
    ("cze", "ces"),
    ("dut", "nld"),
    ("fre", "fra"),
    ("geo", "kat"),
    ("ger", "deu"),
    ("gre", "ell"),
    ("ice", "isl"),
    ("mac", "mkd"),
    ("mao", "mri"),
    ("may", "msa"),
    ("per", "fas"),
    ("rum", "ron"),
    ("slo", "slk"),
    ("tib", "bod"),
    ("wel", "cym"),
];

/// The BCP 47 tag of a language as files spell it: ISO 639-1, -2/B, -2/T or -3, perhaps with
/// subtags (`pt-BR`). `None` for what is no language, such as `und`.
pub fn language_tag(text: &str) -> Option<String> {
    let mut subtags = text.split(['-', '_']);
    let language = language(subtags.next()?)?;
    let mut tag = language.to_639_1().unwrap_or_else(|| language.to_639_3()).to_owned();
    for subtag in subtags {
        let well_formed = (1..=8).contains(&subtag.len())
            && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !well_formed || tag.len() > 32 {
            return None;
        }
        tag.push('-');
        tag.push_str(subtag);
    }
    Some(tag)
}

/// The English name of a language.
pub(super) fn language_name(text: &str) -> Option<&'static str> {
    language(text.split(['-', '_']).next()?).map(|language| language.to_name())
}

fn language(code: &str) -> Option<Language> {
    let code = code.to_ascii_lowercase();
    let code = BIBLIOGRAPHIC.iter().find(|(b, _)| *b == code).map_or(&*code, |(_, t)| *t);
    // Special codes: undetermined, no linguistic content, multiple, uncoded.
    if matches!(code, "und" | "zxx" | "mul" | "mis") {
        return None;
    }
    Language::from_639_1(code).or_else(|| Language::from_639_3(code))
}

/// Names for the tracks of one group, unique as RFC 8216 section 4.3.4.1.1 asks: the title, or
/// else the language, or else `fallback` with a number.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// The next track's name.
    pub(super) fn name(
        &mut self,
        title: Option<&str>,
        language: Option<&str>,
        fallback: &str,
    ) -> String {
        let name = title
            .map(quotable)
            .filter(|title| !title.is_empty())
            .or_else(|| language.and_then(language_name).map(str::to_owned))
            .unwrap_or_else(|| format!("{fallback} {}", self.0.len() + 1));
        let mut unique = name.clone();
        let mut number = 2;
        while !self.0.insert(unique.clone()) {
            unique = format!("{name} ({number})");
            number += 1;
        }
        unique
    }
}

/// Text that can stand in a quoted string of a playlist: no line breaks, no quotes, nothing that
/// is invisible or turns the direction of writing.
pub(super) fn quotable(text: &str) -> String {
    let invisible = |c: char| {
        c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    let cleaned: String = text
        .chars()
        .map(|c| if c == '"' { '\'' } else { c })
        .map(|c| if invisible(c) { ' ' } else { c })
        .take(MAX_NAME)
        .collect();
    cleaned.split_whitespace().collect::<Vec<_>>().join(" ")
}
