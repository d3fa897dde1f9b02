//! Features: the outputs of a network's frozen layers for each image, computed once and kept on disk.
//!
//! Training only the layers after the frozen ones would compute the same outputs again in every epoch.
//! [`Model::features`] computes them once for all images of a data set, and [`Model::fit_features`] trains on them.

mod batches;
mod compute;
mod file;
mod fit;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::Array2;
use sha2::{Digest, Sha256};
use tch::Kind;

use crate::data::batches::ImageSource;
use crate::data::{Dataset, Subset};
use crate::display::print_line;
use crate::error::{Error, Result};
use crate::layers::show_shape;
use crate::models::model::{Model, check_room};
use crate::models::model_file::as_bytes;
use crate::models::precision::Precision;
use crate::system::environment::code_version;
use crate::system::files::remove_leftovers;
use crate::text::{shown_path, thousands};
pub use compute::FeatureConfig;
use compute::compute;
use file::{FeatureFile, FileFormat};

/// The outputs of a network's frozen layers for each image of a data set, read from disk as they are used. A clone is
/// cheap.
#[derive(Clone)]
pub struct Features {
    /// Where they are kept.
    pub path: PathBuf,
    /// The seconds that computing them took, now or when they were first computed.
    pub seconds: f64,
    /// True when they were already on disk.
    pub reused: bool,
    config: FeatureConfig,
    dataset: Dataset,
    /// How many layers were applied, and the name of the last one.
    layers: usize,
    last_layer: String,
    /// Hash of those layers' weights.
    weights_sha256: [u8; 32],
    /// Shape for one image: `(C, H, W)` in channels-last memory, or `(values,)`.
    shape: Vec<i64>,
    file: Arc<FeatureFile>,
}

impl Model {
    /// The outputs of the frozen layers for each image of `dataset`: of all layers before the first one that can be
    /// trained or is random (see [`Model::freeze`]).
    ///
    /// They are kept in `folder` under a name with a hash of the images, the weights and the settings, and are read
    /// from there the next time; older ones of the same layer are removed. A damaged file is computed anew, and the
    /// reason is printed. A bar shows the progress.
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
        // Features are kept, so they are made of images that are checked.
        dataset.check()?;
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
        let format = FileFormat {
            key,
            shape: shape.clone(),
            images: dataset.len() * if config.mirrored { 2 } else { 1 },
            kind: config.precision.kind(),
        };
        let kept = kept(&path, &format);
        let reused = kept.is_some();
        let file = match kept {
            Some(file) => {
                print_line(&format!("features: read from {}", shown_path(&path)));
                file
            }
            None => {
                remove_older(folder.as_ref(), &stem);
                compute(self, &images, layers, config, &path, &format)?;
                FeatureFile::open(&path, &format)?
            }
        };
        Ok(Features {
            path,
            seconds: file.seconds(),
            reused,
            config,
            dataset: dataset.clone(),
            layers,
            last_layer,
            weights_sha256,
            shape,
            file: Arc::new(file),
        })
    }

    /// The output of the layer of this name, a row for each image: channels, rows, columns, in `f32`.
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
        for batch in positions.chunks(self.images_at_once(0..layers, precision)) {
            let input = source.pixels(batch, false)?;
            let output = predictor.outputs(&input)?;
            let output = output.f_to_kind(Kind::Float)?.f_contiguous()?.f_flatten(1, -1)?;
            width = output.size()[1] as usize;
            if values.is_empty() {
                check_room(&output, batch.len(), images.len())?;
            }
            values.extend(Vec::<f32>::try_from(output.f_flatten(0, -1)?)?);
        }
        images.dataset().check()?;
        Array2::from_shape_vec((images.len(), width), values).map_err(Error::internal)
    }

    /// The last features, a row for each image: the input of the last dense layer.
    ///
    /// # Errors
    /// If no dense layer has another layer before it, or the images differ in shape from what the model was built for.
    pub fn last_features(&self, images: &Subset) -> Result<Array2<f32>> {
        let dense = self.network().layers().iter().rposition(|layer| layer.kind() == "dense");
        let Some(before) = dense.and_then(|dense| dense.checked_sub(1)) else {
            let expected = "one with a layer before its last dense layer";
            let advice = "`summary()` lists the layers";
            return Err(Error::parameter("model", expected, "one without", advice));
        };
        self.activations(images, self.layer_name(before), Precision::Float32)
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
        hash.update(settings.map_err(Error::internal)?);
        hash.update(weights_sha256);
        // Other code may compute other features from the same inputs.
        hash.update(code_version());
        images.each_image(|_, pixels| hash.update(pixels))?;
        Ok(format!("{:x}", hash.finalize()))
    }
}

impl Features {
    /// Values of one image.
    pub fn width(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// Checks that these features come from the data set of `images`.
    pub(crate) fn check_images(&self, images: &Subset) -> Result<()> {
        let (ours, theirs) = (&self.dataset, images.dataset());
        if ours.info()? == theirs.info()? && ours.labels() == theirs.labels() {
            return Ok(());
        }
        Err(Error::parameter(
            "features",
            "computed for the data set that the images are from",
            "those of another one",
            "compute them again with `features()`",
        ))
    }

    /// Checks that `model` would compute these features.
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
            "Features: {} images{}, {} values each, after layer {}",
            thousands(self.dataset.len()),
            if self.config.mirrored { " and their mirror images" } else { "" },
            show_shape(&self.shape),
            self.last_layer,
        )
    }
}

/// The features on disk, if they are complete; otherwise prints why they are computed anew.
fn kept(path: &Path, format: &FileFormat) -> Option<FeatureFile> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return None;
    }
    FeatureFile::open_checked(path, format)
        .map_err(|error| print_line(&format!("features: computed anew: {error}")))
        .ok()
}

/// Removes features of the same layer that new ones replace; they can be computed again.
fn remove_older(folder: &Path, stem: &str) {
    remove_leftovers(folder, format!(".{stem}").as_ref());
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(stem) && name.ends_with(".safetensors") {
            // A file that cannot be removed only takes space.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

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
        model.freeze().unwrap();
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
        let start = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let key = serde_json::from_slice::<serde_json::Value>(&whole[8..start]);
        let key = key.unwrap()["__metadata__"]["key"].as_str().unwrap().to_owned();
        let format = FileFormat { key, shape: first.shape.clone(), images: 100, kind: Kind::Float };
        assert_eq!(whole.len(), start + 100 * 4 * first.width());
        let cut = |length: usize| whole[..length].to_vec();
        let flipped = |index: usize| {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            bytes
        };
        // Another shape with a header as it is written, and data of that length.
        let shaped = |shape: &[i64], images: usize, kind: Kind| {
            let other = FileFormat { key: format.key.clone(), shape: shape.to_vec(), images, kind };
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
            let text =
                FeatureFile::open_checked(&first.path, &format).err().expect(case).to_string();
            assert!(text.contains(words), "{case}: {text}");
            assert!(text.ends_with("; remove the file; it is made again"), "{case}: {text}");
            let again = features();
            assert!(!again.reused, "{case}");
            let made = fs::read(&again.path).unwrap();
            // The header contains the time that it took.
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
