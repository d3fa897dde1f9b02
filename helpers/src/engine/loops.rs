//! The passes over memory that [`super::normalization`] is made of.

use super::channels::{Channels, Common};
use super::layout::ChannelsLast;
use crate::system::elements::{Element, add_lanes, in_tiles, lanes, lanes_mut, vectorised};

/// Rows whose sum is kept in 32 bits before it is added to a sum in 64 bits.
const ROWS_OF_A_SUM: usize = 128;

/// The [`Channels`] of one tile: `L` channels, kept in registers.
struct Tile<const L: usize> {
    mean: [f32; L],
    scale: [f32; L],
    shift: [f32; L],
}

impl<const L: usize> Tile<L> {
    #[inline(always)]
    fn of(channels: &Channels, from: usize) -> Tile<L> {
        let Channels { mean, scale, shift, .. } = channels;
        Tile { mean: *lanes(mean, from), scale: *lanes(scale, from), shift: *lanes(shift, from) }
    }

    #[inline(always)]
    fn normalized(&self, lane: usize, value: f32) -> f32 {
        value * self.scale[lane] + self.shift[lane]
    }
}

/// [`Common`], of `L` channels.
struct CommonTile<const L: usize> {
    constant: [f32; L],
    slope: [f32; L],
}

impl<const L: usize> CommonTile<L> {
    #[inline(always)]
    fn of(common: &Common, from: usize) -> CommonTile<L> {
        CommonTile { constant: *lanes(&common.constant, from), slope: *lanes(&common.slope, from) }
    }

    /// The input gradient at one value; `own` is the output gradient there.
    #[inline(always)]
    fn gradient(&self, tile: &Tile<L>, lane: usize, value: f32, own: f32) -> f32 {
        let common = self.constant[lane] + (value - tile.mean[lane]) * self.slope[lane];
        tile.scale[lane] * (own - common)
    }
}

/// How many values, in whole rows, one tile processes before the next: few enough to stay in the cache.
fn rows_at_once(channels: usize) -> usize {
    (8192 / channels).clamp(8, ROWS_OF_A_SUM) * channels
}

vectorised! {
    /// Adds up the distances of each channel from `origin`, and their squares.
    pub(super) fn distances(values: &[E], origin: &[f32], sum: &mut [f64], square: &mut [f64]) {
        for rows in values.chunks(rows_at_once(origin.len())) {
            in_tiles!(origin.len(), distances_tile, rows, origin, sum, square);
        }
    }
}

#[inline(always)]
fn distances_tile<E: Element, const L: usize>(
    from: usize,
    rows: &[E],
    origin: &[f32],
    sum: &mut [f64],
    square: &mut [f64],
) {
    let count = origin.len();
    let origin: [f32; L] = *lanes(origin, from);
    let (mut first, mut second) = ([0f32; L], [0f32; L]);
    for row in rows.chunks_exact(count) {
        let row: &[E; L] = lanes(row, from);
        for lane in 0..L {
            let distance = row[lane].load() - origin[lane];
            first[lane] += distance;
            second[lane] += distance * distance;
        }
    }
    add_lanes(sum, from, first);
    add_lanes(square, from, second);
}

vectorised! {
    /// Normalises, then applies ReLU if `relu` is true.
    pub(super) fn normalized(values: &[E], out: &mut [E], channels: &Channels, relu: bool) {
        let count = channels.scale.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        for (row, out) in values.chunks_exact(count).zip(out.chunks_exact_mut(count)) {
            let weights = channels.scale.iter().zip(&channels.shift);
            for ((value, out), (scale, shift)) in row.iter().zip(out).zip(weights) {
                *out = E::store(above(value.load() * scale + shift, floor));
            }
        }
    }
}

vectorised! {
    /// Normalises, applies ReLU and takes the largest of four pixels, in one image.
    pub(super) fn pooled(image: &[E], out: &mut [E], layout: &ChannelsLast, channels: &Channels) {
        in_tiles!(layout.channels, pooled_tile, image, out, layout, channels);
    }
}

#[inline(always)]
fn pooled_tile<E: Element, const L: usize>(
    from: usize,
    image: &[E],
    out: &mut [E],
    layout: &ChannelsLast,
    channels: &Channels,
) {
    let tile = Tile::<L>::of(channels, from);
    for (index, out) in out.chunks_exact_mut(layout.channels).enumerate() {
        let pixels: [&[E; L]; 4] = four(image, index, layout).map(|pixel| lanes(pixel, from));
        let out: &mut [E; L] = lanes_mut(out, from);
        for lane in 0..L {
            let values = pixels.map(|pixel| tile.normalized(lane, pixel[lane].load()));
            out[lane] = E::store(above(largest(values), 0.0));
        }
    }
}

vectorised! {
    /// Adds up the gradients that ReLU lets through, and their products with the distances from the mean.
    pub(super) fn gradient_sums(
        values: &[E], gradient: &[E], channels: &Channels, relu: bool, sum: &mut [f64], product: &mut [f64],
    ) {
        let count = channels.mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let rows = rows_at_once(count);
        for (values, gradient) in values.chunks(rows).zip(gradient.chunks(rows)) {
            in_tiles!(count, gradient_sums_tile, values, gradient, channels, floor, sum, product);
        }
    }
}

#[inline(always)]
fn gradient_sums_tile<E: Element, const L: usize>(
    from: usize,
    values: &[E],
    gradient: &[E],
    channels: &Channels,
    floor: f32,
    sum: &mut [f64],
    product: &mut [f64],
) {
    let (tile, count) = (Tile::<L>::of(channels, from), channels.mean.len());
    let (mut first, mut second) = ([0f32; L], [0f32; L]);
    for (row, gradient) in values.chunks_exact(count).zip(gradient.chunks_exact(count)) {
        let (row, gradient): (&[E; L], &[E; L]) = (lanes(row, from), lanes(gradient, from));
        for lane in 0..L {
            let value = row[lane].load();
            let passes = tile.normalized(lane, value) > floor;
            let slope = if passes { gradient[lane].load() } else { 0.0 };
            first[lane] += slope;
            second[lane] += slope * (value - tile.mean[lane]);
        }
    }
    add_lanes(sum, from, first);
    add_lanes(product, from, second);
}

vectorised! {
    /// The gradient of the input.
    pub(super) fn input_gradient(
        values: &[E], gradient: &[E], out: &mut [E], channels: &Channels, relu: bool, common: &Common,
    ) {
        let count = channels.mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let rows = rows_at_once(count);
        let parts = values.chunks(rows).zip(gradient.chunks(rows)).zip(out.chunks_mut(rows));
        for ((values, gradient), out) in parts {
            in_tiles!(count, input_gradient_tile, values, gradient, out, channels, floor, common);
        }
    }
}

#[inline(always)]
fn input_gradient_tile<E: Element, const L: usize>(
    from: usize,
    values: &[E],
    gradient: &[E],
    out: &mut [E],
    channels: &Channels,
    floor: f32,
    common: &Common,
) {
    let (tile, count) = (Tile::<L>::of(channels, from), channels.mean.len());
    let common = CommonTile::<L>::of(common, from);
    let rows = values.chunks_exact(count).zip(gradient.chunks_exact(count));
    for ((row, gradient), out) in rows.zip(out.chunks_exact_mut(count)) {
        let (row, gradient): (&[E; L], &[E; L]) = (lanes(row, from), lanes(gradient, from));
        let out: &mut [E; L] = lanes_mut(out, from);
        for lane in 0..L {
            let value = row[lane].load();
            let passes = tile.normalized(lane, value) > floor;
            let own = if passes { gradient[lane].load() } else { 0.0 };
            out[lane] = E::store(common.gradient(&tile, lane, value, own));
        }
    }
}

vectorised! {
    /// `gradient_sums` for one image with pooling: the gradient goes to the first of the largest pixels.
    pub(super) fn pooled_sums(
        image: &[E], gradient: &[E], layout: &ChannelsLast, channels: &Channels, sum: &mut [f64], product: &mut [f64],
    ) {
        in_tiles!(layout.channels, pooled_sums_tile, image, gradient, layout, channels, sum, product);
    }
}

#[inline(always)]
fn pooled_sums_tile<E: Element, const L: usize>(
    from: usize,
    image: &[E],
    gradient: &[E],
    layout: &ChannelsLast,
    channels: &Channels,
    sum: &mut [f64],
    product: &mut [f64],
) {
    let (tile, count) = (Tile::<L>::of(channels, from), layout.channels);
    for (part, gradient) in gradient.chunks(ROWS_OF_A_SUM * count).enumerate() {
        let (mut first, mut second) = ([0f32; L], [0f32; L]);
        for (index, gradient) in gradient.chunks_exact(count).enumerate() {
            let pixels = four(image, part * ROWS_OF_A_SUM + index, layout);
            let pixels: [&[E; L]; 4] = pixels.map(|pixel| lanes(pixel, from));
            let gradient: &[E; L] = lanes(gradient, from);
            for lane in 0..L {
                let pixels = pixels.map(|pixel| pixel[lane].load());
                let values = pixels.map(|pixel| tile.normalized(lane, pixel));
                let most = largest(values);
                let slope = if most > 0.0 { gradient[lane].load() } else { 0.0 };
                let chosen = if values[2] == most { pixels[2] } else { pixels[3] };
                let chosen = if values[1] == most { pixels[1] } else { chosen };
                let chosen = if values[0] == most { pixels[0] } else { chosen };
                first[lane] += slope;
                second[lane] += slope * (chosen - tile.mean[lane]);
            }
        }
        add_lanes(sum, from, first);
        add_lanes(product, from, second);
    }
}

vectorised! {
    /// As `input_gradient`, for one image with pooling.
    pub(super) fn pooled_gradient(
        image: &[E], gradient: &[E], out: &mut [E], layout: &ChannelsLast, channels: &Channels, common: &Common,
    ) {
        in_tiles!(layout.channels, pooled_gradient_tile, image, gradient, out, layout, channels, common);
    }
}

#[inline(always)]
fn pooled_gradient_tile<E: Element, const L: usize>(
    from: usize,
    image: &[E],
    gradient: &[E],
    out: &mut [E],
    layout: &ChannelsLast,
    channels: &Channels,
    common: &Common,
) {
    let (count, width) = (layout.channels, layout.width);
    let (tile, common) = (Tile::<L>::of(channels, from), CommonTile::<L>::of(common, from));
    let (columns, rows, line) = (width / 2, layout.height / 2, width * count);
    // Pixels at the edge that belong to no block of four.
    let mut alone = |row: usize, column: usize| {
        let at = row * line + column * count + from;
        let (pixel, out): (&[E; L], &mut [E; L]) = (lanes(image, at), lanes_mut(out, at));
        for lane in 0..L {
            out[lane] = E::store(common.gradient(&tile, lane, pixel[lane].load(), 0.0));
        }
    };
    if layout.height % 2 == 1 {
        (0..width).for_each(|column| alone(layout.height - 1, column));
    }
    if width % 2 == 1 {
        (0..2 * rows).for_each(|row| alone(row, width - 1));
    }
    for (index, gradient) in gradient.chunks_exact(count).enumerate() {
        let pixels: [&[E; L]; 4] = four(image, index, layout).map(|pixel| lanes(pixel, from));
        let gradient: &[E; L] = lanes(gradient, from);
        let mut found = [[E::store(0.0); L]; 4];
        for lane in 0..L {
            let pixels = pixels.map(|pixel| pixel[lane].load());
            let values = pixels.map(|pixel| tile.normalized(lane, pixel));
            let most = largest(values);
            let own = if most > 0.0 { gradient[lane].load() } else { 0.0 };
            let first = values[0] == most;
            let second = !first & (values[1] == most);
            let third = !first & !second & (values[2] == most);
            let chosen = [first, second, third, !first & !second & !third];
            for corner in 0..4 {
                let own = if chosen[corner] { own } else { 0.0 };
                found[corner][lane] = E::store(common.gradient(&tile, lane, pixels[corner], own));
            }
        }
        let at = index / columns * 2 * line + index % columns * 2 * count + from;
        for (corner, at) in [at, at + count, at + line, at + line + count].into_iter().enumerate() {
            *lanes_mut(out, at) = found[corner];
        }
    }
}

/// The larger of two; NaN wins, as in libtorch.
#[inline(always)]
pub(super) fn above(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

#[inline(always)]
fn largest([a, b, c, d]: [f32; 4]) -> f32 {
    above(above(a, b), above(c, d))
}

/// The four pixels of an image that become the one at `index`.
#[inline(always)]
fn four<'a, E>(image: &'a [E], index: usize, layout: &ChannelsLast) -> [&'a [E]; 4] {
    let (count, line) = (layout.channels, layout.width * layout.channels);
    let columns = layout.width / 2;
    let start = index / columns * 2 * line + index % columns * 2 * count;
    let (upper, lower) = (&image[start..], &image[start + line..]);
    [&upper[..count], &upper[count..2 * count], &lower[..count], &lower[count..2 * count]]
}
