//! A model's weights: counting, freezing, and copies.

use tch::Tensor;

use super::model::Model;
use crate::error::{Error, Result};
use crate::layers::{Weight, is_statistic};
use crate::system::memory::Memory;
use crate::text::clean_text;

impl Model {
    /// The number of all parameters, running statistics included, as Keras's `count_params`.
    pub fn count_params(&self) -> usize {
        self.weights.iter().map(|weight| weight.tensor.numel()).sum()
    }

    /// The number of parameters that training changes.
    pub fn count_trainable(&self) -> usize {
        let trainable = self.weights.iter().filter(|weight| weight.trainable);
        trainable.map(|weight| weight.tensor.numel()).sum()
    }

    /// Freezes every layer: `fit` changes nothing until [`Model::unfreeze_from`], and batch normalisation keeps its
    /// statistics, as in Keras.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn freeze(&mut self) -> Result<()> {
        self.set_trainable(|_, _| false)
    }

    /// Makes the layer of this name and all later ones trainable, except batch normalisation, which stays frozen:
    /// Keras's guide to fine-tuning also keeps it in inference mode. Earlier layers are unchanged.
    ///
    /// # Errors
    /// If no layer has this name; [`Model::summary`] lists them.
    pub fn unfreeze_from(&mut self, layer: &str) -> Result<()> {
        let index = self.layer_index(layer)?;
        let first = self.weights_before(index).len();
        let before: Vec<bool> = self.weights.iter().map(|weight| weight.trainable).collect();
        self.set_trainable(|index, name| {
            let normalization = name.ends_with(".gamma") || name.ends_with(".beta");
            if index >= first { !normalization } else { before[index] }
        })
    }

    /// Freezes every layer of this kind, such as `depthwise_conv2d`, also inside blocks.
    ///
    /// # Errors
    /// If the network has no such layer with weights; [`crate::layers::Layer::kind`] names them.
    pub fn freeze_kind(&mut self, kind: &str) -> Result<()> {
        let of_kind: Vec<bool> =
            self.weights.iter().map(|weight| is_of_kind(&weight.name, kind)).collect();
        if !of_kind.contains(&true) {
            return Err(Error::parameter(
                "kind",
                "a kind of layer that this network has",
                format!("`{}`", clean_text(kind)),
                "`conv2d`, `depthwise_conv2d`, `batch_normalization` and `dense` have weights",
            ));
        }
        let before: Vec<bool> = self.weights.iter().map(|weight| weight.trainable).collect();
        self.set_trainable(|index, _| before[index] && !of_kind[index])
    }

    /// Sets which weights are trainable, by index and name; running statistics never are.
    pub(crate) fn set_trainable(&mut self, trainable: impl Fn(usize, &str) -> bool) -> Result<()> {
        for (index, weight) in self.weights.iter_mut().enumerate() {
            weight.trainable = !is_statistic(&weight.name) && trainable(index, &weight.name);
            weight.tensor = weight.tensor.f_detach()?.f_set_requires_grad(weight.trainable)?;
        }
        Ok(())
    }

    /// The names of the weights that are frozen.
    pub(super) fn frozen(&self) -> Vec<String> {
        let frozen = |weight: &&Weight| !weight.trainable && !is_statistic(&weight.name);
        self.weights.iter().filter(frozen).map(|weight| weight.name.clone()).collect()
    }

    /// All weights and statistics, copied.
    ///
    /// # Errors
    /// If libtorch has no memory for them.
    pub(crate) fn snapshot(&self) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        self.weights
            .iter()
            .map(|weight| {
                let mut copy = weight.tensor.f_empty_like()?;
                copy.f_copy_(&weight.tensor)?;
                Ok(copy)
            })
            .collect()
    }

    /// Restores a [`Model::snapshot`].
    ///
    /// # Errors
    /// If it is another model's.
    pub(crate) fn restore(&mut self, snapshot: &[Tensor]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        for (weight, saved) in self.weights.iter_mut().zip(snapshot) {
            weight.tensor.f_copy_(saved)?;
        }
        Ok(())
    }

    /// Checks that there is memory to train on batches of this many images that have passed the first `layer` layers:
    /// for the gradients, two moments and the best weights, and for what each layer keeps of a batch for its gradient.
    /// Training needs more than this; it is a lower bound.
    pub(crate) fn check_room_to_fit(
        &self,
        layer: usize,
        batch: usize,
        memory: Memory,
    ) -> Result<()> {
        let weights = 4 * (self.count_params() + 3 * self.count_trainable()) as u64;
        let layers = self.network().layers().iter().enumerate().skip(layer);
        let kept: i64 = layers
            .map(|(index, layer)| layer.kept_values(self.input_of(index), self.weights_of(index)))
            .sum();
        let bytes = self.precision.kind().elt_size_in_bytes() as u64;
        let batches = (kept as u64).saturating_mul(bytes).saturating_mul(batch as u64);
        let work = format!("training on batches of {batch} images, at the least,");
        let advice = "lower `batch_size`, or take a smaller network or smaller images";
        memory.require(weights.saturating_add(batches), &work, advice)
    }
}

/// True if the weight of this name belongs to a layer of this kind; the layer's name may end in a number.
fn is_of_kind(name: &str, kind: &str) -> bool {
    let layer = name.rsplit('.').nth(1).unwrap_or_default();
    let number = layer.strip_prefix(kind).map(|rest| rest.trim_start_matches('_'));
    number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;
    use crate::models::{Precision, Sequential};

    /// 3 × 3 × 2 × 4 + 4 weights of the convolution, 4 × 4 of batch normalisation's, 16 × 5 + 5 of the dense layer; the
    /// convolution's bias goes when batch normalisation follows.
    #[test]
    fn parameters_are_counted_as_keras_counts_them() {
        let shape = ImageShape { height: 4, width: 4, channels: 2 };
        let network = Sequential::new(shape).conv2d(4, 3);
        assert_eq!(network.clone().build(0).unwrap().count_params(), 3 * 3 * 2 * 4 + 4);
        let network = network.batch_normalization().max_pooling2d(2).flatten().dense(5);
        let model = network.build(0).unwrap();
        assert_eq!(model.count_params(), 72 + 16 + 85);
        let summary = model.summary();
        assert_eq!((summary.trainable, summary.non_trainable), (72 + 8 + 85, 8));
        assert_eq!(summary.rows[2].output_shape, "2 × 2 × 4");
    }

    /// Beside 106 weights: as many gradients, first and second moments, and the best ones; for each image 10 values go
    /// into the first layer and 8 into the second. Frozen layers keep nothing.
    #[test]
    fn a_training_that_does_not_fit_into_memory_is_refused() {
        let network = Sequential::for_vectors(10).dense(8).relu().dense(2);
        let mut model = network.build(1).unwrap();
        model.precision = Precision::Float32;
        let check = |model: &Model, layer, available| {
            model.check_room_to_fit(layer, 100, Memory { available: Some(available) })
        };
        let (weights, batch) = (4 * 4 * 106, 4 * 100 * 18);
        check(&model, 0, weights + batch).unwrap();
        let text = check(&model, 0, weights + batch - 1).unwrap_err().to_string();
        let expected = "not enough memory: training on batches of 100 images, at the least, takes 9 kB, and 9 kB are \
                        available; lower `batch_size`, or take a smaller network or smaller images";
        assert_eq!(text, expected);
        check(&model, 2, weights + 4 * 100 * 8).unwrap();
        model.freeze().unwrap();
        model.unfreeze_from("dense_1").unwrap();
        check(&model, 0, 4 * (106 + 3 * 18) + 4 * 100 * 8).unwrap();
        assert!(check(&model, 0, 4 * (106 + 3 * 18) + 4 * 100 * 8 - 1).is_err());
        // A normalisation keeps its input too: 8 values of an image, beside 32 weights, 16 of them trained, less a bias.
        let network = Sequential::for_vectors(10).dense(8).batch_normalization().relu().dense(2);
        model = network.build(1).unwrap();
        model.precision = Precision::Float32;
        let needed = 4 * (130 + 3 * 114) + 4 * 100 * (10 + 8 + 8);
        check(&model, 0, needed).unwrap();
        assert!(check(&model, 0, needed - 1).is_err());
    }

    #[test]
    fn the_seed_fixes_the_first_weights() {
        let build =
            |seed| Sequential::for_vectors(3).dense(2).build(seed).unwrap().snapshot().unwrap();
        assert!(build(1)[0].equal(&build(1)[0]));
        assert!(!build(1)[0].equal(&build(2)[0]));
    }
}
