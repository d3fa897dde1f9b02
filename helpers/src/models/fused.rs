//! Batch normalisation with what follows it (ReLU, max pooling, dropout), each way in as few passes over memory as the
//! arithmetic allows.
//!
//! libtorch walks a convolution's output for each of these layers several times, forwards and backwards, and that takes
//! longer than the convolution itself on a processor that multiplies fast. Here a training step reads it twice forwards
//! (statistics, result) and twice backwards (sums, gradient); what ReLU and pooling chose is computed again, not kept.
//!
//! Tensors are `(N, C, H, W)` in channels-last memory, or `(N, C)`; bf16 or `f32` in memory, `f32` in arithmetic, `f64` in
//! sums over many. Work is cut into blocks that do not depend on the number of threads, so results do not either.

use std::borrow::Cow;

use tch::{Device, Kind, Tensor};

use crate::error::Result;

/// Blocks that work is cut into.
const BLOCKS: usize = 16;
/// Rows that are added up in 32 bits before the sum goes on in 64.
const ROWS_OF_A_SUM: usize = 128;
/// Values for which a second thread is worth its start.
const WORTH_A_THREAD: usize = 1 << 15;

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
        let length = layout.values();
        let (mut rest, mut tasks) = (write::<E>(output, length), Vec::new());
        for (block, input) in cut(read::<E>(values, length), layout, layout.image()) {
            let (out, after) = rest.split_at_mut(input.len());
            rest = after;
            tasks.push((block * layout.image(), input, out));
        }
        in_parallel(length, tasks, |(start, input, out)| drop_values(input, out, start, *self));
    }
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
        let sides = match follows.pool {
            true => [layout.height / 2, layout.width / 2],
            false => [layout.height, layout.width],
        };
        let output = layout.empty(input.kind(), sides)?;
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
        let inverse: Vec<f64> =
            squares.iter().map(|sum| 1.0 / (sum / rows + epsilon).sqrt()).collect();
        let (gamma, beta) = (Vec::<f32>::try_from(gamma)?, Vec::<f32>::try_from(beta)?);
        let scale: Vec<f64> = gamma
            .iter()
            .zip(&inverse)
            .map(|(gamma, inverse)| f64::from(*gamma) * inverse)
            .collect();
        let shift = beta.iter().zip(&mean).zip(&scale);
        let shift = shift.map(|((beta, mean), scale)| (f64::from(*beta) - mean * scale) as f32);
        let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
        let channels = Channels {
            mean: narrow(&mean),
            inverse: narrow(&inverse),
            scale: narrow(&scale),
            shift: shift.collect(),
        };
        let done = Normalized { input, layout, follows, channels };
        match done.input.kind() {
            Kind::BFloat16 => done.forward::<Bf16>(&output),
            _ => done.forward::<f32>(&output),
        }
        Ok((output, statistics, done))
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
        let constant: Vec<f32> = sum.iter().map(|sum| (sum / rows) as f32).collect();
        let inverse = &channels.inverse;
        let slope = product.iter().zip(inverse).map(|(product, inverse)| {
            (product / rows * f64::from(*inverse) * f64::from(*inverse)) as f32
        });
        let slope: Vec<f32> = slope.collect();
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
                    pooled_gradient(input, gradient, out, layout, channels, &constant, &slope);
                });
            } else {
                let relu = follows.relu;
                input_gradient(input, &gradient, out, channels, relu, &constant, &slope);
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

/// A number in memory.
trait Element: Copy + Send + Sync + 'static {
    fn load(self) -> f32;
    fn store(value: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn load(self) -> f32 {
        self
    }

    #[inline(always)]
    fn store(value: f32) -> f32 {
        value
    }
}

/// The upper half of an `f32`.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
struct Bf16(u16);

impl Element for Bf16 {
    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// To the nearest, to the even one of two.
    #[inline(always)]
    fn store(value: f32) -> Bf16 {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff).wrapping_add((bits >> 16) & 1);
        // What is no number stays none.
        let bits = if value.is_nan() { bits | 0x0040_0000 } else { rounded };
        Bf16((bits >> 16) as u16)
    }
}

/// The values of a tensor in the order of memory.
fn read<E: Element>(tensor: &Tensor, length: usize) -> &[E] {
    check(tensor, length, size_of::<E>());
    // SAFETY: the tensor was seen to be dense, of `length` values of this size, each bit pattern of which is a value. The
    // slice lives no longer than the tensor, which nobody writes to meanwhile.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<E>(), length) }
}

/// As [`read`], of a new tensor that this module has made and nobody else holds.
#[allow(clippy::mut_from_ref, reason = "a tensor's memory is apart from its handle")]
fn write<E: Element>(tensor: &Tensor, length: usize) -> &mut [E] {
    check(tensor, length, size_of::<E>());
    // SAFETY: as in `read`; and nobody else has the new tensor's memory, which each caller takes once at a time.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<E>(), length) }
}

fn check(tensor: &Tensor, length: usize, size: usize) {
    let dense = match tensor.dim() {
        4 => tensor.permute([0, 2, 3, 1]).is_contiguous(),
        _ => tensor.is_contiguous(),
    };
    let fits = tensor.numel() == length && tensor.kind().elt_size_in_bytes() == size && length > 0;
    assert!(dense && fits, "{tensor:?} is not {length} dense values of {size} bytes");
}

/// The blocks of `values`, with the first image of each; empty ones are left out.
fn cut<'a, E>(values: &'a [E], layout: &Layout, image: usize) -> Vec<(usize, &'a [E])> {
    let images = layout.images;
    (0..BLOCKS)
        .map(|block| (block * images / BLOCKS, (block + 1) * images / BLOCKS))
        .filter(|(first, end)| first < end)
        .map(|(first, end)| (first, &values[first * image..end * image]))
        .collect()
}

/// Does `work` for each task, on as many threads as libtorch has if there are enough `values` to be worth it.
fn in_parallel<T: Send>(values: usize, tasks: Vec<T>, work: impl Fn(T) + Sync) {
    let threads = (tch::get_num_threads().max(1) as usize).min(values / WORTH_A_THREAD + 1);
    let mut shares: Vec<Vec<T>> = (0..threads).map(|_| Vec::new()).collect();
    for (place, task) in tasks.into_iter().enumerate() {
        shares[place % threads].push(task);
    }
    let own = shares.pop().expect("at least one thread");
    let work = &work;
    std::thread::scope(|scope| {
        for share in shares {
            scope.spawn(move || share.into_iter().for_each(work));
        }
        own.into_iter().for_each(work);
    });
}

fn add_to(sums: &mut [f64], more: &[f64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// Adds 32-bit sums to 64-bit ones and clears them.
#[inline(always)]
fn flush(sums: &mut [f64], more: &mut [f32]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += f64::from(*more);
        *more = 0.0;
    }
}

/// Compiles a loop for the vectors that processors have, and takes the widest of this one.
macro_rules! vectorised {
    ($(#[$about:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$about])*
        #[allow(clippy::too_many_arguments, reason = "what a loop reads and writes")]
        fn $name<E: Element>($($argument: $type),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn plain<E: Element>($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn avx512<E: Element>($($argument: $type),*) {
                plain::<E>($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn avx2<E: Element>($($argument: $type),*) {
                plain::<E>($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::is_x86_feature_detected as has;
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx2") && has!("fma") {
                    // SAFETY: the processor has what the function is compiled for.
                    return unsafe { avx512::<E>($($argument),*) };
                }
                if has!("avx2") && has!("fma") {
                    // SAFETY: the processor has what the function is compiled for.
                    return unsafe { avx2::<E>($($argument),*) };
                }
            }
            plain::<E>($($argument),*);
        }
    };
}

vectorised! {
    /// Adds up the distances of each channel from `origin`, and their squares.
    fn distances(values: &[E], origin: &[f32], sum: &mut [f64], square: &mut [f64]) {
        let channels = origin.len();
        let (mut first, mut second) = (vec![0f32; channels], vec![0f32; channels]);
        for rows in values.chunks(ROWS_OF_A_SUM * channels) {
            for row in rows.chunks_exact(channels) {
                let sums = first.iter_mut().zip(&mut second);
                for ((value, origin), (first, second)) in row.iter().zip(origin).zip(sums) {
                    let distance = value.load() - origin;
                    *first += distance;
                    *second += distance * distance;
                }
            }
            flush(sum, &mut first);
            flush(square, &mut second);
        }
    }
}

vectorised! {
    /// Normalises, and cuts off below 0 if so wished.
    fn normalized(values: &[E], out: &mut [E], channels: &Channels, relu: bool) {
        let count = channels.scale.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        for (row, out) in values.chunks_exact(count).zip(out.chunks_exact_mut(count)) {
            let weights = channels.scale.iter().zip(&channels.shift);
            for ((value, out), (scale, shift)) in row.iter().zip(out).zip(weights) {
                *out = E::store(above(value.load() * scale + shift, floor));
            }
        }
    }
}

vectorised! {
    /// Normalises, cuts off below 0 and takes the largest of four pixels, in one image.
    fn pooled(image: &[E], out: &mut [E], layout: &Layout, channels: &Channels) {
        let count = layout.channels;
        let (scale, shift) = (&channels.scale[..count], &channels.shift[..count]);
        for (place, out) in out.chunks_exact_mut(count).enumerate() {
            let [a, b, c, d] = four(image, place, layout);
            for channel in 0..count {
                let value = |pixel: &[E]| pixel[channel].load() * scale[channel] + shift[channel];
                let largest = above(above(value(a), value(b)), above(value(c), value(d)));
                out[channel] = E::store(above(largest, 0.0));
            }
        }
    }
}

vectorised! {
    /// Adds up the gradients behind ReLU, and their products with the distances from the mean.
    fn gradient_sums(
        values: &[E], gradient: &[E], channels: &Channels, relu: bool, sum: &mut [f64], product: &mut [f64],
    ) {
        let count = channels.mean.len();
        let (scale, shift, mean) = (&channels.scale[..count], &channels.shift[..count], &channels.mean[..count]);
        let (mut first, mut second) = (vec![0f32; count], vec![0f32; count]);
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let rows = ROWS_OF_A_SUM * count;
        for (values, gradient) in values.chunks(rows).zip(gradient.chunks(rows)) {
            for (row, gradient) in values.chunks_exact(count).zip(gradient.chunks_exact(count)) {
                let (first, second) = (&mut first[..count], &mut second[..count]);
                for channel in 0..count {
                    let value = row[channel].load();
                    let passes = value * scale[channel] + shift[channel] > floor;
                    let slope = if passes { gradient[channel].load() } else { 0.0 };
                    first[channel] += slope;
                    second[channel] += slope * (value - mean[channel]);
                }
            }
            flush(sum, &mut first);
            flush(product, &mut second);
        }
    }
}

vectorised! {
    /// The gradient of the input.
    fn input_gradient(
        values: &[E], gradient: &[E], out: &mut [E], channels: &Channels, relu: bool, constant: &[f32], slope: &[f32],
    ) {
        let count = channels.mean.len();
        let (scale, shift, mean) = (&channels.scale[..count], &channels.shift[..count], &channels.mean[..count]);
        let (constant, slope) = (&constant[..count], &slope[..count]);
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let rows = values.chunks_exact(count).zip(gradient.chunks_exact(count));
        for ((row, gradient), out) in rows.zip(out.chunks_exact_mut(count)) {
            for channel in 0..count {
                let value = row[channel].load();
                let passes = value * scale[channel] + shift[channel] > floor;
                let own = if passes { gradient[channel].load() } else { 0.0 };
                let common = constant[channel] + (value - mean[channel]) * slope[channel];
                out[channel] = E::store(scale[channel] * (own - common));
            }
        }
    }
}

vectorised! {
    /// As `gradient_sums`, of one image behind pooling: the gradient goes to the first of the largest pixels.
    fn pooled_sums(
        image: &[E], gradient: &[E], layout: &Layout, channels: &Channels, sum: &mut [f64], product: &mut [f64],
    ) {
        let count = layout.channels;
        let (scale, shift, mean) = (&channels.scale[..count], &channels.shift[..count], &channels.mean[..count]);
        let (mut first, mut second) = (vec![0f32; count], vec![0f32; count]);
        for (place, gradient) in gradient.chunks_exact(count).enumerate() {
            let [a, b, c, d] = four(image, place, layout);
            let (first, second) = (&mut first[..count], &mut second[..count]);
            for channel in 0..count {
                let [a, b, c, d] = [a, b, c, d].map(|pixel| pixel[channel].load());
                let value = |pixel: f32| pixel * scale[channel] + shift[channel];
                let largest = above(above(value(a), value(b)), above(value(c), value(d)));
                let slope = if largest > 0.0 { gradient[channel].load() } else { 0.0 };
                let chosen = if value(c) == largest { c } else { d };
                let chosen = if value(b) == largest { b } else { chosen };
                let chosen = if value(a) == largest { a } else { chosen };
                first[channel] += slope;
                second[channel] += slope * (chosen - mean[channel]);
            }
            if place % ROWS_OF_A_SUM == ROWS_OF_A_SUM - 1 {
                flush(sum, first);
                flush(product, second);
            }
        }
        flush(sum, &mut first);
        flush(product, &mut second);
    }
}

vectorised! {
    /// As `input_gradient`, of one image behind pooling.
    fn pooled_gradient(
        image: &[E], gradient: &[E], out: &mut [E], layout: &Layout, channels: &Channels, constant: &[f32], slope: &[f32],
    ) {
        let (count, width) = (layout.channels, layout.width);
        let (scale, shift, mean) = (&channels.scale[..count], &channels.shift[..count], &channels.mean[..count]);
        let (constant, slope) = (&constant[..count], &slope[..count]);
        let line = width * count;
        let (columns, rows) = (width / 2, layout.height / 2);
        // Pixels of the edge that no block of four holds.
        let mut alone = |row: usize, column: usize| {
            let start = row * line + column * count;
            let (pixel, out) = (&image[start..start + count], &mut out[start..start + count]);
            for channel in 0..count {
                let common = constant[channel] + (pixel[channel].load() - mean[channel]) * slope[channel];
                out[channel] = E::store(-scale[channel] * common);
            }
        };
        if layout.height % 2 == 1 {
            (0..width).for_each(|column| alone(layout.height - 1, column));
        }
        if width % 2 == 1 {
            (0..2 * rows).for_each(|row| alone(row, width - 1));
        }
        for (place, gradient) in gradient.chunks_exact(count).enumerate() {
            let pixels = four(image, place, layout);
            let start = place / columns * 2 * line + place % columns * 2 * count;
            let (upper, lower) = out[start..].split_at_mut(line);
            let (out_a, out_b) = upper[..2 * count].split_at_mut(count);
            let (out_c, out_d) = lower[..2 * count].split_at_mut(count);
            let (out_b, out_d) = (&mut out_b[..count], &mut out_d[..count]);
            for channel in 0..count {
                let [a, b, c, d] = pixels.map(|pixel| pixel[channel].load());
                let value = |pixel: f32| pixel * scale[channel] + shift[channel];
                let largest = above(above(value(a), value(b)), above(value(c), value(d)));
                let own = if largest > 0.0 { gradient[channel].load() } else { 0.0 };
                let is_a = value(a) == largest;
                let is_b = !is_a & (value(b) == largest);
                let is_c = !is_a & !is_b & (value(c) == largest);
                let is_d = !is_a & !is_b & !is_c;
                let result = |pixel: f32, chosen: bool| {
                    let own = if chosen { own } else { 0.0 };
                    let common = constant[channel] + (pixel - mean[channel]) * slope[channel];
                    E::store(scale[channel] * (own - common))
                };
                out_a[channel] = result(a, is_a);
                out_b[channel] = result(b, is_b);
                out_c[channel] = result(c, is_c);
                out_d[channel] = result(d, is_d);
            }
        }
    }
}

vectorised! {
    /// Drops values; the first one has the place `start`.
    fn drop_values(values: &[E], out: &mut [E], start: usize, dropout: Dropout) {
        for (place, (value, out)) in values.iter().zip(out).enumerate() {
            *out = E::store(value.load() * dropout.factor((start as u32).wrapping_add(place as u32)));
        }
    }
}

vectorised! {
    /// As `drop_values`, in place.
    fn drop_in_place(values: &mut [E], start: usize, dropout: Dropout) {
        for (place, value) in values.iter_mut().enumerate() {
            let factor = dropout.factor((start as u32).wrapping_add(place as u32));
            *value = E::store(value.load() * factor);
        }
    }
}

/// The larger of two; what is no number wins, as in libtorch.
#[inline(always)]
fn above(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// The four pixels of an image that become the one at `place`.
#[inline(always)]
fn four<'a, E>(image: &'a [E], place: usize, layout: &Layout) -> [&'a [E]; 4] {
    let (count, line) = (layout.channels, layout.width * layout.channels);
    let columns = layout.width / 2;
    let start = place / columns * 2 * line + place % columns * 2 * count;
    let (upper, lower) = (&image[start..], &image[start + line..]);
    [&upper[..count], &upper[count..2 * count], &lower[..count], &lower[count..2 * count]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_bf16_as_libtorch_rounds_them() {
        tch::manual_seed(2);
        let drawn = Tensor::randn([5000], (Kind::Float, Device::Cpu)).exp() - 1.0;
        let mut values = Vec::<f32>::try_from(drawn).unwrap();
        values.extend([
            0.0,
            -0.0,
            f32::MAX,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1e-40,
            1.00390625,
            1.01171875,
        ]);
        let theirs = Tensor::from_slice(&values).to_kind(Kind::BFloat16).to_kind(Kind::Float);
        let theirs = Vec::<f32>::try_from(theirs).unwrap();
        for (value, theirs) in values.iter().zip(theirs) {
            assert_eq!(Bf16::store(*value).load().to_bits(), theirs.to_bits(), "{value}");
        }
        assert!(Bf16::store(f32::NAN).load().is_nan());
        assert!(Bf16::store(f32::from_bits(0x7fff_ffff)).load().is_nan());
    }

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
