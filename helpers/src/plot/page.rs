//! The page that every figure is drawn on: plotters' bitmap backend, with its own code for text and thick lines.
//!
//! Lengths are units of the page (CSS pixels), from the left and from the top. plotters' coordinates are whole and its
//! edges hard, so it draws [`SAMPLES`] times as many pixels as the figure has, along each side, and squares of them are
//! averaged. [`Surface`] replaces two things of plotters 0.3.7:
//!
//! - Text. Its code for fonts without system libraries drops the space before each letter (`style/font/ab_glyph.rs`:
//!   "0.1.1" and "Illumination" look uneven) and puts labels too high, by a fifth of their size. Letters are drawn
//!   here, with the same rasteriser. This also needs no font registered in a static, which every cell of a notebook
//!   would have anew.
//! - Thick lines. Its outline of a bent line overlaps itself where points are closer than the line is thick, and leaves
//!   holes there.

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, ScaleFont, point};
use plotters::coord::Shift;
use plotters::element::{BitMapElement, DashedPathElement, PathElement, Polygon, Rectangle};
use plotters::prelude::{DrawingArea, IntoDrawingArea, RGBAColor, RGBColor, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, FontTransform};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};
use plotters_bitmap::{BitMapBackend, BitMapBackendError};

use super::figure::{DENSITY, Figure};
use super::style::{Color, Dash, INK, Marker, Point, WHITE};
use crate::data::ImageShape;
use crate::text::clean_text;
use crate::{Error, Result};

/// Pixels that plotters draws for each pixel of the figure, along one side.
const SAMPLES: usize = 3;

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

    /// How much two rectangles overlap, horizontally and vertically; none if they do not.
    pub(crate) fn overlap(&self, other: &Rect) -> Option<(f64, f64)> {
        let across = self.right().min(other.right()) - self.left.max(other.left);
        let down = self.bottom().min(other.bottom()) - self.top.max(other.top);
        (across > 0.0 && down > 0.0).then_some((across, down))
    }
}

/// The style of a text, with its anchor; the height counts capitals from top to baseline.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) size: f64,
    pub(crate) color: Color,
    pub(crate) bold: bool,
    pub(crate) across: HPos,
    pub(crate) down: VPos,
    /// Turned by a quarter, to be read from bottom to top.
    pub(crate) upwards: bool,
}

impl Text {
    /// In ink colour, with the left end of its baseline at the point.
    pub(crate) fn new(size: f64) -> Text {
        let (across, down) = (HPos::Left, VPos::Bottom);
        Text { size, color: INK, bold: false, across, down, upwards: false }
    }

    pub(crate) fn bold(self) -> Text {
        Text { bold: true, ..self }
    }

    pub(crate) fn color(self, color: Color) -> Text {
        Text { color, ..self }
    }

    pub(crate) fn anchor(self, across: HPos, down: VPos) -> Text {
        Text { across, down, ..self }
    }

    /// The width of a text on the page.
    pub(crate) fn width(self, text: &str) -> f64 {
        typeset(text, self.size, self.bold).width
    }

    /// The width of the widest of these texts, at most `most`.
    pub(crate) fn widest<T: AsRef<str>>(
        self,
        texts: impl IntoIterator<Item = T>,
        most: f64,
    ) -> f64 {
        texts.into_iter().map(|text| self.width(text.as_ref())).fold(0.0, f64::max).min(most)
    }

    /// The text fitted to a width: smaller by up to a fifth if that is enough, else cut, with an ellipsis.
    pub(crate) fn fitted(self, text: &str, width: f64) -> (Text, String) {
        let text = clean_text(text);
        let needed = self.width(&text);
        if needed <= width {
            return (self, text);
        }
        let small = Text { size: self.size * (width / needed).max(0.8), ..self };
        // A text that was just made to fit must not be cut because of rounding.
        let width = width + 1e-3;
        if small.width(&text) <= width {
            return (small, text);
        }
        let mut characters: Vec<char> = text.chars().collect();
        while characters.pop().is_some() {
            let shorter = format!("{}…", characters.iter().collect::<String>().trim_end());
            if small.width(&shorter) <= width {
                return (small, shorter);
            }
        }
        (small, String::new())
    }

    /// The same style as plotters' type.
    pub(crate) fn style(self, scale: f64) -> plotters::style::TextStyle<'static> {
        let weight = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        let turned = if self.upwards { FontTransform::Rotate270 } else { FontTransform::None };
        FontDesc::new(FontFamily::SansSerif, self.size * scale, weight)
            .transform(turned)
            .color(&rgb(self.color))
            .pos(Pos::new(self.across, self.down))
    }
}

static REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans.subset.ttf");
static BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold.subset.ttf");

/// Height of a capital of DejaVu Sans, in units of the text's size.
const CAPITAL: f64 = 0.729;

/// A line of text: its glyphs from a start on the baseline.
struct Typeset {
    font: FontRef<'static>,
    glyphs: Vec<Glyph>,
    width: f64,
}

fn typeset(text: &str, size: f64, bold: bool) -> Typeset {
    #[allow(clippy::expect_used, reason = "a test reads both")]
    let font = FontRef::try_from_slice(if bold { BOLD } else { REGULAR })
        .expect("the fonts are part of the crate, and its tests read them");
    // ab_glyph scales by the line height, this code by the em, as CSS does.
    let em = font.units_per_em().unwrap_or(2048.0);
    let scale = PxScale::from(size as f32 * font.height_unscaled() / em);
    let scaled = font.as_scaled(scale);
    let mut glyphs = Vec::new();
    let (mut pen, mut previous) = (0.0, None::<GlyphId>);
    for character in clean_text(text).chars() {
        let id = scaled.glyph_id(character);
        if let Some(previous) = previous.replace(id) {
            pen += scaled.kern(previous, id);
        }
        glyphs.push(id.with_scale_and_position(scale, point(pen, 0.0)));
        pen += scaled.h_advance(id);
    }
    Typeset { font, glyphs, width: f64::from(pen) }
}

/// plotters' bitmap backend with its own text and thick lines.
pub(crate) struct Surface<'a>(BitMapBackend<'a>);

type Drawn = Result<(), DrawingErrorKind<BitMapBackendError>>;

impl DrawingBackend for Surface<'_> {
    type ErrorType = BitMapBackendError;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Drawn {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Drawn {
        self.0.present()
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Drawn {
        self.0.draw_pixel(at, color)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        self.0.draw_rect(from, to, style, fill)
    }

    /// Draws each segment separately, with round corners.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let points: Vec<BackendCoord> = path.into_iter().collect();
        let (width, color) = (style.stroke_width(), style.color());
        let BackendColor { alpha, rgb: (red, green, blue) } = color;
        // plotters' line covers a pixel more than its width.
        let thin = width.saturating_sub(1).max(1);
        let line = ShapeStyle::from(RGBAColor(red, green, blue, alpha)).stroke_width(thin);
        for pair in points.windows(2) {
            self.0.draw_line(pair[0], pair[1], &line)?;
        }
        let joints = points.get(1..points.len().saturating_sub(1)).unwrap_or_default();
        joints.iter().try_for_each(|&joint| self.0.draw_circle(joint, width / 2, &color, true))
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Drawn {
        let size = style.size();
        let set = typeset(text, size, matches!(style.style(), FontStyle::Bold));
        let before = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => set.width / 2.0,
            HPos::Right => set.width,
        };
        let below = match style.anchor().v_pos {
            VPos::Top => CAPITAL * size,
            VPos::Center => CAPITAL * size / 2.0,
            VPos::Bottom => 0.0,
        };
        let (turn, color) = (style.transform(), style.color());
        let mut drawn = Ok(());
        for mut glyph in set.glyphs {
            glyph.position.x -= before as f32;
            glyph.position.y += below as f32;
            let Some(outline) = set.font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            outline.draw(|column, row, coverage| {
                let (dx, dy) =
                    turn.transform(corner.x as i32 + column as i32, corner.y as i32 + row as i32);
                // Whole pixels: averaging makes the edges smooth, and few colours make the file small.
                if coverage >= 0.5 && drawn.is_ok() {
                    drawn = self.0.draw_pixel((x + dx, y + dy), color);
                }
            });
        }
        drawn
    }
}

impl<E: std::error::Error + Send + Sync> From<plotters::drawing::DrawingAreaErrorKind<E>>
    for Error
{
    fn from(error: plotters::drawing::DrawingAreaErrorKind<E>) -> Error {
        Error::drawing(error.to_string())
    }
}

pub(crate) fn rgb([red, green, blue]: Color) -> RGBColor {
    RGBColor(red, green, blue)
}

/// A figure while it is drawn.
pub(crate) struct Page<'a> {
    pub(crate) area: DrawingArea<Surface<'a>, Shift>,
    /// Pixels of the surface for each unit of the page.
    pub(crate) scale: f64,
}

/// Draws a figure of this size: white, except for what `paint` draws.
pub(crate) fn draw(
    (width, height): (f64, f64),
    alt: impl Into<String>,
    paint: impl FnOnce(&Page<'_>) -> Result<()>,
) -> Result<Figure> {
    // A larger size is a mistake of the caller, and would need gigabytes.
    const LARGEST: f64 = 8_000.0;
    let fits = width <= LARGEST && height <= LARGEST;
    let [width, height] = [width, height].map(|side| (side.ceil() as usize).max(1));
    if !fits {
        return Err(Error::drawing(format!(
            "the picture would be {width} x {height} units large, expected at most {LARGEST}; show fewer things in it"
        )));
    }
    // 108 bytes per unit: a figure that would need more than 162 MB has fewer samples, and its edges are less smooth.
    let samples = match width * height {
        0..1_500_000 => SAMPLES,
        1_500_000..4_000_000 => 2,
        _ => 1,
    };
    let scale = DENSITY * samples;
    let mut pixels = vec![255; 3 * scale * width * scale * height];
    let size = ((scale * width) as u32, (scale * height) as u32);
    let surface = Surface(BitMapBackend::with_buffer(&mut pixels, size));
    paint(&Page { area: surface.into_drawing_area(), scale: scale as f64 })?;
    Figure::from_pixels(averaged(pixels, scale * width, samples), width, height, alt.into())
}

/// The means of squares of `samples` x `samples` pixels.
fn averaged(pixels: Vec<u8>, width: usize, samples: usize) -> Vec<u8> {
    if samples == 1 {
        return pixels;
    }
    let (row, side) = (3 * width, 3 * samples);
    let mut means = Vec::with_capacity(pixels.len() / (samples * samples));
    for band in pixels.chunks_exact(samples * row) {
        for left in (0..row).step_by(side) {
            for channel in left..left + 3 {
                let values = (0..samples)
                    .flat_map(|line| band[line * row + channel..][..side - 2].iter().step_by(3));
                let sum: usize = values.map(|&value| usize::from(value)).sum();
                means.push(((sum + samples * samples / 2) / (samples * samples)) as u8);
            }
        }
    }
    means
}

impl Page<'_> {
    pub(crate) fn width(&self) -> f64 {
        f64::from(self.area.dim_in_pixel().0) / self.scale
    }

    /// A length in pixels of the surface, limited to what plotters can add without overflow.
    pub(crate) fn px(&self, length: f64) -> i32 {
        (length * self.scale).round().clamp(-1e8, 1e8) as i32
    }

    fn at(&self, (x, y): Point) -> BackendCoord {
        (self.px(x), self.px(y))
    }

    pub(crate) fn stroke(&self, width: f64, color: Color) -> ShapeStyle {
        ShapeStyle::from(rgb(color)).stroke_width(self.px(width).max(1) as u32)
    }

    /// Fills a rectangle.
    pub(crate) fn fill(&self, rect: Rect, color: Color) -> Result<()> {
        let corners = [self.at((rect.left, rect.top)), self.at((rect.right(), rect.bottom()))];
        Ok(self.area.draw(&Rectangle::new(corners, rgb(color).filled()))?)
    }

    /// Draws the border of a rectangle, half inside it and half outside.
    pub(crate) fn frame(&self, rect: Rect, width: f64, color: Color) -> Result<()> {
        let (left, right) = (rect.left - width / 2.0, rect.right() + width / 2.0);
        let across = [rect.top, rect.bottom()].map(|y| [(left, y), (right, y)]);
        let down = [rect.left, rect.right()].map(|x| [(x, rect.top), (x, rect.bottom())]);
        across.iter().chain(&down).try_for_each(|side| self.line(side, width, color, None))
    }

    /// Draws a line through points.
    pub(crate) fn line(
        &self,
        points: &[Point],
        width: f64,
        color: Color,
        dash: Dash,
    ) -> Result<()> {
        let points: Vec<BackendCoord> = points.iter().map(|&point| self.at(point)).collect();
        let style = self.stroke(width, color);
        let Some((on, off)) = dash.map(|(on, off)| (self.px(on), self.px(off))) else {
            return Ok(self.area.draw(&PathElement::new(points, style))?);
        };
        Ok(self.area.draw(&DashedPathElement::new(points, on, off, style))?)
    }

    /// Draws an interval: a line between two points with a bar of this half width across each.
    pub(crate) fn interval(
        &self,
        ends: [Point; 2],
        bar: f64,
        width: f64,
        color: Color,
    ) -> Result<()> {
        self.line(&ends, width, color, None)?;
        ends.iter()
            .try_for_each(|&(x, y)| self.line(&[(x - bar, y), (x + bar, y)], width, color, None))
    }

    /// Draws one line of text at a point, with the anchor of its style.
    pub(crate) fn text(&self, text: &str, at: Point, style: Text) -> Result<()> {
        Ok(self.area.draw_text(text, &style.style(self.scale), self.at(at))?)
    }

    /// Draws a text that must not be wider than `width`.
    pub(crate) fn text_in(&self, width: f64, text: &str, at: Point, style: Text) -> Result<()> {
        let (style, text) = style.fitted(text, width);
        self.text(&text, at, style)
    }

    /// Draws a text with a white rim, to be read on top of lines and points.
    pub(crate) fn text_on_white(&self, text: &str, (x, y): Point, style: Text) -> Result<()> {
        const RIM: f64 = 1.6;
        for step in 0..16 {
            let (down, across) = (std::f64::consts::TAU * f64::from(step) / 16.0).sin_cos();
            self.text(text, (x + RIM * across, y + RIM * down), style.color(WHITE))?;
        }
        self.text(text, (x, y), style)
    }

    /// Draws a mark with a thin white rim that separates it from what is below.
    pub(crate) fn mark(&self, marker: Marker, at: Point, radius: f64, color: Color) -> Result<()> {
        self.shape(marker, at, radius + 0.7, rgb(WHITE))?;
        self.shape(marker, at, radius, rgb(color))
    }

    /// Draws a mark without a rim, in a colour that may be transparent.
    pub(crate) fn shape(
        &self,
        marker: Marker,
        at: Point,
        radius: f64,
        color: impl Into<ShapeStyle>,
    ) -> Result<()> {
        let (x, y) = self.at(at);
        let corner = |(dx, dy): Point| (x + dx.round() as i32, y + dy.round() as i32);
        let corners = marker.outline(radius * self.scale).into_iter().map(corner);
        Ok(self.area.draw(&Polygon::new(corners.collect::<Vec<_>>(), color))?)
    }

    /// Draws an image into a rectangle: its pixels as sharp blocks or, if it is larger than the rectangle, as means.
    ///
    /// - `pixels`: shape `(H, W, C)`
    pub(crate) fn image(&self, shape: ImageShape, pixels: &[u8], rect: Rect) -> Result<()> {
        let [columns, rows] = [rect.width, rect.height].map(|side| self.px(side).max(1) as usize);
        let mut shown = Vec::with_capacity(3 * columns * rows);
        for row in 0..rows {
            let line = row * shape.height / rows * shape.width;
            for column in 0..columns {
                let at = (line + column * shape.width / columns) * shape.channels;
                shown.extend([0, 1, 2].map(|channel| pixels[at + channel.min(shape.channels - 1)]));
            }
        }
        let (at, size) = (self.at((rect.left, rect.top)), (columns as u32, rows as u32));
        let image = BitMapElement::<_>::with_owned_buffer(at, size, shown);
        image.map_or(Ok(()), |image| Ok(self.area.draw(&image)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws 30 x 20 units and returns the rows and columns of the figure's pixels that are not white.
    fn inked(paint: impl FnOnce(&Page<'_>) -> Result<()>) -> Vec<(usize, usize)> {
        let rgb = drawn(30.0, 20.0, paint);
        let pixels = rgb.chunks_exact(3).enumerate();
        pixels.filter(|(_, p)| p != &[255; 3]).map(|(at, _)| (at / 60, at % 60)).collect()
    }

    fn drawn(width: f64, height: f64, paint: impl FnOnce(&Page<'_>) -> Result<()>) -> Vec<u8> {
        let figure = draw((width, height), "", paint).unwrap();
        let mut decoder = png::Decoder::new(figure.png());
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size()];
        reader.next_frame(&mut rgb).unwrap();
        rgb
    }

    /// First and last row and column.
    fn bounds(pixels: &[(usize, usize)]) -> [usize; 4] {
        let (rows, columns) = (|| pixels.iter().map(|p| p.0), || pixels.iter().map(|p| p.1));
        let ends = [rows().min(), rows().max(), columns().min(), columns().max()];
        ends.map(|end| end.expect("something is drawn"))
    }

    #[test]
    fn a_rectangle_fills_its_pixels_and_no_other() {
        let pixels = inked(|page| page.fill(Rect::new(1.0, 0.5, 1.5, 1.0), INK));
        let expected: Vec<(usize, usize)> =
            [1, 2].iter().flat_map(|&row| [2, 3, 4].map(|column| (row, column))).collect();
        assert_eq!(pixels, expected);
    }

    #[test]
    fn what_lies_half_on_a_pixel_covers_half_of_it() {
        let rgb = drawn(2.0, 2.0, |page| page.fill(Rect::new(0.25, 0.0, 0.5, 2.0), [0; 3]));
        // One or two thirds, depending on the samples, in steps of a fifteenth.
        assert!(rgb[..3].iter().all(|value| (80..180).contains(value)), "{:?}", &rgb[..9]);
        assert_eq!(rgb[6..9], [255; 3]);
    }

    #[test]
    fn what_lies_outside_the_page_is_left_out() {
        let far = [(-50.0, 3.0), (6e9, 3.0), (f64::NAN, f64::INFINITY), (5.0, -1e300)];
        let pixels = inked(|page| {
            page.line(&far[..2], 2.0, INK, None)?;
            page.line(&[far[0], (60.0, 40.0)], 2.0, INK, Some((4.0, 2.0)))?;
            page.mark(Marker::STAR, (30.0, 20.0), 4.0, INK)?;
            page.text("clipped", (-20.0, 22.0), Text::new(30.0))
        });
        assert!(!pixels.is_empty());
        assert_eq!(inked(|page| page.fill(Rect::new(31.0, -9.0, 5.0, 5.0), INK)), []);
    }

    #[test]
    fn a_bent_line_of_short_pieces_has_no_holes() {
        // A curve that turns back, of segments that are shorter than the line is thick.
        let angle = |step: usize| std::f64::consts::PI * step as f64 / 40.0;
        let points: Vec<Point> = (0..=40)
            .map(|step| (15.0 + 3.0 * angle(step).cos(), 10.0 - 3.0 * angle(step).sin()))
            .chain([(12.1, 9.9), (18.0, 10.0)])
            .collect();
        let pixels = inked(|page| page.line(&points, 6.0, INK, None));
        // The half disc inside and around the curve is filled.
        for row in 11..20 {
            let columns: Vec<usize> =
                pixels.iter().filter(|pixel| pixel.0 == row).map(|pixel| pixel.1).collect();
            let (first, last) = (columns[0], columns[columns.len() - 1]);
            assert_eq!(columns.len(), last + 1 - first, "row {row}: {columns:?}");
        }
    }

    #[test]
    fn text_lies_where_its_anchor_says() {
        let at = |across, down, upwards| {
            let text = Text { upwards, ..Text::new(10.0).anchor(across, down) };
            bounds(&inked(|page| page.text("H", (15.0, 10.0), text)))
        };
        // Capitals are 0.729 units of the size high: 14.6 pixels.
        let [top, bottom, left, right] = at(HPos::Center, VPos::Center, false);
        assert!(top.abs_diff(12) <= 1 && bottom.abs_diff(27) <= 1, "{top} to {bottom}");
        assert!((left + right).abs_diff(59) <= 2, "{left} to {right}");
        let [top, bottom, left, _] = at(HPos::Left, VPos::Bottom, false);
        assert!(bottom == 19 && top.abs_diff(5) <= 1, "{top} to {bottom}");
        // The letter's own space before it is kept: an H begins 0.098 of the size after its start.
        assert!((31..=32).contains(&left), "{left}");
        assert!(at(HPos::Right, VPos::Top, false)[3] < 29);
        let [top, bottom, left, right] = at(HPos::Center, VPos::Center, true);
        assert!(right - left > bottom - top - 2, "turned");
    }

    #[test]
    fn letters_keep_their_distance() {
        // All three letters look the same in a mirror, so the two gaps are equal.
        let pixels = inked(|page| page.text("oHo", (2.0, 15.0), Text::new(14.0)));
        let inked = |column: usize| pixels.iter().any(|pixel| pixel.1 == column);
        let starts: Vec<usize> = (1..60).filter(|&at| inked(at) && !inked(at - 1)).collect();
        let ends: Vec<usize> = (1..60).filter(|&at| !inked(at) && inked(at - 1)).collect();
        assert_eq!(starts.len(), 3, "{starts:?}");
        assert!((starts[1] - ends[0]).abs_diff(starts[2] - ends[1]) <= 1, "{starts:?} {ends:?}");
    }

    #[test]
    fn text_shrinks_a_little_before_it_is_cut() {
        let style = Text::new(12.0);
        let all = style.width("Ankle boot");
        assert_eq!(style.fitted("Ankle boot", 200.0).1, "Ankle boot");
        let (small, text) = style.fitted("Ankle boot", 0.9 * all);
        assert!(text == "Ankle boot" && small.size < 12.0 && small.width(&text) < 0.9 * all + 0.01);
        let (small, cut) = style.fitted("Ankle boot", 40.0);
        assert!(cut.starts_with("Ank") && cut.ends_with('…'), "{cut}");
        assert!(small.width(&cut) < 40.01);
        assert_eq!(style.fitted("Ankle boot", 0.0).1, "");
        assert!((2.0 * style.width("boot") - Text::new(24.0).width("boot")).abs() < 1e-3);
    }

    #[test]
    fn every_mark_in_a_label_has_a_glyph() {
        for bytes in [REGULAR, BOLD] {
            let font = FontRef::try_from_slice(bytes).unwrap();
            for character in "✓✗★±×–−…≥≤°²µßéñøŁłЖжΩαčş".chars() {
                assert_ne!(font.glyph_id(character).0, 0, "{character}");
            }
        }
    }

    #[test]
    fn a_large_image_shrinks_to_means() {
        let shape = ImageShape { height: 6, width: 6, channels: 1 };
        // Blocks of three by three: 0, 10 and 20 from row to row, 0 to 8 or 12 to 20 from column to column.
        let pixels: Vec<u8> = (0..36).map(|at| 10 * (at / 6 % 3) + 4 * (at % 6)).collect();
        let rgb = drawn(1.0, 1.0, |page| page.image(shape, &pixels, Rect::new(0.0, 0.0, 1.0, 1.0)));
        let greys: Vec<u8> = rgb.iter().step_by(3).copied().collect();
        assert_eq!(greys, [14, 26, 14, 26]);
    }

    #[test]
    fn an_absurd_size_is_refused() {
        let error = |size| draw(size, "", |_| Ok(())).unwrap_err().to_string();
        let text = error((100.0, 1e7));
        assert!(
            text.starts_with("cannot draw: the picture would be 100 x 10000000 units large"),
            "{text}"
        );
        assert!(error((f64::NAN, 10.0)).contains("units large"));
    }

    #[test]
    fn a_large_page_is_drawn_with_fewer_samples() {
        for height in [1000.0, 1600.0, 5000.0] {
            let rgb = drawn(1000.0, height, |page| {
                page.fill(Rect::new(10.0, height - 10.0, 5.0, 5.0), INK)
            });
            let inked = rgb.chunks_exact(3).filter(|pixel| pixel == &INK).count();
            assert_eq!(inked, 100, "{height}");
        }
    }
}
