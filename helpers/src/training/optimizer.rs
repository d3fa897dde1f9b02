//! The optimiser. It makes one pass over each weight; libtorch's own optimisers walk every tensor several times and
//! cannot be saved. It cannot read the memory of a GPU: there, [`FlatWeights`] takes its place.

use half::bf16;
use tch::{Kind, TchError, Tensor};

use super::adam::{BETA_1, BETA_2, EPSILON, Factors, Moments};
use super::average::{Followers, follow};
use super::flat::FlatWeights;
use crate::error::{Error, Result};
use crate::layers::Weight;
use crate::system::device::Device;
use crate::system::elements::{Element, read, vectorised, write};
use crate::system::parallel::in_parallel;

/// Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019), Keras's `AdamW`.
pub(crate) struct AdamW {
    /// Each step multiplies a decaying weight by `1 - learning_rate * weight_decay`.
    weight_decay: f64,
    /// Steps so far.
    steps: u64,
    state: OptimizerState,
}

enum OptimizerState {
    /// The moments of each weight.
    Fused(Vec<Moments>),
    Flat(FlatWeights),
}

/// Values that one thread updates at a time.
const CHUNK: usize = 1 << 15;

impl AdamW {
    /// An optimiser for weights on this device, with moments of 0.
    ///
    /// # Errors
    /// If there is no memory for the moments.
    pub(crate) fn new(weights: &mut [Weight], weight_decay: f64, device: Device) -> Result<AdamW> {
        let zeros =
            |weight: &Weight| vec![0f32; if weight.trainable { weight.tensor.numel() } else { 0 }];
        let state = match device.is_fused() {
            true => OptimizerState::Fused(weights.iter().map(|w| (zeros(w), zeros(w))).collect()),
            false => OptimizerState::Flat(FlatWeights::new(weights)?),
        };
        Ok(AdamW { weight_decay, steps: 0, state })
    }

    /// Steps so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Both moments of each weight. A checkpoint keeps these and the number of steps.
    ///
    /// # Errors
    /// If they cannot be copied from their device.
    pub(crate) fn moments(&self, weights: &[Weight]) -> Result<Vec<Moments>> {
        match &self.state {
            OptimizerState::Fused(moments) => Ok(moments.clone()),
            OptimizerState::Flat(flat) => flat.moments(weights),
        }
    }

    /// Continues from the steps and moments of an optimiser for the same weights.
    ///
    /// # Errors
    /// If they cannot be copied to their device.
    pub(crate) fn restore(&mut self, steps: u64, moments: Vec<Moments>) -> Result<()> {
        self.steps = steps;
        match &mut self.state {
            OptimizerState::Fused(own) => *own = moments,
            OptimizerState::Flat(flat) => flat.set_moments(&moments)?,
        }
        Ok(())
    }

    /// Updates each trainable weight by its gradient, `f32` or bf16. A weight with an undefined gradient is unchanged.
    /// The moving average and the copy in bf16 are updated in the same pass, while a chunk of the weights is still in the
    /// cache.
    ///
    /// # Errors
    /// If libtorch cannot reorder a gradient, or a tensor belongs to another weight.
    pub(super) fn step(
        &mut self,
        weights: &mut [Weight],
        gradients: &[Tensor],
        learning_rate: f64,
        followers: Option<Followers>,
    ) -> Result<()> {
        self.steps += 1;
        let size = Factors::of_step(self.steps, learning_rate, self.weight_decay);
        let moments = match &mut self.state {
            OptimizerState::Flat(flat) => return flat.step(weights, gradients, size, followers),
            OptimizerState::Fused(moments) => moments,
        };
        let step = Factors { size: size.size as f32, root: size.root as f32, keep: 1.0 };
        let decayed = size.keep as f32;
        let gradients = gradients.iter().map(laid_out).collect::<Result<Vec<Tensor>, _>>()?;
        let flat = |rounded: &Tensor| rounded.f_view([-1]);
        let rounded = weights.iter().map(|weight| weight.rounded.as_ref().map(flat).transpose());
        let rounded = rounded.collect::<Result<Vec<Option<Tensor>>, _>>()?;
        let share = followers.as_ref().map_or(0.0, |followers| followers.share as f32);
        let followers = followers.map_or(&[][..], |followers| &*followers.values);
        let (mut tasks, mut total) = (Vec::new(), 0);
        for (index, (weight, (first, second))) in weights.iter_mut().zip(moments).enumerate() {
            let length = first.len();
            if !weight.trainable || length == 0 {
                continue;
            }
            let values = values_of(&weight.tensor, length, &weight.name)?;
            let slopes = Gradient::of(&gradients[index], length)?;
            let average = match followers.get(index) {
                Some(average) => values_of(average, length, &weight.name)?,
                None => &mut [],
            };
            // The tape of the step that read the copy is gone.
            let copy = match &rounded[index] {
                Some(rounded) => write::<bf16>(rounded, length)?,
                None => &mut [],
            };
            total += length;
            let (mut averages, mut copies) = (average.chunks_mut(CHUNK), copy.chunks_mut(CHUNK));
            let step = Factors { keep: if weight.decay { decayed } else { 1.0 }, ..step };
            let moments = first.chunks_mut(CHUNK).zip(second.chunks_mut(CHUNK));
            for ((values, slopes), moments) in
                values.chunks_mut(CHUNK).zip(slopes.chunks(CHUNK)).zip(moments)
            {
                let (average, copy) = (averages.next(), copies.next());
                tasks.push(Chunk { step, values, slopes, moments, average, copy });
            }
        }
        in_parallel(total, tasks, |chunk| chunk.update(share));
        Ok(())
    }
}

/// The values of a weight that one thread updates at a time, and what belongs to them.
struct Chunk<'a> {
    step: Factors<f32>,
    values: &'a mut [f32],
    slopes: Gradient<'a>,
    moments: (&'a mut [f32], &'a mut [f32]),
    average: Option<&'a mut [f32]>,
    /// The values in bf16.
    copy: Option<&'a mut [bf16]>,
}

impl Chunk<'_> {
    /// `share` is that of the average, see [`Followers`].
    fn update(self, share: f32) {
        let Chunk { step, values, slopes, moments: (first, second), average, copy } = self;
        match slopes {
            Gradient::None => {}
            Gradient::F32(slopes) => descend(values, slopes, first, second, step),
            Gradient::Bf16(slopes) => descend(values, slopes, first, second, step),
        }
        if let Some(average) = average {
            follow::<f32>(average, values, share);
        }
        if let Some(copy) = copy {
            round::<bf16>(copy, values);
        }
    }
}

/// The gradient in its weight's memory order, since it may come with other strides.
fn laid_out(gradient: &Tensor) -> Result<Tensor, TchError> {
    match gradient.defined() {
        true => gradient.f_contiguous()?.f_view([-1]),
        false => Ok(Tensor::new()),
    }
}

/// The values of a weight, or of its average.
#[allow(clippy::mut_from_ref, reason = "a tensor's memory is apart from its handle")]
fn values_of<'a>(tensor: &'a Tensor, length: usize, name: &str) -> Result<&'a mut [f32]> {
    let same = tensor.is_contiguous() && tensor.numel() == length && length > 0;
    if !same || tensor.kind() != Kind::Float {
        return Err(Error::internal(format!("{name} is another weight")));
    }
    // SAFETY: the tensor was just checked to be contiguous `f32` of `length` values, which is not 0. Each tensor is
    // taken once per step, and libtorch does not use it meanwhile: a step begins after the backward pass has ended.
    Ok(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), length) })
}

/// A gradient's values.
#[derive(Clone, Copy)]
enum Gradient<'a> {
    None,
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

impl<'a> Gradient<'a> {
    fn of(gradient: &'a Tensor, length: usize) -> Result<Gradient<'a>> {
        Ok(match gradient.defined().then(|| gradient.kind()) {
            None => Gradient::None,
            Some(Kind::BFloat16) => Gradient::Bf16(read(gradient, length)?),
            Some(_) => Gradient::F32(read(gradient, length)?),
        })
    }

    fn chunks(self, length: usize) -> Box<dyn Iterator<Item = Gradient<'a>> + 'a> {
        match self {
            Gradient::None => Box::new(std::iter::repeat(Gradient::None)),
            Gradient::F32(slopes) => Box::new(slopes.chunks(length).map(Gradient::F32)),
            Gradient::Bf16(slopes) => Box::new(slopes.chunks(length).map(Gradient::Bf16)),
        }
    }
}

vectorised! {
    /// One step for some weights and their moments.
    fn descend(values: &mut [f32], slopes: &[E], first: &mut [f32], second: &mut [f32], step: Factors<f32>) {
        let (beta_1, beta_2, epsilon) = (BETA_1 as f32, BETA_2 as f32, EPSILON as f32);
        for (((value, slope), m), v) in values.iter_mut().zip(slopes).zip(first).zip(second) {
            let slope = slope.load();
            *m = beta_1 * *m + (1.0 - beta_1) * slope;
            *v = beta_2 * *v + (1.0 - beta_2) * slope * slope;
            *value = step.keep * *value - step.size * *m / (v.sqrt() * step.root + epsilon);
        }
    }
}

vectorised! {
    /// Rounds some weights to the number format of their copy.
    fn round(copies: &mut [E], values: &[f32]) {
        for (copy, value) in copies.iter_mut().zip(values) {
            *copy = E::store(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Precision, Sequential};
    use tch::Kind;

    /// Two steps on one weight of 1 with gradients 0.5 and -0.25, worked by hand.
    #[test]
    fn two_steps_follow_the_formula() {
        let tensor = Tensor::ones([1, 1], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let mut weights = [Weight::new("w", tensor, true, true)];
        let mut adam = AdamW::new(&mut weights, 0.1, Device::Cpu).unwrap();
        let (mut value, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for (step, slope) in [0.5, -0.25].into_iter().enumerate() {
            (&weights[0].tensor * slope).sum(Kind::Float).backward();
            let gradients = [weights[0].tensor.grad().copy()];
            weights[0].tensor.zero_grad();
            adam.step(&mut weights, &gradients, 0.01, None).unwrap();
            m = 0.9 * m + 0.1 * slope;
            v = 0.999 * v + 0.001 * slope * slope;
            let t = step as i32 + 1;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
            value = value * (1.0 - 0.01 * 0.1) - 0.01 * m_hat / (v_hat.sqrt() + 1e-7);
            assert!((weights[0].tensor.double_value(&[0, 0]) - value).abs() < 1e-6, "step {t}");
        }
    }

    #[test]
    fn a_frozen_weight_stays() {
        let frozen = Tensor::ones([3], (Kind::Float, tch::Device::Cpu));
        let mut weights = [Weight::new("w", frozen, false, true)];
        let gradients = [Tensor::ones([3], (Kind::Float, tch::Device::Cpu))];
        let mut adam = AdamW::new(&mut weights, 0.1, Device::Cpu).unwrap();
        adam.step(&mut weights, &gradients, 0.01, None).unwrap();
        assert_eq!(weights[0].tensor.sum(Kind::Double).double_value(&[]), 3.0);
    }

    /// libtorch's own AdamW, on weights and gradients drawn at random.
    #[test]
    fn twenty_steps_agree_with_libtorch() {
        use tch::nn::{self, OptimizerConfig};
        tch::manual_seed(5);
        let store = nn::VarStore::new(tch::Device::Cpu);
        let mut theirs = store.root().var("w", &[7, 5], nn::Init::Randn { mean: 0.0, stdev: 1.0 });
        let config = nn::AdamW { wd: 0.05, eps: EPSILON, ..nn::AdamW::default() };
        let mut libtorch = config.build(&store, 0.02).unwrap();
        let tensor = theirs.detach().copy().set_requires_grad(true);
        let mut weights = [Weight::new("w", tensor, true, true)];
        let mut adam = AdamW::new(&mut weights, 0.05, Device::Cpu).unwrap();
        for _ in 0..20 {
            let target = Tensor::randn([7, 5], (Kind::Float, tch::Device::Cpu));
            let loss = |weight: &Tensor| (weight - &target).pow_tensor_scalar(2).sum(Kind::Float);
            libtorch.backward_step(&loss(&theirs));
            loss(&weights[0].tensor).backward();
            let gradients = [weights[0].tensor.grad().copy()];
            weights[0].tensor.zero_grad();
            adam.step(&mut weights, &gradients, 0.02, None).unwrap();
        }
        theirs = theirs.detach();
        assert!((theirs - weights[0].tensor.detach()).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn a_gradient_in_bf16_steps_as_the_same_numbers_in_32_bits() {
        let slopes =
            Tensor::linspace(-2.0, 3.0, 1000, (Kind::Float, tch::Device::Cpu)).view([20, 50]);
        let narrow = slopes.to_kind(Kind::BFloat16);
        let [wide, narrow] = [narrow.to_kind(Kind::Float), narrow].map(|gradient| {
            let tensor = Tensor::ones([20, 50], (Kind::Float, tch::Device::Cpu));
            let mut weights = [Weight::new("w", tensor, true, true)];
            let mut adam = AdamW::new(&mut weights, 0.1, Device::Cpu).unwrap();
            adam.step(&mut weights, &[gradient], 0.01, None).unwrap();
            weights[0].tensor.copy()
        });
        assert!(wide.equal(&narrow) && wide.min().double_value(&[]) < 1.0);
    }

    /// Two layers of a network without and with the copies, over more than one chunk.
    #[test]
    fn weights_whose_copies_in_bf16_are_kept_are_trained_as_without_them() {
        let run = |keeps: bool| {
            let network = Sequential::for_vectors(200).dense(190).batch_normalization().relu();
            let mut model = network.dense(3).build(4).unwrap();
            model.precision = Precision::BFloat16;
            model.set_device(Device::Cpu).unwrap();
            let engine = model.training_engine(0).unwrap();
            let mut adam = AdamW::new(&mut model.weights, 0.05, Device::Cpu).unwrap();
            if keeps {
                let mut weights = model.weights.iter_mut();
                weights.try_for_each(|weight| weight.keep_rounded(Kind::BFloat16)).unwrap();
            }
            tch::manual_seed(6);
            let images = Tensor::randn([20, 200], (Kind::Float, tch::Device::Cpu));
            for _ in 0..3 {
                let (outputs, tape) = engine.forward(&images, &model.weights).unwrap();
                outputs.square().sum(Kind::Float).backward();
                let gradients = tape.backward(&outputs, &model.weights).unwrap();
                adam.step(&mut model.weights, &gradients, 0.01, None).unwrap();
            }
            model.weights
        };
        let (with, without) = (run(true), run(false));
        assert!(with[0].tensor.numel() > CHUNK);
        for (with, without) in with.iter().zip(&without) {
            assert!(with.tensor.equal(&without.tensor), "{}", with.name);
            assert!(without.rounded.is_none());
            let rounded = with
                .rounded
                .as_ref()
                .map(|rounded| rounded.equal(&with.tensor.to_kind(Kind::BFloat16)));
            assert_eq!(rounded, with.trainable.then_some(true), "{}", with.name);
        }
    }
}
