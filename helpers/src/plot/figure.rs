//! A picture that shows itself.
//!
//! A [`Figure`] holds its PNG, at two pixels for each unit of its size on the page, so that it is sharp on dense
//! screens too. Every function of [`plot`](crate::plot) returns one.

use std::fmt;
use std::path::Path;

use base64::Engine;

use crate::Result;
use crate::display::show;
use crate::system::write_atomically;
use crate::text::{clean_sentence, clean_text, escape_sentence};

/// Pixels for each unit of a figure's size on the page, along one side.
pub const DENSITY: usize = 2;

/// A drawn picture with its caption and its alternative text.
///
/// As the last value of a cell it shows itself; [`Figure::save`] writes the PNG.
#[derive(Clone, PartialEq)]
pub struct Figure {
    pub(crate) png: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) caption: String,
    pub(crate) alt: String,
}

impl Figure {
    /// The figure with a sentence below it that says what to look at.
    pub fn caption(mut self, caption: impl Into<String>) -> Figure {
        self.caption = caption.into();
        self
    }

    /// The figure with another alternative text than the one its function wrote.
    pub fn alt(mut self, alt: impl Into<String>) -> Figure {
        self.alt = alt.into();
        self
    }

    /// The picture's PNG file, [`DENSITY`] pixels for each unit of [`Figure::size`].
    pub fn png(&self) -> &[u8] {
        &self.png
    }

    /// Width and height on the page, in CSS pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// What the picture shows, in words.
    pub fn alt_text(&self) -> &str {
        &self.alt
    }

    /// Writes the PNG to a file, its folder made where missing; a file of that name is replaced whole.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, &self.png)
    }

    /// The figure as HTML, picture inside.
    pub fn to_html(&self) -> String {
        let data = base64::engine::general_purpose::STANDARD.encode(&self.png);
        let caption = if self.caption.is_empty() {
            String::new()
        } else {
            format!(
                "<figcaption style=\"font-style:italic;margin-top:0.3em\">{}</figcaption>",
                escape_sentence(&self.caption)
            )
        };
        format!(
            "<figure style=\"margin:0.5em 0\"><img alt=\"{alt}\" width=\"{width}\" style=\"max-width:100%;height:auto\" \
             src=\"data:image/png;base64,{data}\">{caption}</figure>",
            alt = escape_sentence(&self.alt),
            width = self.width,
        )
    }

    /// The figure in words: its alternative text and its caption.
    pub fn to_text(&self) -> String {
        let caption = clean_sentence(&self.caption);
        let alt = clean_sentence(&self.alt);
        if caption.is_empty() {
            format!("[Figure: {alt}]")
        } else {
            format!("[Figure: {alt}]\n{caption}")
        }
    }

    /// Shows the figure as the result of a cell.
    pub fn evcxr_display(&self) {
        show(&self.to_html(), &self.to_text());
    }
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Figure({} x {}: {})", self.width, self.height, clean_text(&self.alt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        Figure {
            png: vec![1, 2, 3],
            width: 40,
            height: 30,
            caption: String::new(),
            alt: "one <dot>".into(),
        }
    }

    #[test]
    fn html_holds_the_picture_its_width_and_its_words() {
        let html = figure().caption("A & B").to_html();
        assert!(html.contains("<img alt=\"one &lt;dot&gt;\" width=\"40\""), "{html}");
        assert!(html.contains("src=\"data:image/png;base64,AQID\""), "{html}");
        assert!(html.ends_with("A &amp; B</figcaption></figure>"), "{html}");
        assert!(!figure().to_html().contains("figcaption"));
    }

    #[test]
    fn text_holds_alternative_and_caption() {
        assert_eq!(figure().to_text(), "[Figure: one <dot>]");
        assert_eq!(figure().alt("a\ndot").caption("Look.").to_text(), "[Figure: a dot]\nLook.");
        assert_eq!(format!("{:?}", figure()), "Figure(40 x 30: one <dot>)");
    }

    #[test]
    fn a_figure_is_saved_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figures/dot.png");
        figure().save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [1, 2, 3]);
    }
}
