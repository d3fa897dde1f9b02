//! Loads a data set, with a progress bar if it takes long.

use std::path::Path;

use super::Bar;
use crate::data::Dataset;
use crate::error::Result;
use crate::system::interrupt::InterruptGuard;
use crate::text::duration;

impl Dataset {
    /// Reads `X.npy`, `y.npy` and, if it exists, `classes.txt` from `folder`.
    ///
    /// - `X.npy`: `(N, H, W)` or `(N, H, W, C)` with 1 or 3 channels; any integer, truth values or any float
    ///   ([`Scaling`](crate::data::scaling::Scaling) says how they become `u8`), C or Fortran order, either byte order
    /// - `y.npy`: `(N,)` or `(N, 1)` whole numbers or truth values, one-hot rows `(N, K)`, or strings of fixed width; class ids become
    ///   `0..K` in ascending order of what was found
    /// - `classes.txt`: names of the classes, one per line; without it the name of a class is its number or string
    ///
    /// Nothing is unpickled, and nothing is allocated before the header agrees with the length of the file. Pixels are
    /// copied into memory up to [`LARGEST_COPY`](crate::data::image_file::LARGEST_COPY) bytes; those of a larger `uint8` file are read from it when they are used.
    /// A `uint8` file in C order is ready before it is read: it is copied and hashed in the background, and its first images
    /// come from the file. So is a file of other numbers in C order beyond
    /// [`LARGEST_WHOLE`](crate::data::image_file::LARGEST_WHOLE) bytes, if a sample of its values tells how they become `u8`; a
    /// value that turns out to be wrong is then an error of what uses the images: of the next batch, and of a training or
    /// prediction when it ends. [`Dataset::load_whole`] checks first. Other files are checked and copied first, and hashed in
    /// the background. If a file is changed meanwhile, its hash says so in all results, and if images are still to be read
    /// from it and it is cut, they give an error.
    ///
    /// # Errors
    /// If a file is missing or not as above, lengths differ, the pixels' range does not fit grey levels, there are
    /// fewer than two classes, a class has fewer than two images, the pixels do not fit into memory, or the user interrupts it
    /// (SIGINT).
    pub fn load(folder: impl AsRef<Path>) -> Result<Dataset> {
        let (mut bar, interrupts) = (Bar::new(STEPS), InterruptGuard::new());
        let dataset = Dataset::load_with_progress(folder, &mut |share| {
            bar.tick((share * STEPS as f64) as usize, |share, remaining| {
                let (percent, remaining) = (100.0 * share, duration(remaining));
                format!("reading X.npy: {percent:.0}%, {remaining} left")
            });
            interrupts.check("loading", "run it again, and it starts anew")
        })?;
        bar.close("X.npy is read");
        Ok(dataset)
    }
}

/// Number of steps of the bar.
const STEPS: usize = 1000;
