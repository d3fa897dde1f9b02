//! A picture that shows itself.
//!
//! A [`Figure`] contains its PNG, with two pixels per CSS pixel, so that it is also sharp on high-density screens.
//! Every function of [`plot`](crate::plot) returns one.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::iter::repeat_n;
use std::path::Path;

use base64::Engine;

use super::style::Color;
use crate::artifacts::Run;
use crate::display::{show, shows_its_html};
use crate::system::write_atomically;
use crate::text::{clean_sentence, clean_text, escape_sentence};
use crate::{Error, Result};

/// Pixels per CSS pixel of a figure, along one side.
pub const DENSITY: usize = 2;

/// A drawn picture with its caption and its alternative text.
///
/// As the last value of a cell it shows itself; [`Figure::save`] writes the PNG.
#[derive(Clone, PartialEq)]
pub struct Figure {
    png: Vec<u8>,
    width: usize,
    height: usize,
    caption: String,
    alt: String,
    /// The attributes of the image that say what a page shows that is narrower than it; empty for the image itself.
    narrow: String,
}

/// The width of a drawing for a phone, in CSS pixels: what a page has room for on a screen of 390.
pub(crate) const NARROW: f64 = 340.0;

/// The page that a figure is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Desk,
    /// [`NARROW`] units wide and without a title, which the page writes above it.
    Phone,
}

/// A part of a picture on the page: left, top, width, height.
pub(crate) type PartArea = [f64; 4];

impl Figure {
    /// The figure with these RGB pixels, [`DENSITY`] per CSS pixel.
    pub(crate) fn from_pixels(
        rgb: Vec<u8>,
        width: usize,
        height: usize,
        alt: String,
    ) -> Result<Figure> {
        let png = encode_png(&rgb, DENSITY * width, DENSITY * height)
            .map_err(|error| Error::drawing(format!("PNG: {error}")))?;
        Ok(Figure { png, width, height, caption: String::new(), alt, narrow: String::new() })
    }

    /// The figure that `drawn` draws for a desk, with the one that it draws for a phone if the first is too wide there
    /// and the second is not. A phone's drawing that fails, as for too many rows, is no failure of the figure.
    pub(crate) fn for_each_screen(
        title: &str,
        drawn: impl Fn(Screen) -> Result<Figure>,
    ) -> Result<Figure> {
        let figure = drawn(Screen::Desk)?;
        if figure.width as f64 <= NARROW {
            return Ok(figure);
        }
        let phone = drawn(Screen::Phone).ok().filter(|phone| phone.width as f64 <= NARROW);
        let narrow = phone.map_or_else(String::new, |phone| {
            let whole = vec![vec![[0.0, 0.0, phone.width as f64, phone.height as f64]]];
            let phone = phone.in_parts(title, " ", &whole);
            format!("{} data-narrow=\"{}\"", phone.narrow, data_url(&phone.png))
        });
        Ok(Figure { narrow, ..figure })
    }

    /// The figure with its parts that a narrow page stacks, row by row, and its title if no part holds it.
    ///
    /// - `between`: a space if the areas of a row stay beside each other where there is room, `+` if they are one thing
    ///   (names of rows, and what they name) and get smaller. An area may stand in several rows.
    pub(crate) fn in_parts(self, title: &str, between: &str, rows: &[Vec<PartArea>]) -> Figure {
        let part = |area: &PartArea| area.map(|length| format!("{length:.1}")).join(",");
        let row = |row: &Vec<PartArea>| row.iter().map(part).collect::<Vec<_>>().join(between);
        let rows = rows.iter().map(row).collect::<Vec<_>>().join(";");
        let (width, height, title) = (self.width, self.height, escape_sentence(title));
        let narrow = format!(" data-title=\"{title}\" data-parts=\"{width}x{height}:{rows}\"");
        Figure { narrow, ..self }
    }

    /// The figure with this sentence below it, which says what it shows.
    pub fn caption(&self, caption: impl Into<String>) -> Figure {
        // Returns a copy: the module `display` explains why the last expression of a cell must not move a variable.
        Figure { caption: caption.into(), ..self.clone() }
    }

    /// The picture's PNG file, [`DENSITY`] pixels for each unit of [`Figure::size`].
    pub fn png(&self) -> &[u8] {
        &self.png
    }

    /// Width and height on the page, in CSS pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// A description of the picture.
    pub fn alt_text(&self) -> &str {
        &self.alt
    }

    /// Writes the PNG to a file, and creates its folder if it is missing; an existing file is replaced atomically.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, &self.png)
    }

    /// Saves the picture under this name in the run's folder of results, and returns it so that the cell shows it.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn keep(&self, run: &Run, name: &str) -> Result<Figure> {
        self.save(run.artifacts().figure_path(name))?;
        Ok(self.clone())
    }

    /// The figure as HTML, picture inside.
    pub fn to_html(&self) -> String {
        let mut caption = escape_sentence(&self.caption);
        if !caption.is_empty() {
            let style = "font-style:italic;margin-top:0.3em";
            caption = format!("<figcaption style=\"{style}\">{caption}</figcaption>");
        }
        format!(
            "<figure style=\"margin:0.5em 0\"><img alt=\"{alt}\" width=\"{width}\"{narrow} \
             style=\"max-width:100%;height:auto\" src=\"{data}\">{caption}</figure>",
            alt = escape_sentence(&self.alt),
            width = self.width,
            narrow = self.narrow,
            data = data_url(&self.png),
        )
    }

    /// The figure as text: its alternative text and its caption.
    pub fn to_text(&self) -> String {
        let text = format!("[Figure: {}]", clean_sentence(&self.alt));
        match clean_sentence(&self.caption) {
            caption if caption.is_empty() => text,
            caption => format!("{text}\n{caption}"),
        }
    }

    /// Shows the figure as the result of a cell.
    pub fn evcxr_display(&self) {
        show(&self.to_html(), &self.to_text());
    }
}

shows_its_html!(Figure);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Figure({} x {}: {})", self.width, self.height, clean_text(&self.alt))
    }
}

fn data_url(png: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(png);
    format!("data:image/png;base64,{text}")
}

/// The picture as PNG, with a palette if 256 colours look the same as all of them: that halves the file, and each
/// picture is stored in an executed notebook and two pages.
fn encode_png(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_depth(png::BitDepth::Eight);
    // Without a filter the rows of flat areas and blocks repeat, which deflate compresses best.
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.set_compression(png::Compression::Best);
    let indexed = indexed(rgb);
    let data = match &indexed {
        Some((palette, indices)) => {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_palette(palette.concat());
            indices
        }
        None => {
            encoder.set_color(png::ColorType::Rgb);
            rgb
        }
    };
    let mut writer = encoder.write_header()?;
    writer.write_image_data(data)?;
    writer.finish()?;
    Ok(bytes)
}

/// At most 256 colours, and for each pixel the index of one that looks the same as its own; none if that needs more.
///
/// Frequent colours stay as they are; rare ones (mostly edges of lines and letters) are replaced by a similar one.
fn indexed(rgb: &[u8]) -> Option<(Vec<Color>, Vec<u8>)> {
    /// With more colours than this the picture holds photographs.
    const MOST_COLORS: usize = 20_000;
    /// Differences per channel, of 255, that are tried in turn.
    const UNSEEN: [u8; 5] = [0, 4, 8, 14, 20];
    let (pixels, _) = rgb.as_chunks::<3>();
    let mut counts: HashMap<Color, usize> = HashMap::new();
    for run in pixels.chunk_by(|a, b| a == b) {
        *counts.entry(run[0]).or_default() += run.len();
        if counts.len() > MOST_COLORS {
            return None;
        }
    }
    let mut colors: Vec<(Color, usize)> = counts.into_iter().collect();
    colors.sort_by_key(|&(color, count)| (Reverse(count), color));
    let merged = |most: u8| {
        let mut palette: Vec<Color> = Vec::new();
        let mut indices = HashMap::new();
        for &(color, _) in &colors {
            let near = |other: &Color| (0..3).all(|c| color[c].abs_diff(other[c]) <= most);
            let index = palette.iter().position(near).unwrap_or(palette.len());
            if index == palette.len() {
                palette.push(color);
            }
            indices.insert(color, u8::try_from(index).ok()?);
        }
        Some((palette, indices))
    };
    let (palette, indices) = UNSEEN.into_iter().find_map(merged)?;
    let runs = pixels.chunk_by(|a, b| a == b);
    Some((palette, runs.flat_map(|run| repeat_n(indices[&run[0]], run.len())).collect()))
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
            narrow: String::new(),
        }
    }

    #[test]
    fn a_narrow_page_is_told_the_parts() {
        let rows = vec![
            vec![[0.0, 2.5, 20.0, 10.0], [20.0, 2.5, 20.0, 10.0]],
            vec![[0.0, 12.5, 9.0, 9.0]],
        ];
        let html = figure().in_parts("<Dots>", " ", &rows).to_html();
        let expected = "data-title=\"&lt;Dots&gt;\" \
            data-parts=\"40x30:0.0,2.5,20.0,10.0 20.0,2.5,20.0,10.0;0.0,12.5,9.0,9.0\"";
        assert!(html.contains(expected), "{html}");
    }

    #[test]
    fn a_narrow_page_is_told_the_drawing_for_a_phone() {
        let of = |desk: usize, phone: usize| {
            let drawn = |screen| match screen {
                Screen::Desk => Ok(Figure { width: desk, ..figure() }),
                Screen::Phone => Ok(Figure { width: phone, png: vec![4, 5, 6], ..figure() }),
            };
            Figure::for_each_screen("<Dots>", drawn).unwrap()
        };
        let html = of(700, 340).to_html();
        let expected = "data-title=\"&lt;Dots&gt;\" data-parts=\"340x30:0.0,0.0,340.0,30.0\" \
            data-narrow=\"data:image/png;base64,BAUG\"";
        assert!(
            html.contains(expected) && html.contains("src=\"data:image/png;base64,AQID\""),
            "{html}"
        );
        // Not where the first fits, and not where the second does not.
        for figure in [of(340, 300), of(700, 341)] {
            assert!(!figure.to_html().contains("data-narrow"), "{figure:?}");
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
        let changed = Figure { alt: "a\ndot".into(), ..figure() }.caption("Look.");
        assert_eq!(
            (changed.to_text(), changed.to_string()),
            ("[Figure: a dot]\nLook.".into(), changed.to_text())
        );
        assert_eq!(format!("{:?}", figure()), "Figure(40 x 30: one <dot>)");
    }

    #[test]
    fn a_figure_is_saved_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figures/dot.png");
        figure().save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_palette_changes_no_colour_that_is_seen() {
        let few: Vec<u8> = [[1, 2, 3], [9, 8, 7], [1, 2, 3], [1, 2, 3]].concat();
        assert_eq!(indexed(&few), Some((vec![[1, 2, 3], [9, 8, 7]], vec![0, 1, 0, 0])));
        // 511 colours are too many, but each has a similar one.
        let near: Vec<u8> = (0..=255)
            .flat_map(|v: u8| [[v, v, v], [v, v, v.saturating_add(1)]])
            .flatten()
            .collect();
        let (palette, indices) = indexed(&near).unwrap();
        assert!(palette.len() <= 256);
        for (pixel, index) in near.chunks_exact(3).zip(indices) {
            let shown = palette[index as usize];
            assert!((0..3).all(|c| pixel[c].abs_diff(shown[c]) <= 4), "{pixel:?} {shown:?}");
        }
        // The colours of a photograph are kept.
        let cube: Vec<u8> = (0..4096_usize)
            .flat_map(|v| [v % 16, v / 16 % 16, v / 256].map(|c| 17 * c as u8))
            .collect();
        assert_eq!(indexed(&cube), None);
    }
}
