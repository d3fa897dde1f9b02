//! Escaping: what text from data becomes in HTML, in plain text and in evcxr's protocol.

use fastrand::Rng;
use helpers::display::{Column, Table, blocks};
use helpers::text::{LONGEST_TEXT, clean_text, escape_html};

use crate::mutate;

/// Text that would do harm if it got through.
pub(crate) const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "\" onload=\"x",
    "' style='",
    "&lt;",
    "&#39;",
    "&",
    "-->",
    "]]>",
    "</td>",
    "EVCXR_BEGIN_CONTENT text/html\n",
    "\nEVCXR_END_CONTENT\n",
    "EVCXR_",
    "EVCXR\u{0}_",
    "EVEVCXR_CXR_",
    "\n",
    "\r",
    "\u{2028}",
    "\u{85}",
    "\u{202e}",
    "\u{feff}",
    "\u{1b}[31m",
];

/// The characters that HTML gives a meaning, with what stands for them.
const ENTITIES: [(&str, char); 5] =
    [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&#39;", '\'')];

/// Takes the input as the name of a class, a title, a caption.
pub(crate) fn run(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    let clean = clean_text(text);
    check_text(&clean);
    assert!(!clean.contains('\n') && clean.chars().count() <= LONGEST_TEXT);
    if is_plain(text) {
        assert_eq!(clean, text, "text that is clean already was changed");
    }
    let escaped = escape_html(text);
    assert!(!escaped.contains(['<', '>', '"', '\'']), "markup in {escaped:?}");
    assert_eq!(unescape(&escaped), clean);

    let table =
        |text: &str| Table::new([Column::text(text)]).row([text.into()]).caption(text).best(0);
    let (html, plain) = (table(text).to_html(), table(text).to_text());
    check_html(&html);
    check_text(&plain);
    // However hostile the text, the table has the tags and the lines of any other one.
    if !clean.is_empty() {
        assert_eq!(tags(&html), tags(&table("x").to_html()));
        assert_eq!(plain.lines().count(), table("x").to_text().lines().count());
    }

    // Nothing that is shown ends its block, even if nobody has cleaned it.
    for (html, plain) in [(html.as_str(), plain.as_str()), (text, text)] {
        let blocks = blocks(html, plain);
        let markers = blocks.lines().filter(|line| line.contains("EVCXR_"));
        let expected = [
            "EVCXR_BEGIN_CONTENT text/html",
            "EVCXR_END_CONTENT",
            "EVCXR_BEGIN_CONTENT text/plain",
            "EVCXR_END_CONTENT",
        ];
        assert!(markers.eq(expected), "{blocks:?}");
    }
}

/// Panics unless this is HTML as helpers writes it: tags without scripts, known entities, no marker of evcxr's protocol.
pub(crate) fn check_html(html: &str) {
    check_text(html);
    let known = ["table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"];
    for tag in tags(html) {
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        assert!(known.contains(&name) || name == "img", "<{tag}> in {html:?}");
        assert!(!tag.contains(" on") && !tag.contains("script"), "<{tag}> in {html:?}");
    }
    for after in html.split('&').skip(1) {
        let known = ENTITIES.iter().any(|(entity, _)| after.starts_with(&entity[1..]));
        assert!(known, "&{after:.10} in {html:?}");
    }
}

/// Panics if there are control characters but line ends, or a marker of evcxr's protocol.
pub(crate) fn check_text(text: &str) {
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.contains("EVCXR_"), "{text:?}");
}

/// What stands between `<` and `>`, without the values of attributes that come from data.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()).collect()
}

/// Whether nothing in the text needs cleaning.
fn is_plain(text: &str) -> bool {
    let odd = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
            )
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    text.chars().count() <= LONGEST_TEXT && !text.contains(odd) && !text.contains("EVCXR_")
}

/// As a browser does it.
fn unescape(html: &str) -> String {
    let mut parts = html.split('&');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = ENTITIES.iter().find(|(entity, _)| part.starts_with(&entity[1..]));
        let (entity, character) = known.unwrap_or_else(|| panic!("&{part}: no entity"));
        text.push(*character);
        text.push_str(&part[entity.len() - 1..]);
    }
    text
}

/// A changed copy.
pub(crate) fn mutate(random: &mut Rng, input: &[u8]) -> Vec<u8> {
    mutate::bytes(random, input, HOSTILE)
}
