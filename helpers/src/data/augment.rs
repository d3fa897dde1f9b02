//! Augmentation: random changes to training images before they reach the network.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

/// Random changes to each training image; the default changes nothing. Draws come from libtorch's generator.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Mirrors left and right, half of the time (Keras's `RandomFlip("horizontal")`). Right for clothes and animals, wrong
    /// for digits and letters.
    pub horizontal_flip: bool,
    /// Moves the image by up to this share of its height up or down and of its width left or right, in whole pixels
    /// (Keras's `RandomTranslation`); pixels from outside the image are black. 0.08 is 2 pixels of 28.
    pub shift: f64,
    /// Probability of one black rectangle, 2% to 20% of the image's area (random erasing, Zhong et al. 2020; Keras's
    /// `RandomErasing`).
    pub erase: f64,
}

/// The changes to one image, in rows and columns of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Change {
    pub flip: bool,
    pub down: i64,
    pub right: i64,
    /// Top, left, height, width of the erased rectangle.
    pub erased: [usize; 4],
}

impl Augmentation {
    /// Checks the settings.
    ///
    /// # Errors
    /// If `shift` or `erase` lies outside 0..=1.
    pub(crate) fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.shift) {
            let expected = "a share of the image's side in 0..=1";
            let advice = "0.08 moves images of 28 pixels by up to 2, and 0 moves nothing";
            return Err(Error::parameter("shift", expected, self.shift, advice));
        }
        if (0.0..=1.0).contains(&self.erase) {
            return Ok(());
        }
        Err(Error::parameter("erase", "a probability in 0..=1", self.erase, "0 erases nothing"))
    }

    /// True when images stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Augmentation::default()
    }

    /// Draws the changes for `images` images of this size in one call.
    pub(crate) fn draw(&self, images: usize, height: usize, width: usize) -> Result<Vec<Change>> {
        const DRAWS: usize = 8;
        let draws = Tensor::f_rand([(images * DRAWS) as i64], (Kind::Float, Device::Cpu))?;
        let draws = Vec::<f32>::try_from(draws)?;
        Ok(draws.chunks_exact(DRAWS).map(|draws| self.change(draws, height, width)).collect())
    }

    fn change(&self, draws: &[f32], height: usize, width: usize) -> Change {
        let between = |draw: f32, least: f64, most: f64| least + f64::from(draw) * (most - least);
        let step = |draw: f32, side: usize| {
            let most = (self.shift * side as f64).round() as i64;
            (f64::from(draw) * (2 * most + 1) as f64).floor() as i64 - most
        };
        let mut erased = [0; 4];
        if f64::from(draws[3]) < self.erase {
            let area = between(draws[4], 0.02, 0.2) * (height * width) as f64;
            let aspect = between(draws[5], (0.3f64).ln(), (1.0 / 0.3f64).ln()).exp();
            let tall = ((area * aspect).sqrt().round() as usize).clamp(1, height);
            let wide = ((area / aspect).sqrt().round() as usize).clamp(1, width);
            let top = between(draws[6], 0.0, (height - tall) as f64).round() as usize;
            let left = between(draws[7], 0.0, (width - wide) as f64).round() as usize;
            erased = [top, left, tall, wide];
        }
        Change {
            flip: self.horizontal_flip && draws[0] < 0.5,
            down: step(draws[1], height),
            right: step(draws[2], width),
            erased,
        }
    }
}

impl Change {
    /// The row of the image that moves to `row`; none if that row is black.
    pub(crate) fn source_row(&self, row: usize, height: usize) -> Option<usize> {
        let source = row as i64 - self.down;
        (0..height as i64).contains(&source).then_some(source as usize)
    }

    /// The columns of a changed image that show the original, and the original column of the first one. The next columns
    /// follow to its right, in a mirrored image to its left. The erased rectangle is not considered.
    pub(crate) fn columns(&self, width: usize) -> (Range<usize>, usize) {
        let (width, right) = (width as i64, if self.flip { -self.right } else { self.right });
        let (start, end) = (right.max(0), width.min(width + right));
        if start >= end {
            return (0..0, 0);
        }
        let first = if self.flip { width - 1 - start + right } else { start - right };
        (start as usize..end as usize, first as usize)
    }

    /// The columns of `row` that are erased.
    pub(crate) fn erased_columns(&self, row: usize) -> Range<usize> {
        let [top, left, tall, wide] = self.erased;
        if (top..top + tall).contains(&row) { left..left + wide } else { 0..0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_moves_down_and_right_and_lets_black_in() {
        let change = Change { down: 1, right: 2, ..Change::default() };
        assert_eq!([0, 1, 2].map(|row| change.source_row(row, 3)), [None, Some(0), Some(1)]);
        assert_eq!(change.columns(4), (2..4, 0));
        assert_eq!(Change { right: -1, ..change }.columns(4), (0..3, 1));
        assert_eq!(Change { right: 5, ..change }.columns(4), (0..0, 0));
    }

    #[test]
    fn a_flip_mirrors_columns_and_then_they_move() {
        let change = Change { flip: true, ..Change::default() };
        assert_eq!(change.columns(4), (0..4, 3));
        // The image's columns 3, 2, 1, 0 and one to the right: 2, 1, 0 are left.
        assert_eq!(Change { right: 1, ..change }.columns(4), (0..3, 2));
        assert_eq!(Change { right: -1, ..change }.columns(4), (1..4, 3));
    }

    #[test]
    fn the_erased_rectangle_is_black() {
        let change = Change { erased: [1, 1, 1, 2], ..Change::default() };
        assert_eq!([0, 1, 2].map(|row| change.erased_columns(row)), [0..0, 1..3, 0..0]);
    }

    #[test]
    fn draws_stay_within_the_settings_and_reach_their_ends() {
        tch::manual_seed(3);
        let augmentation = Augmentation { horizontal_flip: true, shift: 0.1, erase: 0.5 };
        let changes = augmentation.draw(2000, 28, 20).unwrap();
        assert_eq!(changes.iter().map(|change| change.down).min(), Some(-3));
        assert_eq!(changes.iter().map(|change| change.right).max(), Some(2));
        assert!(
            changes
                .iter()
                .all(|c| c.erased[0] + c.erased[2] <= 28 && c.erased[1] + c.erased[3] <= 20)
        );
        let erased = changes.iter().filter(|change| change.erased[2] > 0).count();
        let flipped = changes.iter().filter(|change| change.flip).count();
        assert!(
            (900..1100).contains(&erased) && (900..1100).contains(&flipped),
            "{erased} {flipped}"
        );
    }

    #[test]
    fn a_shift_is_a_share_of_the_side_in_whole_pixels() {
        let farthest = |shift: f64, side: usize| {
            tch::manual_seed(3);
            let changes = Augmentation { shift, ..Augmentation::default() };
            let changes = changes.draw(500, side, side).unwrap();
            changes.iter().map(|change| change.down.max(change.right)).max().unwrap()
        };
        let shifts = [(0.08, 28), (0.04, 28), (0.08, 8), (0.04, 8), (0.08, 224)];
        assert_eq!(shifts.map(|(shift, side)| farthest(shift, side)), [2, 1, 1, 0, 18]);
    }

    #[test]
    fn a_shift_in_pixels_is_refused() {
        let error = Augmentation { shift: 2.0, ..Augmentation::default() }.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`shift` must be a share of the image's side in 0..=1, got 2; 0.08 moves images of 28 pixels by up to 2, and \
             0 moves nothing"
        );
    }

    #[test]
    fn the_default_changes_nothing() {
        let changes = Augmentation::default().draw(5, 4, 4).unwrap();
        assert!(changes.iter().all(|change| *change == Change::default()));
    }
}
