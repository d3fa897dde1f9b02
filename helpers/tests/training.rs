//! Training from data to scores, on a handful of real images.

use std::path::Path;

use helpers::architectures::{CnnConfig, DenseConfig};
use helpers::data::Split;
use helpers::layers::Layer;
use helpers::models::{Device, Model, Precision};
use helpers::prelude::*;
use helpers::training::{Callback, Callbacks, EpochRecord, TrainingState};
use helpers::{Error, Result};

/// `images` of the committed sample, stratified.
fn sample(images: usize) -> Dataset {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    Dataset::load(folder).unwrap().take_stratified(images, 1).unwrap()
}

fn split(images: usize) -> Split {
    sample(images).split(SplitConfig { random_state: 1, ..SplitConfig::default() }).unwrap()
}

fn dense(split: &Split, seed: u64) -> Model {
    let dataset = split.train.dataset();
    let config = DenseConfig { hidden: vec![32, 16], dropout: 0.1, ..DenseConfig::default() };
    config.network(dataset.image_shape(), dataset.classes()).build(seed).unwrap()
}

fn quick(epochs: usize) -> FitConfig {
    FitConfig { epochs, batch_size: 32, precision: Precision::Float32, ..FitConfig::default() }
}

#[test]
fn a_network_learns_a_few_images_by_heart() {
    let images = sample(40);
    let all = images.subset((0..40).collect()).unwrap();
    let network =
        CnnConfig { filters: [8, 8, 16, 16], dense: 32, dropout: 0.0, ..CnnConfig::default() };
    let mut model = network.network(images.image_shape(), images.classes()).build(3).unwrap();
    model.fit_on(&all, &all, FitConfig { patience: 60, ..quick(60) }).unwrap();
    assert!(model.evaluate(&all).unwrap().accuracy > 0.99);
}

/// With a large step the last epochs are not the best ones: the model must hold the best one's weights all the same.
#[test]
fn the_best_weights_are_restored_however_training_ends() {
    let split = split(300);
    for (epochs, patience) in [(12, 2), (8, 50)] {
        let mut model = dense(&split, 1);
        let config = FitConfig {
            learning_rate: 0.1,
            patience,
            schedule: Schedule::Constant,
            ema_momentum: None,
            ..quick(epochs)
        };
        let history = model.fit(&split, config).unwrap();
        let lowest =
            history.epochs.iter().map(|record| record.val_loss).fold(f64::INFINITY, f64::min);
        assert_eq!(history.best().val_loss, lowest);
        let now = model.evaluate(&split.validation).unwrap();
        assert!(
            (now.loss - lowest).abs() < 1e-5,
            "loss {} after training, {lowest} in the best epoch",
            now.loss
        );
        assert!(
            history.epochs.last().unwrap().val_loss > lowest,
            "the case must have a worse last epoch"
        );
        assert_eq!(history.stopped_early, patience == 2);
    }
}

#[test]
fn a_moving_average_of_the_weights_is_what_is_validated_and_kept() {
    let split = split(300);
    let fit = |ema_momentum| {
        let mut model = dense(&split, 1);
        let schedule = Schedule::Constant;
        let config = FitConfig { learning_rate: 0.03, ema_momentum, schedule, ..quick(6) };
        let history = model.fit(&split, config).unwrap();
        let now = model.evaluate(&split.validation).unwrap();
        assert!((now.loss - history.best().val_loss).abs() < 1e-5);
        history
    };
    let (plain, averaged, weights) = (fit(None), fit(Some(0.9)), fit(Some(0.0)));
    for ((plain, averaged), weights) in
        plain.epochs.iter().zip(&averaged.epochs).zip(&weights.epochs)
    {
        // The average changes nothing about the steps, and one that forgets all is the weights.
        assert_eq!((plain.loss, plain.val_loss), (averaged.loss, weights.val_loss));
        assert_ne!(plain.val_loss, averaged.val_loss);
    }
}

/// With steps of nothing the network of the epoch is the one afterwards, and without dropout what it says of the training
/// images is the same, whatever the targets are.
#[test]
fn the_training_loss_is_the_plain_one() {
    let split = split(200);
    let of = |label_smoothing| {
        let shape = split.train.dataset().image_shape();
        let mut model = Sequential::new(shape).flatten().dense(10).build(1).unwrap();
        let config = FitConfig { learning_rate: 1e-12, label_smoothing, ..quick(1) };
        let loss = model.fit(&split, config).unwrap().best().loss;
        (loss, model.evaluate(&split.train).unwrap().loss)
    };
    let ((smoothed, plain), (hard, _)) = (of(0.5), of(0.0));
    assert!((smoothed - plain).abs() < 1e-5 && smoothed == hard, "{smoothed} {plain} {hard}");
}

#[test]
fn mixed_images_are_learnt_from_by_their_seed() {
    let split = split(300);
    let fit = |mixup, cutmix, seed| {
        let mut model = dense(&split, 1);
        let history = model.fit(&split, FitConfig { mixup, cutmix, seed, ..quick(8) }).unwrap();
        (history.best().val_accuracy, model.predict(&split.validation).unwrap())
    };
    let plain = fit(0.0, 0.0, 1);
    for (mixup, cutmix) in [(0.2, 0.0), (0.0, 1.0), (0.2, 1.0)] {
        let mixed = fit(mixup, cutmix, 1);
        assert!(mixed.0 > 0.5, "{mixup} {cutmix}: {}", mixed.0);
        assert!(mixed.1 != plain.1 && mixed.1 == fit(mixup, cutmix, 1).1);
        assert_ne!(mixed.1, fit(mixup, cutmix, 2).1);
    }
}

#[test]
fn the_same_seed_repeats_to_the_last_digit_and_another_does_not() {
    let split = split(200);
    let augmentation = Augmentation { horizontal_flip: true, shift: 0.08, erase: 0.2 };
    let run = |seed: u64| {
        let mut model = dense(&split, seed);
        let history = model.fit(&split, FitConfig { seed, augmentation, ..quick(2) }).unwrap();
        (
            history.epochs.iter().map(|record| record.loss.to_bits()).collect::<Vec<_>>(),
            model.predict(&split.test).unwrap(),
        )
    };
    let first = run(1);
    // Whatever else draws random numbers in between must not matter.
    let _ = tch::Tensor::rand([100], tch::kind::FLOAT_CPU);
    assert_eq!(first, run(1));
    assert_ne!(first.0, run(2).0);
}

/// On the processor, but as on a GPU: images gathered and changed there, layers by libtorch's own operations, weights in one
/// tensor, sums that are read late.
#[test]
fn a_training_as_on_a_gpu_is_that_of_the_fast_path_up_to_rounding() {
    let split = split(300);
    let augmentation = Augmentation { horizontal_flip: true, shift: 0.1, erase: 0.3 };
    let network =
        CnnConfig { filters: [4, 4, 8, 8], dense: 16, dropout: 0.0, ..CnnConfig::default() };
    let network = network.network(split.image_shape(), split.classes());
    for (mixup, cutmix) in [(0.0, 0.0), (0.4, 0.4)] {
        let config = FitConfig { augmentation, mixup, cutmix, ..quick(3) };
        let run = |device| {
            let mut model = network.clone().build(3).unwrap();
            model.set_device(device).unwrap();
            let history = model.fit(&split, config.clone()).unwrap();
            let losses = |record: &EpochRecord| [record.loss, record.val_loss, record.accuracy];
            let losses: Vec<f64> = history.epochs.iter().flat_map(losses).collect();
            (losses, model.predict(&split.test).unwrap())
        };
        let (fast, reference) = (run(Device::Cpu), run(Device::CpuReference));
        for (fast, reference) in fast.0.iter().zip(&reference.0) {
            assert!((fast - reference).abs() < 0.01, "{fast} {reference}");
        }
        let apart = fast.1.iter().zip(reference.1.iter()).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 0.02);
    }
}

/// To what it would have reached, up to rounding: without the fast path a sum depends on the number of threads.
#[test]
fn a_training_as_on_a_gpu_goes_on_from_its_checkpoint() {
    struct Unplugged(usize);
    impl Callback for Unplugged {
        fn on_epoch_end(&mut self, training: &mut TrainingState) -> Result<()> {
            match training.epochs().len() == self.0 {
                true => Err(Error::Internal { message: "unplugged".to_owned() }),
                false => Ok(()),
            }
        }
    }
    let (split, folder) = (split(200), tempfile::tempdir().unwrap());
    let ends = ["whole", "cut"].map(|name| {
        let fit = |stop: usize| {
            let mut model = dense(&split, 4);
            model.set_device(Device::CpuReference).unwrap();
            let callbacks = Callbacks::default().backup_and_restore(folder.path().join(name));
            let callbacks = callbacks.with(Unplugged(stop));
            let result = model.fit_with(&split, quick(5), callbacks);
            (result.map(|history| history.epochs.last().unwrap().val_loss), model)
        };
        if name == "cut" {
            assert!(fit(2).0.is_err());
        }
        let (loss, model) = fit(99);
        (loss.unwrap(), model.predict(&split.test).unwrap())
    });
    let [(loss, whole), (other_loss, cut)] = &ends;
    assert!((loss - other_loss).abs() < 1e-3, "{loss} {other_loss}");
    let apart = whole.iter().zip(cut.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-3, "{apart}");
}

#[test]
fn predictions_are_those_of_an_image_and_its_mirror_image_averaged_when_asked() {
    let images = sample(40).subset((0..40).collect()).unwrap();
    let shape = images.dataset().image_shape();
    let mut pixels = Vec::new();
    for index in 0..images.len() {
        let image = images.image(index).unwrap();
        pixels.extend(image.chunks(shape.width).flat_map(|row| row.iter().rev().copied()));
    }
    let mirrored = Dataset::unlabelled(shape, pixels).unwrap();
    let mirrored = mirrored.subset((0..40).collect()).unwrap();
    let mut model = CnnConfig { filters: [8; 4], dense: 16, ..CnnConfig::default() }
        .network(shape, 10)
        .build(3)
        .unwrap();
    let [one, other] = [&images, &mirrored].map(|images| model.predict(images).unwrap());
    let expected = (&*one + &*other) / 2.0;
    assert!(one.iter().zip(&expected).any(|(one, mean)| (one - mean).abs() > 1e-3));
    model.average_mirrored(true);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    for model in [model, Model::load(&path).unwrap()] {
        let found = model.predict(&images).unwrap();
        assert!(found.iter().zip(&expected).all(|(found, mean)| (found - mean).abs() < 1e-6));
    }
}

#[test]
fn a_saved_model_predicts_the_same_with_no_other_file() {
    let split = split(200);
    let mut model = dense(&split, 1);
    model.fit(&split, quick(1)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    let again = Model::load(&path).unwrap();
    assert_eq!(model.predict(&split.test).unwrap(), again.predict(&split.test).unwrap());
    assert_eq!(model.network(), again.network());
}

#[test]
fn a_broken_model_file_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    Sequential::for_vectors(3)
        .dense(2)
        .batch_normalization()
        .build(1)
        .unwrap()
        .save(&path)
        .unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let message = Model::load(&path).unwrap_err().to_string();
        assert!(message.contains("model.safetensors"), "{length} bytes: {message}");
    }
    let message = Model::load(folder.path().join("none.safetensors")).unwrap_err().to_string();
    assert!(message.contains("cannot read") && message.contains("run the notebook"), "{message}");
}

#[test]
fn a_step_too_large_is_reported_and_leaves_the_best_weights() {
    let split = split(200);
    let mut model = dense(&split, 1);
    let config = FitConfig { learning_rate: 1e30, schedule: Schedule::Constant, ..quick(3) };
    let message = model.fit(&split, config).unwrap_err().to_string();
    assert!(message.contains("learning_rate") && message.contains("epoch 1"), "{message}");
    assert!(model.predict(&split.test).unwrap().iter().all(|probability| probability.is_finite()));
}

#[test]
fn settings_out_of_range_are_named() {
    let split = split(100);
    let cases: Vec<(FitConfig, &str)> = vec![
        (FitConfig { epochs: 0, ..quick(1) }, "`epochs` must be at least 1, got 0"),
        (
            FitConfig { patience: 0, ..quick(1) },
            "`patience` must be at least 1, got 0; 5 waits for five epochs",
        ),
        (FitConfig { batch_size: 0, ..quick(1) }, "`batch_size` must be at least 1, got 0"),
        (
            FitConfig { learning_rate: 0.0, ..quick(1) },
            "`learning_rate` must be above 0 and finite, got 0",
        ),
        (
            FitConfig { learning_rate: f64::NAN, ..quick(1) },
            "`learning_rate` must be above 0 and finite, got NaN",
        ),
        (
            FitConfig { weight_decay: -1.0, ..quick(1) },
            "`weight_decay` must be 0 or more, and finite, got -1",
        ),
        (
            FitConfig { label_smoothing: 1.0, ..quick(1) },
            "`label_smoothing` must be in 0..1, got 1",
        ),
        (
            FitConfig {
                schedule: Schedule::Cosine { warmup_epochs: 3.0, alpha: 0.0, decay_epochs: 0 },
                ..quick(2)
            },
            "`warmup_epochs` must be 0 or more and fewer than `epochs` (2), got 3",
        ),
        (
            FitConfig {
                augmentation: Augmentation { erase: 1.5, ..Augmentation::default() },
                ..quick(1)
            },
            "`erase` must be a probability in 0..=1, got 1.5",
        ),
    ];
    for (config, expected) in cases {
        let message = dense(&split, 1).fit(&split, config).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_model_for_other_images_or_classes_says_so() {
    let split = split(100);
    let shape = ImageShape { height: 8, width: 8, channels: 3 };
    let mut model = DenseConfig::default().network(shape, 10).build(1).unwrap();
    let message = model.fit(&split, quick(1)).unwrap_err().to_string();
    assert!(message.contains("8 × 8 × 3") && message.contains("28 × 28 × 1"), "{message}");
    let mut model =
        DenseConfig::default().network(split.train.dataset().image_shape(), 7).build(1).unwrap();
    let message = model.fit(&split, quick(1)).unwrap_err().to_string();
    assert!(message.contains("7 classes") && message.contains("10 classes"), "{message}");
}

/// A last batch of one image has no spread for batch normalisation: 65 images in batches of 32.
#[test]
fn a_last_batch_of_one_image_does_no_harm() {
    let images = sample(80);
    let (train, validation) =
        (images.subset((0..65).collect()).unwrap(), images.subset((65..80).collect()).unwrap());
    let mut model = DenseConfig { hidden: vec![8], ..DenseConfig::default() }
        .network(images.image_shape(), images.classes())
        .build(1)
        .unwrap();
    model.fit_on(&train, &validation, quick(2)).unwrap();
    assert_eq!(model.predict(&train).unwrap().nrows(), 65);
}

#[test]
fn the_baseline_and_the_cnn_have_the_layers_of_the_task() {
    let shape = ImageShape { height: 28, width: 28, channels: 1 };
    let kinds = |network: Sequential| -> Vec<&'static str> {
        let shown = ["conv2d", "max_pooling2d", "dense"];
        network.layers().iter().map(Layer::kind).filter(|kind| shown.contains(kind)).collect()
    };
    assert_eq!(kinds(DenseConfig::default().network(shape, 10)), ["dense"; 5]);
    assert_eq!(
        kinds(CnnConfig::default().network(shape, 10)),
        [
            "conv2d",
            "max_pooling2d",
            "conv2d",
            "max_pooling2d",
            "conv2d",
            "conv2d",
            "max_pooling2d",
            "dense",
            "dense"
        ]
    );
}
