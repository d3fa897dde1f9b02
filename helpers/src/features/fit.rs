//! Training on features.

use super::Features;
use super::batches::FeatureSource;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::models::trained_on::TrainedOn;
use crate::training::{self, Callbacks, FitConfig, History, Objective};

impl Model {
    /// [`Model::fit_with`] on `features` instead of images: only the layers after them are computed and trained.
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
