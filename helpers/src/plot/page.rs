//! The surface that every picture is drawn on: filled outlines, lines, text and images, all with smooth edges.
//!
//! Coordinates are those of the page: units of CSS pixels, from the left and from the top. The picture has [`DENSITY`]
//! pixels for each. Everything drawn is an outline filled by one rasteriser with exact coverage, text too, from the
//! fonts in `assets`; so nothing depends on what a machine has installed, and no state lives outside the canvas.

use std::collections::HashMap;

use ab_glyph::{Font, FontRef, OutlineCurve};
use ab_glyph_rasterizer::{Rasterizer, point};

use super::figure::{DENSITY, Figure};
use super::style::{Color, INK, WHITE};
use crate::data::ImageShape;
use crate::text::clean_text;
use crate::{Error, Result};

/// A point on the page, x to the right and y down.
pub(crate) type Point = (f64, f64);

/// A rectangle on the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Rect {
    pub(crate) fn new(left: f64, top: f64, width: f64, height: f64) -> Rect {
        Rect { left, top, width, height }
    }

    pub(crate) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub(crate) fn centre(&self) -> Point {
        (self.left + self.width / 2.0, self.top + self.height / 2.0)
    }

    pub(crate) fn grown(&self, by: f64) -> Rect {
        Rect::new(self.left - by, self.top - by, self.width + 2.0 * by, self.height + 2.0 * by)
    }
}

/// Which part of a text lies on its point, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Across {
    Left,
    Centre,
    Right,
}

/// Which part of a text lies on its point, from top to bottom; capitals count, not tails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Down {
    Top,
    Middle,
    Baseline,
}

/// How a text is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TextStyle {
    pub(crate) size: f64,
    pub(crate) color: Color,
    pub(crate) bold: bool,
    pub(crate) across: Across,
    pub(crate) down: Down,
    /// Turned by a quarter, to be read from below.
    pub(crate) upwards: bool,
}

impl TextStyle {
    pub(crate) fn new(size: f64) -> TextStyle {
        TextStyle {
            size,
            color: INK,
            bold: false,
            across: Across::Left,
            down: Down::Baseline,
            upwards: false,
        }
    }

    pub(crate) fn bold(self) -> TextStyle {
        TextStyle { bold: true, ..self }
    }

    pub(crate) fn color(self, color: Color) -> TextStyle {
        TextStyle { color, ..self }
    }

    pub(crate) fn anchor(self, across: Across, down: Down) -> TextStyle {
        TextStyle { across, down, ..self }
    }

    pub(crate) fn upwards(self) -> TextStyle {
        TextStyle { upwards: true, ..self }
    }
}

/// The strokes of a line: lengths of dash and gap, or none for a whole line.
pub(crate) type Dash = Option<(f64, f64)>;

/// A mark at a point of a series; series differ by it without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    Cross,
    Plus,
    Star,
    Pentagon,
    Ring,
}

impl Marker {
    pub(crate) const ALL: [Marker; 10] = [
        Marker::Circle,
        Marker::Square,
        Marker::Triangle,
        Marker::Diamond,
        Marker::TriangleDown,
        Marker::Cross,
        Marker::Plus,
        Marker::Star,
        Marker::Pentagon,
        Marker::Ring,
    ];

    /// The outline around the origin, for a mark of about this radius.
    fn outlines(self, radius: f64) -> Vec<Vec<Point>> {
        let polygon = |corners: usize, radius: f64, turn: f64| -> Vec<Point> {
            (0..corners)
                .map(|corner| {
                    let angle = std::f64::consts::TAU * (corner as f64 / corners as f64 + turn);
                    (radius * angle.sin(), -radius * angle.cos())
                })
                .collect()
        };
        let bars = |turn: f64| -> Vec<Vec<Point>> {
            let (long, thin) = (1.15 * radius, 0.36 * radius);
            // One outline of twelve corners, so that nothing is covered twice.
            let corners = [
                (-thin, -long),
                (thin, -long),
                (thin, -thin),
                (long, -thin),
                (long, thin),
                (thin, thin),
                (thin, long),
                (-thin, long),
                (-thin, thin),
                (-long, thin),
                (-long, -thin),
                (-thin, -thin),
            ];
            let (sin, cos) = (std::f64::consts::TAU * turn).sin_cos();
            vec![corners.iter().map(|&(x, y)| (x * cos - y * sin, x * sin + y * cos)).collect()]
        };
        match self {
            Marker::Circle => vec![polygon(28, radius, 0.0)],
            Marker::Square => vec![polygon(4, 1.25 * radius, 0.125)],
            Marker::Triangle => vec![polygon(3, 1.3 * radius, 0.0)],
            Marker::Diamond => vec![polygon(4, 1.3 * radius, 0.0)],
            Marker::TriangleDown => vec![polygon(3, 1.3 * radius, 0.5)],
            Marker::Cross => bars(0.125),
            Marker::Plus => bars(0.0),
            Marker::Star => {
                let outer = polygon(5, 1.4 * radius, 0.0);
                let inner = polygon(5, 0.6 * radius, 0.1);
                vec![outer.into_iter().zip(inner).flat_map(|(o, i)| [o, i]).collect()]
            }
            Marker::Pentagon => vec![polygon(5, 1.15 * radius, 0.0)],
            Marker::Ring => {
                let mut hole = polygon(28, 0.55 * radius, 0.0);
                hole.reverse();
                vec![polygon(28, 1.1 * radius, 0.0), hole]
            }
        }
    }
}

static REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans.subset.ttf");
static BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold.subset.ttf");

/// Height of a capital of DejaVu Sans, in units of the text's size.
const CAPITAL: f64 = 0.729;

/// A picture in the making.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    clip: Rect,
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

impl Canvas {
    /// A white canvas of this size on the page.
    pub(crate) fn new(width: f64, height: f64) -> Result<Canvas> {
        // Larger ones are a mistake of the caller, and would take gigabytes.
        const LARGEST: f64 = 8_000.0;
        let side = |side: f64| (side.ceil() as usize).max(1);
        if !(width <= LARGEST && height <= LARGEST) {
            return Err(Error::Drawing {
                message: format!(
                    "the picture would be {} x {} units large, expected at most {LARGEST}; show fewer things in it",
                    side(width),
                    side(height)
                ),
            });
        }
        let (width, height) = (side(width), side(height));
        let font = |bytes| {
            FontRef::try_from_slice(bytes).map_err(|error| Error::Drawing {
                message: format!("the font is damaged: {error}"),
            })
        };
        Ok(Canvas {
            width,
            height,
            pixels: vec![255; 3 * DENSITY * width * DENSITY * height],
            clip: Rect::new(0.0, 0.0, width as f64, height as f64),
            regular: font(REGULAR)?,
            bold: font(BOLD)?,
        })
    }

    fn whole(&self) -> Rect {
        Rect::new(0.0, 0.0, self.width as f64, self.height as f64)
    }

    /// Until the next call nothing is drawn outside `area`; none lifts that.
    pub(crate) fn clip_to(&mut self, area: Option<Rect>) {
        self.clip = area.unwrap_or(self.whole());
    }

    /// Fills outlines, holes turning the other way round, with a colour of this opacity.
    pub(crate) fn fill(&mut self, outlines: &[Vec<Point>], color: Color, opacity: f64) {
        let density = DENSITY as f64;
        let page = self.whole();
        let left = self.clip.left.max(page.left) * density;
        let right = self.clip.right().min(page.right()) * density;
        let top = self.clip.top.max(page.top) * density;
        let bottom = self.clip.bottom().min(page.bottom()) * density;
        let clipped: Vec<Vec<Point>> = outlines
            .iter()
            .filter(|outline| outline.iter().all(|(x, y)| x.is_finite() && y.is_finite()))
            .map(|outline| {
                let scaled = outline.iter().map(|&(x, y)| (x * density, y * density)).collect();
                clip_polygon(scaled, left, top, right, bottom)
            })
            .filter(|outline| outline.len() >= 3)
            .collect();
        let corners = || clipped.iter().flatten();
        let least =
            |value: fn(&Point) -> f64| corners().map(value).fold(f64::INFINITY, f64::min).floor();
        let most = |value: fn(&Point) -> f64| {
            corners().map(value).fold(f64::NEG_INFINITY, f64::max).ceil()
        };
        if clipped.is_empty() {
            return;
        }
        let (x0, y0) = (least(|p| p.0), least(|p| p.1));
        let (columns, rows) = ((most(|p| p.0) - x0) as usize, (most(|p| p.1) - y0) as usize);
        if columns == 0 || rows == 0 {
            return;
        }
        // One column more: an edge on the right border would spill into the next row.
        let mut raster = Rasterizer::new(columns + 1, rows);
        for outline in &clipped {
            let corner = |place: usize| {
                let (x, y) = outline[place % outline.len()];
                point((x - x0) as f32, (y - y0) as f32)
            };
            for place in 0..outline.len() {
                raster.draw_line(corner(place), corner(place + 1));
            }
        }
        let (pixels, stride) = (&mut self.pixels, DENSITY * self.width);
        raster.for_each_pixel_2d(|x, y, coverage| {
            // Sixteen steps look as smooth as 255 do, and leave few colours to store.
            let alpha = f64::from((16.0 * coverage.min(1.0)).round() / 16.0) * opacity;
            if alpha < 0.002 || x as usize >= columns {
                return;
            }
            let at = 3 * ((y0 as usize + y as usize) * stride + x0 as usize + x as usize);
            for (value, &ink) in pixels[at..at + 3].iter_mut().zip(&color) {
                *value = (f64::from(*value) * (1.0 - alpha) + f64::from(ink) * alpha).round() as u8;
            }
        });
    }

    /// Fills a rectangle.
    pub(crate) fn fill_rect(&mut self, area: Rect, color: Color) {
        let Rect { left, top, .. } = area;
        let corners = vec![
            (left, top),
            (area.right(), top),
            (area.right(), area.bottom()),
            (left, area.bottom()),
        ];
        self.fill(&[corners], color, 1.0);
    }

    /// Draws the border of a rectangle, `width` thick, inside it.
    pub(crate) fn frame(&mut self, area: Rect, width: f64, color: Color) {
        let Rect { left, top, .. } = area;
        self.fill_rect(Rect::new(left, top, area.width, width), color);
        self.fill_rect(Rect::new(left, area.bottom() - width, area.width, width), color);
        self.fill_rect(Rect::new(left, top, width, area.height), color);
        self.fill_rect(Rect::new(area.right() - width, top, width, area.height), color);
    }

    /// Draws a line through points, corners rounded; points that are no numbers interrupt it.
    pub(crate) fn line(&mut self, points: &[Point], width: f64, color: Color, dash: Dash) {
        for whole in points.split(|(x, y)| !(x.is_finite() && y.is_finite())) {
            let pieces = match dash {
                None => vec![whole.to_vec()],
                Some((on, off)) => dashes(whole, on, off),
            };
            let mut outlines = Vec::new();
            for piece in &pieces {
                for pair in piece.windows(2) {
                    let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
                    let length = (bx - ax).hypot(by - ay);
                    if length < 1e-9 {
                        continue;
                    }
                    let (nx, ny) =
                        (-(by - ay) / length * width / 2.0, (bx - ax) / length * width / 2.0);
                    outlines.push(vec![
                        (ax + nx, ay + ny),
                        (ax - nx, ay - ny),
                        (bx - nx, by - ny),
                        (bx + nx, by + ny),
                    ]);
                }
                if width > 1.2 && piece.len() > 2 {
                    for &(x, y) in &piece[1..piece.len() - 1] {
                        let joint = &Marker::Circle.outlines(width / 2.0)[0];
                        outlines.push(joint.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect());
                    }
                }
            }
            self.fill(&outlines, color, 1.0);
        }
    }

    /// Draws a mark, with a thin white rim that keeps it apart from what is below.
    pub(crate) fn marker(&mut self, marker: Marker, (x, y): Point, radius: f64, color: Color) {
        let at = |radius: f64| -> Vec<Vec<Point>> {
            let outlines = marker.outlines(radius);
            outlines.iter().map(|o| o.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect()).collect()
        };
        self.fill(&at(radius + 0.7)[..1], WHITE, 0.9);
        self.fill(&at(radius), color, 1.0);
    }

    /// Draws a half-transparent mark without a rim, for clouds of points.
    pub(crate) fn dot(
        &mut self,
        marker: Marker,
        (x, y): Point,
        radius: f64,
        color: Color,
        opacity: f64,
    ) {
        let outlines = marker.outlines(radius);
        let moved: Vec<Vec<Point>> =
            outlines.iter().map(|o| o.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect()).collect();
        self.fill(&moved, color, opacity);
    }

    fn font(&self, bold: bool) -> &FontRef<'static> {
        if bold { &self.bold } else { &self.regular }
    }

    /// The width of a text on the page.
    pub(crate) fn text_width(&self, text: &str, style: TextStyle) -> f64 {
        let font = self.font(style.bold);
        let units = f64::from(font.units_per_em().unwrap_or(2048.0));
        let mut width = 0.0;
        let mut previous = None;
        for character in clean_text(text).chars() {
            let glyph = font.glyph_id(character);
            if let Some(previous) = previous {
                width += f64::from(font.kern_unscaled(previous, glyph));
            }
            width += f64::from(font.h_advance_unscaled(glyph));
            previous = Some(glyph);
        }
        width * style.size / units
    }

    /// The text, cut with an ellipsis where it would be wider than `width`.
    pub(crate) fn fitted(&self, text: &str, style: TextStyle, width: f64) -> String {
        let text = clean_text(text);
        if self.text_width(&text, style) <= width {
            return text;
        }
        let mut characters: Vec<char> = text.chars().collect();
        while characters.pop().is_some() {
            let shorter = format!("{}…", characters.iter().collect::<String>().trim_end());
            if self.text_width(&shorter, style) <= width {
                return shorter;
            }
        }
        String::new()
    }

    /// Draws one line of text at a point, as its style anchors it.
    pub(crate) fn text(&mut self, text: &str, (x, y): Point, style: TextStyle) {
        let outlines = self.text_outlines(text, (x, y), style);
        self.fill(&outlines, style.color, 1.0);
    }

    /// Draws a text with a white rim, to be read on top of lines and points.
    pub(crate) fn text_on_white(&mut self, text: &str, at: Point, style: TextStyle) {
        let outlines = self.text_outlines(text, at, style);
        for outline in &outlines {
            let mut closed = outline.clone();
            closed.extend(outline.first());
            self.line(&closed, 3.2, WHITE, None);
        }
        self.fill(&outlines, style.color, 1.0);
    }

    fn text_outlines(&self, text: &str, (x, y): Point, style: TextStyle) -> Vec<Vec<Point>> {
        let font = self.font(style.bold);
        let scale = style.size / f64::from(font.units_per_em().unwrap_or(2048.0));
        let along = match style.across {
            Across::Left => 0.0,
            Across::Centre => -self.text_width(text, style) / 2.0,
            Across::Right => -self.text_width(text, style),
        };
        let below = match style.down {
            Down::Top => CAPITAL * style.size,
            Down::Middle => CAPITAL * style.size / 2.0,
            Down::Baseline => 0.0,
        };
        let mut pen = along;
        let mut previous = None;
        let mut outlines = Vec::new();
        for character in clean_text(text).chars() {
            let glyph = font.glyph_id(character);
            if let Some(previous) = previous {
                pen += f64::from(font.kern_unscaled(previous, glyph)) * scale;
            }
            if let Some(outline) = font.outline(glyph) {
                let place = |p: ab_glyph::Point| {
                    let (dx, dy) = (pen + f64::from(p.x) * scale, below - f64::from(p.y) * scale);
                    if style.upwards { (x + dy, y - dx) } else { (x + dx, y + dy) }
                };
                outlines.extend(contours(&outline.curves, place));
            }
            pen += f64::from(font.h_advance_unscaled(glyph)) * scale;
            previous = Some(glyph);
        }
        outlines
    }

    /// Draws an image into an area: each of its pixels as a crisp block, or, where it is larger than the area, means.
    ///
    /// `pixel` gives red, green and blue of the image at (row, column).
    pub(crate) fn image(
        &mut self,
        shape: ImageShape,
        area: Rect,
        pixel: impl Fn(usize, usize) -> Color,
    ) {
        let density = DENSITY as f64;
        let stride = DENSITY * self.width;
        let first = |start: f64| (start * density).round().max(0.0) as usize;
        let (left, top) = (first(area.left), first(area.top));
        let columns = ((area.width * density).round() as usize).min(stride.saturating_sub(left));
        let rows = ((area.height * density).round() as usize)
            .min((DENSITY * self.height).saturating_sub(top));
        // The source pixels under one target pixel: at least one.
        let span = |place: usize, target: usize, source: usize| {
            let start = place * source / target;
            (start, ((place + 1) * source / target).max(start + 1).min(source))
        };
        for row in 0..rows {
            let (y0, y1) = span(row, rows, shape.height);
            for column in 0..columns {
                let (x0, x1) = span(column, columns, shape.width);
                let mut sums = [0_u32; 3];
                for y in y0..y1 {
                    for x in x0..x1 {
                        for (sum, value) in sums.iter_mut().zip(pixel(y, x)) {
                            *sum += u32::from(value);
                        }
                    }
                }
                let count = ((y1 - y0) * (x1 - x0)) as u32;
                let at = 3 * ((top + row) * stride + left + column);
                for (value, sum) in self.pixels[at..at + 3].iter_mut().zip(sums) {
                    *value = ((sum + count / 2) / count) as u8;
                }
            }
        }
    }

    /// The finished picture.
    pub(crate) fn finish(self, alt: impl Into<String>) -> Result<Figure> {
        let (width, height) = (DENSITY * self.width, DENSITY * self.height);
        let png = encode_png(&self.pixels, width, height)
            .map_err(|error| Error::Drawing { message: format!("PNG: {error}") })?;
        Ok(Figure {
            png,
            width: self.width,
            height: self.height,
            caption: String::new(),
            alt: alt.into(),
        })
    }
}

/// The picture as PNG: with a palette where one of 256 colours stands for all of them to the eye, else with every
/// colour as it is. A palette halves the file, and an executed notebook and two pages hold each picture.
fn encode_png(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_depth(png::BitDepth::Eight);
    // Flat areas and blocks: unfiltered rows repeat, which is what deflate is best at.
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.set_compression(png::Compression::Best);
    let indexed = indexed(rgb);
    let data = match &indexed {
        Some((palette, places)) => {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_palette(palette.concat());
            places
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

/// At most 256 colours, and for each pixel the place of one that cannot be told from its own; none when that takes more.
///
/// Frequent colours stay as they are, rare ones next to them (edges of lines and letters, mostly) take their place, at a
/// distance as small as will do.
fn indexed(rgb: &[u8]) -> Option<(Vec<Color>, Vec<u8>)> {
    /// With more colours than this the picture holds photographs.
    const MOST_COLORS: usize = 20_000;
    /// Differences in a channel, of 255, that are tried in turn.
    const UNSEEN: [u8; 7] = [0, 2, 4, 7, 10, 14, 20];
    let (pixels, _) = rgb.as_chunks::<3>();
    let mut counts: HashMap<Color, usize> = HashMap::new();
    for run in pixels.chunk_by(|a, b| a == b) {
        *counts.entry(run[0]).or_default() += run.len();
        if counts.len() > MOST_COLORS {
            return None;
        }
    }
    let mut colors: Vec<(Color, usize)> = counts.into_iter().collect();
    colors.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let (palette, places) = UNSEEN.into_iter().find_map(|most| merged(&colors, most))?;
    let mut data = Vec::with_capacity(pixels.len());
    for run in pixels.chunk_by(|a, b| a == b) {
        data.extend(std::iter::repeat_n(places[&run[0]], run.len()));
    }
    Some((palette, data))
}

/// A palette in which each colour is found within `most` in every channel, earlier colours first; none when 256 places do
/// not suffice.
fn merged(colors: &[(Color, usize)], most: u8) -> Option<(Vec<Color>, HashMap<Color, u8>)> {
    let mut palette: Vec<Color> = Vec::with_capacity(256);
    let mut places = HashMap::with_capacity(colors.len());
    for (color, _) in colors {
        let near = |other: &Color| (0..3).all(|c| color[c].abs_diff(other[c]) <= most);
        let place = match palette.iter().position(near) {
            Some(place) => place,
            None if palette.len() == 256 => return None,
            None => {
                palette.push(*color);
                palette.len() - 1
            }
        };
        places.insert(*color, place as u8);
    }
    Some((palette, places))
}

/// Cuts a polygon at a rectangle's four sides in turn (Sutherland and Hodgman, 1974).
fn clip_polygon(polygon: Vec<Point>, left: f64, top: f64, right: f64, bottom: f64) -> Vec<Point> {
    let inside = |&(x, y): &Point| x >= left && x <= right && y >= top && y <= bottom;
    if polygon.iter().all(inside) {
        return polygon;
    }
    // Distance from each side, positive inside.
    let sides: [&dyn Fn(Point) -> f64; 4] =
        [&|p| p.0 - left, &|p| right - p.0, &|p| p.1 - top, &|p| bottom - p.1];
    let mut polygon = polygon;
    for side in sides {
        let mut kept = Vec::with_capacity(polygon.len() + 4);
        for place in 0..polygon.len() {
            let (from, to) = (polygon[place], polygon[(place + 1) % polygon.len()]);
            let (a, b) = (side(from), side(to));
            if a >= 0.0 {
                kept.push(from);
            }
            if (a < 0.0) != (b < 0.0) {
                let t = a / (a - b);
                kept.push((from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1)));
            }
        }
        polygon = kept;
    }
    // Rounding at a cut may leave a corner a hair outside.
    polygon.iter().map(|&(x, y)| (x.clamp(left, right), y.clamp(top, bottom))).collect()
}

/// The pieces of a line that are drawn when it is dashed.
fn dashes(points: &[Point], on: f64, off: f64) -> Vec<Vec<Point>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Point> = points.first().copied().into_iter().collect();
    let (mut drawing, mut left) = (true, on);
    for pair in points.windows(2) {
        let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
        let length = (bx - ax).hypot(by - ay);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = (ax + (bx - ax) * done / length, ay + (by - ay) * done / length);
            if drawing {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
        left -= length - done;
        if drawing {
            piece.push((bx, by));
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| piece.len() >= 2);
    pieces
}

/// The closed outlines of a glyph, its curves cut into short lines.
fn contours(curves: &[OutlineCurve], place: impl Fn(ab_glyph::Point) -> Point) -> Vec<Vec<Point>> {
    const STEPS: usize = 5;
    let mut outlines: Vec<Vec<Point>> = Vec::new();
    let mut end: Option<ab_glyph::Point> = None;
    for curve in curves {
        let (start, stop) = match *curve {
            OutlineCurve::Line(a, b) => (a, b),
            OutlineCurve::Quad(a, _, b) => (a, b),
            OutlineCurve::Cubic(a, _, _, b) => (a, b),
        };
        if end != Some(start) {
            outlines.push(vec![place(start)]);
        }
        let Some(outline) = outlines.last_mut() else { continue };
        let mix = |weights: &[(f64, ab_glyph::Point)]| {
            weights.iter().fold((0.0, 0.0), |sum, &(weight, p)| {
                let (x, y) = place(p);
                (sum.0 + weight * x, sum.1 + weight * y)
            })
        };
        for step in 1..=STEPS {
            let t = step as f64 / STEPS as f64;
            let s = 1.0 - t;
            match *curve {
                OutlineCurve::Line(..) => {}
                OutlineCurve::Quad(a, b, c) => {
                    outline.push(mix(&[(s * s, a), (2.0 * s * t, b), (t * t, c)]));
                }
                OutlineCurve::Cubic(a, b, c, d) => outline.push(mix(&[
                    (s * s * s, a),
                    (3.0 * s * s * t, b),
                    (3.0 * s * t * t, c),
                    (t * t * t, d),
                ])),
            }
        }
        if matches!(curve, OutlineCurve::Line(..)) {
            outline.push(place(stop));
        }
        end = Some(stop);
    }
    outlines
}

#[cfg(test)]
mod tests {
    use super::super::style::{RIGHT, WRONG, label_color, label_sign};
    use super::*;

    /// Places of the pixels that are not white.
    fn inked(canvas: &Canvas) -> Vec<(usize, usize)> {
        let stride = DENSITY * canvas.width;
        let pixels = canvas.pixels.chunks_exact(3).enumerate();
        pixels.filter(|(_, p)| p != &[255; 3]).map(|(at, _)| (at / stride, at % stride)).collect()
    }

    #[test]
    fn a_rectangle_fills_its_pixels_and_no_other() {
        let mut canvas = Canvas::new(6.0, 4.0).unwrap();
        canvas.fill_rect(Rect::new(1.0, 0.5, 1.5, 1.0), [0, 0, 0]);
        let expected: Vec<(usize, usize)> =
            [1, 2].iter().flat_map(|&row| [2, 3, 4].map(|column| (row, column))).collect();
        assert_eq!(inked(&canvas), expected);
    }

    #[test]
    fn what_lies_half_on_a_pixel_covers_half_of_it() {
        let mut canvas = Canvas::new(2.0, 2.0).unwrap();
        canvas.fill_rect(Rect::new(0.25, 0.0, 0.5, 2.0), [0, 0, 0]);
        assert_eq!(canvas.pixels[..9], [128, 128, 128, 128, 128, 128, 255, 255, 255]);
    }

    #[test]
    fn nothing_is_drawn_outside_the_canvas_or_the_clip() {
        let mut canvas = Canvas::new(10.0, 10.0).unwrap();
        let ink = [0, 0, 0];
        canvas.line(&[(-50.0, 3.0), (60.0, 3.0)], 2.0, ink, Some((4.0, 2.0)));
        canvas.line(&[(f64::NAN, 3.0), (5.0, f64::INFINITY)], 2.0, ink, None);
        canvas.marker(Marker::Ring, (10.0, 10.0), 4.0, ink);
        canvas.text("clipped", (-20.0, 12.0), TextStyle::new(30.0));
        canvas.image(
            crate::data::ImageShape { height: 2, width: 2, channels: 1 },
            Rect::new(8.0, 8.0, 6.0, 6.0),
            |_, _| ink,
        );
        let mut canvas = Canvas::new(10.0, 10.0).unwrap();
        canvas.clip_to(Some(Rect::new(2.0, 2.0, 3.0, 3.0)));
        canvas.fill_rect(Rect::new(-5.0, -5.0, 50.0, 50.0), ink);
        let places = inked(&canvas);
        assert_eq!(places.len(), 36);
        assert!(
            places.iter().all(|(row, column)| (4..10).contains(row) && (4..10).contains(column))
        );
    }

    #[test]
    fn dashes_follow_the_line_around_its_corners() {
        // Ten long with a corner after four: dashes of three, gaps of one.
        let pieces = dashes(&[(0.0, 0.0), (4.0, 0.0), (4.0, 6.0)], 3.0, 1.0);
        let expected = [
            vec![(0.0, 0.0), (3.0, 0.0)],
            vec![(4.0, 0.0), (4.0, 3.0)],
            vec![(4.0, 4.0), (4.0, 6.0)],
        ];
        let length = |piece: &[Point]| -> f64 {
            piece.windows(2).map(|p| (p[1].0 - p[0].0).hypot(p[1].1 - p[0].1)).sum()
        };
        assert_eq!(pieces.len(), expected.len());
        for (piece, expected) in pieces.iter().zip(&expected) {
            assert!((length(piece) - length(expected)).abs() < 1e-9, "{piece:?}");
            assert_eq!(piece.last(), expected.last());
        }
    }

    #[test]
    fn text_is_cut_to_its_room() {
        let canvas = Canvas::new(1.0, 1.0).unwrap();
        let style = TextStyle::new(12.0);
        assert_eq!(canvas.fitted("Ankle boot", style, 200.0), "Ankle boot");
        let cut = canvas.fitted("Ankle boot", style, 40.0);
        assert!(cut.starts_with("Ank") && cut.ends_with('…'), "{cut}");
        assert!(canvas.text_width(&cut, style) <= 40.0);
        assert_eq!(canvas.fitted("Ankle boot", style, 0.0), "");
        let (small, large) =
            (canvas.text_width("boot", style), canvas.text_width("boot", TextStyle::new(24.0)));
        assert!((2.0 * small - large).abs() < 1e-9);
    }

    #[test]
    fn every_mark_in_a_label_has_a_glyph() {
        let canvas = Canvas::new(1.0, 1.0).unwrap();
        for character in "✓✗★±×–−…≥≤°²µßéñøŁłЖжΩαčş".chars() {
            for bold in [false, true] {
                assert_ne!(canvas.font(bold).glyph_id(character).0, 0, "{character} bold: {bold}");
            }
        }
    }

    #[test]
    fn right_is_blue_with_a_tick_and_wrong_is_red_with_a_cross() {
        assert_eq!((label_color(true), label_sign(true)), (RIGHT, "✓"));
        assert_eq!((label_color(false), label_sign(false)), (WRONG, "✗"));
        let ([red, _, blue], [wrong_red, _, wrong_blue]) = (RIGHT, WRONG);
        assert!(blue > red + 100 && wrong_red > wrong_blue + 100);
    }

    #[test]
    fn a_large_image_shrinks_to_means() {
        let mut canvas = Canvas::new(1.0, 1.0).unwrap();
        let shape = crate::data::ImageShape { height: 4, width: 4, channels: 1 };
        // Blocks of two by two: 0, 10, 20, 30 and so on.
        canvas.image(shape, Rect::new(0.0, 0.0, 1.0, 1.0), |row, column| {
            [(40 * (row % 2) + 4 * column) as u8; 3]
        });
        let greys: Vec<u8> = canvas.pixels.iter().step_by(3).copied().collect();
        assert_eq!(greys, [22, 30, 22, 30]);
    }

    #[test]
    fn a_palette_changes_no_colour_that_is_seen() {
        let few: Vec<u8> = [[1, 2, 3], [9, 8, 7], [1, 2, 3], [1, 2, 3]].concat();
        assert_eq!(indexed(&few), Some((vec![[1, 2, 3], [9, 8, 7]], vec![0, 1, 0, 0])));
        // 511 colours are too many, but each has a close neighbour.
        let near: Vec<u8> = (0..=255)
            .flat_map(|v: u8| [[v, v, v], [v, v, v.saturating_add(1)]])
            .flatten()
            .collect();
        let (palette, places) = indexed(&near).unwrap();
        assert!(palette.len() <= 256);
        for (pixel, place) in near.chunks_exact(3).zip(places) {
            let shown = palette[place as usize];
            assert!((0..3).all(|c| pixel[c].abs_diff(shown[c]) <= 2), "{pixel:?} {shown:?}");
        }
        // A photograph's colours are kept as they are.
        let cube: Vec<u8> = (0..4096_usize)
            .flat_map(|v| [v % 16, v / 16 % 16, v / 256].map(|c| 17 * c as u8))
            .collect();
        assert_eq!(indexed(&cube), None);
    }

    #[test]
    fn an_absurd_size_is_refused() {
        let Err(error) = Canvas::new(100.0, 1e7) else { panic!("expected an error") };
        let text = error.to_string();
        assert!(
            text.starts_with("cannot draw: the picture would be 100 x 10000000 units large"),
            "{text}"
        );
        assert!(Canvas::new(f64::NAN, 10.0).is_err());
    }
}
