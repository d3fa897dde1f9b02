//! From the numbers of a file to grey levels: their range, the scaling that it asks for, and what is refused.

use std::path::PathBuf;

use super::file_errors::{no_truth_values, wrong};
use super::images::ImageShape;
use super::npy::Element;
use super::scaling::{DARKEST, Scaling};
use crate::error::{Error, Result};

/// Fewer grey levels than this are an error, unless the file holds no more different values.
const FEWEST_LEVELS: usize = 16;

/// How the values of a file are read, and where each one belongs.
#[derive(Clone)]
pub(super) struct Values {
    pub(super) path: PathBuf,
    pub(super) element: Element,
    pub(super) count: usize,
    pub(super) shape: ImageShape,
    pub(super) fortran: bool,
}

impl Values {
    /// The numbers in a piece of the file.
    pub(super) fn numbers(&self, piece: &[u8]) -> Result<Vec<f64>> {
        self.element.numbers(piece).map_err(|_| no_truth_values(&self.path))
    }

    /// The index in C order of the element with this index in a file in Fortran order.
    fn in_c_order(&self, index: usize) -> usize {
        let ImageShape { height, width, channels } = self.shape;
        let (image, rest) = (index % self.count, index / self.count);
        let (row, rest) = (rest % height, rest / height);
        let (column, channel) = (rest % width, rest / width);
        ((image * height + row) * width + column) * channels + channel
    }

    /// A value with its image and pixel.
    fn shown(&self, Found { index, value }: Found) -> String {
        let index = if self.fortran { self.in_c_order(index) } else { index };
        let ImageShape { width, channels, .. } = self.shape;
        let (image, pixel) = (index / self.shape.pixels(), index % self.shape.pixels());
        let (row, column, channel) =
            (pixel / channels / width, pixel / channels % width, pixel % channels);
        let shown = format!("{value} in image {image}, row {row}, column {column}");
        if channels > 1 { format!("{shown}, channel {channel}") } else { shown }
    }

    /// The error for an invalid value.
    fn refuse(&self, found: Found) -> Error {
        let shown = self.shown(found);
        if found.value.is_finite() {
            let advice = "if that is meant, shift it: X = (X - X.min()) / (X.max() - X.min())";
            wrong(
                &self.path,
                "no negative values, unless from -1 to 1 or standardised (mean 0, deviation 1)",
                shown,
                advice,
            )
        } else {
            wrong(
                &self.path,
                "finite values",
                shown,
                "replace it, X = np.nan_to_num(X, posinf=0, neginf=0), or leave that image out",
            )
        }
    }

    /// The error for values that contradict a scaling that a part of them asked for: the first one outside its range or,
    /// where none is outside, the range of all.
    pub(super) fn contradict(
        &self,
        guess: Scaling,
        range: &Range,
        outside: Option<Found>,
    ) -> Error {
        let (black, white) = guess.ends();
        let found = outside.map_or_else(
            || format!("{} to {} in all", range.smallest, range.largest),
            |outside| self.shown(outside),
        );
        wrong(
            &self.path,
            &format!("values from {black} to {white}, because those of a sample of the file are"),
            found,
            "load it with `Dataset::load_whole`, which reads all values before it scales them, or save it as uint8",
        )
    }
}

/// A value and its index in the file.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) index: usize,
    pub(super) value: f64,
}

/// Smallest and largest value of a file, and the index of the smallest; what mean and deviation are made from.
pub(super) struct Range {
    pub(super) smallest: f64,
    pub(super) largest: f64,
    index: usize,
    count: usize,
    sum: f64,
    squares: f64,
}

impl Default for Range {
    fn default() -> Range {
        let (smallest, largest) = (f64::INFINITY, f64::NEG_INFINITY);
        Range { smallest, largest, index: 0, count: 0, sum: 0.0, squares: 0.0 }
    }
}

impl Range {
    /// Takes the next values of a file. Fails at the first one that is not finite.
    pub(super) fn take(&mut self, numbers: &[f64], values: &Values) -> Result<()> {
        for &value in numbers {
            if !value.is_finite() {
                return Err(values.refuse(Found { index: self.count, value }));
            }
            if value < self.smallest {
                (self.smallest, self.index) = (value, self.count);
            }
            self.largest = self.largest.max(value);
            self.count += 1;
            self.sum += value;
            self.squares += value * value;
        }
        Ok(())
    }

    /// The scaling rule for these values; none when they cannot be grey levels.
    pub(super) fn scaling(&self) -> Option<Scaling> {
        let Range { smallest, largest, .. } = *self;
        match self.is_standardised() {
            true => Some(Scaling::Range { black: smallest, white: largest }),
            false => Scaling::of(smallest, largest),
        }
    }

    /// [`Range::scaling`], if these are all values of the file, or the error.
    pub(super) fn scaling_of(&self, values: &Values) -> Result<Scaling> {
        let Range { smallest, largest, index, .. } = *self;
        self.scaling().ok_or_else(|| {
            if Scaling::is_negative(smallest) {
                return values.refuse(Found { index, value: smallest });
            }
            let found = format!("{smallest} to {largest}");
            let advice = "scale them, as X = (X - X.min()) / (X.max() - X.min())";
            wrong(&values.path, "different values from 0 to 65535", found, advice)
        })
    }

    /// The scaling rule that a sample of the values makes likely for all; none if it is too dark to tell, or if the rule
    /// depends on the smallest and the largest of all.
    pub(super) fn likely_scaling(&self) -> Option<Scaling> {
        let brightest = |scaling: &Scaling| match scaling {
            Scaling::AsIs => DARKEST,
            Scaling::Range { .. } => 0.5,
        };
        self.scaling().filter(|rule| rule.is_fixed() && self.largest >= brightest(rule))
    }

    /// Whether the values have been standardised: a mean of 0 and a standard deviation of 1, each within a tenth. One
    /// wrong negative value among those of 0 to 1 or 0 to 255 does not look like that.
    fn is_standardised(&self) -> bool {
        let mean = self.sum / self.count as f64;
        let deviation = (self.squares / self.count as f64 - mean * mean).sqrt();
        Scaling::is_negative(self.smallest) && mean.abs() < 0.1 && (deviation - 1.0).abs() < 0.1
    }
}

/// Values of a file as `u8`, in C order.
pub(super) struct PixelCopy {
    levels: Levels,
    pixels: Vec<u8>,
    /// The index in the file of the next value.
    index: usize,
}

impl PixelCopy {
    /// An empty one, with `room` for all pixels.
    pub(super) fn new(values: &Values, scaling: Scaling, mut room: Vec<u8>) -> PixelCopy {
        if values.fortran {
            room.resize(values.count * values.shape.pixels(), 0);
        }
        PixelCopy { levels: Levels::new(scaling), pixels: room, index: 0 }
    }

    pub(super) fn scaling(&self) -> Scaling {
        self.levels.scaling
    }

    /// Takes the next values of the file.
    pub(super) fn take(&mut self, numbers: &[f64], values: &Values) {
        for &value in numbers {
            let level = self.levels.of(value);
            if values.fortran {
                self.pixels[values.in_c_order(self.index)] = level;
            } else {
                self.pixels.push(level);
            }
            self.index += 1;
        }
    }

    /// The pixels, unless different values were merged into too few levels.
    pub(super) fn checked(self, values: &Values) -> Result<Vec<u8>> {
        let Some(left) = self.levels.too_few() else {
            return Ok(self.pixels);
        };
        let found = format!("{left}, with {}", self.levels.scaling);
        let advice = "spread what matters over 0 to 1: low, high = np.percentile(X, [0.1, 99.9]); \
                      X = np.clip((X - low) / (high - low), 0, 1)";
        Err(wrong(&values.path, &format!("at least {FEWEST_LEVELS} levels of grey"), found, advice))
    }
}

/// Which grey levels the values of a file become, and whether different values became the same level.
struct Levels {
    scaling: Scaling,
    /// The first value that became each level.
    first: [Option<f64>; 256],
    merged: bool,
}

impl Levels {
    fn new(scaling: Scaling) -> Levels {
        Levels { scaling, first: [None; 256], merged: false }
    }

    fn of(&mut self, value: f64) -> u8 {
        let level = self.scaling.level(value);
        let first = *self.first[usize::from(level)].get_or_insert(value);
        self.merged |= first != value;
        level
    }

    /// How many levels are used, if different values were merged into too few of them.
    fn too_few(&self) -> Option<usize> {
        let used = self.first.iter().flatten().count();
        (self.merged && used < FEWEST_LEVELS).then_some(used)
    }
}
