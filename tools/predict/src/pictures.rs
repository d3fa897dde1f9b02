//! What is to be looked at, in the shape that the model takes.

use std::path::{Path, PathBuf};

use helpers::data::{Dataset, ImageShape};
use helpers::models::Model;
use import::picture::{self, Fit};

/// How a picture becomes what the model takes.
pub(crate) struct Preparation {
    shape: ImageShape,
    fit: Fit,
    invert: bool,
}

impl Preparation {
    /// For this model, which must take images.
    pub(crate) fn of(model: &Model, fit: Fit, invert: bool) -> Result<Preparation, String> {
        let &[channels, height, width] = model.network().input_shape() else {
            return Err(
                "this model takes vectors, not images; take the one that was trained on images"
                    .to_owned(),
            );
        };
        let [channels, height, width] = [channels, height, width].map(|side| side as usize);
        Ok(Preparation { shape: ImageShape { height, width, channels }, fit, invert })
    }

    /// The pixels of a picture, channels last.
    fn pixels(&self, path: &Path) -> Result<Vec<u8>, String> {
        let ImageShape { height, width, channels } = self.shape;
        let mut pixels = picture::read(path, [height, width], channels == 1, self.fit)?;
        if self.invert {
            pixels.iter_mut().for_each(|value| *value = 255 - *value);
        }
        Ok(pixels)
    }
}

/// The images and their names: a group for each array, and one for all single pictures.
pub(crate) struct Pictures {
    pub(crate) groups: Vec<Group>,
    /// What cannot be read, and why.
    pub(crate) left_out: Vec<String>,
}

/// Images that are predicted together.
pub(crate) struct Group {
    pub(crate) names: Vec<String>,
    pub(crate) images: Dataset,
}

impl Pictures {
    /// Reads all files.
    ///
    /// # Errors
    /// If none can be read, or an array does not fit the model.
    pub(crate) fn read(files: &[PathBuf], preparation: &Preparation) -> Result<Pictures, String> {
        let (arrays, single): (Vec<_>, Vec<_>) =
            files.iter().partition(|path| path.extension().is_some_and(|ending| ending == "npy"));
        let (mut names, mut pixels, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for path in single {
            match preparation.pixels(path) {
                Ok(picture) => {
                    pixels.extend(picture);
                    names.push(path.display().to_string());
                }
                Err(reason) => left_out.push(format!("{}: {reason}", path.display())),
            }
        }
        let mut groups = Vec::new();
        let said = |error: helpers::Error| error.to_string();
        if !names.is_empty() {
            let images = Dataset::unlabelled(preparation.shape, pixels).map_err(said)?;
            groups.push(Group { names, images });
        }
        for path in arrays {
            let images = Dataset::load_unlabelled(path).map_err(said)?;
            let names = (0..images.len()).map(|row| format!("{}[{row}]", path.display())).collect();
            groups.push(Group { names, images });
        }
        if groups.is_empty() {
            return Err(format!("none of the pictures can be read; {}", left_out.join("; ")));
        }
        Ok(Pictures { groups, left_out })
    }

    /// Each image with its name: the data set it is in, and its index there.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &Dataset, usize)> {
        self.groups.iter().flat_map(|group| {
            group.names.iter().enumerate().map(|(index, name)| (&**name, &group.images, index))
        })
    }
}
