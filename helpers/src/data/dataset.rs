//! Images with their labels, as `u8`, and the subsets a split is made of.
//!
//! An image is height x width x channels bytes, row by row, channels last; a label is a class id in `0..classes`.
//! Start at [`Dataset::load`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::images::{FoundImages, ImageFile, Images, LARGEST_COPY};
use super::labels::{FoundLabels, LabelFile, LabelForm};
use super::npy::shown_shape;
use super::split::{Split, SplitConfig, take_stratified};
use crate::display::{Column, Table};
use crate::error::{Error, Result};
use crate::system::memory::Memory;
use crate::text::{break_markers, with_thousands};

/// A table names this many classes; a data set may have hundreds.
const CLASSES_SHOWN: usize = 12;

/// Bytes of pixels that are fetched at a time where all images are visited.
const FETCHED: usize = 1 << 20;

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
    /// How many images the files hold, where these are a sample of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_from: Option<usize>,
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
    /// copied into memory up to [`LARGEST_COPY`] bytes; those of a larger `uint8` file stay in it, and it is mapped.
    ///
    /// # Errors
    /// If a file is missing or not as above, lengths differ, a pixel is negative, infinite or not a number, there are
    /// fewer than two classes, a class has fewer than two images, or there is no room in memory for the pixels.
    pub fn load(folder: impl AsRef<Path>) -> Result<Dataset> {
        Dataset::load_copying(folder.as_ref(), LARGEST_COPY, Memory::now())
    }

    fn load_copying(folder: &Path, largest_copy: u64, memory: Memory) -> Result<Dataset> {
        // Both headers first: a wrong file is named before a large one is read.
        let images = ImageFile::open(&folder.join("X.npy"))?;
        let labels = LabelFile::open(&folder.join("y.npy"), images.count)?;
        let labels = labels.read(&folder.join("classes.txt"))?;
        let images = images.read(largest_copy, memory)?;
        let source = Source {
            folder: folder.to_owned(),
            images,
            // A notebook may print a name as it is, and none may be taken for a line of evcxr's protocol.
            class_names: labels.class_names.iter().map(|name| break_markers(name)).collect(),
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

    /// The name of each class, by class id. They come from data: escape them before they meet HTML. None is a marker of
    /// evcxr's protocol: `EVCXR_` became `EVCXR-`.
    pub fn class_names(&self) -> &[String] {
        &self.source.class_names
    }

    /// The class id of each image, in `0..classes`.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// The pixels of one image: height x width x channels bytes, row by row, channels last.
    ///
    /// # Errors
    /// If they stay in the file ([`FoundImages::in_file`]), and it can no longer be read or was cut.
    ///
    /// # Panics
    /// If `image` is not below [`Dataset::len`].
    pub fn image(&self, image: usize) -> Result<Cow<'_, [u8]>> {
        self.source.images.image(self.row(image))
    }

    /// As [`Dataset::image`] for several; those that stay in the file are fetched at once, to `buffer`.
    fn fetch<'a>(
        &'a self,
        images: impl Iterator<Item = usize>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Vec<&'a [u8]>> {
        self.source.images.fetch(images.map(|image| self.row(image)), buffer)
    }

    /// The row of X.npy that an image is: another place than its own in a sample of [`Dataset::take_stratified`].
    ///
    /// # Panics
    /// If `image` is not below [`Dataset::len`].
    pub fn row(&self, image: usize) -> usize {
        self.rows.as_ref().map_or(image, |rows| rows[image])
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
            sampled_from: self.rows.as_ref().map(|_| self.source.images.found.shape[0]),
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

    /// Bytes of the pixels, in memory or, when [`FoundImages::in_file`], in the file.
    pub fn pixel_bytes(&self) -> usize {
        self.source.images.bytes()
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
        let row = |&place: &usize| self.row(place);
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

impl Dataset {
    /// Shape, type, range, memory and classes, a row each.
    pub fn table(&self) -> Table {
        let (x, y) = (self.found_images(), self.found_labels());
        let ImageShape { height, width, channels } = self.image_shape();
        let whole = |number: usize| with_thousands(number as f64, 0);
        let mut images = format!(
            "{} of {height} x {width} pixels, {}",
            whole(self.len()),
            match channels {
                1 => "grey",
                _ => "red, green and blue",
            }
        );
        if self.len() < x.shape[0] {
            images += &format!("; a sample of {}", whole(x.shape[0]));
        }
        let order = if x.fortran_order { ", Fortran order" } else { "" };
        let endian = if x.big_endian { ", big-endian" } else { "" };
        let megabytes = with_thousands(self.pixel_bytes() as f64 / 1e6, 1);
        let held = if x.in_file { "mapped from the file" } else { "copied" };
        let form = match (y.form, y.renumbered) {
            (LabelForm::Numbers, false) => "a class id each",
            (LabelForm::Numbers, true) => "a number each, renumbered from 0",
            (LabelForm::OneHot, _) => "a one-hot row each",
            (LabelForm::Strings, _) => "a name each",
        };
        let shown = self.class_names().len().min(CLASSES_SHOWN);
        let mut names = self.class_names()[..shown].join(", ");
        if shown < self.classes() {
            names += &format!(" and {} more", self.classes() - shown);
        }
        let counts = self.class_counts();
        let (fewest, most) = (counts.iter().min().copied(), counts.iter().max().copied());
        let (fewest, most) = (fewest.unwrap_or(0), most.unwrap_or(0));
        let a_class = if fewest == most {
            whole(most)
        } else {
            format!("{} to {}", whole(fewest), whole(most))
        };
        Table::new([Column::text("Data set"), Column::text("")])
            .row(["Images".into(), images.into()])
            .row([
                "X.npy".into(),
                format!("shape {}, {}{order}{endian}", shown_shape(&x.shape), x.dtype).into(),
            ])
            .row([
                "Values".into(),
                format!("{} to {}, {}", x.smallest, x.largest, x.scaling).into(),
            ])
            .row(["Memory".into(), format!("{megabytes} MB of uint8, {held}").into()])
            .row([
                "y.npy".into(),
                format!("shape {}, {}, {form}", shown_shape(&y.shape), y.dtype).into(),
            ])
            .row(["Classes".into(), format!("{}: {names}", self.classes()).into()])
            .row(["Images a class".into(), a_class.into()])
    }

    /// Shows [`Dataset::table`] as the result of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
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
    /// # Errors
    /// As [`Dataset::image`].
    ///
    /// # Panics
    /// If `image` is not below [`Subset::len`].
    pub fn image(&self, image: usize) -> Result<Cow<'_, [u8]>> {
        self.dataset.image(self.indices[image])
    }

    /// As [`Subset::image`] for several; those that stay in the file are fetched at once, to `buffer`.
    pub(crate) fn fetch<'a>(
        &'a self,
        images: &[usize],
        buffer: &'a mut Vec<u8>,
    ) -> Result<Vec<&'a [u8]>> {
        self.dataset.fetch(images.iter().map(|&image| self.indices[image]), buffer)
    }

    /// Shows `visit` each image's place and pixels, in order; those that stay in the file are fetched many at a time.
    pub(crate) fn each_image(&self, mut visit: impl FnMut(usize, &[u8])) -> Result<()> {
        let at_once = (FETCHED / self.dataset.image_shape().pixels()).max(1);
        let (mut position, mut buffer) = (0, Vec::new());
        for images in self.indices.chunks(at_once) {
            for pixels in self.dataset.fetch(images.iter().copied(), &mut buffer)? {
                visit(position, pixels);
                position += 1;
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batches::{ImageSource, Normalization};

    /// An `.npy` file in C order.
    fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let shape = shown_shape(shape);
        let head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((head.len() as u16).to_le_bytes());
        bytes.extend(head.as_bytes());
        bytes.extend(data);
        bytes
    }

    /// Ten images of 1 x 3 pixels, image i with the pixels 10 i, 10 i + 1, 10 i + 2; six of class 0, four of class 1.
    fn ten_images() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let pixels: Vec<u8> =
            (0..10).flat_map(|image| [10 * image, 10 * image + 1, 10 * image + 2]).collect();
        std::fs::write(folder.path().join("X.npy"), npy("|u1", &[10, 1, 3], &pixels)).unwrap();
        let labels = [0, 1, 0, 0, 1, 0, 1, 0, 1, 0];
        std::fs::write(folder.path().join("y.npy"), npy("|u1", &[10], &labels)).unwrap();
        folder
    }

    #[test]
    fn images_that_stay_in_their_file_have_the_pixels_of_copied_ones() {
        let folder = ten_images();
        let copied =
            Dataset::load_copying(folder.path(), 30, Memory { available: Some(30) }).unwrap();
        let in_file =
            Dataset::load_copying(folder.path(), 29, Memory { available: Some(0) }).unwrap();
        assert!(!copied.found_images().in_file && in_file.found_images().in_file);
        assert_eq!(*in_file.image(7).unwrap(), [70, 71, 72]);
        for image in 0..10 {
            assert_eq!(copied.image(image).unwrap(), in_file.image(image).unwrap());
        }
        assert_eq!((in_file.pixel_bytes(), in_file.info()), (30, copied.info()));
        assert!(in_file.table().to_text().contains("mapped from the file"));
    }

    #[test]
    fn a_batch_of_images_in_their_file_is_that_of_copied_ones() {
        let folder = ten_images();
        let load = |largest_copy| {
            let memory = Memory { available: Some(30) };
            let dataset = Dataset::load_copying(folder.path(), largest_copy, memory).unwrap();
            dataset.take_stratified(9, 1).unwrap().subset(vec![8, 0, 3, 3, 1]).unwrap()
        };
        let (copied, in_file) = (load(30), load(29));
        // Backwards, repeated, none, and more than the kernel copies with one call.
        let many: Vec<usize> = (0..3000).map(|place| place * place % 5).collect();
        for positions in [&[4, 2, 3, 2][..], &[], &many] {
            let expected: Vec<_> =
                positions.iter().map(|&position| copied.image(position).unwrap()).collect();
            for subset in [&copied, &in_file] {
                // What is left in it of the last batch is in nobody's way.
                let mut buffer = vec![255; 100];
                assert_eq!(expected, subset.fetch(positions, &mut buffer).unwrap());
            }
        }
        let batch = |subset: &Subset| {
            let source = ImageSource::new(subset, Normalization::default(), Default::default());
            source.pixels(&[4, 2, 3, 2], false).unwrap()
        };
        assert_eq!(batch(&in_file), batch(&copied));
    }

    #[test]
    fn each_image_is_visited_once_and_in_order() {
        let folder = ten_images();
        // More than are fetched at a time.
        let order: Vec<usize> = (0..FETCHED).map(|place| place * 7 % 10).collect();
        for largest_copy in [30, 29] {
            let memory = Memory { available: Some(30) };
            let dataset = Dataset::load_copying(folder.path(), largest_copy, memory).unwrap();
            let mut visited = Vec::new();
            dataset
                .subset(order.clone())
                .unwrap()
                .each_image(|position, pixels| {
                    assert_eq!(position, visited.len());
                    assert_eq!(pixels, [pixels[0], pixels[0] + 1, pixels[0] + 2]);
                    visited.push(usize::from(pixels[0] / 10));
                })
                .unwrap();
            assert!(visited == order);
        }
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_in_use_is_an_error() {
        let folder = ten_images();
        let memory = Memory { available: Some(0) };
        let dataset = Dataset::load_copying(folder.path(), 29, memory).unwrap();
        let copied = Dataset::load(folder.path()).unwrap();
        let path = folder.path().join("X.npy");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length - 4).unwrap();
        // What is still there can be used.
        assert_eq!(*dataset.image(7).unwrap(), [70, 71, 72]);
        let expected = format!(
            "{}: expected the file to stay as it was, found that it got shorter while it was in use; put it back and \
             load it again",
            path.display()
        );
        for image in [8, 9] {
            assert_eq!(dataset.image(image).unwrap_err().to_string(), expected);
        }
        let config = SplitConfig { stratify: false, ..SplitConfig::default() };
        let split = dataset.split(config).unwrap();
        let network = || crate::models::Sequential::new(dataset.image_shape()).flatten().dense(2);
        let fit = network().build(1).unwrap().fit(&split, Default::default());
        assert_eq!(fit.unwrap_err().to_string(), expected);
        let whole = dataset.subset((0..10).collect()).unwrap();
        let predicted = network().build(1).unwrap().predict(&whole);
        assert_eq!(predicted.unwrap_err().to_string(), expected);
        let shown = crate::plot::show_images(&dataset, &[9], 1);
        assert_eq!(shown.unwrap_err().to_string(), expected);
        // Images in memory do not ask the file.
        file.set_len(0).unwrap();
        assert_eq!(*copied.image(9).unwrap(), [90, 91, 92]);
    }

    #[test]
    fn images_that_do_not_fit_into_memory_are_refused_before_they_are_read() {
        let folder = ten_images();
        let load = |available| {
            let memory = Memory { available: Some(available) };
            Dataset::load_copying(folder.path(), 30, memory).map_err(|error| error.to_string())
        };
        assert_eq!(load(30).unwrap().len(), 10);
        let text = load(29).unwrap_err();
        let path = folder.path().join("X.npy").display().to_string();
        let start = format!(
            "not enough memory: loading the images of {path} takes 30 bytes, and 29 bytes are"
        );
        assert!(text.starts_with(&start), "{text}");
        assert!(text.contains("; close other programs, or save fewer or smaller images"), "{text}");
        // A mask is plain, but black and white become 0 and 255: it is copied, whatever its size.
        let mask: Vec<u8> = (0..30).map(|value| value % 2).collect();
        std::fs::write(folder.path().join("X.npy"), npy("|u1", &[10, 1, 3], &mask)).unwrap();
        let memory = Memory { available: Some(29) };
        assert!(Dataset::load_copying(folder.path(), 29, memory).is_err());
    }

    #[test]
    fn parts_of_a_sample_show_the_images_of_the_whole() {
        let folder = ten_images();
        let whole = Dataset::load(folder.path()).unwrap();
        let sample = whole.take_stratified(5, 3).unwrap();
        assert_eq!(sample.class_counts(), [3, 2]);
        assert_eq!(sample.info().shape, [5, 1, 3]);
        let subset = sample.subset(vec![4, 0]).unwrap();
        for place in 0..2 {
            let first_pixel = subset.image(place).unwrap()[0];
            assert_eq!(subset.labels()[place], whole.labels()[usize::from(first_pixel / 10)]);
        }
        assert_eq!(subset.image(0).unwrap(), sample.image(4).unwrap());
    }

    #[test]
    fn a_sample_of_nothing_or_of_more_than_there_is_is_everything() {
        let whole = Dataset::load(ten_images().path()).unwrap();
        for n in [0, 10, 11] {
            assert_eq!(whole.take_stratified(n, 1).unwrap().labels(), whole.labels());
        }
    }

    #[test]
    fn a_sample_may_leave_fewer_images_than_there_are_classes() {
        let whole = Dataset::load(ten_images().path()).unwrap();
        assert_eq!(whole.take_stratified(9, 1).unwrap().len(), 9);
    }

    #[test]
    fn a_sample_smaller_than_the_number_of_classes_is_refused() {
        let text = Dataset::load(ten_images().path())
            .unwrap()
            .take_stratified(1, 1)
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "`n` must be 0, for all images, or at least 2, an image of each class, got 1; 2000 images are enough to \
             try something out"
        );
    }

    #[test]
    fn the_three_parts_of_a_split_share_no_image() {
        let dataset = Dataset::load(ten_images().path()).unwrap();
        let split = dataset
            .split(SplitConfig { test: 0.2, validation: 0.25, ..SplitConfig::default() })
            .unwrap();
        assert_eq!([split.train.len(), split.validation.len(), split.test.len()], [6, 2, 2]);
        let mut all =
            [split.train.indices(), split.validation.indices(), split.test.indices()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(split.test.class_counts(), [1, 1]);
        assert_eq!(
            format!("{split:?}"),
            "Split: 6 train, 2 validation, 2 test images (seed 42, stratified)"
        );
    }

    #[test]
    fn a_share_that_cannot_be_is_named_as_the_setting_it_is() {
        let dataset = Dataset::load(ten_images().path()).unwrap();
        let config = SplitConfig { test: 0.2, validation: 1.2, ..SplitConfig::default() };
        let text = dataset.split(config).unwrap_err().to_string();
        assert_eq!(text, "`validation` must be above 0 and below 1, got 1.2; 0.12 keeps 12%");
    }

    #[test]
    fn places_outside_the_data_set_are_refused() {
        let text = Dataset::load(ten_images().path())
            .unwrap()
            .subset(vec![3, 10])
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "`indices` must be places below 10, the number of images, got 10; take them from a split of this very data \
             set"
        );
    }
}
