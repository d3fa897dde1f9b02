//! Features: what a network's frozen layers make of each image, computed once and kept on disk.
//!
//! Training only the layers behind frozen ones would compute the same again in every epoch. [`Model::features`] does it
//! once for all images of a data set, [`Model::fit_features`] trains on the result.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use memmap2::Mmap;
use ndarray::Array2;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::file::as_bytes;
use super::layers::show_shape;
use super::model::{Model, check_room};
use super::precision::Precision;
use crate::data::batches::{ImageSource, Source, identify_images};
use crate::data::{Dataset, Subset};
use crate::display::{duration, print_progress, with_thousands};
use crate::error::{Error, Result};

/// How features are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Also of each image's mirror image; training then takes one of the two at random. Twice the time and the room.
    pub mirrored: bool,
    /// The number format of the products, and of the features.
    pub precision: Precision,
}

/// The outputs of a network's frozen layers for each image of a data set, mapped from disk. A clone is cheap.
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
    map: Arc<Mmap>,
    /// Where the first image's features begin in the file.
    start: usize,
}

/// Images that go through the network at once.
const BATCH: usize = 256;

impl Model {
    /// What the frozen layers make of each image of `dataset`: the layers before the first one that can be trained or
    /// draws at random (see [`Model::freeze`]).
    ///
    /// They are kept in `folder`, under a name that holds the hash of the images, the weights and the settings, and
    /// read from there when they are asked for again; older ones behind the same layer make room. A line is printed
    /// every ten seconds.
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
        let key = self.features_key(dataset, layers, config, &weights_sha256);
        let last_layer = self.layer_name(layers - 1).to_owned();
        let stem = format!("features_{last_layer}_");
        let path = folder.as_ref().join(format!("{stem}{}.safetensors", &key[..16]));
        let reused = path.exists() && Stored::open(&path, &key).is_ok();
        if !reused {
            remove_older(folder.as_ref(), &stem);
            let writing = Writing { model: self, images: &images, layers, config, key: &key };
            writing.run(&path)?;
        }
        let stored = Stored::open(&path, &key)?;
        if reused {
            println!("features: read from {}", path.display());
        }
        Ok(Features {
            path,
            seconds: stored.seconds,
            reused,
            config,
            dataset: dataset.clone(),
            layers,
            last_layer,
            weights_sha256,
            shape: stored.shape,
            map: Arc::new(stored.map),
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
        let layers = self.layer_place(layer)? + 1;
        let source = ImageSource::new(images, self.normalization(), Default::default());
        let positions: Vec<usize> = (0..images.len()).collect();
        let (mut values, mut width) = (Vec::new(), 0);
        let _guard = tch::no_grad_guard();
        for batch in positions.chunks(BATCH) {
            let input = source.pixels(batch, false)?;
            let output = self.forward_through(0..layers, &input, false, precision);
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
        dataset: &Dataset,
        layers: usize,
        config: FeatureConfig,
        weights_sha256: &[u8; 32],
    ) -> String {
        let mut hash = Sha256::new();
        let settings = serde_json::to_string(&(
            &self.network().input,
            &self.network().layers[..layers],
            &self.normalization(),
            config.mirrored,
            config.precision.resolve(),
            dataset.image_shape(),
            dataset.len(),
        ));
        hash.update(settings.expect("settings are plain values"));
        hash.update(weights_sha256);
        for image in 0..dataset.len() {
            hash.update(dataset.image(image));
        }
        format!("{:x}", hash.finalize())
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

    fn identify(&self, hash: &mut Sha256) {
        let Features { config, layers, weights_sha256, .. } = self.features;
        hash.update(format!("{config:?} {layers}"));
        hash.update(weights_sha256);
        identify_images(self.images, hash);
    }

    fn batch(&self, positions: &[usize], training: bool) -> Result<(Tensor, Tensor)> {
        let Features { config, dataset, shape, map, start, .. } = self.features;
        let mut mirrored = vec![false; positions.len()];
        if training && config.mirrored {
            let draws = Tensor::f_rand([positions.len() as i64], (Kind::Float, Device::Cpu))?;
            mirrored = Vec::<f32>::try_from(draws)?.into_iter().map(|draw| draw < 0.5).collect();
        }
        let kind = config.precision.kind();
        let row = self.features.width() * kind.elt_size_in_bytes();
        let mut bytes = Vec::with_capacity(positions.len() * row);
        for (&position, mirrored) in positions.iter().zip(mirrored) {
            let copy = if mirrored { dataset.len() } else { 0 };
            let place = start + (self.images.indices()[position] + copy) * row;
            bytes.extend_from_slice(&map[place..place + row]);
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
    key: &'a str,
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
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(unwritable)?;
        let file = tempfile::Builder::new()
            .prefix(".")
            .suffix(".part")
            .tempfile_in(folder)
            .map_err(unwritable)?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        let started = Instant::now();
        let total = self.images.len() * if self.config.mirrored { 2 } else { 1 };
        let mut progress = Progress { total, started, last: started };
        let source = ImageSource::new(self.images, self.model.normalization(), Default::default());
        let positions: Vec<usize> = (0..self.images.len()).collect();
        let mut shape = Vec::new();
        let mut done = 0;
        let _guard = tch::no_grad_guard();
        for mirrored in [false, true].into_iter().take(if self.config.mirrored { 2 } else { 1 }) {
            for batch in positions.chunks(BATCH) {
                let mut input = source.pixels(batch, false)?;
                if mirrored {
                    input = input.f_flip([3])?;
                }
                let output = self.model.forward_through(
                    0..self.layers,
                    &input,
                    false,
                    self.config.precision,
                );
                if shape.is_empty() {
                    shape = output.size()[1..].to_vec();
                    // The header's length depends on the time it took, which stands at a fixed width.
                    let header = self.header(&shape, total, 0.0);
                    writer.write_all(&header).map_err(unwritable)?;
                }
                let rows = if shape.len() == 3 { output.permute([0, 2, 3, 1]) } else { output };
                writer.write_all(&as_bytes(&rows)?).map_err(unwritable)?;
                done += batch.len();
                progress.show(done);
            }
        }
        let file = writer.into_inner().map_err(|error| unwritable(error.into_error()))?;
        let seconds = started.elapsed().as_secs_f64();
        let header = self.header(&shape, total, seconds);
        let finished = write_at_start(file.as_file(), &header).and_then(|()| {
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error).map(drop)
        });
        finished.map_err(unwritable)?;
        println!(
            "features: {} images in {}, {:.0} images/s",
            with_thousands(total as f64, 0),
            duration(seconds),
            total as f64 / seconds
        );
        Ok(())
    }

    /// The beginning of a safetensors file; as long for one time as for another.
    fn header(&self, shape: &[i64], images: usize, seconds: f64) -> Vec<u8> {
        let kind = self.config.precision.kind();
        let name = if kind == Kind::BFloat16 { "BF16" } else { "F32" };
        let bytes = images * shape.iter().product::<i64>() as usize * kind.elt_size_in_bytes();
        let mut whole = vec![images as i64];
        match *shape {
            [channels, height, width] => whole.extend([height, width, channels]),
            _ => whole.extend(shape),
        }
        let mut text = serde_json::json!({
            "__metadata__": { "key": self.key, "seconds": format!("{seconds:012.3}") },
            "features": { "dtype": name, "shape": whole, "data_offsets": [0, bytes] },
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

/// A line every ten seconds.
struct Progress {
    total: usize,
    started: Instant,
    last: Instant,
}

impl Progress {
    const INTERVAL: Duration = Duration::from_secs(10);

    fn show(&mut self, done: usize) {
        if self.last.elapsed() < Progress::INTERVAL || done == self.total {
            return;
        }
        self.last = Instant::now();
        let speed = done as f64 / self.started.elapsed().as_secs_f64();
        print_progress(&format!(
            "features: {:.0}% of {} images, {speed:.0} images/s, ETA {}",
            100.0 * done as f64 / self.total as f64,
            with_thousands(self.total as f64, 0),
            duration((self.total - done) as f64 / speed)
        ));
    }
}

/// Removes features that others behind the same layer replace; they can be computed again.
fn remove_older(folder: &Path, stem: &str) {
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

/// A whole file of features.
struct Stored {
    map: Mmap,
    start: usize,
    shape: Vec<i64>,
    seconds: f64,
}

impl Stored {
    fn open(path: &Path, key: &str) -> Result<Stored> {
        let advice = "remove the file; it is made again".to_owned();
        let unreadable = |source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
            advice: advice.clone(),
        };
        let file = File::open(path).map_err(unreadable)?;
        // SAFETY: the map is only read, and the file gets its name when it is whole and is never changed afterwards.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let broken = |found: String| Error::File {
            path: path.to_owned(),
            expected: "features".to_owned(),
            found,
            advice: advice.clone(),
        };
        let (start, shape, seconds) = {
            let (length, header) =
                SafeTensors::read_metadata(&map).map_err(|error| broken(error.to_string()))?;
            let texts = header.metadata().clone().unwrap_or_default();
            if texts.get("key").map(String::as_str) != Some(key) {
                return Err(broken("those of other images or weights".to_owned()));
            }
            let tensors =
                SafeTensors::deserialize(&map).map_err(|error| broken(error.to_string()))?;
            let tensor = tensors.tensor("features").map_err(|error| broken(error.to_string()))?;
            let mut shape: Vec<i64> = tensor.shape()[1..].iter().map(|&side| side as i64).collect();
            if shape.len() == 3 {
                shape.rotate_right(1);
            }
            let seconds = texts.get("seconds").and_then(|text| text.parse().ok()).unwrap_or(0.0);
            (length + 8, shape, seconds)
        };
        Ok(Stored { map, start, shape, seconds })
    }
}
