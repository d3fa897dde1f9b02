//! Optimisers that make one pass over each weight.
//!
//! libtorch's own walks every tensor several times and cannot be saved.

use tch::{Kind, Tensor};

use crate::models::model::Weight;
use crate::parallel::in_parallel;

/// Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019), Keras's `AdamW`.
pub(crate) struct AdamW {
    /// Share of a decaying weight that goes at each step, times the learning rate.
    weight_decay: f64,
    /// Steps so far.
    steps: u64,
    moments: Vec<Moments>,
}

/// First and second moments of a weight; empty where it is not trained.
pub(crate) type Moments = (Vec<f32>, Vec<f32>);

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-7;
/// Values that one thread steps at a time.
const PART: usize = 1 << 15;

impl AdamW {
    pub(crate) fn new(weights: &[Weight], weight_decay: f64) -> AdamW {
        let zeros =
            |weight: &Weight| vec![0f32; if weight.trainable { weight.tensor.numel() } else { 0 }];
        AdamW {
            weight_decay,
            steps: 0,
            moments: weights.iter().map(|w| (zeros(w), zeros(w))).collect(),
        }
    }

    /// Steps so far, and the two moments of each weight; what a checkpoint keeps.
    pub(crate) fn state(&self) -> (u64, &[Moments]) {
        (self.steps, &self.moments)
    }

    /// Goes on from what [`AdamW::state`] gave, of an optimiser for the same weights.
    pub(crate) fn restore(&mut self, steps: u64, moments: Vec<Moments>) {
        (self.steps, self.moments) = (steps, moments);
    }

    /// Moves each trainable weight against its gradient, and clears the gradient for the next step. Undefined gradients
    /// leave a weight as it is.
    pub(crate) fn step(
        &mut self,
        weights: &mut [Weight],
        gradients: Vec<Tensor>,
        learning_rate: f64,
    ) {
        self.steps += 1;
        let corrected = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let step = Step {
            size: (learning_rate / corrected(BETA_1)) as f32,
            root: (1.0 / corrected(BETA_2).sqrt()) as f32,
            keep: 1.0,
        };
        let decayed = (1.0 - learning_rate * self.weight_decay) as f32;
        let (mut parts, mut dense) = (Vec::new(), Vec::new());
        let mut total = 0;
        for ((weight, gradient), (first, second)) in
            weights.iter_mut().zip(gradients).zip(&mut self.moments)
        {
            if !weight.trainable || !gradient.defined() {
                continue;
            }
            let step = Step { keep: if weight.decay { decayed } else { 1.0 }, ..step };
            // A gradient may come in other strides than its weight; then it is copied into the weight's.
            let gradient = Gradient::of(gradient);
            let length = first.len();
            for tensor in [&weight.tensor, &gradient.dense] {
                let whole = tensor.is_contiguous() && tensor.numel() == length && length > 0;
                assert!(whole && tensor.kind() == Kind::Float, "{} is another weight", weight.name);
            }
            // SAFETY: both tensors were just seen to be contiguous `f32` of `length` values, which is not 0; they lie
            // apart, as a weight and its gradient do; `dense` keeps the gradient until the end; and libtorch does not
            // touch them while this runs: a step begins after `backward` returned.
            let (values, slopes) = unsafe {
                (
                    std::slice::from_raw_parts_mut(weight.tensor.data_ptr().cast::<f32>(), length),
                    std::slice::from_raw_parts_mut(gradient.dense.data_ptr().cast::<f32>(), length),
                )
            };
            dense.push(gradient);
            total += length;
            parts.extend(
                values
                    .chunks_mut(PART)
                    .zip(slopes.chunks_mut(PART))
                    .zip(first.chunks_mut(PART).zip(second.chunks_mut(PART)))
                    .map(|((values, slopes), moments)| (step, values, slopes, moments)),
            );
        }
        in_parallel(total, parts, |(step, values, slopes, (first, second))| {
            step.run(values, slopes, first, second);
        });
        dense.iter_mut().for_each(Gradient::clear);
    }
}

/// A weight's gradient in the weight's own strides.
struct Gradient {
    original: Tensor,
    dense: Tensor,
}

impl Gradient {
    fn of(original: Tensor) -> Gradient {
        let dense =
            if original.is_contiguous() { original.shallow_clone() } else { original.contiguous() };
        Gradient { original, dense }
    }

    fn clear(&mut self) {
        if !self.original.is_contiguous() {
            let _ = self.original.zero_();
        }
    }
}

/// One step's factors.
#[derive(Clone, Copy)]
struct Step {
    /// Learning rate over the first moment's bias correction.
    size: f32,
    /// One over the root of the second moment's bias correction.
    root: f32,
    /// What weight decay leaves of a weight.
    keep: f32,
}

impl Step {
    fn run(self, values: &mut [f32], slopes: &mut [f32], first: &mut [f32], second: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.run_avx2(values, slopes, first, second) };
        }
        self.run_plain(values, slopes, first, second);
    }

    /// The same arithmetic, compiled for wider vectors.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn run_avx2(
        self,
        values: &mut [f32],
        slopes: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        self.run_plain(values, slopes, first, second);
    }

    #[inline(always)]
    fn run_plain(
        self,
        values: &mut [f32],
        slopes: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let (beta_1, beta_2, epsilon) = (BETA_1 as f32, BETA_2 as f32, EPSILON as f32);
        for (((value, slope), m), v) in values.iter_mut().zip(slopes).zip(first).zip(second) {
            *m = beta_1 * *m + (1.0 - beta_1) * *slope;
            *v = beta_2 * *v + (1.0 - beta_2) * *slope * *slope;
            *value = self.keep * *value - self.size * *m / (v.sqrt() * self.root + epsilon);
            *slope = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Two steps on one weight of 1 with gradients 0.5 and -0.25, worked by hand.
    #[test]
    fn two_steps_follow_the_formula() {
        let tensor = Tensor::ones([1, 1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut weights = [Weight { name: "w".into(), tensor, trainable: true, decay: true }];
        let mut adam = AdamW::new(&weights, 0.1);
        let (mut value, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for (step, slope) in [0.5, -0.25].into_iter().enumerate() {
            (&weights[0].tensor * slope).sum(Kind::Float).backward();
            let gradients = vec![weights[0].tensor.grad()];
            adam.step(&mut weights, gradients, 0.01);
            m = 0.9 * m + 0.1 * slope;
            v = 0.999 * v + 0.001 * slope * slope;
            let t = step as i32 + 1;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
            value = value * (1.0 - 0.01 * 0.1) - 0.01 * m_hat / (v_hat.sqrt() + 1e-7);
            assert!((weights[0].tensor.double_value(&[0, 0]) - value).abs() < 1e-6, "step {t}");
        }
        assert_eq!(weights[0].tensor.grad().double_value(&[0, 0]), 0.0);
    }

    #[test]
    fn a_frozen_weight_stays() {
        let frozen = Tensor::ones([3], (Kind::Float, Device::Cpu));
        let mut weights =
            [Weight { name: "w".into(), tensor: frozen, trainable: false, decay: true }];
        let gradients = vec![Tensor::ones([3], (Kind::Float, Device::Cpu))];
        AdamW::new(&weights, 0.1).step(&mut weights, gradients, 0.01);
        assert_eq!(weights[0].tensor.sum(Kind::Double).double_value(&[]), 3.0);
    }

    /// libtorch's own AdamW, on weights and gradients drawn at random.
    #[test]
    fn twenty_steps_agree_with_libtorch() {
        use tch::nn::{self, OptimizerConfig};
        tch::manual_seed(5);
        let store = nn::VarStore::new(Device::Cpu);
        let mut theirs = store.root().var("w", &[7, 5], nn::Init::Randn { mean: 0.0, stdev: 1.0 });
        let config = nn::AdamW { wd: 0.05, eps: EPSILON, ..nn::AdamW::default() };
        let mut libtorch = config.build(&store, 0.02).unwrap();
        let tensor = theirs.detach().copy().set_requires_grad(true);
        let mut weights = [Weight { name: "w".into(), tensor, trainable: true, decay: true }];
        let mut adam = AdamW::new(&weights, 0.05);
        for _ in 0..20 {
            let target = Tensor::randn([7, 5], (Kind::Float, Device::Cpu));
            let loss = |weight: &Tensor| (weight - &target).pow_tensor_scalar(2).sum(Kind::Float);
            libtorch.backward_step(&loss(&theirs));
            loss(&weights[0].tensor).backward();
            let gradients = vec![weights[0].tensor.grad()];
            adam.step(&mut weights, gradients, 0.02);
        }
        theirs = theirs.detach();
        assert!((theirs - weights[0].tensor.detach()).abs().max().double_value(&[]) < 1e-5);
    }
}
