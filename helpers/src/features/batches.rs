//! Batches of features, in the shape that the trained layers take.

use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::Features;
use crate::data::Subset;
use crate::data::batches::{BatchSource, identify_images};
use crate::error::Result;

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

    /// For each of `images` images, true to take its mirror image: one of two at random.
    fn draw_mirrored(images: usize) -> Result<Vec<bool>> {
        let draws = Tensor::f_rand([images as i64], (Kind::Float, Device::Cpu))?;
        Ok(Vec::<f32>::try_from(draws)?.into_iter().map(|draw| draw < 0.5).collect())
    }
}

impl BatchSource for FeatureSource<'_> {
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

    fn check(&self) -> Result<()> {
        self.images.dataset().check()
    }

    /// In the number format in which the features are kept.
    fn batch(&self, positions: &[usize], training: bool, _: Kind) -> Result<(Tensor, Tensor)> {
        let Features { config, dataset, shape, file, .. } = self.features;
        let mirrored = match training && config.mirrored {
            true => FeatureSource::draw_mirrored(positions.len())?,
            false => vec![false; positions.len()],
        };
        let kind = config.precision.kind();
        let row_bytes = self.features.width() * kind.elt_size_in_bytes();
        let mut bytes = vec![0; positions.len() * row_bytes];
        let rows = bytes.chunks_exact_mut(row_bytes);
        for ((bytes, &position), mirrored) in rows.zip(positions).zip(mirrored) {
            // Mirror images come after all others.
            let copy = if mirrored { dataset.len() } else { 0 };
            file.read_row(self.images.indices()[position] + copy, bytes)?;
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
