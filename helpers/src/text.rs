//! Makes text from outside safe to show; formats numbers, durations and paths.
//!
//! A class name, a path or the content of a file can hold line breaks, terminal codes, HTML, characters that change the
//! writing direction, and markers of evcxr's display protocol. [`clean_text`] removes them for one line of text,
//! [`escape_html`] also makes the text safe in HTML. All text that is shown goes through one of them.

use std::path::Path;

/// Most characters that are shown of one value; a longer text is cut and ends in an ellipsis.
pub const LONGEST_TEXT: usize = 200;

/// The longest caption, sentence or alternative text, in characters.
const LONGEST_SENTENCE: usize = 2000;

/// The text as one line of at most [`LONGEST_TEXT`] characters, without control characters and without anything that
/// evcxr could take for a marker of its protocol.
///
/// Line breaks and tabs become spaces; other control characters and those that change the writing direction are
/// removed.
pub fn clean_text(text: &str) -> String {
    clean_to(text, LONGEST_TEXT)
}

/// [`clean_text`] for captions and alternative texts, with room for a few sentences.
pub(crate) fn clean_sentence(text: &str) -> String {
    clean_to(text, LONGEST_SENTENCE)
}

fn clean_to(text: &str, longest: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(4 * longest));
    let mut length = 0;
    for character in text.chars() {
        let character = match character {
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            other if other.is_control() || turns_writing(other) => continue,
            other => other,
        };
        if length == longest {
            clean.pop();
            clean.push('…');
            break;
        }
        clean.push(character);
        length += 1;
    }
    break_markers(&clean)
}

/// True for a character that is not a letter and changes the writing direction, so that a name reads as another one.
fn turns_writing(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// Breaks every marker of evcxr's protocol (all begin with `EVCXR_`).
pub(crate) fn break_markers(text: &str) -> String {
    text.replace("EVCXR_", "EVCXR-")
}

/// The text for use between HTML tags and inside quoted attributes: [`clean_text`], with `& < > " '` as entities.
///
/// ```
/// use helpers::text::escape_html;
/// assert_eq!(escape_html("T-shirt & <b>\"top\"</b>\n"), "T-shirt &amp; &lt;b&gt;&quot;top&quot;&lt;/b&gt; ");
/// ```
pub fn escape_html(text: &str) -> String {
    with_entities(&clean_text(text))
}

/// [`escape_html`] for captions and alternative texts, with room for a few sentences.
pub(crate) fn escape_sentence(text: &str) -> String {
    with_entities(&clean_sentence(text))
}

fn with_entities(clean: &str) -> String {
    let mut escaped = String::with_capacity(clean.len() + clean.len() / 8);
    for character in clean.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A name, or text found in a file, for an error message: complete, on one line, with a replacement character for each
/// one that cannot be shown, so that the reader sees that it was there.
pub(crate) fn shown(text: &str) -> String {
    let shown = |c: char| if c.is_control() || turns_writing(c) { '\u{fffd}' } else { c };
    break_markers(&text.chars().map(shown).collect::<String>())
}

/// A path as [`shown`] shows it.
pub(crate) fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// Seconds in readable units: `0.8 s`, `41 s`, `3 min 05 s`, `1 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=9 => format!("{seconds:.1} s"),
        10..=59 => format!("{whole} s"),
        60..=3599 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1234567.891` with two digits is `1,234,567.89`.
pub fn with_thousands(number: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !fraction.is_empty() {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    let is_zero = grouped.chars().all(|character| matches!(character, '0' | '.' | ','));
    if number < 0.0 && !is_zero { format!("−{grouped}") } else { grouped }
}

/// A whole number with a comma every three digits, for a sentence or a caption: `70000` is `70,000`.
///
/// ```
/// use helpers::text::thousands;
/// assert_eq!(thousands(1_496_074), "1,496,074");
/// ```
pub fn thousands(number: usize) -> String {
    with_thousands(number as f64, 0)
}

/// A number of things in words: `1 epoch`, `1,200 epochs`.
pub(crate) fn counted(number: usize, one: &str) -> String {
    format!("{} {one}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// A number with this many digits after the point, and never `-0.00`.
pub(crate) fn decimals(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.chars().all(|digit| matches!(digit, '0' | '.')) => zero.to_owned(),
        _ => text,
    }
}

/// A PSNR in words: `7.12 dB`, or that it is infinite because the images are equal.
pub fn decibels_text(psnr_db: f64) -> String {
    if psnr_db == f64::INFINITY {
        "infinitely many dB (the images are equal)".to_owned()
    } else {
        format!("{} dB", decimals(psnr_db, 2))
    }
}

/// A number with about four digits; `∞` for an infinite one, as the PSNR of equal images is.
pub(crate) fn short(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let size = value.abs();
    let digits = if size == 0.0 || size >= 1000.0 {
        0
    } else {
        (3.0 - size.log10().floor()).clamp(0.0, 8.0) as usize
    };
    let text = with_thousands(value, digits);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Serde for decibels. JSON has no infinity, which equal images have; it is written as null.
///
/// ```ignore
/// #[serde(with = "crate::text::decibels")]
/// psnr_db: f64,
/// ```
pub(crate) mod decibels {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(decibels: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(*decibels)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_number_has_four_digits_and_no_zeros_at_its_end() {
        let texts = [8220.4, 916.5, 70.0, 2.0, 1.0 / 3.0, 0.0074, 0.0, f64::INFINITY].map(short);
        assert_eq!(texts, ["8,220", "916.5", "70", "2", "0.3333", "0.0074", "0", "∞"]);
    }

    #[test]
    fn markup_in_a_class_name_stays_text() {
        assert_eq!(
            escape_html("<script>alert('x')</script>"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
        );
        assert_eq!(escape_html("\" onload=\"x"), "&quot; onload=&quot;x");
        assert_eq!(escape_html("&lt;"), "&amp;lt;");
    }

    #[test]
    fn text_stays_on_one_line_without_control_characters() {
        assert_eq!(clean_text("a\r\nb\tc\u{0}\u{1b}[31md\u{202e}e\u{2028}f"), "a  b c[31mde f");
    }

    #[test]
    fn what_an_error_shows_keeps_a_place_for_what_cannot_be_shown() {
        assert_eq!(
            shown("a\u{7f}b\nEVCXR_END_CONTENT\u{202e}"),
            "a\u{fffd}b\u{fffd}EVCXR-END_CONTENT\u{fffd}"
        );
    }

    #[test]
    fn long_text_is_cut() {
        let text = clean_text(&"é".repeat(1000));
        assert_eq!(text.chars().count(), LONGEST_TEXT);
        assert!(text.ends_with('…'));
        assert_eq!(clean_text(&"é".repeat(LONGEST_TEXT)), "é".repeat(LONGEST_TEXT));
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        let texts = [0.84, 9.96, 41.2, 185.0, 4200.0].map(duration);
        assert_eq!(texts, ["0.8 s", "10 s", "41 s", "3 min 05 s", "1 h 10 min"]);
    }

    #[test]
    fn one_thing_has_no_plural_and_zero_no_sign() {
        let texts = [0, 1, 2, 1200].map(|number| counted(number, "epoch"));
        assert_eq!(texts, ["0 epochs", "1 epoch", "2 epochs", "1,200 epochs"]);
        let texts = [-0.004, -0.0, 0.004, -0.006].map(|number| decimals(number, 2));
        assert_eq!(texts, ["0.00", "0.00", "0.00", "-0.01"]);
    }

    #[test]
    fn thousands_are_grouped() {
        let texts = [(0.0, 0), (999.0, 0), (1000.0, 0), (1234567.891, 2), (-1234.5, 1), (-0.04, 1)]
            .map(|(number, digits)| with_thousands(number, digits));
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567.89", "−1,234.5", "0.0"]);
    }
}
