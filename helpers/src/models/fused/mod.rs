//! Layers that are not products of matrices, each way in as few passes over memory as the arithmetic allows: batch
//! normalisation with what follows it (ReLU, max pooling, dropout), and depthwise convolutions ([`depthwise`]).
//!
//! libtorch walks a convolution's output for each of these layers several times, forwards and backwards, and that takes
//! longer than the convolution itself on a processor that multiplies fast. Here a training step reads it twice forwards
//! (statistics, result) and twice backwards (sums, gradient); what ReLU and pooling chose is computed again, not kept.
//!
//! Tensors are `(N, C, H, W)` in channels-last memory, or `(N, C)`; bf16 or `f32` in memory, `f32` in arithmetic, `f64` in
//! sums over many. Work is cut into blocks that do not depend on the number of threads, so results do not either.

pub(crate) mod depthwise;
mod loops;

use std::borrow::Cow;

use tch::{Device, Kind, Tensor};

use self::loops::{
    between, cut_off, distances, drop_in_place, drop_values, gradient_sums, input_gradient,
    normalized, pooled, pooled_gradient, pooled_sums,
};
use crate::elements::{Bf16, Element, read, write};
use crate::error::Result;
use crate::parallel::in_parallel;

/// Blocks that work is cut into.
const BLOCKS: usize = 16;

/// What follows the normalisation, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Follows {
    pub relu: bool,
    /// Max pooling over blocks of 2 × 2; only behind ReLU.
    pub pool: bool,
    pub dropout: Option<Dropout>,
}

/// Which values are dropped: a hash of a value's place and these numbers decides, so the mask is never kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dropout {
    /// Values whose hash is below are dropped.
    threshold: u32,
    /// What the others are multiplied by.
    factor: f32,
    keys: [u32; 2],
}

impl Dropout {
    /// Drops this share of the values, from 0 to below 1; libtorch's generator decides which.
    pub(crate) fn draw(rate: f64) -> Result<Dropout> {
        let keys = Tensor::f_randint(1 << 32, [2], (Kind::Int64, Device::Cpu))?;
        let keys = [0, 1].map(|place| keys.int64_value(&[place]) as u32);
        let threshold = (rate * f64::from(u32::MAX)) as u32;
        Ok(Dropout { threshold, factor: (1.0 / (1.0 - rate)) as f32, keys })
    }

    /// What the value at this place is multiplied by.
    #[inline(always)]
    fn factor(&self, place: u32) -> f32 {
        // Twice the finaliser `lowbias32` of C. Wellons' hash prospector.
        let mix = |x: u32| {
            let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
            let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
            x ^ (x >> 16)
        };
        let hash = mix(mix(place ^ self.keys[0]) ^ self.keys[1]);
        if hash < self.threshold { 0.0 } else { self.factor }
    }

    /// `values` with some dropped and the others scaled; also the way back, for their gradients.
    pub(crate) fn apply(&self, values: &Tensor) -> Result<Tensor> {
        let layout = Layout::of(values);
        let values = layout.dense(values)?;
        let output = layout.empty(values.kind(), [layout.height, layout.width])?;
        match values.kind() {
            Kind::BFloat16 => self.apply_to::<Bf16>(&layout, &values, &output),
            _ => self.apply_to::<f32>(&layout, &values, &output),
        }
        Ok(output)
    }

    fn apply_to<E: Element>(&self, layout: &Layout, values: &Tensor, output: &Tensor) {
        let values = read::<E>(values, layout.values());
        in_blocks::<E>(output, layout, |first, out| {
            drop_values(&values[first..first + out.len()], out, first, *self);
        });
    }
}

/// Cuts values off below 0 and above 6, in place; `values` may be in nobody else's hands.
pub(crate) fn relu6_(values: &Tensor) {
    let layout = Layout::of(values);
    match values.kind() {
        _ if !layout.holds(values) => drop(values.shallow_clone().relu6_()),
        Kind::BFloat16 => in_blocks::<Bf16>(values, &layout, |_, values| cut_off(values)),
        _ => in_blocks::<f32>(values, &layout, |_, values| cut_off(values)),
    }
}

/// The gradient before [`relu6_`], from what it gave and the gradient behind it.
pub(crate) fn relu6_backward(output: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let layout = Layout::of(output);
    let output = layout.dense(output)?;
    let gradient = layout.dense(&gradient.f_to_kind(output.kind())?)?;
    let found = layout.empty(output.kind(), [layout.height, layout.width])?;
    match output.kind() {
        Kind::BFloat16 => relu6_gradient::<Bf16>(&layout, &output, &gradient, &found),
        _ => relu6_gradient::<f32>(&layout, &output, &gradient, &found),
    }
    Ok(found)
}

fn relu6_gradient<E: Element>(layout: &Layout, output: &Tensor, gradient: &Tensor, found: &Tensor) {
    let (output, gradient) =
        (read::<E>(output, layout.values()), read::<E>(gradient, layout.values()));
    in_blocks::<E>(found, layout, |first, found| {
        let block = first..first + found.len();
        between(&output[block.clone()], &gradient[block], found);
    });
}

/// Calls `work` for each block of a new tensor, with the place of the block's first value.
fn in_blocks<E: Element>(tensor: &Tensor, layout: &Layout, work: impl Fn(usize, &mut [E]) + Sync) {
    let (mut rest, mut tasks) = (write::<E>(tensor, layout.values()), Vec::new());
    let image = layout.image();
    for (first, end) in blocks(layout.images) {
        let (block, after) = rest.split_at_mut((end - first) * image);
        rest = after;
        tasks.push((first * image, block));
    }
    in_parallel(layout.values(), tasks, |(first, block)| work(first, block));
}

/// How values lie in memory: image by image, row by row, pixel by pixel, channels last.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
    flat: bool,
}

impl Layout {
    fn of(tensor: &Tensor) -> Layout {
        match tensor.size()[..] {
            [images, channels, height, width] => {
                let [images, height, width, channels] =
                    [images, height, width, channels].map(|side| side as usize);
                Layout { images, height, width, channels, flat: false }
            }
            ref size => {
                let channels = size.iter().skip(1).product::<i64>() as usize;
                Layout { images: size[0] as usize, height: 1, width: 1, channels, flat: true }
            }
        }
    }

    /// Values of one image.
    fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn values(&self) -> usize {
        self.images * self.image()
    }

    /// Whether `tensor` is in this layout.
    fn holds(&self, tensor: &Tensor) -> bool {
        match self.flat {
            true => tensor.is_contiguous(),
            false => tensor.permute([0, 2, 3, 1]).is_contiguous(),
        }
    }

    /// `tensor` in this layout, itself where it is in it already.
    fn dense(&self, tensor: &Tensor) -> Result<Tensor> {
        if self.flat {
            return Ok(tensor.f_contiguous()?);
        }
        Ok(tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
    }

    /// A new tensor in this layout, with another height and width.
    fn empty(&self, kind: Kind, [height, width]: [usize; 2]) -> Result<Tensor> {
        let sides = [self.images, height, width, self.channels].map(|side| side as i64);
        if self.flat {
            return Ok(Tensor::f_empty([sides[0], sides[3]], (kind, Device::Cpu))?);
        }
        Ok(Tensor::f_empty(sides, (kind, Device::Cpu))?.f_permute([0, 3, 1, 2])?)
    }
}

/// A normalisation that was done: what the way back needs.
pub(crate) struct Normalized {
    input: Tensor,
    layout: Layout,
    follows: Follows,
    channels: Channels,
}

/// Numbers for each channel.
struct Channels {
    mean: Vec<f32>,
    /// One over the standard deviation.
    inverse: Vec<f32>,
    /// `value * scale + shift` is the normalised value.
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// What the gradients of all inputs of a channel have in common, because all have a part in mean and variance.
struct Common {
    constant: Vec<f32>,
    /// Times the distance from the mean.
    slope: Vec<f32>,
}

impl Channels {
    fn new(
        mean: &[f64],
        variance: &[f64],
        gamma: &Tensor,
        beta: &Tensor,
        epsilon: f64,
    ) -> Result<Channels> {
        let (gamma, beta) = (Vec::<f32>::try_from(gamma)?, Vec::<f32>::try_from(beta)?);
        let mut channels = Channels { mean: vec![], inverse: vec![], scale: vec![], shift: vec![] };
        for (((mean, variance), gamma), beta) in mean.iter().zip(variance).zip(gamma).zip(beta) {
            let inverse = 1.0 / (variance + epsilon).sqrt();
            let scale = f64::from(gamma) * inverse;
            channels.mean.push(*mean as f32);
            channels.inverse.push(inverse as f32);
            channels.scale.push(scale as f32);
            channels.shift.push((f64::from(beta) - mean * scale) as f32);
        }
        Ok(channels)
    }
}

/// The gradients of a normalisation's input and of its weights.
pub(crate) struct Gradients {
    pub input: Tensor,
    pub gamma: Tensor,
    pub beta: Tensor,
}

/// The statistics of a batch.
pub(crate) struct Statistics {
    pub mean: Tensor,
    /// The unbiased one, which goes into the running statistics.
    pub variance: Tensor,
}

impl Normalized {
    /// Normalises `input` by the statistics of the batch; gives the output of the layers that `follows` names, too.
    pub(crate) fn new(
        input: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        epsilon: f64,
        follows: Follows,
    ) -> Result<(Tensor, Statistics, Normalized)> {
        let layout = Layout::of(input);
        let input = layout.dense(input)?;
        let (mean, squares) = match input.kind() {
            Kind::BFloat16 => moments::<Bf16>(&input, &layout),
            _ => moments::<f32>(&input, &layout),
        };
        let rows = (layout.images * layout.height * layout.width) as f64;
        let unbiased: Vec<f64> = squares.iter().map(|sum| sum / (rows - 1.0).max(1.0)).collect();
        let statistics = Statistics {
            mean: Tensor::f_from_slice(&mean)?.f_to_kind(Kind::Float)?,
            variance: Tensor::f_from_slice(&unbiased)?.f_to_kind(Kind::Float)?,
        };
        let variance: Vec<f64> = squares.iter().map(|sum| sum / rows).collect();
        let channels = Channels::new(&mean, &variance, gamma, beta, epsilon)?;
        let done = Normalized { input, layout, follows, channels };
        Ok((done.output()?, statistics, done))
    }

    /// Normalises `input` by the running statistics, as is done with a network that has learnt.
    pub(crate) fn by_running(
        input: &Tensor,
        [gamma, beta, mean, variance]: [&Tensor; 4],
        epsilon: f64,
        follows: Follows,
    ) -> Result<Tensor> {
        let layout = Layout::of(input);
        let input = layout.dense(input)?;
        let [mean, variance] = [mean, variance].map(Vec::<f64>::try_from);
        let channels = Channels::new(&mean?, &variance?, gamma, beta, epsilon)?;
        Normalized { input, layout, follows, channels }.output()
    }

    fn output(&self) -> Result<Tensor> {
        let Layout { height, width, .. } = self.layout;
        let sides = if self.follows.pool { [height / 2, width / 2] } else { [height, width] };
        let output = self.layout.empty(self.input.kind(), sides)?;
        match self.input.kind() {
            Kind::BFloat16 => self.forward::<Bf16>(&output),
            _ => self.forward::<f32>(&output),
        }
        Ok(output)
    }

    fn forward<E: Element>(&self, output: &Tensor) {
        let Normalized { input, layout, follows, channels } = self;
        let image = output.numel() / layout.images;
        let mut rest = write::<E>(output, output.numel());
        let mut tasks = Vec::new();
        let input = read::<E>(input, layout.values());
        for (first, input) in cut(input, layout, layout.image()) {
            let (out, after) = rest.split_at_mut(input.len() / layout.image() * image);
            rest = after;
            tasks.push((first * image, input, out));
        }
        in_parallel(layout.values(), tasks, |(start, input, out)| {
            if follows.pool {
                let images = input.chunks_exact(layout.image()).zip(out.chunks_exact_mut(image));
                images.for_each(|(input, out)| pooled(input, out, layout, channels));
            } else {
                normalized(input, out, channels, follows.relu);
            }
            if let Some(dropout) = follows.dropout {
                drop_in_place(out, start, dropout);
            }
        });
    }

    /// The way back from the gradient of the output.
    pub(crate) fn backward(self, gradient: &Tensor) -> Result<Gradients> {
        let gradient = Layout::of(gradient).dense(gradient)?.f_to_kind(self.input.kind())?;
        let out = self.layout.empty(self.input.kind(), [self.layout.height, self.layout.width])?;
        let (gamma, beta) = match self.input.kind() {
            Kind::BFloat16 => self.gradients::<Bf16>(&gradient, &out),
            _ => self.gradients::<f32>(&gradient, &out),
        };
        let narrow = |values: Vec<f64>| Tensor::f_from_slice(&values)?.f_to_kind(Kind::Float);
        Ok(Gradients { input: out, gamma: narrow(gamma)?, beta: narrow(beta)? })
    }

    fn gradients<E: Element>(&self, gradient: &Tensor, out: &Tensor) -> (Vec<f64>, Vec<f64>) {
        let Normalized { input, layout, follows, channels } = self;
        let image = gradient.numel() / layout.images;
        let input = read::<E>(input, layout.values());
        let gradient = read::<E>(gradient, gradient.numel());
        let blocks: Vec<(usize, &[E], &[E])> = cut(input, layout, layout.image())
            .into_iter()
            .zip(cut(gradient, layout, image))
            .map(|((first, input), (_, gradient))| (first * image, input, gradient))
            .collect();
        let mut sums =
            vec![(vec![0f64; layout.channels], vec![0f64; layout.channels]); blocks.len()];
        let tasks = blocks.iter().copied().zip(&mut sums).collect();
        in_parallel(layout.values(), tasks, |((start, input, gradient), (sum, product))| {
            let gradient = undropped(gradient, start, follows.dropout);
            if follows.pool {
                let images = input.chunks_exact(layout.image()).zip(gradient.chunks_exact(image));
                images.for_each(|(input, gradient)| {
                    pooled_sums(input, gradient, layout, channels, sum, product);
                });
            } else {
                gradient_sums(input, &gradient, channels, follows.relu, sum, product);
            }
        });
        let (mut sum, mut product) = (vec![0f64; layout.channels], vec![0f64; layout.channels]);
        for (block_sum, block_product) in &sums {
            add_to(&mut sum, block_sum);
            add_to(&mut product, block_product);
        }
        // d/dx = scale * (g - mean(g) - (x - mean) * mean(g * (x - mean)) / variance)
        let rows = (layout.images * layout.height * layout.width) as f64;
        let constant = sum.iter().map(|sum| (sum / rows) as f32).collect();
        let inverse = &channels.inverse;
        let slope = product.iter().zip(inverse).map(|(product, inverse)| {
            (product / rows * f64::from(*inverse) * f64::from(*inverse)) as f32
        });
        let common = Common { constant, slope: slope.collect() };
        let mut rest = write::<E>(out, layout.values());
        let mut tasks = Vec::new();
        for block in blocks {
            let (out, after) = rest.split_at_mut(block.1.len());
            rest = after;
            tasks.push((block, out));
        }
        in_parallel(layout.values(), tasks, |((start, input, gradient), out)| {
            let gradient = undropped(gradient, start, follows.dropout);
            if follows.pool {
                let images = input.chunks_exact(layout.image()).zip(gradient.chunks_exact(image));
                let images = images.zip(out.chunks_exact_mut(layout.image()));
                images.for_each(|((input, gradient), out)| {
                    pooled_gradient(input, gradient, out, layout, channels, &common);
                });
            } else {
                let relu = follows.relu;
                input_gradient(input, &gradient, out, channels, relu, &common);
            }
        });
        let gamma =
            product.iter().zip(inverse).map(|(product, inverse)| product * f64::from(*inverse));
        (gamma.collect(), sum)
    }
}

/// A block's gradient before dropout; the block itself where nothing was dropped.
fn undropped<E: Element>(gradient: &[E], start: usize, dropout: Option<Dropout>) -> Cow<'_, [E]> {
    let Some(dropout) = dropout else { return gradient.into() };
    let mut before = gradient.to_vec();
    drop_in_place(&mut before, start, dropout);
    before.into()
}

/// Mean of each channel, and the sum of squared distances from it.
fn moments<E: Element>(input: &Tensor, layout: &Layout) -> (Vec<f64>, Vec<f64>) {
    let channels = layout.channels;
    let values = read::<E>(input, layout.values());
    // Distances from some value of the channel keep squares small where the mean is large.
    let origin: Vec<f32> = values[..channels].iter().map(|value| value.load()).collect();
    let blocks: Vec<&[E]> =
        cut(values, layout, layout.image()).into_iter().map(|(_, block)| block).collect();
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
    let rows = (layout.images * layout.height * layout.width) as f64;
    for ((sum, square), origin) in sum.iter_mut().zip(&mut square).zip(&origin) {
        *square = (*square - *sum * *sum / rows).max(0.0);
        *sum = *sum / rows + f64::from(*origin);
    }
    (sum, square)
}

/// The first image of each block, and that behind its last; empty blocks are left out.
fn blocks(images: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..BLOCKS)
        .map(move |block| (block * images / BLOCKS, (block + 1) * images / BLOCKS))
        .filter(|(first, end)| first < end)
}

/// The blocks of `values`, with the first image of each.
fn cut<'a, E>(values: &'a [E], layout: &Layout, image: usize) -> Vec<(usize, &'a [E])> {
    blocks(layout.images).map(|(first, end)| (first, &values[first * image..end * image])).collect()
}

fn add_to(sums: &mut [f64], more: &[f64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_values_are_dropped_as_the_rate_says_and_the_mean_stays() {
        tch::manual_seed(6);
        for rate in [0.1, 0.5, 0.85] {
            let ones = Tensor::ones([400, 500], (Kind::Float, Device::Cpu));
            let left = Dropout::draw(rate).unwrap().apply(&ones).unwrap();
            let dropped = left.eq(0.0).to_kind(Kind::Double);
            let share = dropped.mean(Kind::Double).double_value(&[]);
            // Five standard errors.
            let noise = 5.0 * (rate * (1.0 - rate) / 200_000.0f64).sqrt();
            assert!((share - rate).abs() < noise, "{share} for {rate}");
            assert!((left.max().double_value(&[]) - 1.0 / (1.0 - rate)).abs() < 1e-5);
            // No row or column is favoured.
            for side in [0i64, 1] {
                let shares = dropped.mean_dim(&[side][..], false, Kind::Double);
                let apart = (shares - rate).abs().max().double_value(&[]);
                assert!(
                    apart < 6.0 * (rate * (1.0 - rate) / 400.0f64).sqrt(),
                    "{apart} for {rate}"
                );
            }
        }
    }

    #[test]
    fn the_result_does_not_depend_on_the_number_of_threads() {
        tch::manual_seed(8);
        let values = Tensor::randn([40, 12, 12, 8], (Kind::Float, Device::Cpu)) * 3.0 + 100.0;
        let values = values.permute([0, 3, 1, 2]).to_kind(Kind::BFloat16);
        let weights = Tensor::linspace(0.5, 2.0, 8, (Kind::Float, Device::Cpu));
        let follows = Follows { relu: true, pool: true, dropout: None };
        let threads = tch::get_num_threads();
        let run = |threads| {
            tch::set_num_threads(threads);
            let (output, _, done) =
                Normalized::new(&values, &weights, &weights, 1e-3, follows).unwrap();
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
            Normalized::new(&values, &one, &one, 1e-3, Follows::default()).unwrap();
        assert_eq!(statistics.mean.double_value(&[0]), 4097.5);
        assert!((statistics.variance.double_value(&[0]) - 5.0 / 3.0).abs() < 1e-6);
    }
}
