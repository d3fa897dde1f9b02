//! Pictures in rows, each with lines of text: what all figures of images are drawn with.

use plotters::style::text_anchor::{HPos, VPos};

use super::figure::{DENSITY, Figure, NARROW, PartArea, Screen};
use super::page::{Page, Rect, Text, draw};
use super::style::{BORDER, Color, GREY, INK, NAME_SIZE, TICK_SIZE, TITLE_SIZE};
use crate::Result;
use crate::data::{Dataset, ImageShape};

/// The lines of text of a picture, each with its style.
pub(super) type Lines = Vec<(Text, String)>;

/// A picture with its lines of text.
#[derive(Clone)]
pub(super) struct Tile {
    pub(super) lines: Lines,
    pub(super) shape: ImageShape,
    /// Shape `(H, W, C)`.
    pub(super) pixels: Vec<u8>,
}

pub(super) fn tile(dataset: &Dataset, image: usize, lines: Lines) -> Result<Tile> {
    let shape = dataset.image_shape();
    Ok(Tile { lines, shape, pixels: dataset.image(image)?.into_owned() })
}

/// A picture of values in 0..=1, channels last; values outside are clipped.
pub(super) fn tile_of<'a>(
    values: impl IntoIterator<Item = &'a f32>,
    shape: ImageShape,
    lines: Lines,
) -> Tile {
    let level = |value: &f32| (255.0 * value.clamp(0.0, 1.0)).round() as u8;
    Tile { lines, shape, pixels: values.into_iter().map(level).collect() }
}

/// A line of less important text.
pub(super) fn grey(text: impl Into<String>) -> Lines {
    vec![(centred(TICK_SIZE, GREY), text.into())]
}

pub(super) fn centred(size: f64, color: Color) -> Text {
    Text::new(size).color(color).anchor(HPos::Center, VPos::Bottom)
}

/// Distance between two lines of text below a picture or beside a row.
const LINE: f64 = 16.0;

/// The width from which on a page cuts a picture at its edge (`LARGE` in tools/template/own_html.py).
const WIDEST: f64 = 1080.0;

/// Draws pictures of at least this size in rows. The lines of a picture are above it, or below it if the rows have
/// names. The name of a row may have several lines.
pub(super) fn draw_tiles(
    shape: ImageShape,
    title: &str,
    rows: &[(String, impl AsRef<[Tile]>)],
    least: f64,
    alt: String,
) -> Result<Figure> {
    let rows: Vec<Row<'_>> =
        rows.iter().map(|(name, tiles)| (name.as_str(), tiles.as_ref())).collect();
    if rows.iter().all(|(name, _)| name.is_empty()) {
        let (figure, areas) = draw_rows(Screen::Desk, shape, title, &rows, least, alt)?;
        return Ok(figure.in_parts(title, " ", &[areas]));
    }
    // Pictures below each other belong together, so a phone does not get them one by one.
    Figure::for_each_screen(title, |screen| {
        Ok(draw_rows(screen, shape, title, &rows, least, alt.clone())?.0)
    })
}

/// A name, and the pictures of its row.
type Row<'a> = (&'a str, &'a [Tile]);

/// [`draw_tiles`] for one screen; returns the area of each tile, too. What does not fit into a row goes on below.
fn draw_rows(
    screen: Screen,
    shape: ImageShape,
    title: &str,
    rows: &[Row<'_>],
    least: f64,
    alt: String,
) -> Result<(Figure, Vec<PartArea>)> {
    let size = picture_size(shape, if screen == Screen::Phone { 0.6 * least } else { least });
    let names = name_style().widest(rows.iter().flat_map(|(name, _)| name.lines()), 300.0);
    let named = names > 0.0;
    let (left, top, room) = match screen {
        Screen::Desk => (if named { names + 20.0 } else { 8.0 }, 36.0, WIDEST - 8.0),
        Screen::Phone => (0.0, 0.0, NARROW),
    };
    let width = cell_width(rows, size.0, if named { 8.0 } else { 16.0 }).min(room);
    let (most, fit) = (most_columns(rows), (((room - left) / width) as usize).max(1));
    let rows = match named && most > fit {
        true => in_blocks(rows, most.div_ceil(most.div_ceil(fit))),
        false => rows.to_vec(),
    };
    let columns = most_columns(&rows) as f64 * width;
    let style = centred(TITLE_SIZE, INK).bold();
    let (right, left) = match screen {
        Screen::Desk => {
            let right = (left + columns + 8.0).max(style.widest([title], 700.0) + 20.0);
            (right, (left + right - columns) / 2.0)
        }
        Screen::Phone => (NARROW, 0.0),
    };
    let cells = Cells { screen, left, width, size, names };
    let heights: Vec<f64> = rows.iter().map(|row| cells.height(row)).collect();
    let figure = draw((right, top + heights.iter().sum::<f64>() + 2.0), alt, |page| {
        if screen == Screen::Desk {
            page.text_in(right - 16.0, title, (right / 2.0, 22.0), style)?;
        }
        let mut top = top;
        for (row, height) in rows.iter().zip(&heights) {
            cells.draw_row(page, row, top)?;
            top += height;
        }
        Ok(())
    })?;
    let (mut areas, mut top) = (Vec::new(), top);
    for ((_, tiles), height) in rows.iter().zip(heights) {
        let area = |column: usize| [left + column as f64 * width, top, width, height];
        areas.extend((0..tiles.len()).map(area));
        top += height;
    }
    Ok((figure, areas))
}

fn name_style() -> Text {
    Text::new(NAME_SIZE).bold()
}

/// Where pictures and texts stand in their rows.
struct Cells {
    screen: Screen,
    /// The left end of the first column.
    left: f64,
    /// The width of a column.
    width: f64,
    /// Width and height of a picture.
    size: (f64, f64),
    /// The width of the names beside the rows; 0 if they have none.
    names: f64,
}

impl Cells {
    fn height(&self, (name, tiles): &Row<'_>) -> f64 {
        match (self.screen, tiles.is_empty()) {
            (Screen::Desk, _) => self.size.1 + text_height(tiles) + 10.0,
            (Screen::Phone, true) => name_height(name) + 14.0,
            (Screen::Phone, false) => name_height(name) + self.size.1 + text_height(tiles) + 14.0,
        }
    }

    /// Draws a row: its name beside the pictures or, on a phone, above them, and below that the pictures with their lines
    /// of text, a column each.
    fn draw_row(&self, page: &Page<'_>, (name, tiles): &Row<'_>, top: f64) -> Result<()> {
        let (width, height) = self.size;
        let named = self.names > 0.0;
        let picture = match (self.screen, named) {
            (Screen::Phone, _) => top + name_height(name),
            (Screen::Desk, true) => top,
            (Screen::Desk, false) => top + text_height(tiles),
        };
        let ((left, first), widest, style) = match self.screen {
            Screen::Desk => {
                let more = LINE * (name.lines().count() as f64 - 1.0);
                let at = (self.left - 10.0, picture + (height - more) / 2.0);
                (at, self.names, name_style().anchor(HPos::Right, VPos::Center))
            }
            Screen::Phone => ((4.0, top + 14.0), NARROW - 8.0, name_style()),
        };
        for (line, text) in name.lines().enumerate() {
            page.text_in(widest, text, (left, first + LINE * line as f64), style)?;
        }
        let first = if named { picture + height + 14.0 } else { top + 10.0 };
        for (column, tile) in tiles.iter().enumerate() {
            let middle = self.left + (column as f64 + 0.5) * self.width;
            for (line, (style, text)) in tile.lines.iter().enumerate() {
                let at = (middle, first + LINE * line as f64);
                page.text_in(self.width - 4.0, text, at, *style)?;
            }
            // Aligned with whole pixels of the figure; the border shows where a white image ends.
            let whole = |length: f64| (length * DENSITY as f64).round() / DENSITY as f64;
            let area = Rect::new(whole(middle - width / 2.0), whole(picture), width, height);
            page.fill(area.grown(0.5), BORDER)?;
            page.image(tile.shape, &tile.pixels, area)?;
        }
        Ok(())
    }
}

/// The height of the lines of a name above its row.
fn name_height(name: &str) -> f64 {
    LINE * name.lines().count() as f64 + 4.0
}

/// The rows in blocks of so many columns, one below the other; a shorter row is in the first ones alone.
fn in_blocks<'a>(rows: &[Row<'a>], columns: usize) -> Vec<Row<'a>> {
    let block = |first: usize| {
        rows.iter().filter_map(move |&(name, tiles)| {
            let rest = tiles.get(first..).unwrap_or_default();
            let shown = &rest[..rest.len().min(columns)];
            (first == 0 || !shown.is_empty()).then_some((name, shown))
        })
    };
    (0..most_columns(rows).max(1)).step_by(columns).flat_map(block).collect()
}

fn most_columns(rows: &[Row<'_>]) -> usize {
    rows.iter().map(|(_, tiles)| tiles.len()).max().unwrap_or(0)
}

/// The height of the lines of text at the pictures of a row.
fn text_height(tiles: &[Tile]) -> f64 {
    tiles.iter().map(|tile| tile.lines.len()).max().unwrap_or(0) as f64 * LINE
}

/// The width of a column: that of a picture and the gap, or of the widest text; one wider than twice its picture is cut.
fn cell_width(rows: &[Row<'_>], width: f64, gap: f64) -> f64 {
    let lines = rows.iter().flat_map(|(_, tiles)| *tiles).flat_map(|tile| &tile.lines);
    let widest = lines.map(|(style, text)| style.width(text)).fold(0.0, f64::max);
    (width + gap).max(widest.min(2.0 * width) + 8.0)
}

/// Tiles in rows of `columns`, without names.
pub(super) fn grid(tiles: &[Tile], columns: usize) -> Vec<(String, &[Tile])> {
    tiles.chunks(columns).map(|row| (String::new(), row)).collect()
}

/// The size on the page at which every pixel of the image is a whole number of the figure's pixels. The longer side of
/// a small image is at least `least`; large images shrink to a fixed size.
fn picture_size(shape: ImageShape, least: f64) -> (f64, f64) {
    const LARGEST: f64 = 130.0;
    let longer = shape.height.max(shape.width).max(1) as f64;
    let density = DENSITY as f64;
    let scale = (least * density / longer).ceil().max(1.0);
    let scale = if longer * scale / density > LARGEST { LARGEST * density / longer } else { scale };
    let side = |pixels: usize| (pixels as f64 * scale).round().max(1.0) / density;
    (side(shape.width), side(shape.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 2, width: 2, channels: 1 };

    fn tiles(count: usize) -> Vec<Tile> {
        vec![Tile { lines: Vec::new(), shape: SHAPE, pixels: vec![0; 4] }; count]
    }

    #[test]
    fn rows_that_are_too_long_go_on_below() {
        let (long, short) = (tiles(5), tiles(2));
        let rows: [(&str, &[Tile]); 3] = [("a", &long), ("b", &short), ("none", &[])];
        let blocks = in_blocks(&rows, 2);
        let found: Vec<(&str, usize)> =
            blocks.iter().map(|(name, row)| (*name, row.len())).collect();
        assert_eq!(found, [("a", 2), ("b", 2), ("none", 0), ("a", 2), ("a", 1)]);
    }

    #[test]
    fn a_page_cuts_no_row_of_named_pictures() {
        let rows =
            |count| [("before".to_owned(), tiles(count)), ("after".to_owned(), tiles(count))];
        let size = |count| draw_tiles(SHAPE, "", &rows(count), 92.0, String::new()).unwrap().size();
        let (eight, twelve) = (size(8), size(12));
        assert!(eight.0 as f64 <= WIDEST && twelve.0 < eight.0, "{eight:?} {twelve:?}");
        assert!(twelve.1 > eight.1, "twelve are two rows of six");
    }
}
