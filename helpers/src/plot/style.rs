//! The common look of all pictures: sizes, colours, marks, and the looks of the train and validation parts.
//!
//! The palette is Okabe and Ito's (2008), which colour-blind readers can distinguish; no series differs from the others
//! by colour only.

use std::f64::consts::TAU;

use crate::display::chart;

/// Red, green and blue.
pub type Color = [u8; 3];

/// A point on the page, x to the right and y down.
pub(crate) type Point = (f64, f64);

/// Lengths of stroke and gap of a dashed line; none for a whole one.
pub(crate) type Dash = Option<(f64, f64)>;

pub(crate) const WHITE: Color = [255, 255, 255];
/// Text.
pub const INK: Color = [34, 34, 34];
/// Less important text, such as the numbers along an axis.
pub(crate) const GREY: Color = [90, 90, 90];
/// Axes.
pub(crate) const RULE: Color = [150, 150, 150];
/// The border of images and legends.
pub(crate) const BORDER: Color = [205, 205, 205];
/// Lines behind the data.
pub(crate) const GRID: Color = [230, 230, 230];

/// The colour of everything that belongs to the train part.
pub const TRAIN: Color = chart::TRAIN;
/// The colour of everything that belongs to the validation part.
pub const VALIDATION: Color = chart::VALIDATION;
/// The colour of everything that belongs to the test part.
pub const TEST: Color = [0, 158, 115];

/// The label of a right prediction: blue.
pub const RIGHT: Color = [16, 72, 200];
/// The label of a wrong prediction: red.
pub const WRONG: Color = [200, 30, 30];

/// Size of titles.
pub(crate) const TITLE_SIZE: f64 = 14.0;
/// Size of axis names and of names beside pictures.
pub(crate) const NAME_SIZE: f64 = 12.0;
/// Size of the numbers along an axis.
pub(crate) const TICK_SIZE: f64 = 11.0;

/// Colours of the series of one chart, in this order.
const PALETTE: [u32; 10] = [
    0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0x3c3c3c, 0x882255, 0x968c1e,
    0x785ef0,
];

const DASHES: [Dash; 4] = [None, Some((6.0, 3.5)), Some((2.0, 2.5)), Some((10.0, 4.0))];

/// How one series is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SeriesStyle {
    pub(crate) color: Color,
    pub(crate) dash: Dash,
    pub(crate) marker: Marker,
}

impl SeriesStyle {
    /// The look of the series with this index in its chart.
    ///
    /// When the colours repeat, the marks start at another one, so that the looks differ.
    pub(crate) fn of(index: usize) -> SeriesStyle {
        SeriesStyle {
            color: color(PALETTE[index % PALETTE.len()]),
            dash: DASHES[index % DASHES.len()],
            marker: Marker::ALL[(index + index / PALETTE.len()) % Marker::ALL.len()],
        }
    }

    /// The look of a part of the split, the same in every picture; other names get the look of their index.
    pub(crate) fn of_part(name: &str, index: usize) -> SeriesStyle {
        match name.to_lowercase().as_str() {
            "train" | "training" => SeriesStyle::of(0),
            "validation" => SeriesStyle::of(1),
            "test" => SeriesStyle::of(2),
            _ => SeriesStyle::of(index),
        }
    }
}

/// A mark at a point of a series, which distinguishes series without colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Marker {
    corners: usize,
    /// For a star, the distance of its inner corners from the middle, relative to that of the tips; none for a polygon.
    notch: Option<f64>,
    /// The position of the first corner, in turns from the top.
    turn: f64,
    /// The factor that makes all look equally large.
    size: f64,
}

impl Marker {
    pub(crate) const STAR: Marker = Marker::new(5, Some(0.43), 0.0, 1.4);

    const ALL: [Marker; 10] = [
        Marker::new(28, None, 0.0, 1.0),
        Marker::new(4, None, 0.125, 1.25),
        Marker::new(3, None, 0.0, 1.3),
        Marker::new(4, None, 0.0, 1.3),
        Marker::new(3, None, 0.5, 1.3),
        Marker::new(4, Some(0.35), 0.125, 1.6),
        Marker::new(4, Some(0.35), 0.0, 1.6),
        Marker::STAR,
        Marker::new(5, None, 0.5, 1.15),
        Marker::new(3, Some(0.3), 0.0, 1.6),
    ];

    const fn new(corners: usize, notch: Option<f64>, turn: f64, size: f64) -> Marker {
        Marker { corners, notch, turn, size }
    }

    /// The outline around the origin, for a mark of about this radius.
    pub(crate) fn outline(self, radius: f64) -> Vec<Point> {
        let radius = radius * self.size;
        let corner = |index: usize, turn: f64, radius: f64| {
            let (sin, cos) =
                (TAU * ((index as f64 + turn) / self.corners as f64 + self.turn)).sin_cos();
            (radius * sin, -radius * cos)
        };
        (0..self.corners)
            .flat_map(|index| {
                let notch = self.notch.map(|notch| corner(index, 0.5, notch * radius));
                std::iter::once(corner(index, 0.0, radius)).chain(notch)
            })
            .collect()
    }
}

/// A colour of the scale from white to dark blue, for 0..=1; equal steps differ equally in lightness.
pub(crate) fn blues(value: f64) -> Color {
    between(&[0xf7fbff, 0xd6e6f4, 0x9ecae1, 0x539dcc, 0x1c67ae, 0x08306b], value)
}

/// A colour of the scale from black over purple and orange to light yellow, for 0..=1: matplotlib's `inferno`, whose
/// lightness rises evenly for everybody.
pub(crate) fn inferno(value: f64) -> Color {
    let stops = [0x000004, 0x280b54, 0x65156e, 0x9f2a63, 0xd44842, 0xf57d15, 0xfac127, 0xfcffa4];
    between(&stops, value)
}

/// A colour of the scale from blue for −1 over white to orange for 1.
pub(crate) fn diverging(value: f64) -> Color {
    between(&[0x053061, 0x4393c3, 0xf7f7f7, 0xe6863c, 0x7f3b08], (value + 1.0) / 2.0)
}

/// The colour of a hexadecimal number, as in CSS.
fn color(hexadecimal: u32) -> Color {
    let [_, red, green, blue] = hexadecimal.to_be_bytes();
    [red, green, blue]
}

/// The colour at a fraction, in 0..=1, of the way along these colours.
fn between(stops: &[u32], value: f64) -> Color {
    let value = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
    let position = value * (stops.len() - 1) as f64;
    let low = (position as usize).min(stops.len() - 2);
    let part = position - low as f64;
    std::array::from_fn(|channel| {
        let [from, to] = [stops[low], stops[low + 1]].map(|stop| f64::from(color(stop)[channel]));
        (from * (1.0 - part) + to * part).round() as u8
    })
}

/// Black or white, whichever has more contrast on this colour.
pub(crate) fn ink_on(background: Color) -> Color {
    let linear = |value: u8| (f64::from(value) / 255.0).powf(2.2);
    let [red, green, blue] = background.map(linear);
    let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    // Close to the luminance at which both contrasts, 1.05 / (L + 0.05) and (L + 0.05) / 0.05, are equal.
    if luminance > 0.25 { INK } else { WHITE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_is_blue_and_wrong_is_red() {
        let ([red, _, blue], [wrong_red, _, wrong_blue]) = (RIGHT, WRONG);
        assert!(blue > red + 100 && wrong_red > wrong_blue + 100);
    }

    #[test]
    fn no_two_series_look_the_same_and_neighbours_differ_without_colour() {
        assert_eq!([0, 1, 2].map(|index| SeriesStyle::of(index).color), [TRAIN, VALIDATION, TEST]);
        let looks: Vec<SeriesStyle> = (0..40).map(SeriesStyle::of).collect();
        for (index, look) in looks.iter().enumerate() {
            assert!(!looks[..index].contains(look), "{index}");
            if index > 0 {
                let before = looks[index - 1];
                assert!(look.marker != before.marker && look.dash != before.dash, "{index}");
            }
        }
        assert_eq!(SeriesStyle::of_part("Validation", 7).color, VALIDATION);
        assert_ne!(
            SeriesStyle::of_part("validation", 0).dash,
            SeriesStyle::of_part("train", 0).dash
        );
    }

    #[test]
    fn text_is_read_on_every_shade() {
        assert_eq!(ink_on(blues(0.0)), INK);
        assert_eq!(ink_on(blues(1.0)), WHITE);
        assert_eq!(blues(f64::NAN), blues(0.0));
        assert_eq!(blues(2.0), [8, 48, 107]);
    }
}
