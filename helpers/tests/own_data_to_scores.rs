//! Somebody's own data from the files to scores, pictures and a saved model: RGB, float64, Fortran order, string labels.

use crate::common;

use helpers::architectures::CnnConfig;
use helpers::artifacts::{Artifacts, Metrics};
use helpers::models::Model;
use helpers::prelude::*;

#[test]
fn coloured_floats_with_names_are_learnt_drawn_and_saved() {
    let folder = tempfile::tempdir().unwrap();
    common::run_python("colours.py", &[folder.path()]);
    let dataset = Dataset::load(folder.path()).unwrap();
    assert_eq!(dataset.class_names(), ["blue", "green", "red"], "names in the order of np.unique");
    let split = dataset.split(SplitConfig { random_state: 3, ..SplitConfig::default() }).unwrap();

    let network =
        CnnConfig { filters: [8, 8, 16, 16], dense: 16, dropout: 0.1, ..CnnConfig::default() };
    let mut model = network.network(dataset.image_shape(), dataset.classes()).build(1).unwrap();
    let augmentation = Augmentation { horizontal_flip: true, shift: 0.04, erase: 0.0 };
    let config = FitConfig {
        epochs: 15,
        batch_size: 16,
        learning_rate: 0.005,
        augmentation,
        ..FitConfig::default()
    };
    let history = model.fit(&split, config).unwrap();
    let test = model.evaluate(&split.test).unwrap();
    assert!(test.accuracy > 0.9, "a colour is easy to learn: {test:?}");

    let export = Artifacts::new(folder.path().join("export"));
    let metrics = Metrics::new("cnn", &split, 3, false)
        .unwrap()
        .history(&history)
        .scores(model.evaluate(&split.validation).unwrap(), test);
    export.save_metrics(&metrics).unwrap();
    assert_eq!(export.load_metrics("cnn").unwrap(), metrics);
    model.save(export.model_path("cnn")).unwrap();
    let again = Model::load(export.find_model("cnn").unwrap()).unwrap();
    let probabilities = again.predict(&split.test).unwrap();
    assert_eq!(probabilities, model.predict(&split.test).unwrap());
    let speed = again.predict_speed(&split.test).unwrap();
    assert!(speed > 0.0 && speed.is_finite(), "images a second: {speed}");
    let drawn = random_indices(split.test.len(), 6, 1).unwrap();
    let figure = plot_predictions(&split.test, &probabilities, &drawn).unwrap();
    assert!(figure.to_html().contains("red") && figure.size().0 > 0);
    assert!(history.plot().unwrap().size().0 > 0);
}
