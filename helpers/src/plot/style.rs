//! The one look of all pictures: colours, sizes, and what stands for train and validation.
//!
//! The palette is Okabe and Ito's (2008), made to be told apart by colour-blind readers; no series is told by its
//! colour alone.

use super::page::{Dash, Marker};

/// Red, green and blue.
pub type Color = [u8; 3];

pub(crate) const WHITE: Color = [255, 255, 255];
/// Text.
pub(crate) const INK: Color = [34, 34, 34];
/// Less important text, such as the numbers along an axis.
pub(crate) const GREY: Color = [90, 90, 90];
/// Axes.
pub(crate) const RULE: Color = [150, 150, 150];
/// Lines behind the data.
pub(crate) const GRID: Color = [230, 230, 230];

/// The colour of everything that belongs to the train part.
pub const TRAIN: Color = [0, 114, 178];
/// The colour of everything that belongs to the validation part.
pub const VALIDATION: Color = [213, 94, 0];
/// The colour of everything that belongs to the test part.
pub const TEST: Color = [0, 158, 115];

/// The dashes of the validation part's lines; those of the train part are whole.
pub(crate) const VALIDATION_DASH: Dash = Some((6.0, 3.5));

/// The label of a right prediction: blue.
pub const RIGHT: Color = [16, 72, 200];
/// The label of a wrong prediction: red.
pub const WRONG: Color = [200, 30, 30];

/// The colour of a prediction's label: blue when it is right, red when it is wrong.
pub fn label_color(right: bool) -> Color {
    if right { RIGHT } else { WRONG }
}

/// The sign before a prediction's label, for readers who do not see its colour: a tick or a cross.
pub fn label_sign(right: bool) -> &'static str {
    if right { "✓" } else { "✗" }
}

/// Colours of the series of one chart, in this order.
pub(crate) const PALETTE: [Color; 10] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [60, 60, 60],
    [136, 34, 85],
    [150, 140, 30],
    [120, 94, 240],
];

/// How one series is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SeriesStyle {
    pub(crate) color: Color,
    pub(crate) dash: Dash,
    pub(crate) marker: Marker,
}

/// The look of the series at this place of a chart.
pub(crate) fn series_style(place: usize) -> SeriesStyle {
    const DASHES: [Dash; 4] = [None, Some((6.0, 3.5)), Some((2.0, 2.5)), Some((10.0, 4.0))];
    SeriesStyle {
        color: PALETTE[place % PALETTE.len()],
        dash: DASHES[place % DASHES.len()],
        marker: Marker::ALL[place % Marker::ALL.len()],
    }
}

/// The look of a part of the split, the same in every picture; other names get the look of their place.
pub(crate) fn part_style(name: &str, place: usize) -> SeriesStyle {
    match name.to_lowercase().as_str() {
        "train" | "training" => SeriesStyle { color: TRAIN, dash: None, marker: Marker::Circle },
        "validation" => {
            SeriesStyle { color: VALIDATION, dash: VALIDATION_DASH, marker: Marker::Square }
        }
        "test" => SeriesStyle { color: TEST, dash: Some((2.0, 2.5)), marker: Marker::Triangle },
        _ => series_style(place),
    }
}

/// Size of titles.
pub(crate) const TITLE_SIZE: f64 = 14.0;
/// Size of axis names and legends.
pub(crate) const NAME_SIZE: f64 = 12.0;
/// Size of the numbers along an axis.
pub(crate) const TICK_SIZE: f64 = 11.0;

/// A colour of the scale from white to dark blue, for 0..=1.
pub(crate) fn blues(value: f64) -> Color {
    // Stops of even steps in lightness.
    const STOPS: [[f64; 3]; 6] = [
        [247.0, 251.0, 255.0],
        [214.0, 230.0, 244.0],
        [158.0, 202.0, 225.0],
        [83.0, 157.0, 204.0],
        [28.0, 103.0, 174.0],
        [8.0, 48.0, 107.0],
    ];
    let value = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
    let place = value * (STOPS.len() - 1) as f64;
    let low = (place as usize).min(STOPS.len() - 2);
    let part = place - low as f64;
    std::array::from_fn(|channel| {
        (STOPS[low][channel] * (1.0 - part) + STOPS[low + 1][channel] * part).round() as u8
    })
}

/// Black or white, whichever is read better on this colour.
pub(crate) fn ink_on(background: Color) -> Color {
    let linear = |value: u8| (f64::from(value) / 255.0).powf(2.2);
    let [red, green, blue] = background.map(linear);
    let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    // Where both contrasts, (1.05)/(L + 0.05) and (L + 0.05)/0.05, are equal.
    if luminance > 0.25 { INK } else { WHITE }
}
