//! Images with their labels, in memory as `u8`.
//!
//! Start at [`Dataset::load`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::split::{Split, SplitConfig};
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
    pixels: Vec<u8>,
    shape: ImageShape,
    class_names: Vec<String>,
    x_sha256: String,
    y_sha256: String,
}

impl Dataset {
    /// Reads `X.npy`, `y.npy` and, when it is there, `classes.txt` from `folder`.
    pub fn load(folder: impl AsRef<Path>) -> Result<Dataset> {
        let folder = folder.as_ref();
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| Error::Io {
                action: "read",
                path,
                source,
                advice: "`cargo xtask data` fetches X.npy and y.npy; or put your own there"
                    .to_owned(),
            })
        };
        let (x, y) = (read("X.npy")?, read("y.npy")?);
        let header = |bytes: &[u8]| {
            let length = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
            let text = String::from_utf8_lossy(&bytes[10..10 + length]).into_owned();
            let shape =
                text.split('(').nth(1).unwrap_or_default().split(')').next().unwrap_or_default();
            let shape: Vec<usize> =
                shape.split(',').filter_map(|side| side.trim().parse().ok()).collect();
            (10 + length, shape)
        };
        let (start, shape) = header(&x);
        let pixels = x[start..].to_vec();
        let (label_start, label_shape) = header(&y);
        let width = (y.len() - label_start) / label_shape[0];
        let labels: Vec<i64> =
            y[label_start..].chunks_exact(width).map(|bytes| i64::from(bytes[0])).collect();
        let classes = labels.iter().max().map_or(0, |&label| label as usize + 1);
        let class_names = match std::fs::read_to_string(folder.join("classes.txt")) {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(_) => (0..classes).map(|class| class.to_string()).collect(),
        };
        let hash = |bytes: &[u8]| {
            use sha2::Digest;
            format!("{:x}", sha2::Sha256::digest(bytes))
        };
        Ok(Dataset {
            source: Arc::new(Source {
                folder: folder.to_owned(),
                pixels,
                shape: ImageShape {
                    height: shape[1],
                    width: shape[2],
                    channels: shape.get(3).copied().unwrap_or(1),
                },
                class_names,
                x_sha256: hash(&x),
                y_sha256: hash(&y),
            }),
            rows: None,
            labels: labels.into(),
        })
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
        self.source.shape
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
        let size = self.source.shape.pixels();
        &self.source.pixels[row * size..(row + 1) * size]
    }

    /// Number of images of each class, by class id.
    pub fn class_counts(&self) -> Vec<usize> {
        count_classes(self.labels.iter().copied(), self.classes())
    }

    /// What stands in metrics and model files: images, shape, classes, and the hashes of both files.
    pub fn info(&self) -> DatasetInfo {
        let ImageShape { height, width, channels } = self.source.shape;
        let mut shape = vec![self.len(), height, width];
        if channels > 1 {
            shape.push(channels);
        }
        DatasetInfo {
            images: self.len(),
            shape,
            classes: self.classes(),
            x_sha256: self.source.x_sha256.clone(),
            y_sha256: self.source.y_sha256.clone(),
        }
    }

    /// `n` images with the classes in the proportions of the whole; all of them when `n` is 0 or at least their number.
    pub fn take_stratified(&self, n: usize, seed: u64) -> Result<Dataset> {
        if n == 0 || n >= self.len() {
            return Ok(self.clone());
        }
        let (places, _) = super::split::stratified_split(&self.labels, n, self.len() - n, seed)?;
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
        let ImageShape { height, width, channels } = self.source.shape;
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
