//! How the numbers of X become grey levels from 0 to 255: one rule for every type of number.

use serde::{Deserialize, Serialize};

/// Tolerance at the ends of a range: interpolation may go beyond them by a rounding error.
const SLACK: f64 = 1e-3;

/// If all values are from 0 to below this, they are not taken as 0 to 255: the images would be nearly black.
pub(super) const DARKEST: f64 = 32.0;

/// How the values of X became `u8`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Scaling {
    /// Values from 0 to 255 of which the largest is at least 32 are taken as they are, floats rounded.
    AsIs,
    /// `black..=white` is scaled to `0..=255` and rounded. Values within 0 to 1 or within -1 to 1 are scaled from there,
    /// others up to 65535, and standardised ones, from their own smallest to their own largest.
    Range {
        /// The value that becomes 0.
        black: f64,
        /// The value that becomes 255.
        white: f64,
    },
}

impl Scaling {
    /// The rule for values from `smallest` to `largest`; none when they cannot be grey levels.
    pub(super) fn of(smallest: f64, largest: f64) -> Option<Scaling> {
        let within = |low: f64, high: f64| smallest >= low - SLACK && largest <= high + SLACK;
        if within(0.0, 1.0) {
            return Some(Scaling::Range { black: 0.0, white: 1.0 });
        }
        // Images in -1 to 1 have dark pixels; a smallest value such as -0.1 has another cause.
        if within(-1.0, 1.0) && smallest <= -0.5 {
            return Some(Scaling::Range { black: -1.0, white: 1.0 });
        }
        // Equal values have no range to scale from.
        if within(0.0, 255.0) && (largest >= DARKEST || smallest == largest) {
            return Some(Scaling::AsIs);
        }
        (within(0.0, f64::from(u16::MAX)) && smallest < largest)
            .then_some(Scaling::Range { black: smallest, white: largest })
    }

    /// True for a value that only the rule for -1 to 1 accepts.
    pub(super) fn is_negative(value: f64) -> bool {
        value < -SLACK
    }

    /// The values that become 0 and 255.
    pub(super) fn ends(self) -> (f64, f64) {
        match self {
            Scaling::AsIs => (0.0, 255.0),
            Scaling::Range { black, white } => (black, white),
        }
    }

    /// True for a rule whose ends are not those of the values.
    pub(super) fn is_fixed(self) -> bool {
        [(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)].contains(&self.ends())
    }

    /// Whether a value is within the ends. Not a number is nowhere.
    pub(super) fn fits(self, value: f64) -> bool {
        let (black, white) = self.ends();
        value >= black - SLACK && value <= white + SLACK
    }

    /// The grey level of a value.
    pub(super) fn level(self, value: f64) -> u8 {
        let (black, factor) = match self {
            Scaling::AsIs => (0.0, 1.0),
            Scaling::Range { black, white } => (black, 255.0 / (white - black)),
        };
        // The conversion clips values outside the range, which are within the tolerance.
        ((value - black) * factor + 0.5).floor() as u8
    }
}

impl std::fmt::Display for Scaling {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scaling::AsIs => write!(formatter, "taken as they are"),
            Scaling::Range { black, white } => {
                write!(formatter, "{black} to {white} scaled to 0 to 255")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(black: f64, white: f64) -> Option<Scaling> {
        Some(Scaling::Range { black, white })
    }

    #[test]
    fn the_range_of_the_values_decides() {
        for (smallest, largest, expected) in [
            (0.0, 255.0, Some(Scaling::AsIs)),
            (17.0, 32.0, Some(Scaling::AsIs)),
            (7.0, 7.0, Some(Scaling::AsIs)),
            (0.0, 1.0, range(0.0, 1.0)),
            (-0.0004, 1.0004, range(0.0, 1.0)),
            (0.0, 0.0, range(0.0, 1.0)),
            (-1.0, 1.0, range(-1.0, 1.0)),
            (-0.5, 0.2, range(-1.0, 1.0)),
            (-0.1, 1.0, None),
            (-1.0, 2.0, None),
            (0.0, 16.0, range(0.0, 16.0)),
            (0.0, 2.0, range(0.0, 2.0)),
            (32800.0, 32870.0, range(32800.0, 32870.0)),
            (0.0, 65535.0, range(0.0, 65535.0)),
            (0.0, 65536.0, None),
            (300.0, 300.0, None),
        ] {
            assert_eq!(Scaling::of(smallest, largest), expected, "{smallest} to {largest}");
        }
    }

    #[test]
    fn the_ends_of_a_range_are_black_and_white_and_halves_are_rounded_up() {
        let level = |smallest, largest, value| Scaling::of(smallest, largest).unwrap().level(value);
        assert_eq!([0.0, 8.0, 16.0].map(|value| level(0.0, 16.0, value)), [0, 128, 255]);
        assert_eq!([-1.0, 0.0, 1.0].map(|value| level(-1.0, 1.0, value)), [0, 128, 255]);
        assert_eq!([32800.0, 32870.0].map(|value| level(32800.0, 32870.0, value)), [0, 255]);
        assert_eq!([-0.0004, 1.0004].map(|value| level(0.0, 1.0, value)), [0, 255]);
        assert_eq!([0.4, 0.5, 254.5].map(|value| level(0.0, 255.0, value)), [0, 1, 255]);
    }
}
