//! Pictures in rows, each with lines of text: what all figures of images are drawn with.

use plotters::style::text_anchor::{HPos, VPos};

use super::figure::{DENSITY, Figure, NARROW, PartArea, Screen};
use super::page::{Page, Rect, Text, draw};
use super::style::{BORDER, Color, INK, NAME_SIZE, Point, TITLE_SIZE};
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
    let rows: Vec<(&str, &[Tile])> =
        rows.iter().map(|(name, tiles)| (name.as_str(), tiles.as_ref())).collect();
    if rows.iter().all(|(name, _)| name.is_empty()) {
        let (figure, areas) = draw_rows(shape, title, &rows, least, alt)?;
        return Ok(figure.in_parts(title, " ", &[areas]));
    }
    // Pictures below each other belong together, so a phone does not get them one by one.
    Figure::for_each_screen(title, |screen| match screen {
        Screen::Desk => Ok(draw_rows(shape, title, &rows, least, alt.clone())?.0),
        Screen::Phone => draw_rows_for_a_phone(shape, &rows, 0.6 * least, alt.clone()),
    })
}

/// [`draw_tiles`] for a desk, with the names beside the rows; returns the area of each tile, too.
fn draw_rows(
    shape: ImageShape,
    title: &str,
    rows: &[(&str, &[Tile])],
    least: f64,
    alt: String,
) -> Result<(Figure, Vec<PartArea>)> {
    const TOP: f64 = 36.0;
    let size = picture_size(shape, least);
    let (width, height) = size;
    let name = Text::new(NAME_SIZE).bold().anchor(HPos::Right, VPos::Center);
    let widest_name = name.widest(rows.iter().flat_map(|(name, _)| name.lines()), 300.0);
    let named = widest_name > 0.0;
    let left = if named { widest_name + 20.0 } else { 8.0 };
    let cell = cell_width(rows, width, if named { 8.0 } else { 16.0 });
    let most = most_columns(rows);
    let fit = (((WIDEST - left - 8.0) / cell) as usize).max(1);
    let blocks;
    let rows = if named && most > fit {
        blocks = in_blocks(rows, most.div_ceil(most.div_ceil(fit)));
        &blocks
    } else {
        rows
    };
    let columns = most_columns(rows) as f64;
    let bold = centred(TITLE_SIZE, INK).bold();
    let right = (left + columns * cell + 8.0).max(bold.width(title).min(700.0) + 20.0);
    let shift = (right - left - columns * cell) / 2.0;
    let bottom =
        TOP + rows.iter().map(|(_, tiles)| height + text_height(tiles) + 10.0).sum::<f64>();
    let figure = draw((right, bottom + 2.0), alt, |page| {
        page.text_in(right - 16.0, title, (right / 2.0, 22.0), bold)?;
        let mut top = TOP;
        for &(row, tiles) in rows {
            let texts = text_height(tiles);
            let picture = if named { top } else { top + texts };
            let middle = (left + shift - 10.0, picture + height / 2.0);
            draw_row_name(page, row, middle, widest_name, name)?;
            let first = if named { picture + height + 14.0 } else { top + 10.0 };
            draw_row(page, tiles, (left + shift, cell), [picture, first], size)?;
            top += height + texts + 10.0;
        }
        Ok(())
    })?;
    let heights = rows.iter().map(|(_, tiles)| (tiles.len(), height + text_height(tiles) + 10.0));
    Ok((figure, tile_areas((left + shift, TOP), cell, heights)))
}

/// [`draw_tiles`] for a phone: the names above the rows, as many columns as fit, and the others below them.
fn draw_rows_for_a_phone(
    shape: ImageShape,
    rows: &[(&str, &[Tile])],
    least: f64,
    alt: String,
) -> Result<Figure> {
    let size = picture_size(shape, least);
    let cell = cell_width(rows, size.0, 8.0).min(NARROW);
    let rows = in_blocks(rows, ((NARROW / cell) as usize).max(1));
    let names = |name: &str| LINE * name.lines().count() as f64 + 4.0;
    let pictures = |tiles: &[Tile]| match tiles.is_empty() {
        true => 0.0,
        false => size.1 + text_height(tiles),
    };
    let height = |(name, tiles): &(&str, &[Tile])| names(name) + pictures(tiles) + 14.0;
    draw((NARROW, rows.iter().map(height).sum()), alt, |page| {
        let mut top = 0.0;
        for row in &rows {
            let (name, tiles) = *row;
            let style = Text::new(NAME_SIZE).bold();
            for (line, text) in name.lines().enumerate() {
                let base = top + 14.0 + LINE * line as f64;
                page.text_in(NARROW - 8.0, text, (4.0, base), style)?;
            }
            let picture = top + names(name);
            draw_row(page, tiles, (0.0, cell), [picture, picture + size.1 + 14.0], size)?;
            top += height(row);
        }
        Ok(())
    })
}

/// The rows in blocks of so many columns, one below the other; a shorter row is in the first ones alone.
fn in_blocks<'a>(rows: &[(&'a str, &'a [Tile])], columns: usize) -> Vec<(&'a str, &'a [Tile])> {
    let block = |first: usize| {
        rows.iter().filter_map(move |&(name, tiles)| {
            let rest = tiles.get(first..).unwrap_or_default();
            let shown = &rest[..rest.len().min(columns)];
            (first == 0 || !shown.is_empty()).then_some((name, shown))
        })
    };
    (0..most_columns(rows).max(1)).step_by(columns).flat_map(block).collect()
}

fn most_columns(rows: &[(&str, &[Tile])]) -> usize {
    rows.iter().map(|(_, tiles)| tiles.len()).max().unwrap_or(0)
}

/// The height of the lines of text at the pictures of a row.
fn text_height(tiles: &[Tile]) -> f64 {
    tiles.iter().map(|tile| tile.lines.len()).max().unwrap_or(0) as f64 * LINE
}

/// The width of a column: that of a picture and the gap, or of the widest text; one wider than twice its picture is cut.
fn cell_width(rows: &[(&str, &[Tile])], width: f64, gap: f64) -> f64 {
    let lines = rows.iter().flat_map(|(_, tiles)| *tiles).flat_map(|tile| &tile.lines);
    let widest = lines.map(|(style, text)| style.width(text)).fold(0.0, f64::max);
    (width + gap).max(widest.min(2.0 * width) + 8.0)
}

/// Draws the pictures of a row and their lines of text, from the left end on, a column each.
///
/// - `[picture, first]`: the upper edge of the pictures, and the base of the first line of text
fn draw_row(
    page: &Page<'_>,
    tiles: &[Tile],
    (left, cell): (f64, f64),
    [picture, first]: [f64; 2],
    (width, height): (f64, f64),
) -> Result<()> {
    for (column, tile) in tiles.iter().enumerate() {
        let middle = left + (column as f64 + 0.5) * cell;
        for (line, (style, text)) in tile.lines.iter().enumerate() {
            page.text_in(cell - 4.0, text, (middle, first + line as f64 * LINE), *style)?;
        }
        // Aligned with whole pixels of the figure; the border shows where a white image ends.
        let whole = |length: f64| (length * DENSITY as f64).round() / DENSITY as f64;
        let area = Rect::new(whole(middle - width / 2.0), whole(picture), width, height);
        page.fill(area.grown(0.5), BORDER)?;
        page.image(tile.shape, &tile.pixels, area)?;
    }
    Ok(())
}

/// The lines of a row's name, around this height.
fn draw_row_name(
    page: &Page<'_>,
    name: &str,
    (right, middle): Point,
    widest: f64,
    style: Text,
) -> Result<()> {
    let first = middle - (name.lines().count() as f64 - 1.0) * LINE / 2.0;
    for (line, text) in name.lines().enumerate() {
        page.text_in(widest, text, (right, first + line as f64 * LINE), style)?;
    }
    Ok(())
}

/// The areas of tiles, row by row, of rows with this number of tiles and this height.
fn tile_areas(
    (left, top): (f64, f64),
    width: f64,
    rows: impl Iterator<Item = (usize, f64)>,
) -> Vec<PartArea> {
    let (mut areas, mut top) = (Vec::new(), top);
    for (tiles, height) in rows {
        areas.extend((0..tiles).map(|column| [left + column as f64 * width, top, width, height]));
        top += height;
    }
    areas
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
