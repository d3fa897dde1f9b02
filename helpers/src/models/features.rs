//! Features: what a network's frozen layers make of each image, computed once and kept on disk.
//!
//! Training only the layers behind frozen ones would compute the same again in every epoch. [`Model::features`] does it
//! once for all images of a data set, [`Model::fit_features`] trains on the result.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::model::{Model, check_room};
use super::model_file::as_bytes;
use super::precision::Precision;
use super::trained_on::TrainedOn;
use crate::data::batches::{ImageSource, Source, identify_images};
use crate::data::{Dataset, Split, Subset};
use crate::display::{Ticker, print_line};
use crate::error::{Error, Result};
use crate::layers::show_shape;
use crate::system::files::{PendingFile, open_regular, read_at, remove_leftovers};
use crate::system::interrupt::InterruptGuard;
use crate::text::{clean_text, duration, shown_path, with_thousands};
use crate::training::{self, Callbacks, FitConfig, History, Objective};

/// How features are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Also of each image's mirror image; training then takes one of the two at random. Twice the time and the room.
    pub mirrored: bool,
    /// The number format of the products, and of the features.
    pub precision: Precision,
}

/// The outputs of a network's frozen layers for each image of a data set, read from disk as they are used. A clone is
/// cheap.
#[derive(Clone)]
pub struct Features {
    /// Where they are kept.
    pub path: PathBuf,
    /// What it took to compute them, now or when they were first computed.
    pub seconds: f64,
    /// Whether they were on disk already.
    pub reused: bool,
    config: FeatureConfig,
    dataset: Dataset,
    /// How many layers they have gone through, and the last one's name.
    layers: usize,
    last_layer: String,
    /// Of those layers' weights.
    weights_sha256: [u8; 32],
    /// Of one image; `(C, H, W)` in channels-last memory, or `(values,)`.
    shape: Vec<i64>,
    file: Arc<File>,
    /// Where the first image's features begin in the file.
    start: u64,
}

/// Images that go through the network at once.
const BATCH: usize = 256;

impl Model {
    /// What the frozen layers make of each image of `dataset`: the layers before the first one that can be trained or
    /// draws at random (see [`Model::freeze`]).
    ///
    /// They are kept in `folder`, under a name that holds the hash of the images, the weights and the settings, and
    /// read from there when they are asked for again; older ones behind the same layer make room. A file that is not as
    /// it was written is computed anew, and why is printed. A line is printed every ten seconds.
    ///
    /// # Errors
    /// If no layer is frozen, the images differ in shape from what the model was built for, or the folder cannot be
    /// written.
    pub fn features(
        &self,
        dataset: &Dataset,
        folder: impl AsRef<Path>,
        config: FeatureConfig,
    ) -> Result<Features> {
        let images = dataset.subset((0..dataset.len()).collect())?;
        self.check_images(&images)?;
        let layers = self.fixed_layers();
        if self.weights_before(layers).is_empty() {
            return Err(Error::parameter(
                "features",
                "asked of a model whose first layers are frozen",
                "a model that is trained from its first layer on",
                "call `freeze()`, then `unfreeze_from()` a later layer",
            ));
        }
        let weights_sha256 = self.weights_hash(layers)?;
        let key = self.features_key(&images, layers, config, &weights_sha256)?;
        let last_layer = self.layer_name(layers - 1).to_owned();
        let stem = format!("features_{last_layer}_");
        let path = folder.as_ref().join(format!("{stem}{}.safetensors", &key[..16]));
        let shape = self.output_of(layers - 1).to_vec();
        let total = dataset.len() * if config.mirrored { 2 } else { 1 };
        let layout =
            Layout { key, shape: shape.clone(), images: total, kind: config.precision.kind() };
        let there = fs::symlink_metadata(&path);
        let kept = match Stored::open_checked(&path, &layout) {
            _ if there.is_err_and(|error| error.kind() == ErrorKind::NotFound) => None,
            Ok(stored) => Some(stored),
            Err(error) => {
                print_line(&format!("features: computed anew: {error}"));
                None
            }
        };
        let reused = kept.is_some();
        let stored = match kept {
            Some(stored) => {
                print_line(&format!("features: read from {}", shown_path(&path)));
                stored
            }
            None => {
                remove_older(folder.as_ref(), &stem);
                Writing { model: self, images: &images, layers, config, layout: &layout }
                    .run(&path)?;
                Stored::open(&path, &layout)?
            }
        };
        Ok(Features {
            path,
            seconds: stored.seconds(),
            reused,
            config,
            dataset: dataset.clone(),
            layers,
            last_layer,
            weights_sha256,
            shape,
            file: Arc::new(stored.file),
            start: stored.start,
        })
    }

    /// What comes out of the layer of this name, a row an image: channels, rows, columns, in `f32`.
    ///
    /// # Errors
    /// If no layer has this name, or the images differ in shape from what the model was built for.
    pub fn activations(
        &self,
        images: &Subset,
        layer: &str,
        precision: Precision,
    ) -> Result<Array2<f32>> {
        self.check_images(images)?;
        let layers = self.layer_index(layer)? + 1;
        let source = ImageSource::new(images, self.normalization(), Default::default());
        let positions: Vec<usize> = (0..images.len()).collect();
        let (mut values, mut width) = (Vec::new(), 0);
        let predictor = self.predictor(0..layers, precision)?;
        for batch in positions.chunks(BATCH) {
            let input = source.pixels(batch, false)?;
            let output = predictor.outputs(&input)?;
            let output = output.f_to_kind(Kind::Float)?.f_contiguous()?.f_flatten(1, -1)?;
            width = output.size()[1] as usize;
            if values.is_empty() {
                check_room(&output, batch.len(), images.len())?;
            }
            values.extend(Vec::<f32>::try_from(output.f_flatten(0, -1)?)?);
        }
        Ok(Array2::from_shape_vec((images.len(), width), values).expect("one row an image"))
    }

    /// The hash of the weights of the first `layers` layers.
    fn weights_hash(&self, layers: usize) -> Result<[u8; 32]> {
        let mut hash = Sha256::new();
        for weight in self.weights_before(layers) {
            hash.update(&weight.name);
            hash.update(as_bytes(&weight.tensor)?);
        }
        Ok(hash.finalize().into())
    }

    /// The hash of everything that features depend on.
    fn features_key(
        &self,
        images: &Subset,
        layers: usize,
        config: FeatureConfig,
        weights_sha256: &[u8; 32],
    ) -> Result<String> {
        let mut hash = Sha256::new();
        let settings = serde_json::to_string(&(
            self.network().input_shape(),
            &self.network().layers()[..layers],
            &self.normalization(),
            config.mirrored,
            config.precision.resolve(),
            images.dataset().image_shape(),
            images.len(),
        ));
        hash.update(settings.expect("settings are plain values"));
        hash.update(weights_sha256);
        images.each_image(|_, pixels| hash.update(pixels))?;
        Ok(format!("{:x}", hash.finalize()))
    }
}

impl Model {
    /// As [`Model::fit_with`], on `features` instead of images: only the layers behind them are computed and trained.
    ///
    /// # Errors
    /// As [`Model::fit`]; if the features are those of other images, other weights or layers that are not frozen; or if
    /// the settings ask for an augmentation, which needs images.
    pub fn fit_features(
        &mut self,
        features: &Features,
        split: &Split,
        config: FitConfig,
        callbacks: Callbacks,
    ) -> Result<History> {
        config.check()?;
        if !config.augmentation.is_none() {
            return Err(Error::parameter(
                "augmentation",
                "none for a training on features",
                format!("{:?}", config.augmentation),
                "compute features that are `mirrored`, or use `fit`",
            ));
        }
        self.check_classes(&split.train)?;
        features.check_model(self)?;
        for images in [&split.train, &split.validation] {
            features.check_images(images)?;
        }
        self.precision = config.precision;
        let train = FeatureSource::new(features, &split.train);
        let validation = FeatureSource::new(features, &split.validation);
        let objective = Objective::CrossEntropy { label_smoothing: config.label_smoothing };
        let images = TrainedOn::split(split);
        training::run(self, [&train, &validation], images, objective, &config, callbacks)
    }
}

impl Features {
    /// Values of one image.
    pub fn width(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// Whether they come from these very images.
    pub(crate) fn check_images(&self, images: &Subset) -> Result<()> {
        let (ours, theirs) = (&self.dataset, images.dataset());
        if ours.info() == theirs.info() && ours.labels() == theirs.labels() {
            return Ok(());
        }
        Err(Error::parameter(
            "features",
            "computed for the data set that the images are from",
            "those of another one",
            "compute them again with `features()`",
        ))
    }

    /// Whether `model` would compute the same.
    pub(crate) fn check_model(&self, model: &Model) -> Result<()> {
        let problem = if model.fixed_layers() < self.layers {
            "those of layers that are to be trained"
        } else if model.weights_hash(self.layers)? != self.weights_sha256 {
            "those of other weights"
        } else {
            return Ok(());
        };
        let advice = "compute them again with `features()`";
        Err(Error::parameter("features", "computed by the model's frozen layers", problem, advice))
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Features: {} images{}, {} values each, behind layer {}",
            with_thousands(self.dataset.len() as f64, 0),
            if self.config.mirrored { " and their mirror images" } else { "" },
            show_shape(&self.shape),
            self.last_layer,
        )
    }
}

/// Features of some images, a batch at a time.
pub(crate) struct FeatureSource<'a> {
    features: &'a Features,
    images: &'a Subset,
    labels: Vec<i64>,
}

impl FeatureSource<'_> {
    /// The features of `images`, which [`Features::check_images`] has accepted.
    pub(crate) fn new<'a>(features: &'a Features, images: &'a Subset) -> FeatureSource<'a> {
        FeatureSource { features, images, labels: images.labels() }
    }
}

impl Source for FeatureSource<'_> {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn first_layer(&self) -> usize {
        self.features.layers
    }

    fn identify(&self, hash: &mut Sha256) -> Result<()> {
        let Features { config, layers, weights_sha256, .. } = self.features;
        hash.update(format!("{config:?} {layers}"));
        hash.update(weights_sha256);
        identify_images(self.images, hash)
    }

    fn batch(&self, positions: &[usize], training: bool) -> Result<(Tensor, Tensor)> {
        let Features { config, dataset, shape, file, start, path, .. } = self.features;
        let mut mirrored = vec![false; positions.len()];
        if training && config.mirrored {
            let draws = Tensor::f_rand([positions.len() as i64], (Kind::Float, Device::Cpu))?;
            mirrored = Vec::<f32>::try_from(draws)?.into_iter().map(|draw| draw < 0.5).collect();
        }
        let kind = config.precision.kind();
        let row = self.features.width() * kind.elt_size_in_bytes();
        let mut bytes = vec![0; positions.len() * row];
        for ((bytes, &position), mirrored) in
            bytes.chunks_exact_mut(row).zip(positions).zip(mirrored)
        {
            let copy = if mirrored { dataset.len() } else { 0 };
            let place = start + ((self.images.indices()[position] + copy) * row) as u64;
            read_at(file, bytes, place).map_err(|error| unreadable(path, error))?;
        }
        let batch = positions.len() as i64;
        let inputs = match shape[..] {
            [channels, height, width] => {
                let size = [batch, height, width, channels];
                Tensor::f_from_data_size(&bytes, &size, kind)?.f_permute([0, 3, 1, 2])?
            }
            _ => Tensor::f_from_data_size(&bytes, &[batch, shape[0]], kind)?,
        };
        let labels: Vec<i64> = positions.iter().map(|&position| self.labels[position]).collect();
        Ok((inputs, Tensor::f_from_slice(&labels)?))
    }
}

/// A file of features that is about to be made.
struct Writing<'a> {
    model: &'a Model,
    images: &'a Subset,
    layers: usize,
    config: FeatureConfig,
    layout: &'a Layout,
}

impl Writing<'_> {
    /// Computes batch by batch and writes as it goes; the file gets its name when it is whole.
    fn run(&self, path: &Path) -> Result<()> {
        let unwritable = |source: io::Error| Error::Io {
            action: "write",
            path: path.to_owned(),
            source,
            advice: "check that the folder can be written and the disk has room".to_owned(),
        };
        let pending = PendingFile::new(path).map_err(unwritable)?;
        let mut writer = BufWriter::with_capacity(1 << 20, pending);
        let started = Instant::now();
        let total = self.layout.images;
        let mut ticker = Ticker::new(total, Duration::from_secs(10));
        let source = ImageSource::new(self.images, self.model.normalization(), Default::default());
        let positions: Vec<usize> = (0..self.images.len()).collect();
        // Time and hash stand at a fixed width: the header is as long now as it will be.
        writer.write_all(&self.layout.header("", "")).map_err(unwritable)?;
        let (mut done, mut hash) = (0, Sha256::new());
        let _guard = tch::no_grad_guard();
        let watch = InterruptGuard::new();
        let predictor = self.model.predictor(0..self.layers, self.config.precision)?;
        for mirrored in [false, true].into_iter().take(if self.config.mirrored { 2 } else { 1 }) {
            for batch in positions.chunks(BATCH) {
                watch.check("the computation of features", "run it again, and it starts anew")?;
                let mut input = source.pixels(batch, false)?;
                if mirrored {
                    input = input.f_flip([3])?;
                }
                let output = predictor.outputs(&input)?;
                assert_eq!(output.size()[1..], self.layout.shape, "the network's own plan");
                let rows = match self.layout.shape.len() {
                    3 => output.permute([0, 2, 3, 1]),
                    _ => output,
                };
                let bytes = as_bytes(&rows)?;
                hash.update(&bytes);
                writer.write_all(&bytes).map_err(unwritable)?;
                done += batch.len();
                ticker.tick(done, |share, remaining| {
                    let speed = done as f64 / started.elapsed().as_secs_f64();
                    let (percent, total) = (100.0 * share, with_thousands(total as f64, 0));
                    let remaining = duration(remaining);
                    format!("features: {percent:.0}% of {total} images, {speed:.0} images/s, ETA {remaining}")
                });
            }
        }
        let pending = writer.into_inner().map_err(|error| unwritable(error.into_error()))?;
        let seconds = started.elapsed().as_secs_f64();
        let time = format!("{seconds:012.3}");
        hash.update(&time);
        let header = self.layout.header(&time, &format!("{:x}", hash.finalize()));
        let finished = write_at_start(pending.as_file(), &header).and_then(|()| pending.persist());
        finished.map_err(unwritable)?;
        println!(
            "features: {} images in {}, {:.0} images/s",
            with_thousands(total as f64, 0),
            duration(seconds),
            total as f64 / seconds
        );
        Ok(())
    }
}

/// What fixes a file of features but for their values.
struct Layout {
    /// The hash of all that they depend on.
    key: String,
    /// Of one image's, as the network gives them.
    shape: Vec<i64>,
    /// How many images there are; with each one's mirror image where those are wanted.
    images: usize,
    kind: Kind,
}

impl Layout {
    fn bytes(&self) -> u64 {
        let values = self.images as u64 * self.shape.iter().product::<i64>() as u64;
        values * self.kind.elt_size_in_bytes() as u64
    }

    /// The beginning of a safetensors file; as long for one time and hash as for others.
    fn header(&self, seconds: &str, sha256: &str) -> Vec<u8> {
        let name = if self.kind == Kind::BFloat16 { "BF16" } else { "F32" };
        let mut whole = vec![self.images as i64];
        match self.shape[..] {
            [channels, height, width] => whole.extend([height, width, channels]),
            _ => whole.extend(&self.shape),
        }
        let metadata = serde_json::json!({
            "key": self.key,
            "seconds": format!("{seconds:>12}"),
            "sha256": format!("{sha256:>64}"),
        });
        let mut text = serde_json::json!({
            "__metadata__": metadata,
            "features": { "dtype": name, "shape": whole, "data_offsets": [0, self.bytes()] },
        })
        .to_string();
        text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.extend(text.as_bytes());
        header
    }
}

fn write_at_start(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    use std::io::Seek;
    file.seek(io::SeekFrom::Start(0))?;
    file.write_all(bytes)
}

/// Removes features that others behind the same layer replace; they can be computed again.
fn remove_older(folder: &Path, stem: &str) {
    remove_leftovers(folder, format!(".{stem}").as_ref());
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(stem) && name.ends_with(".safetensors") {
            // A file that stays takes room and does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A file of features, open.
struct Stored {
    file: File,
    start: u64,
    /// What it took to make it, and the hash of its contents, as they stand in it.
    time: String,
    sha256: String,
}

/// What to do about a file of features that cannot be read.
const REMOVE: &str = "remove the file; it is made again";

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "read", path: path.to_owned(), source, advice: REMOVE.to_owned() }
}

/// An [`Error::File`] about a file of features.
fn broken(path: &Path, expected: String, found: &str) -> Error {
    let (path, found, advice) = (path.to_owned(), found.to_owned(), REMOVE.to_owned());
    Error::File { path, expected, found, advice }
}

impl Stored {
    /// Opens a file that is of this layout.
    fn open(path: &Path, layout: &Layout) -> Result<Stored> {
        let (file, length) = open_regular(path)
            .map_err(|unread| unread.into_error(path, "a file of features", REMOVE))?;
        let start = layout.header("", "").len();
        let whole = start as u64 + layout.bytes();
        if length != whole {
            return Err(broken(path, format!("{whole} bytes"), &format!("{length}")));
        }
        let mut header = vec![0; start];
        read_at(&file, &mut header, 0).map_err(|error| unreadable(path, error))?;
        let value: serde_json::Value = serde_json::from_slice(&header[8..]).unwrap_or_default();
        let text = |name: &str| value["__metadata__"][name].as_str().unwrap_or_default();
        let (time, sha256) = (text("seconds"), text("sha256"));
        // Every other byte of it is known.
        if header != layout.header(time, sha256) {
            let expected = "features of these images and weights, in this shape and format";
            return Err(broken(path, expected.to_owned(), "another header"));
        }
        let (time, sha256) = (time.to_owned(), sha256.to_owned());
        Ok(Stored { file, start: start as u64, time, sha256 })
    }

    /// As [`Stored::open`], when another process may have written it: its contents are those that were written.
    fn open_checked(path: &Path, layout: &Layout) -> Result<Stored> {
        let stored = Stored::open(path, layout)?;
        let Stored { file, start, time, sha256 } = &stored;
        let mut hash = Sha256::new();
        let mut piece = vec![0; layout.bytes().min(1 << 20) as usize];
        let (mut place, end) = (*start, start + layout.bytes());
        while place < end {
            let now = (end - place).min(piece.len() as u64) as usize;
            read_at(file, &mut piece[..now], place).map_err(|error| unreadable(path, error))?;
            hash.update(&piece[..now]);
            place += now as u64;
        }
        hash.update(time);
        let found = format!("{:x}", hash.finalize());
        if found != *sha256 {
            let expected = format!("contents with the checksum {}", clean_text(sha256));
            return Err(broken(path, expected, &format!("{found}: the file is damaged")));
        }
        Ok(stored)
    }

    fn seconds(&self) -> f64 {
        self.time.trim().parse().ok().filter(|seconds: &f64| seconds.is_finite()).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architectures::DenseConfig;
    use crate::data::ImageShape;

    fn dataset(images: usize) -> Dataset {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
        Dataset::load(folder).unwrap().take_stratified(images, 1).unwrap()
    }

    /// A network whose first dense layer of 16 values is frozen.
    fn frozen() -> Model {
        let shape = ImageShape { height: 28, width: 28, channels: 1 };
        let network = DenseConfig { hidden: vec![16], ..DenseConfig::default() };
        let mut model = network.network(shape, 10).build(1).unwrap();
        model.freeze();
        model.unfreeze_from("dense_1").unwrap();
        model
    }

    const CONFIG: FeatureConfig = FeatureConfig { mirrored: false, precision: Precision::Float32 };

    #[test]
    fn a_damaged_file_is_told_and_computed_anew() {
        let (folder, model, images) = (tempfile::tempdir().unwrap(), frozen(), dataset(100));
        let features = || model.features(&images, &folder, CONFIG).unwrap();
        let first = features();
        let whole = fs::read(&first.path).unwrap();
        assert!(features().reused);
        let key = serde_json::from_slice::<serde_json::Value>(&whole[8..first.start as usize]);
        let key = key.unwrap()["__metadata__"]["key"].as_str().unwrap().to_owned();
        let layout = Layout { key, shape: first.shape.clone(), images: 100, kind: Kind::Float };
        let start = first.start as usize;
        assert_eq!(whole.len(), start + 100 * 4 * first.width());
        let cut = |length: usize| whole[..length].to_vec();
        let flipped = |place: usize| {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            bytes
        };
        // Another shape with a header as it is written, and data of that length.
        let shaped = |shape: &[i64], images: usize, kind: Kind| {
            let other = Layout { key: layout.key.clone(), shape: shape.to_vec(), images, kind };
            let data = vec![0; other.bytes() as usize];
            let time = format!("{:012.3}", 1.0);
            let sha256 = Sha256::new().chain_update(&data).chain_update(&time).finalize();
            [other.header(&time, &format!("{sha256:x}")), data].concat()
        };
        let width = first.width() as i64;
        let no_dimension = br#"{"features":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;
        let no_dimension =
            [&(no_dimension.len() as u64).to_le_bytes()[..], no_dimension, &[0; 4]].concat();
        let length = format!("expected {} bytes", whole.len());
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            ("empty", vec![], &length),
            ("seven bytes", cut(7), &length),
            ("half a header", cut(100), &length),
            ("one byte short", cut(whole.len() - 1), &length),
            ("one byte more", [&whole[..], &[0]].concat(), &length),
            ("no dimension", no_dimension, &length),
            ("one image fewer", shaped(&[width], 99, Kind::Float), &length),
            ("half the bytes a value", shaped(&[width], 100, Kind::BFloat16), &length),
            ("another type", shaped(&[width], 200, Kind::BFloat16), "found another header"),
            ("another shape", shaped(&[width / 4, 2, 2], 100, Kind::Float), "found another header"),
            ("the header's length", flipped(0), "found another header"),
            ("the header", flipped(40), "found another header"),
            ("the first value", flipped(start), "the file is damaged"),
            ("the last value", flipped(whole.len() - 1), "the file is damaged"),
        ];
        for (case, bytes, words) in cases {
            fs::write(&first.path, &bytes).unwrap();
            let text = Stored::open_checked(&first.path, &layout).err().expect(case).to_string();
            assert!(text.contains(words), "{case}: {text}");
            assert!(text.ends_with("; remove the file; it is made again"), "{case}: {text}");
            let again = features();
            assert!(!again.reused, "{case}");
            let made = fs::read(&again.path).unwrap();
            // The time it took stands in the header.
            assert!(made[start..] == whole[start..] && features().reused, "{case}");
        }
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_in_use_is_an_error() {
        let (folder, mut model, images) = (tempfile::tempdir().unwrap(), frozen(), dataset(100));
        let features = model.features(&images, &folder, CONFIG).unwrap();
        let split = images.split(Default::default()).unwrap();
        File::options().write(true).open(&features.path).unwrap().set_len(600).unwrap();
        let text = model
            .fit_features(&features, &split, Default::default(), Default::default())
            .unwrap_err()
            .to_string();
        let name = features.path.file_name().unwrap().to_str().unwrap();
        assert!(
            text.contains(name) && text.ends_with("remove the file; it is made again"),
            "{text}"
        );
    }
}
