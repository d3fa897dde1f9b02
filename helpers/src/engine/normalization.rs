//! Batch normalisation with what comes after it (ReLU, max pooling, dropout) in as few passes over memory as the arithmetic
//! allows.
//!
//! libtorch walks a convolution's output several times for each of these layers, forward and backward, and on a processor
//! that multiplies fast that takes longer than the convolution. Here a training step reads it twice forward (statistics,
//! result) and twice backward (sums, gradient); what ReLU and pooling chose is computed again, not kept.
//!
//! Tensors are `(N, C, H, W)` in channels-last memory, or `(N, C)`. They are bf16 or `f32` in memory; arithmetic is in
//! `f32`, and sums over many values are in `f64`.

use std::borrow::Cow;
use std::sync::Arc;

use half::bf16;
use tch::{Kind, Tensor};

use super::chain::{Backward, Forward, Step};
use super::channels::{Channels, Common};
use super::dropout::{DropoutMask, drop_in_place};
use super::layout::ChannelsLast;
use super::loops::{
    distances, gradient_sums, input_gradient, normalized, pooled, pooled_gradient, pooled_sums,
};
use crate::error::Result;
use crate::layers::Weight;
use crate::system::elements::{Element, read, write};
use crate::system::parallel::in_parallel;

/// A batch normalisation in a chain, with the layers after it that are computed in the same pass.
pub(super) struct NormalizationStep {
    /// Index of gamma; beta and the running mean and variance come after it.
    pub gamma: usize,
    pub momentum: f64,
    pub epsilon: f64,
    /// The running statistics, for predictions. `None` in training: the batch's own are used, and the running ones updated.
    pub running: Option<Arc<Channels>>,
    pub after: After,
}

/// The layers that are computed in the same pass after a normalisation, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct After {
    pub relu: bool,
    /// Max pooling in blocks of 2 × 2; only after ReLU.
    pub pool: bool,
    /// The rate of a dropout; only after ReLU.
    pub dropout: Option<f64>,
}

impl Step for NormalizationStep {
    fn forward(&self, input: Tensor, weights: &[Weight], _record: bool) -> Result<Forward> {
        let weights = [0, 1, 2, 3].map(|offset| &weights[self.gamma + offset].tensor);
        let After { relu, pool, dropout } = self.after;
        let mask = dropout.map(DropoutMask::draw).transpose()?;
        let fused = Fused { relu, pool, mask };
        if let Some(channels) = &self.running {
            let layout = ChannelsLast::of(&input);
            let (input, channels) = (layout.dense(&input)?, Arc::clone(channels));
            let output = Normalized { input, layout, fused, channels }.output()?;
            return Ok(Forward { output, kept: None });
        }
        let [gamma, beta, mean, variance] = weights;
        let (output, statistics, normalized) =
            Normalized::new(&input, gamma, beta, self.epsilon, fused)?;
        for (running, new) in [(mean, statistics.mean), (variance, statistics.variance)] {
            let _ = running.shallow_clone().f_lerp_(&new, 1.0 - self.momentum)?;
        }
        let tape = NormalizationTape { gamma: self.gamma, normalized };
        Ok(Forward::recorded(output, tape))
    }
}

struct NormalizationTape {
    gamma: usize,
    normalized: Normalized,
}

impl Backward for NormalizationTape {
    fn backward(
        self: Box<Self>,
        gradient: Tensor,
        _: bool,
        gradients: &mut [Tensor],
    ) -> Result<Tensor> {
        let found = self.normalized.backward(&gradient)?;
        gradients[self.gamma] = found.gamma;
        gradients[self.gamma + 1] = found.beta;
        Ok(found.input)
    }
}

/// [`After`] for one training step: with a mask in place of the dropout rate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Fused {
    relu: bool,
    pool: bool,
    mask: Option<DropoutMask>,
}

/// What the backward of a normalisation needs.
struct Normalized {
    input: Tensor,
    layout: ChannelsLast,
    fused: Fused,
    channels: Arc<Channels>,
}

/// The gradients of a normalisation's input and of its weights.
struct Gradients {
    input: Tensor,
    gamma: Tensor,
    beta: Tensor,
}

/// The statistics of a batch.
struct Statistics {
    mean: Tensor,
    /// The unbiased variance, which updates the running one.
    variance: Tensor,
}

impl Normalized {
    /// Normalises `input` by the batch's statistics, and applies the `fused` layers.
    fn new(
        input: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        epsilon: f64,
        fused: Fused,
    ) -> Result<(Tensor, Statistics, Normalized)> {
        let layout = ChannelsLast::of(input);
        let input = layout.dense(input)?;
        let (mean, squares) = match input.kind() {
            Kind::BFloat16 => moments::<bf16>(&input, &layout)?,
            _ => moments::<f32>(&input, &layout)?,
        };
        let rows = layout.rows() as f64;
        let unbiased: Vec<f64> = squares.iter().map(|sum| sum / (rows - 1.0).max(1.0)).collect();
        let statistics = Statistics {
            mean: Tensor::f_from_slice(&mean)?.f_to_kind(Kind::Float)?,
            variance: Tensor::f_from_slice(&unbiased)?.f_to_kind(Kind::Float)?,
        };
        let variance: Vec<f64> = squares.iter().map(|sum| sum / rows).collect();
        let channels = Arc::new(Channels::new(&mean, &variance, gamma, beta, epsilon)?);
        let normalized = Normalized { input, layout, fused, channels };
        Ok((normalized.output()?, statistics, normalized))
    }

    fn output(&self) -> Result<Tensor> {
        let ChannelsLast { height, width, .. } = self.layout;
        let sides = if self.fused.pool { [height / 2, width / 2] } else { [height, width] };
        let output = self.layout.empty(self.input.kind(), sides)?;
        match self.input.kind() {
            Kind::BFloat16 => self.forward::<bf16>(&output)?,
            _ => self.forward::<f32>(&output)?,
        }
        Ok(output)
    }

    fn forward<E: Element>(&self, output: &Tensor) -> Result<()> {
        let Normalized { input, layout, fused, channels } = self;
        let image = output.numel() / layout.images;
        let mut rest = write::<E>(output, output.numel())?;
        let mut tasks = Vec::new();
        let input = read::<E>(input, layout.values())?;
        for (first, input) in layout.blocks(input, layout.image()) {
            let (out, after) = rest.split_at_mut(input.len() / layout.image() * image);
            rest = after;
            tasks.push((first * image, input, out));
        }
        in_parallel(layout.values(), tasks, |(start, input, out)| {
            if fused.pool {
                let images = input.chunks_exact(layout.image()).zip(out.chunks_exact_mut(image));
                images.for_each(|(input, out)| pooled(input, out, layout, channels));
            } else {
                normalized(input, out, channels, fused.relu);
            }
            if let Some(mask) = fused.mask {
                drop_in_place(out, start, mask);
            }
        });
        Ok(())
    }

    /// The gradients of input and weights, from that of the output.
    fn backward(self, gradient: &Tensor) -> Result<Gradients> {
        let gradient = ChannelsLast::of(gradient).dense(gradient)?.f_to_kind(self.input.kind())?;
        let out = self.layout.empty(self.input.kind(), [self.layout.height, self.layout.width])?;
        let (gamma, beta) = match self.input.kind() {
            Kind::BFloat16 => self.gradients::<bf16>(&gradient, &out)?,
            _ => self.gradients::<f32>(&gradient, &out)?,
        };
        let narrow = |values: Vec<f64>| Tensor::f_from_slice(&values)?.f_to_kind(Kind::Float);
        Ok(Gradients { input: out, gamma: narrow(gamma)?, beta: narrow(beta)? })
    }

    fn gradients<E: Element>(
        &self,
        gradient: &Tensor,
        out: &Tensor,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let Normalized { input, layout, fused, channels } = self;
        let image = gradient.numel() / layout.images;
        let input = read::<E>(input, layout.values())?;
        let gradient = read::<E>(gradient, gradient.numel())?;
        let blocks: Vec<(usize, &[E], &[E])> = layout
            .blocks(input, layout.image())
            .into_iter()
            .zip(layout.blocks(gradient, image))
            .map(|((first, input), (_, gradient))| (first * image, input, gradient))
            .collect();
        let mut sums =
            vec![(vec![0f64; layout.channels], vec![0f64; layout.channels]); blocks.len()];
        let tasks = blocks.iter().copied().zip(&mut sums).collect();
        in_parallel(layout.values(), tasks, |((start, input, gradient), (sum, product))| {
            let gradient = undropped(gradient, start, fused.mask);
            if fused.pool {
                let images = input.chunks_exact(layout.image()).zip(gradient.chunks_exact(image));
                images.for_each(|(input, gradient)| {
                    pooled_sums(input, gradient, layout, channels, sum, product);
                });
            } else {
                gradient_sums(input, &gradient, channels, fused.relu, sum, product);
            }
        });
        let (mut sum, mut product) = (vec![0f64; layout.channels], vec![0f64; layout.channels]);
        for (block_sum, block_product) in &sums {
            add_to(&mut sum, block_sum);
            add_to(&mut product, block_product);
        }
        let common = Common::new(&sum, &product, &channels.inverse, layout.rows() as f64);
        let mut rest = write::<E>(out, layout.values())?;
        let mut tasks = Vec::new();
        for block in blocks {
            let (out, after) = rest.split_at_mut(block.1.len());
            rest = after;
            tasks.push((block, out));
        }
        in_parallel(layout.values(), tasks, |((start, input, gradient), out)| {
            let gradient = undropped(gradient, start, fused.mask);
            if fused.pool {
                let images = input.chunks_exact(layout.image()).zip(gradient.chunks_exact(image));
                let images = images.zip(out.chunks_exact_mut(layout.image()));
                images.for_each(|((input, gradient), out)| {
                    pooled_gradient(input, gradient, out, layout, channels, &common);
                });
            } else {
                let relu = fused.relu;
                input_gradient(input, &gradient, out, channels, relu, &common);
            }
        });
        let of_gamma = |(product, inverse): (&f64, &f32)| product * f64::from(*inverse);
        Ok((product.iter().zip(&channels.inverse).map(of_gamma).collect(), sum))
    }
}

/// A block's gradient before dropout; the block itself where nothing was dropped.
fn undropped<E: Element>(gradient: &[E], start: usize, mask: Option<DropoutMask>) -> Cow<'_, [E]> {
    let Some(mask) = mask else { return gradient.into() };
    let mut before = gradient.to_vec();
    drop_in_place(&mut before, start, mask);
    before.into()
}

/// Mean of each channel, and the sum of squared distances from it.
fn moments<E: Element>(input: &Tensor, layout: &ChannelsLast) -> Result<(Vec<f64>, Vec<f64>)> {
    let channels = layout.channels;
    let values = read::<E>(input, layout.values())?;
    // Distances from some value of the channel keep squares small where the mean is large.
    let origin: Vec<f32> = values[..channels].iter().map(|value| value.load()).collect();
    let blocks: Vec<&[E]> =
        layout.blocks(values, layout.image()).into_iter().map(|(_, block)| block).collect();
    let mut sums = vec![(vec![0f64; channels], vec![0f64; channels]); blocks.len()];
    let tasks = blocks.into_iter().zip(&mut sums).collect();
    in_parallel(layout.values(), tasks, |(block, (sum, square))| {
        distances(block, &origin, sum, square);
    });
    let (mut sum, mut square) = (vec![0f64; channels], vec![0f64; channels]);
    for (block_sum, block_square) in &sums {
        add_to(&mut sum, block_sum);
        add_to(&mut square, block_square);
    }
    let rows = layout.rows() as f64;
    for ((sum, square), origin) in sum.iter_mut().zip(&mut square).zip(&origin) {
        *square = (*square - *sum * *sum / rows).max(0.0);
        *sum = *sum / rows + f64::from(*origin);
    }
    Ok((sum, square))
}

fn add_to(sums: &mut [f64], more: &[f64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn the_result_does_not_depend_on_the_number_of_threads() {
        tch::manual_seed(8);
        let values = Tensor::randn([40, 12, 12, 8], (Kind::Float, Device::Cpu)) * 3.0 + 100.0;
        let values = values.permute([0, 3, 1, 2]).to_kind(Kind::BFloat16);
        let weights = Tensor::linspace(0.5, 2.0, 8, (Kind::Float, Device::Cpu));
        let fused = Fused { relu: true, pool: true, mask: None };
        let threads = tch::get_num_threads();
        let run = |threads| {
            tch::set_num_threads(threads);
            let (output, _, done) =
                Normalized::new(&values, &weights, &weights, 1e-3, fused).unwrap();
            let found = done.backward(&output).unwrap();
            [output, found.input, found.gamma, found.beta]
        };
        let (one, two) = (run(1), run(2));
        tch::set_num_threads(threads);
        assert!(one.iter().zip(&two).all(|(one, two)| one.equal(two)));
    }

    #[test]
    fn a_large_mean_does_not_spoil_the_variance() {
        let values = Tensor::from_slice(&[4096.0f32, 4097.0, 4098.0, 4099.0]).view([4, 1]);
        let one = Tensor::ones([1], (Kind::Float, Device::Cpu));
        let (_, statistics, _) =
            Normalized::new(&values, &one, &one, 1e-3, Fused::default()).unwrap();
        assert_eq!(statistics.mean.double_value(&[0]), 4097.5);
        assert!((statistics.variance.double_value(&[0]) - 5.0 / 3.0).abs() < 1e-6);
    }
}
