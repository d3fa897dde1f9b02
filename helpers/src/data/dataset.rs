//! Images with their labels, as `u8`.
//!
//! An image is height x width x channels bytes, row by row, channels last; a label is a class id in `0..classes`.
//! Start at [`Dataset::load`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::image_file::{ImageFile, Limits};
use super::images::{FoundImages, ImageShape, Images};
use super::info::{DatasetInfo, LazyDatasetInfo};
use super::labels::{FoundLabels, LabelFile, LabelForm};
use super::model_selection::take_stratified;
use crate::error::{Error, Result};
use crate::system::memory::Memory;
use crate::text::break_markers;

/// Images with their labels. A clone is cheap: the pixels are shared.
#[derive(Clone)]
pub struct Dataset {
    loaded: Arc<Loaded>,
    /// Rows of the files that are in this data set, in order; none for all of them.
    rows: Option<Arc<[usize]>>,
    labels: Arc<[i64]>,
}

/// What was loaded; all clones and samples share it.
struct Loaded {
    folder: PathBuf,
    images: Images,
    class_names: Vec<String>,
    labels_found: FoundLabels,
    labels_sha256: String,
}

impl Dataset {
    /// [`Dataset::load`] that repeatedly calls `on_progress` with the share of `X.npy` that was read, in 0..=1; an error from it
    /// ends the loading.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load_with_progress(
        folder: impl AsRef<Path>,
        on_progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Dataset> {
        Dataset::load_limited(folder.as_ref(), Limits::default(), Memory::now(), on_progress)
    }

    /// [`Dataset::load`] that reads and checks all of `X.npy` first, whatever its type, unless it is `uint8`. For a file whose
    /// scaling a sample of its values does not tell.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load_whole(folder: impl AsRef<Path>) -> Result<Dataset> {
        let limits = Limits { largest_whole: u64::MAX, ..Limits::default() };
        Dataset::load_limited(folder.as_ref(), limits, Memory::now(), &mut |_| Ok(()))
    }

    fn load_limited(
        folder: &Path,
        limits: Limits,
        memory: Memory,
        on_progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Dataset> {
        // Both headers first, so that a wrong file is reported before a large one is read.
        let images = ImageFile::open(&folder.join("X.npy"))?;
        let labels = LabelFile::open(&folder.join("y.npy"), images.count)?;
        let labels = labels.read(&folder.join("classes.txt"))?;
        let images = images.read(limits, memory, on_progress)?;
        let loaded = Loaded {
            folder: folder.to_owned(),
            images,
            // A notebook may print a name unchanged, and evcxr must not take it for a line of its protocol.
            class_names: labels.class_names.iter().map(|name| break_markers(name)).collect(),
            labels_found: labels.found,
            labels_sha256: labels.sha256,
        };
        Ok(Dataset { loaded: Arc::new(loaded), rows: None, labels: labels.ids.into() })
    }

    /// The images of one `.npy` file, read like `X.npy`, for predictions. Their classes are unknown: each has class id
    /// 0, named `unknown`.
    ///
    /// # Errors
    /// As [`Dataset::load`] for `X.npy`.
    pub fn load_unlabelled(path: impl AsRef<Path>) -> Result<Dataset> {
        let path = path.as_ref();
        let limits = Limits::default();
        let images = ImageFile::open(path)?.read(limits, Memory::now(), &mut |_| Ok(()))?;
        Ok(Dataset::without_labels(path.parent().unwrap_or(Path::new("")), images))
    }

    /// Images in memory, for predictions: `pixels` holds one after the other, each height x width x channels bytes, row
    /// by row, channels last. The classes are as in [`Dataset::load_unlabelled`].
    ///
    /// # Errors
    /// If there is no image, or the last one is not whole.
    pub fn unlabelled(shape: ImageShape, pixels: Vec<u8>) -> Result<Dataset> {
        let whole = shape.pixels() > 0 && pixels.len().is_multiple_of(shape.pixels());
        if !whole || pixels.is_empty() {
            let expected = format!(
                "a multiple of {} values, those of an image, and not empty",
                shape.pixels()
            );
            let advice = "put the pixels of whole images one after the other";
            return Err(Error::parameter("pixels", expected, pixels.len(), advice));
        }
        Ok(Dataset::without_labels(Path::new(""), Images::in_memory(shape, pixels)))
    }

    fn without_labels(folder: &Path, images: Images) -> Dataset {
        let count = images.count;
        let labels_found = FoundLabels {
            shape: vec![count],
            dtype: "int64".to_owned(),
            form: LabelForm::Numbers,
            renumbered: false,
        };
        let loaded = Loaded {
            folder: folder.to_owned(),
            images,
            class_names: vec!["unknown".to_owned()],
            labels_found,
            labels_sha256: String::new(),
        };
        Dataset { loaded: Arc::new(loaded), rows: None, labels: vec![0; count].into() }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is no image; never for a data set that was loaded.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The folder the files are in.
    pub fn folder(&self) -> &Path {
        &self.loaded.folder
    }

    /// Height, width and channels of every image.
    pub fn image_shape(&self) -> ImageShape {
        self.loaded.images.shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.loaded.class_names.len()
    }

    /// The name of each class, by class id. They come from data: escape them before they meet HTML. None is a marker of
    /// evcxr's protocol: `EVCXR_` became `EVCXR-`.
    pub fn class_names(&self) -> &[String] {
        &self.loaded.class_names
    }

    /// The class id of each image, in `0..classes`.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// The pixels of one image: height x width x channels bytes, row by row, channels last.
    ///
    /// # Errors
    /// If `image` is not below [`Dataset::len`], if the file was found to hold wrong values meanwhile, or if the pixels are
    /// read from the file, which is no longer readable or was shortened: always ([`FoundImages::in_file`]), or because they
    /// are not copied yet.
    pub fn image(&self, image: usize) -> Result<Cow<'_, [u8]>> {
        if image >= self.len() {
            let expected = format!("below {}, the number of images", self.len());
            return Err(Error::parameter("image", expected, image, "images are counted from 0"));
        }
        self.loaded.images.image(self.row(image))
    }

    /// [`Dataset::image`] for several images; pixels that stay in the file are read into `buffer`.
    pub(super) fn fetch<'a>(
        &'a self,
        images: impl Iterator<Item = usize>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Vec<&'a [u8]>> {
        self.loaded.images.fetch(images.map(|image| self.row(image)), buffer)
    }

    /// The row of X.npy that holds an image; in a sample of [`Dataset::take_stratified`] it differs from the image's
    /// index.
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

    /// The description for metrics and model files: images, shape, classes, and the hashes of both files. Waits until
    /// `X.npy` was read to its end, which continues in the background after [`Dataset::load`].
    ///
    /// # Errors
    /// If a value of `X.npy` is wrong, or contradicts the scaling that a sample of them asked for, or if the file could not
    /// be read to the end of that check.
    pub fn info(&self) -> Result<DatasetInfo> {
        self.loaded.images.file_facts.checked()?;
        Ok(self.lazy_info().into())
    }

    /// Fails as [`Dataset::info`], but waits only if `X.npy` has values that must be checked.
    pub(crate) fn check(&self) -> Result<()> {
        self.loaded.images.file_facts.check()
    }

    /// [`Dataset::info`] for later: waits when it is first used. It does not keep the pixels in memory.
    pub(crate) fn lazy_info(&self) -> LazyDatasetInfo {
        let ImageShape { height, width, channels } = self.loaded.images.shape;
        let mut shape = vec![self.len(), height, width];
        if channels > 1 {
            shape.push(channels);
        }
        let without_hash = DatasetInfo {
            images: self.len(),
            shape,
            classes: self.classes(),
            sampled_from: self.sampled_from(),
            x_sha256: String::new(),
            y_sha256: self.loaded.labels_sha256.clone(),
        };
        let file_facts = Arc::clone(&self.loaded.images.file_facts);
        let of = Arc::clone(&file_facts);
        let hash = move || file_facts.get().sha256.clone();
        LazyDatasetInfo::new(move || DatasetInfo { x_sha256: hash(), ..without_hash }).of_file(of)
    }

    /// What was found in X.npy: type, order, range, and how its values became `u8`. Waits as [`Dataset::info`].
    ///
    /// # Errors
    /// As [`Dataset::info`].
    pub fn found_images(&self) -> Result<&FoundImages> {
        self.loaded.images.found()
    }

    /// What was found in y.npy: type, form, and whether its numbers were numbered anew.
    pub fn found_labels(&self) -> &FoundLabels {
        &self.loaded.labels_found
    }

    /// True when this is a sample of the images that were read.
    pub fn is_sample(&self) -> bool {
        self.len() < self.loaded.images.count
    }

    /// Number of images in the files, if this is a sample of them.
    pub(crate) fn sampled_from(&self) -> Option<usize> {
        self.is_sample().then_some(self.loaded.images.count)
    }

    /// Bytes of the pixels, in memory or, when [`FoundImages::in_file`], in the file.
    pub fn pixel_bytes(&self) -> usize {
        self.loaded.images.bytes()
    }

    /// A sample of images with the classes in the proportions of the whole; all of them when `sample` is 0 or at least
    /// their number.
    ///
    /// They are the ones scikit-learn takes by `train_test_split(X, y, train_size=sample, stratify=y,
    /// random_state=random_state)`, in that order.
    ///
    /// # Errors
    /// If `sample` is below the number of classes, or `random_state` does not fit into 32 bits.
    pub fn take_stratified(&self, sample: usize, random_state: u64) -> Result<Dataset> {
        if sample == 0 || sample >= self.len() {
            return Ok(self.clone());
        }
        let indices = take_stratified(&self.labels, sample, random_state)?;
        Ok(Dataset {
            loaded: Arc::clone(&self.loaded),
            rows: Some(indices.iter().map(|&index| self.row(index)).collect()),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
        })
    }
}

pub(super) fn count_classes(labels: impl Iterator<Item = i64>, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for label in labels {
        counts[label as usize] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::data::batches::{ImageSource, Normalization};
    use crate::data::images::{FileFacts, Pixels};
    use crate::data::scaling::Scaling;
    use crate::data::test_files::{folder, npy};
    use crate::data::{SplitConfig, Subset};
    use crate::training::{Callback, Callbacks, TrainingState};

    fn load_copying(
        folder: &Path,
        largest_copy: u64,
        memory: Memory,
        on_progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Dataset> {
        let limits = Limits { largest_copy, ..Limits::default() };
        Dataset::load_limited(folder, limits, memory, on_progress)
    }

    /// Ten images of 1 x 3 pixels, image i with the pixels 10 i, 10 i + 1, 10 i + 2; six of class 0, four of class 1.
    fn ten_images() -> tempfile::TempDir {
        let pixels: Vec<u8> =
            (0..10).flat_map(|image| [10 * image, 10 * image + 1, 10 * image + 2]).collect();
        let labels = [0, 1, 0, 0, 1, 0, 1, 0, 1, 0];
        folder(&npy("|u1", &[10, 1, 3], &pixels), &npy("|u1", &[10], &labels))
    }

    #[test]
    fn images_that_stay_in_their_file_have_the_pixels_of_copied_ones() {
        let folder = ten_images();
        let copied =
            load_copying(folder.path(), 30, Memory { available: Some(30) }, &mut |_| Ok(()))
                .unwrap();
        let in_file =
            load_copying(folder.path(), 29, Memory { available: Some(0) }, &mut |_| Ok(()))
                .unwrap();
        assert!(!copied.found_images().unwrap().in_file && in_file.found_images().unwrap().in_file);
        assert_eq!(*in_file.image(7).unwrap(), [70, 71, 72]);
        for image in 0..10 {
            assert_eq!(copied.image(image).unwrap(), in_file.image(image).unwrap());
        }
        assert_eq!((in_file.pixel_bytes(), in_file.info().unwrap()), (30, copied.info().unwrap()));
        assert!(in_file.table().to_text().contains("read from the file"));
    }

    /// As an interrupt does: `Dataset::load` asks for one with each piece.
    #[test]
    fn an_error_of_who_watches_ends_the_loading() {
        let bytes = ten_images();
        let floats = [0.25f32; 30].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let labels = npy("|u1", &[10], &[0, 1, 0, 0, 1, 0, 1, 0, 1, 0]);
        let floats = folder(&npy("<f4", &[10, 1, 3], &floats), &labels);
        for data in [bytes, floats] {
            let mut stop = |_| Err(Error::Interrupted { work: "it".into(), advice: String::new() });
            let stopped = Dataset::load_with_progress(data.path(), &mut stop);
            assert!(matches!(stopped, Err(Error::Interrupted { .. })));
        }
    }

    /// Floats within 0 to 1 are read once; the last values of the others ask for another scaling than the first ones.
    #[test]
    fn whoever_watches_sees_all_of_the_file_read() {
        let size = 128 * 1024;
        let labels = npy("|u1", &[4], &[0, 1, 1, 0]);
        for (last, readings) in [(0.5f32, 1), (100.0, 2)] {
            let value = |index: usize| if index < 3 * size { 0.25 } else { last };
            let bytes: Vec<u8> =
                (0..4 * size).flat_map(|index| value(index).to_le_bytes()).collect();
            let folder = folder(&npy("<f4", &[4, 128, 1024], &bytes), &labels);
            let mut shares = Vec::new();
            let mut watch = |share| {
                shares.push(share);
                Ok(())
            };
            Dataset::load_with_progress(folder.path(), &mut watch).unwrap();
            assert_eq!(
                shares.iter().filter(|&&share| share == 1.0).count(),
                readings,
                "{shares:?}"
            );
            assert_eq!(shares.last(), Some(&1.0));
        }
    }

    #[test]
    fn a_batch_of_images_in_their_file_is_that_of_copied_ones() {
        let folder = ten_images();
        let load = |largest_copy| {
            let memory = Memory { available: Some(30) };
            let dataset =
                load_copying(folder.path(), largest_copy, memory, &mut |_| Ok(())).unwrap();
            dataset.take_stratified(9, 1).unwrap().subset(vec![8, 0, 3, 3, 1]).unwrap()
        };
        let (copied, in_file) = (load(30), load(29));
        // Backwards, repeated, none, and many.
        let many: Vec<usize> = (0..3000).map(|index| index * index % 5).collect();
        for positions in [&[4, 2, 3, 2][..], &[], &many] {
            let expected: Vec<_> =
                positions.iter().map(|&position| copied.image(position).unwrap()).collect();
            for subset in [&copied, &in_file] {
                // Values of an earlier batch in the buffer do not matter.
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
    fn a_file_that_is_cut_while_it_is_in_use_is_an_error() {
        let folder = ten_images();
        let memory = Memory { available: Some(0) };
        let dataset = load_copying(folder.path(), 29, memory, &mut |_| Ok(())).unwrap();
        let copied = Dataset::load(folder.path()).unwrap();
        let path = folder.path().join("X.npy");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length - 4).unwrap();
        // The pixels before the cut can still be read.
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
        // Images that were copied into memory do not need the file.
        file.set_len(0).unwrap();
        assert_eq!(*copied.image(9).unwrap(), [90, 91, 92]);
    }

    /// By a flag, not by a clock: nobody has waited for what needs the whole file.
    #[test]
    fn a_file_of_bytes_is_open_before_it_is_read_to_its_end() {
        let [height, width] = [512, 640];
        let size = height * width;
        let pixels: Vec<u8> = (0..4 * size).map(|index| (index >> 12) as u8).collect();
        let labels = npy("|u1", &[4], &[0, 1, 1, 0]);
        for largest_copy in [1 << 30, 0] {
            let folder = folder(&npy("|u1", &[4, height, width], &pixels), &labels);
            let memory = Memory { available: Some(1 << 30) };
            let load = load_copying(folder.path(), largest_copy, memory, &mut |_| Ok(()));
            let dataset = load.unwrap();
            let facts = &dataset.loaded.images.file_facts;
            assert!(!facts.are_known());
            let mut buffer = Vec::new();
            let fetched = dataset.fetch([3, 0, 1].into_iter(), &mut buffer).unwrap();
            for (image, fetched) in [3, 0, 1].into_iter().zip(fetched) {
                assert_eq!(fetched, &pixels[image * size..][..size]);
            }
            assert!(!facts.are_known());
            let found = dataset.found_images().unwrap();
            assert_eq!((found.smallest, found.largest), (0.0, 255.0));
            assert_eq!(found.in_file, largest_copy == 0);
            let file = std::fs::read(folder.path().join("X.npy")).unwrap();
            assert_eq!(dataset.info().unwrap().x_sha256, format!("{:x}", Sha256::digest(file)));
            // What is copied does not need the file.
            let file = std::fs::File::options().write(true).open(folder.path().join("X.npy"));
            file.unwrap().set_len(0).unwrap();
            assert_eq!(dataset.image(2).is_ok(), largest_copy > 0);
            assert_eq!(dataset.fetch([2].into_iter(), &mut buffer).is_ok(), largest_copy > 0);
        }
    }

    /// The first piece of the file holds two images. By a flag, not by a clock: nobody has waited for the hash.
    #[test]
    fn floats_have_the_scaling_of_all_of_them_and_are_loaded_before_they_are_hashed() {
        let [height, width] = [128, 1024];
        let size = height * width;
        let level = |index: usize| (index % 256) as f32;
        let labels = npy("|u1", &[4], &[0, 1, 1, 0]);
        let write = |value: &dyn Fn(usize) -> f32| {
            let bytes: Vec<u8> =
                (0..4 * size).flat_map(|index| value(index).to_le_bytes()).collect();
            folder(&npy("<f4", &[4, height, width], &bytes), &labels)
        };
        let unit = |index| level(index) / 255.0;
        let brighter = |index| if index < 2 * size { unit(index) } else { level(index) };
        let check = |value: &dyn Fn(usize) -> f32, largest: f64, [first, last]: [u8; 2]| {
            let folder = write(value);
            let dataset = Dataset::load(folder.path()).unwrap();
            assert_eq!(dataset.image(0).unwrap()[200], first);
            assert_eq!(dataset.image(3).unwrap()[200], last);
            assert!(!dataset.loaded.images.file_facts.are_known());
            let file = std::fs::read(folder.path().join("X.npy")).unwrap();
            assert_eq!(dataset.info().unwrap().x_sha256, format!("{:x}", Sha256::digest(file)));
            assert_eq!(dataset.found_images().unwrap().largest, largest);
        };
        check(&unit, 1.0, [200, 200]);
        check(&brighter, 255.0, [1, 200]);
        let folder = write(&|index| if index == 4 * size - 1 { f32::NAN } else { unit(index) });
        let text = Dataset::load(folder.path()).err().unwrap().to_string();
        assert!(text.contains("found NaN in image 3, row 127, column 1023"), "{text}");
    }

    /// By a flag, not by a clock. The model has the hash when it is saved, though the data set is gone.
    #[test]
    fn a_training_begins_before_the_file_is_read_to_its_end() {
        let [images, height, width] = [64, 128, 160];
        let pixels: Vec<u8> =
            (0..images * height * width).map(|index| (index >> 12) as u8).collect();
        let labels: Vec<u8> = (0..images as u8).map(|image| image % 2).collect();
        let folder =
            folder(&npy("|u1", &[images, height, width], &pixels), &npy("|u1", &[images], &labels));
        let dataset = Dataset::load(folder.path()).unwrap();
        let facts = Arc::downgrade(&dataset.loaded.images.file_facts);
        let network = crate::models::Sequential::new(dataset.image_shape()).flatten().dense(2);
        let mut model = network.build(1).unwrap();
        let parts = [0..48, 48..64].map(|part| dataset.subset(part.collect()).unwrap());
        let config = crate::training::FitConfig { epochs: 1, ..Default::default() };
        model.fit_on(&parts[0], &parts[1], config).unwrap();
        assert!(!facts.upgrade().unwrap().are_known());
        drop((dataset, parts));
        let path = folder.path().join("model.safetensors");
        model.save(&path).unwrap();
        let saved = crate::models::Model::load(&path).unwrap();
        assert_eq!(saved.trained_on(), model.trained_on());
        let file = std::fs::read(folder.path().join("X.npy")).unwrap();
        let hash = format!("{:x}", Sha256::digest(file));
        assert_eq!(saved.trained_on()[0].dataset.x_sha256, hash);
    }

    #[test]
    fn images_that_do_not_fit_into_memory_are_refused_before_they_are_read() {
        let folder = ten_images();
        let load = |available| {
            let memory = Memory { available: Some(available) };
            load_copying(folder.path(), 30, memory, &mut |_| Ok(()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(load(30).unwrap().len(), 10);
        let text = load(29).unwrap_err();
        let path = folder.path().join("X.npy").display().to_string();
        let start = format!(
            "not enough memory: loading the images of {path} takes 30 bytes, and 29 bytes are"
        );
        assert!(text.starts_with(&start), "{text}");
        assert!(text.contains("; close other programs, or save fewer or smaller images"), "{text}");
        // A mask of 0 and 1 is scaled to 0 and 255, so it is copied even beyond the limit.
        let mask: Vec<u8> = (0..30).map(|value| value % 2).collect();
        std::fs::write(folder.path().join("X.npy"), npy("|u1", &[10, 1, 3], &mask)).unwrap();
        let memory = Memory { available: Some(29) };
        assert!(load_copying(folder.path(), 29, memory, &mut |_| Ok(())).is_err());
    }

    #[test]
    fn parts_of_a_sample_show_the_images_of_the_whole() {
        let folder = ten_images();
        let whole = Dataset::load(folder.path()).unwrap();
        let sample = whole.take_stratified(5, 3).unwrap();
        assert_eq!(sample.class_counts(), [3, 2]);
        assert_eq!(sample.info().unwrap().shape, [5, 1, 3]);
        let subset = sample.subset(vec![4, 0]).unwrap();
        for position in 0..2 {
            let first_pixel = subset.image(position).unwrap()[0];
            assert_eq!(subset.labels()[position], whole.labels()[usize::from(first_pixel / 10)]);
        }
        assert_eq!(subset.image(0).unwrap(), sample.image(4).unwrap());
    }

    #[test]
    fn images_without_labels_have_the_pixels_of_labelled_ones() {
        let folder = ten_images();
        let labelled = Dataset::load(folder.path()).unwrap();
        let from_file = Dataset::load_unlabelled(folder.path().join("X.npy")).unwrap();
        let pixels =
            (0..10).flat_map(|image| labelled.image(image).unwrap().into_owned()).collect();
        let from_memory = Dataset::unlabelled(labelled.image_shape(), pixels).unwrap();
        for images in [&from_file, &from_memory] {
            assert_eq!(
                (images.len(), images.info().unwrap().shape),
                (10, labelled.info().unwrap().shape)
            );
            assert_eq!(images.image(7).unwrap(), labelled.image(7).unwrap());
            assert_eq!(images.found_images().unwrap().largest, 92.0);
            assert_eq!(
                (images.class_names(), images.class_counts()),
                (&["unknown".to_owned()][..], vec![10])
            );
        }
        for pixels in [vec![], vec![1, 2]] {
            let error =
                Dataset::unlabelled(labelled.image_shape(), pixels).err().unwrap().to_string();
            assert!(error.contains("a multiple of 3 values"), "{error}");
        }
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
            "`sample` must be 0, for all images, or at least 2, an image of each class, got 1; 2000 images are enough to \
             try something out"
        );
    }

    #[test]
    fn indices_outside_the_data_set_are_refused() {
        let text = Dataset::load(ten_images().path())
            .unwrap()
            .subset(vec![3, 10])
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "`indices` must be below 10, the number of images, got 10; take them from a split of this very data set"
        );
    }

    const UNIT: Scaling = Scaling::Range { black: 0.0, white: 1.0 };

    /// A data set of two classes whose file was opened with this scaling. It is not read to its end before the sender sends.
    fn unread(folder: &Path, guess: Scaling) -> (Dataset, mpsc::Sender<()>) {
        let file = ImageFile::open(&folder.join("X.npy")).unwrap();
        let (shape, count) = (file.shape, file.count);
        let (pixels, conversion) = file.unread(guess).unwrap();
        let (go, wait) = mpsc::channel();
        let facts = FileFacts::later(move |needed| {
            let _ = wait.recv();
            conversion.run(needed)
        });
        let (pixels, file_facts) = (Pixels::File(pixels), facts.with_checks().into());
        let images = Images { shape, count, pixels, file_facts };
        let dataset = Dataset::without_labels(folder, images);
        let mut loaded = Arc::into_inner(dataset.loaded).unwrap();
        loaded.class_names = vec!["a".to_owned(), "b".to_owned()];
        let labels = (0..count as i64).map(|image| image % 2).collect();
        (Dataset { loaded: Arc::new(loaded), rows: None, labels }, go)
    }

    /// Twelve images of 1 x 25 pixels, with labels. `encode` gives the bytes of a value, the most significant one last.
    fn twelve_images(
        descr: &str,
        encode: &dyn Fn(f64) -> Vec<u8>,
        value: &dyn Fn(usize) -> f64,
    ) -> tempfile::TempDir {
        let bytes: Vec<u8> = (0..300)
            .flat_map(|index| {
                let mut bytes = encode(value(index));
                if descr.starts_with('>') {
                    bytes.reverse();
                }
                bytes
            })
            .collect();
        let labels: Vec<u8> = (0..12).map(|image| image % 2).collect();
        folder(&npy(descr, &[12, 1, 25], &bytes), &npy("|u1", &[12], &labels))
    }

    fn single(value: f64) -> Vec<u8> {
        (value as f32).to_le_bytes().to_vec()
    }

    #[test]
    fn images_of_an_unread_file_of_any_type_are_those_of_one_that_was_read_first() {
        type Encode = fn(f64) -> Vec<u8>;
        type Value = fn(usize) -> f64;
        let double: Encode = |value| value.to_le_bytes().to_vec();
        let short: Encode = |value| (value as i16).to_le_bytes().to_vec();
        let long: Encode = |value| (value as i64).to_le_bytes().to_vec();
        let half: Encode = |value| half::f16::from_f64(value).to_le_bytes().to_vec();
        let level: Value = |index| (index * 37 % 256) as f64;
        let unit: Value = |index| (index * 37 % 256) as f64 / 255.0;
        let signed: Value = |index| (index * 37 % 256) as f64 / 127.5 - 1.0;
        let truth: Value = |index| (index % 3 / 2) as f64;
        let both = Scaling::Range { black: -1.0, white: 1.0 };
        let cases: [(&[&str], Encode, Value, Scaling); 9] = [
            (&["<f4", ">f4"], single, unit, UNIT),
            (&["<f4", ">f4"], single, signed, both),
            (&["<f4", ">f4"], single, level, Scaling::AsIs),
            (&["<f8", ">f8"], double, unit, UNIT),
            (&["<f8", ">f8"], double, signed, both),
            (&["<f2", ">f2"], half, unit, UNIT),
            (&["<i2", ">i2"], short, level, Scaling::AsIs),
            (&["<i8", ">i8"], long, level, Scaling::AsIs),
            (&["|b1"], |value| vec![value as u8], truth, UNIT),
        ];
        for (descrs, encode, value, scaling) in cases {
            for descr in descrs {
                let folder = twelve_images(descr, &encode, &value);
                let read = Dataset::load_whole(folder.path()).unwrap();
                assert_eq!(read.found_images().unwrap().scaling, scaling, "{descr}");
                let file = ImageFile::open(&folder.path().join("X.npy")).unwrap();
                assert_eq!(file.likely_scaling().unwrap(), Some(scaling), "{descr}");
                let (dataset, go) = unread(folder.path(), scaling);
                let facts = &dataset.loaded.images.file_facts;
                let rows = [11, 0, 3, 4, 5, 5];
                let check = || {
                    let (mut buffer, mut expected) = (vec![9; 50], Vec::new());
                    let fetched = dataset.fetch(rows.into_iter(), &mut buffer).unwrap();
                    assert_eq!(fetched, read.fetch(rows.into_iter(), &mut expected).unwrap());
                    assert_eq!(dataset.image(7).unwrap(), read.image(7).unwrap());
                };
                check();
                assert!(!facts.are_known());
                go.send(()).unwrap();
                let hash = |dataset: &Dataset| dataset.info().unwrap().x_sha256;
                assert_eq!(hash(&dataset), hash(&read));
                assert_eq!(dataset.found_images().unwrap(), read.found_images().unwrap());
                // What is copied does not need the file.
                std::fs::write(folder.path().join("X.npy"), "").unwrap();
                check();
            }
        }
    }

    /// The wrong value is in the last image. Where reading all first fails, too, the text is the same.
    #[test]
    fn a_wrong_value_far_back_is_an_error_for_all_who_keep_results() {
        let level = |index: usize| (index * 37 % 256) as f64;
        let contradiction = |found: &str, range: &str| {
            format!(
                "expected values from {range}, because those of a sample of the file are, found {found} in image 11, row \
                 0, column 23; load it with `Dataset::load_whole`, which reads all values before it scales them, or save \
                 it as uint8"
            )
        };
        for (descr, guess, last, contradicts) in [
            ("<f4", UNIT, f64::NAN, None),
            (">f4", UNIT, f64::INFINITY, None),
            ("<f4", UNIT, -7.0, None),
            ("<f4", Scaling::AsIs, 1e6, None),
            ("|b1", UNIT, 2.0, None),
            ("<f4", UNIT, 37.0, Some(contradiction("37", "0 to 1"))),
            ("<i2", Scaling::AsIs, 4095.0, Some(contradiction("4095", "0 to 255"))),
        ] {
            let value = |index: usize| match (index, guess, descr) {
                (298, ..) => last,
                (_, _, "|b1") => (index % 2) as f64,
                (_, Scaling::AsIs, _) => level(index),
                _ => level(index) / 255.0,
            };
            let encode = |value: f64| match descr {
                "|b1" => vec![value as u8],
                "<i2" => (value as i16).to_le_bytes().to_vec(),
                _ => single(value),
            };
            let folder = twelve_images(descr, &encode, &value);
            let path = folder.path().join("X.npy").display().to_string();
            let expected = match contradicts {
                Some(text) => format!("{path}: {text}"),
                None => Dataset::load_whole(folder.path()).unwrap_err().to_string(),
            };
            let (dataset, go) = unread(folder.path(), guess);
            let says = |error: Option<Error>| assert_eq!(error.unwrap().to_string(), expected);
            assert!(dataset.image(10).is_ok());
            go.send(()).unwrap();
            says(dataset.image(11).err());
            says(dataset.info().err());
            says(dataset.found_images().err());
            says(dataset.check().err());
            // The thread has found it, so no image is to be had any more.
            says(dataset.image(0).err());
            assert!(dataset.table().to_text().contains("expected"), "{}", dataset.table());
        }
    }

    /// Lets the file be read when the training is over.
    struct AtTheEnd(mpsc::Sender<()>);

    impl Callback for AtTheEnd {
        fn on_epoch_end(&mut self, _: &mut TrainingState<'_>) -> Result<()> {
            self.0.send(()).unwrap();
            Ok(())
        }
    }

    #[test]
    fn a_training_ends_in_the_error_and_its_model_is_not_saved() {
        let value = |index: usize| match index {
            298 => f64::NAN,
            _ => (index * 37 % 256) as f64 / 255.0,
        };
        let folder = twelve_images("<f4", &single, &value);
        let (dataset, go) = unread(folder.path(), UNIT);
        // Without the image that is wrong.
        let parts = [0..8, 8..11].map(|part| dataset.subset(part.collect()).unwrap());
        let network = crate::models::Sequential::new(dataset.image_shape()).flatten().dense(2);
        let mut model = network.build(1).unwrap();
        let config = crate::training::FitConfig { epochs: 1, ..Default::default() };
        let callbacks = Callbacks::default().with(AtTheEnd(go));
        let ended = model.fit_on_with(&parts[0], &parts[1], config, callbacks);
        let text = ended.unwrap_err().to_string();
        assert!(text.contains("found NaN in image 11, row 0, column 23"), "{text}");
        assert_eq!(model.predict(&parts[0]).unwrap_err().to_string(), text);
        let path = folder.path().join("model.safetensors");
        assert_eq!(model.save(&path).unwrap_err().to_string(), text);
        assert!(!path.exists());
        // Who only predicts waits, too.
        let (dataset, go) = unread(folder.path(), UNIT);
        let part = dataset.subset((0..8).collect()).unwrap();
        go.send(()).unwrap();
        assert_eq!(model.predict(&part).unwrap_err().to_string(), text);
    }

    #[test]
    fn an_unread_file_that_is_cut_is_an_error() {
        let folder = twelve_images("<f4", &single, &|index| (index % 256) as f64 / 255.0);
        let (dataset, go) = unread(folder.path(), UNIT);
        let file = std::fs::File::options().write(true).open(folder.path().join("X.npy")).unwrap();
        file.set_len(file.metadata().unwrap().len() - 4).unwrap();
        assert_eq!(dataset.image(10).unwrap()[1], 251);
        let text = dataset.image(11).unwrap_err().to_string();
        assert!(text.contains("that it got shorter while it was in use; put it back"), "{text}");
        go.send(()).unwrap();
        let text = dataset.info().unwrap_err().to_string();
        assert!(text.contains("found that it cannot be read to its end any more; put"), "{text}");
    }

    /// A wrong value between two places of the sample, and a file that is darker than 1 up to its last image.
    #[test]
    fn a_file_of_floats_is_open_before_it_is_read_to_its_end() {
        let size = 128 * 1024;
        let limits = Limits { largest_whole: 1 << 20, ..Limits::default() };
        let labels = npy("|u1", &[4], &[0, 1, 1, 0]);
        let load = |value: &dyn Fn(usize) -> f32| {
            let bytes: Vec<u8> =
                (0..4 * size).flat_map(|index| value(index).to_le_bytes()).collect();
            let folder = folder(&npy("<f4", &[4, 128, 1024], &bytes), &labels);
            let memory = Memory { available: Some(1 << 30) };
            let load = Dataset::load_limited(folder.path(), limits, memory, &mut |_| Ok(()));
            (folder, load.unwrap())
        };
        let level = |index: usize| (index % 256) as f32;
        let (folder, dataset) = load(&|index| match index < 3 * size {
            true => level(index) / 255.0,
            false => level(index),
        });
        assert_eq!([0, 3].map(|image| dataset.image(image).unwrap()[200]), [1, 200]);
        assert!(!dataset.loaded.images.file_facts.are_known());
        let found = dataset.found_images().unwrap();
        assert_eq!((found.smallest, found.largest, found.scaling), (0.0, 255.0, Scaling::AsIs));
        let file = std::fs::read(folder.path().join("X.npy")).unwrap();
        assert_eq!(dataset.info().unwrap().x_sha256, format!("{:x}", Sha256::digest(file)));
        let (_folder, dataset) =
            load(&|index| if index == 500_000 { f32::NAN } else { level(index) });
        assert_eq!(dataset.image(0).unwrap()[200], 200);
        let text = dataset.info().unwrap_err().to_string();
        assert!(text.contains("found NaN in image 3, row 104, column 288"), "{text}");
    }
}
