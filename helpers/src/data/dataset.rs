//! Images with their labels, as `u8`, and the subsets a split is made of.
//!
//! An image is height x width x channels bytes, row by row, channels last; a label is a class id in `0..classes`.
//! Start at [`Dataset::load`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::images::{FoundImages, ImageFile, Images, LARGEST_COPY};
use super::labels::{FoundLabels, LabelFile};
use super::split::{Split, SplitConfig, take_stratified};
use crate::error::{Error, Result};

/// Height, width and channels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
}

impl ImageShape {
    /// Bytes of one image: height x width x channels.
    pub fn pixels(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// What a data set is, as it stands in metrics and model files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Number of images.
    pub images: usize,
    /// Shape of X: images, height, width and, for colour, channels.
    pub shape: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// SHA-256 of the file `X.npy`, in hexadecimal.
    pub x_sha256: String,
    /// SHA-256 of the file `y.npy`, in hexadecimal.
    pub y_sha256: String,
}

/// Images with their labels. A clone is cheap: the pixels are shared.
#[derive(Clone)]
pub struct Dataset {
    source: Arc<Source>,
    /// Which images of the source, in which order; none for all of them.
    rows: Option<Arc<[usize]>>,
    labels: Arc<[i64]>,
}

/// What was read from the folder.
struct Source {
    folder: PathBuf,
    images: Images,
    class_names: Vec<String>,
    labels_found: FoundLabels,
    labels_sha256: String,
}

impl Dataset {
    /// Reads `X.npy`, `y.npy` and, when it is there, `classes.txt` from `folder`.
    ///
    /// - `X.npy`: `(N, H, W)` or `(N, H, W, C)` with 1 or 3 channels; any integer or floating type ([`super::images::Scaling`] says
    ///   how it becomes `u8`), C or Fortran order, either byte order
    /// - `y.npy`: `(N,)` or `(N, 1)` whole numbers, one-hot rows `(N, K)`, or strings of fixed width; class ids become
    ///   `0..K` in ascending order of what was found
    /// - `classes.txt`: names for the classes, one a line; without it a class is named after its number or string
    ///
    /// Nothing is unpickled, and nothing is allocated before the header agrees with the length of the file. Pixels are
    /// copied into memory up to [`LARGEST_COPY`] bytes; a larger `uint8` file is mapped and must stay as it is.
    ///
    /// # Errors
    /// If a file is missing or not as above, lengths differ, a pixel is negative, infinite or not a number, there are
    /// fewer than two classes, or a class has fewer than two images.
    pub fn load(folder: impl AsRef<Path>) -> Result<Dataset> {
        Dataset::load_copying(folder.as_ref(), LARGEST_COPY)
    }

    fn load_copying(folder: &Path, largest_copy: u64) -> Result<Dataset> {
        // Both headers first: a wrong file is named before a large one is read.
        let images = ImageFile::open(&folder.join("X.npy"))?;
        let labels = LabelFile::open(&folder.join("y.npy"), images.count)?;
        let labels = labels.read(&folder.join("classes.txt"))?;
        let images = images.read(largest_copy)?;
        let source = Source {
            folder: folder.to_owned(),
            images,
            class_names: labels.class_names,
            labels_found: labels.found,
            labels_sha256: labels.sha256,
        };
        Ok(Dataset { source: Arc::new(source), rows: None, labels: labels.ids.into() })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image; never so for a data set that was loaded.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The folder the files are in.
    pub fn folder(&self) -> &Path {
        &self.source.folder
    }

    /// Height, width and channels of every image.
    pub fn image_shape(&self) -> ImageShape {
        self.source.images.shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.source.class_names.len()
    }

    /// The name of each class, by class id. They come from data: escape them before they meet HTML.
    pub fn class_names(&self) -> &[String] {
        &self.source.class_names
    }

    /// The class id of each image, in `0..classes`.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// The pixels of one image: height x width x channels bytes, row by row, channels last.
    ///
    /// # Panics
    /// If `image` is not below [`Dataset::len`].
    pub fn image(&self, image: usize) -> &[u8] {
        let row = self.rows.as_ref().map_or(image, |rows| rows[image]);
        let size = self.source.images.shape.pixels();
        &self.source.images.pixels()[row * size..(row + 1) * size]
    }

    /// Number of images of each class, by class id.
    pub fn class_counts(&self) -> Vec<usize> {
        count_classes(self.labels.iter().copied(), self.classes())
    }

    /// What stands in metrics and model files: images, shape, classes, and the hashes of both files.
    pub fn info(&self) -> DatasetInfo {
        let ImageShape { height, width, channels } = self.source.images.shape;
        let mut shape = vec![self.len(), height, width];
        if channels > 1 {
            shape.push(channels);
        }
        DatasetInfo {
            images: self.len(),
            shape,
            classes: self.classes(),
            x_sha256: self.source.images.sha256.clone(),
            y_sha256: self.source.labels_sha256.clone(),
        }
    }

    /// What was found in X.npy: type, order, range, and how its values became `u8`.
    pub fn found_images(&self) -> &FoundImages {
        &self.source.images.found
    }

    /// What was found in y.npy: type, form, and whether its numbers were numbered anew.
    pub fn found_labels(&self) -> &FoundLabels {
        &self.source.labels_found
    }

    /// Bytes of the pixels, in memory or, when [`FoundImages::mapped`], in the file.
    pub fn pixel_bytes(&self) -> usize {
        self.source.images.pixels().len()
    }

    /// `n` images with the classes in the proportions of the whole; all of them when `n` is 0 or at least their number.
    ///
    /// They are the ones scikit-learn takes by `train_test_split(X, y, train_size=n, stratify=y, random_state=seed)`,
    /// in that order.
    ///
    /// # Errors
    /// If `n` is below the number of classes, or `seed` does not fit into 32 bits.
    pub fn take_stratified(&self, n: usize, seed: u64) -> Result<Dataset> {
        if n == 0 || n >= self.len() {
            return Ok(self.clone());
        }
        let places = take_stratified(&self.labels, n, seed)?;
        let row = |&place: &usize| self.rows.as_ref().map_or(place, |rows| rows[place]);
        Ok(Dataset {
            source: Arc::clone(&self.source),
            rows: Some(places.iter().map(row).collect()),
            labels: places.iter().map(|&place| self.labels[place]).collect(),
        })
    }

    /// Test, validation and train parts; see [`Split::new`].
    pub fn split(&self, config: SplitConfig) -> Result<Split> {
        Split::new(self, config)
    }

    /// The images at these places, in this order.
    ///
    /// # Errors
    /// If a place is not below [`Dataset::len`].
    pub fn subset(&self, indices: Vec<usize>) -> Result<Subset> {
        if let Some(&outside) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(Error::Parameter {
                name: "indices",
                expected: format!("places below {}, the number of images", self.len()),
                got: outside.to_string(),
                advice: "take them from a split of this very data set".to_owned(),
            });
        }
        Ok(Subset { dataset: self.clone(), indices: indices.into() })
    }
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ImageShape { height, width, channels } = self.source.images.shape;
        write!(
            formatter,
            "Dataset: {} images {height} x {width} x {channels}, {} classes",
            self.len(),
            self.classes()
        )
    }
}

/// Some images of a [`Dataset`], in an order of their own. A clone is cheap.
#[derive(Clone)]
pub struct Subset {
    dataset: Dataset,
    indices: Arc<[usize]>,
}

impl Subset {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The data set the images are in.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The place of each image in the data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The class id of each image.
    pub fn labels(&self) -> Vec<i64> {
        self.indices.iter().map(|&index| self.dataset.labels()[index]).collect()
    }

    /// The pixels of one image, as [`Dataset::image`] gives them.
    ///
    /// # Panics
    /// If `image` is not below [`Subset::len`].
    pub fn image(&self, image: usize) -> &[u8] {
        self.dataset.image(self.indices[image])
    }

    /// Number of images of each class, by class id.
    pub fn class_counts(&self) -> Vec<usize> {
        count_classes(
            self.indices.iter().map(|&index| self.dataset.labels()[index]),
            self.dataset.classes(),
        )
    }
}

impl std::fmt::Debug for Subset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Subset: {} of {} images", self.len(), self.dataset.len())
    }
}

fn count_classes(labels: impl Iterator<Item = i64>, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for label in labels {
        counts[label as usize] += 1;
    }
    counts
}
