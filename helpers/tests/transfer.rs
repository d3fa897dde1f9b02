//! Freezing, features and fine-tuning, on a handful of real images at a small size.

use std::path::{Path, PathBuf};

use helpers::data::Split;
use helpers::models::{Model, Precision};
use helpers::prelude::*;
use helpers::training::Callbacks;
use tempfile::TempDir;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn weights() -> PathBuf {
    let path = here().join("../.tools/weights/efficientnet_lite0.safetensors");
    assert!(path.exists(), "the weights are not there; run `cargo xtask setup` first");
    path
}

fn dataset(images: usize, seed: u64) -> Dataset {
    Dataset::load(here().join("../data/sample")).unwrap().take_stratified(images, seed).unwrap()
}

fn split(dataset: &Dataset) -> Split {
    dataset.split(SplitConfig { random_state: 1, ..SplitConfig::default() }).unwrap()
}

fn pretrained(dataset: &Dataset) -> Model {
    let config = TransferConfig { input_size: 32, ..TransferConfig::default() };
    config.pretrained(dataset.image_shape(), dataset.classes(), weights(), 5).unwrap()
}

fn quick(epochs: usize) -> FitConfig {
    FitConfig { epochs, batch_size: 32, precision: Precision::Float32, ..FitConfig::default() }
}

const PLAIN: FeatureConfig = FeatureConfig { mirrored: false, precision: Precision::Float32 };
const MIRRORED: FeatureConfig = FeatureConfig { mirrored: true, precision: Precision::Float32 };

fn after(model: &Model, images: &Subset, layer: &str) -> Vec<f32> {
    model.activations(images, layer, Precision::Float32).unwrap().into_raw_vec_and_offset().0
}

#[test]
fn training_changes_what_is_free_and_nothing_else() {
    let dataset = dataset(100, 1);
    let split = split(&dataset);
    let mut model = pretrained(&dataset);
    model.unfreeze_from("block_16").unwrap();
    let layers = ["block_15", "block_16"];
    let before = layers.map(|layer| after(&model, &split.test, layer));
    model.fit(&split, quick(1)).unwrap();
    let now = layers.map(|layer| after(&model, &split.test, layer));
    assert_eq!(before[0], now[0]);
    assert_ne!(before[1], now[1]);
}

/// The same steps, whether the frozen layers are computed once or in every epoch.
#[test]
fn training_on_features_is_training_on_images() {
    let dataset = dataset(100, 1);
    let (split, folder) = (split(&dataset), TempDir::new().unwrap());
    for layer in ["dense", "block_16"] {
        let mut on_images = pretrained(&dataset);
        on_images.unfreeze_from(layer).unwrap();
        let slow = on_images.fit(&split, quick(2)).unwrap();
        let mut on_features = pretrained(&dataset);
        on_features.unfreeze_from(layer).unwrap();
        let features = on_features.features(&dataset, &folder, PLAIN).unwrap();
        let fast =
            on_features.fit_features(&features, &split, quick(2), Callbacks::default()).unwrap();
        for (slow, fast) in slow.epochs.iter().zip(&fast.epochs) {
            assert!((slow.loss - fast.loss).abs() < 1e-3, "{slow:?}, {fast:?}");
            assert!((slow.val_loss - fast.val_loss).abs() < 1e-3, "{slow:?}, {fast:?}");
        }
    }
}

#[test]
fn features_are_read_again_only_for_the_same_images_weights_and_settings() {
    let (first, second) = (dataset(100, 1), dataset(100, 2));
    let folder = TempDir::new().unwrap();
    let mut model = pretrained(&first);
    let reused = |model: &Model, images: &Dataset, config: FeatureConfig| {
        model.features(images, &folder, config).unwrap().reused
    };
    assert!(!reused(&model, &first, PLAIN));
    assert!(reused(&model, &first, PLAIN));
    assert!(!reused(&model, &first, MIRRORED));
    assert!(!reused(&model, &second, MIRRORED));
    model.unfreeze_from("top").unwrap();
    model.fit(&split(&first), quick(1)).unwrap();
    model.freeze();
    model.unfreeze_from("dense").unwrap();
    assert!(!reused(&model, &second, MIRRORED));
    // One file for each layer that features were taken behind.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}

/// Mirror images come second in the file, and only training takes them.
#[test]
fn mirrored_features_are_those_of_mirrored_images() {
    let dataset = dataset(100, 1);
    let (split, folder) = (split(&dataset), TempDir::new().unwrap());
    let mut model = pretrained(&dataset);
    let plain = model.features(&dataset, folder.path().join("plain"), PLAIN).unwrap();
    let mirrored = model.features(&dataset, folder.path().join("mirrored"), MIRRORED).unwrap();
    let values = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("features").unwrap().data().to_vec()
    };
    let (once, twice) = (values(&plain.path), values(&mirrored.path));
    assert_eq!(twice.len(), 2 * once.len());
    assert!(twice[..once.len()] == once[..] && twice[once.len()..] != once[..]);
    let history = model.fit_features(&mirrored, &split, quick(1), Callbacks::default()).unwrap();
    let scored = model.evaluate(&split.validation).unwrap();
    assert!((history.best().val_loss - scored.loss).abs() < 1e-4);
}

#[test]
fn features_of_other_images_or_weights_are_refused() {
    let (first, second) = (dataset(100, 1), dataset(100, 2));
    let folder = TempDir::new().unwrap();
    let mut model = pretrained(&first);
    let features = model.features(&first, &folder, PLAIN).unwrap();
    let error =
        model.fit_features(&features, &split(&second), quick(1), Callbacks::default()).unwrap_err();
    assert!(error.to_string().contains("got those of another one"), "{error}");
    let config = FitConfig {
        augmentation: Augmentation { shift: 0.04, ..Augmentation::default() },
        ..quick(1)
    };
    let error =
        model.fit_features(&features, &split(&first), config, Callbacks::default()).unwrap_err();
    assert!(error.to_string().contains("compute features that are `mirrored`"), "{error}");
    model.unfreeze_from("block_16").unwrap();
    let error =
        model.fit_features(&features, &split(&first), quick(1), Callbacks::default()).unwrap_err();
    assert!(error.to_string().contains("got those of layers that are to be trained"), "{error}");
    model.fit(&split(&first), quick(1)).unwrap();
    model.freeze();
    let error =
        model.fit_features(&features, &split(&first), quick(1), Callbacks::default()).unwrap_err();
    assert!(error.to_string().contains("got those of other weights"), "{error}");
    model.unfreeze_from("stem").unwrap();
    let error = model.features(&first, &folder, PLAIN).unwrap_err();
    assert!(error.to_string().contains("call `freeze()`"), "{error}");
}

#[test]
fn a_saved_model_predicts_the_same_and_stays_frozen() {
    let dataset = dataset(100, 1);
    let (split, folder) = (split(&dataset), TempDir::new().unwrap());
    let mut model = pretrained(&dataset);
    model.unfreeze_from("block_15").unwrap();
    model.freeze_kind("depthwise_conv2d").unwrap();
    model.fit(&split, quick(1)).unwrap();
    let path = folder.path().join("transfer.safetensors");
    model.save(&path).unwrap();
    let loaded = Model::load(&path).unwrap();
    assert_eq!(loaded.count_trainable(), model.count_trainable());
    assert_eq!(loaded.predict(&split.test).unwrap(), model.predict(&split.test).unwrap());
}

#[test]
fn an_unknown_layer_or_kind_is_named() {
    let mut model = pretrained(&dataset(100, 1));
    let error = model.unfreeze_from("block_17").unwrap_err().to_string();
    assert!(error.contains("`layer` must be the name of a layer, got `block_17`"), "{error}");
    let error = model.freeze_kind("conv3d").unwrap_err().to_string();
    assert!(error.contains("got `conv3d`"), "{error}");
}
