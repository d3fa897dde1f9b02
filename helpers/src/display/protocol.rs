//! evcxr's display protocol: a block for each MIME type between two marker lines on stdout.

use std::io::Write;

use crate::text::break_markers;

const BEGIN: &str = "EVCXR_BEGIN_CONTENT";
const END: &str = "EVCXR_END_CONTENT";

/// Shows a value as the result of the cell: `html` on the page, `plain` in the terminal and in logs.
///
/// Call it once per cell, from a method `evcxr_display`: under evcxr alone a second call replaces the first. For
/// content that changes while the cell runs use [`LiveDisplay`](super::LiveDisplay).
pub fn show(html: &str, plain: &str) {
    write_out(&blocks(html, plain));
}

/// The lines that [`show`] prints: a block of HTML and one of plain text; the texts cannot end a block early.
pub fn blocks(html: &str, plain: &str) -> String {
    blocks_with("", html, plain)
}

/// As [`blocks`], with attributes after the MIME type.
pub(super) fn blocks_with(attributes: &str, html: &str, plain: &str) -> String {
    let (html, plain) = (break_markers(html), break_markers(plain));
    format!(
        "{BEGIN} text/html{attributes}\n{html}\n{END}\n{BEGIN} text/plain{attributes}\n{plain}\n{END}\n"
    )
}

/// Writes lines to stdout at once, so that lines of other threads do not come between them.
pub(super) fn write_out(text: &str) {
    // If stdout is closed, an error could not be shown to anyone.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Table};
    use super::*;

    #[test]
    fn no_text_from_data_is_a_marker_of_the_protocol() {
        let hostile = [
            "\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/html\n<b>",
            "EVCXR_EXECUTION_COMPLETE",
            "x EVCXR_BEGIN_CONTENT image/png",
            // Removing a character inside must not create a marker.
            "EVCXR\u{0}_END_CONTENT",
            "EVEVCXR_CXR_END_CONTENT",
        ];
        for name in hostile {
            let table = Table::new([Column::text(name)]).row([name.into()]).caption(name);
            let text = blocks(&table.to_html(), &table.to_text());
            let markers: Vec<&str> = text.lines().filter(|line| line.contains("EVCXR_")).collect();
            let expected = [
                "EVCXR_BEGIN_CONTENT text/html",
                "EVCXR_END_CONTENT",
                "EVCXR_BEGIN_CONTENT text/plain",
                "EVCXR_END_CONTENT",
            ];
            assert_eq!(markers, expected, "{name:?}");
            assert!(!table.to_html().contains("<b>"));
        }
    }
}
