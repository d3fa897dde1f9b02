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
use crate::parallel::in_parallel;

/// Blocks that work is cut into.
const BLOCKS: usize = 16;
/// Rows that are added up in 32 bits before the sum goes on in 64.
const ROWS_OF_A_SUM: usize = 128;

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

/// What the gradients of all inputs of a channel have in common, because all have a part in mean and variance.
struct Common {
    constant: Vec<f32>,
    /// Times the distance from the mean.
    slope: Vec<f32>,
}

/// [`Channels`], `L` of them.
struct Tile<const L: usize> {
    mean: [f32; L],
    scale: [f32; L],
    shift: [f32; L],
}

impl<const L: usize> Tile<L> {
    #[inline(always)]
    fn of(channels: &Channels, from: usize) -> Tile<L> {
        let Channels { mean, scale, shift, .. } = channels;
        Tile { mean: *lanes(mean, from), scale: *lanes(scale, from), shift: *lanes(shift, from) }
    }

    #[inline(always)]
    fn normalized(&self, lane: usize, value: f32) -> f32 {
        value * self.scale[lane] + self.shift[lane]
    }
}

/// [`Common`], of `L` channels.
struct CommonTile<const L: usize> {
    constant: [f32; L],
    slope: [f32; L],
}

impl<const L: usize> CommonTile<L> {
    #[inline(always)]
    fn of(common: &Common, from: usize) -> CommonTile<L> {
        CommonTile { constant: *lanes(&common.constant, from), slope: *lanes(&common.slope, from) }
    }

    /// The gradient of an input, from its `own` part of the output's.
    #[inline(always)]
    fn gradient(&self, tile: &Tile<L>, lane: usize, value: f32, own: f32) -> f32 {
        let common = self.constant[lane] + (value - tile.mean[lane]) * self.slope[lane];
        tile.scale[lane] * (own - common)
    }
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

fn add_to(sums: &mut [f64], more: &[f64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// Calls `$tile::<E, L>(from, …)` for all channels, as many at a time as a cache line holds, then fewer.
///
/// What a tile needs of each channel stays in registers while it goes down the rows.
macro_rules! in_tiles {
    ($count:expr, $tile:ident, $($argument:expr),*) => {
        let (count, mut from) = ($count, 0);
        while from + 32 <= count {
            $tile::<E, 32>(from, $($argument),*);
            from += 32;
        }
        while from + 4 <= count {
            $tile::<E, 4>(from, $($argument),*);
            from += 4;
        }
        while from < count {
            $tile::<E, 1>(from, $($argument),*);
            from += 1;
        }
    };
}

/// `L` neighbouring values.
#[inline(always)]
fn lanes<T, const L: usize>(values: &[T], from: usize) -> &[T; L] {
    values[from..from + L].try_into().expect("a slice of this length")
}

/// As [`lanes`], to be written.
#[inline(always)]
fn lanes_mut<T, const L: usize>(values: &mut [T], from: usize) -> &mut [T; L] {
    (&mut values[from..from + L]).try_into().expect("a slice of this length")
}

/// Adds 32-bit sums to 64-bit ones.
#[inline(always)]
fn add_lanes<const L: usize>(sums: &mut [f64], from: usize, more: [f32; L]) {
    for (sum, more) in lanes_mut::<_, L>(sums, from).iter_mut().zip(more) {
        *sum += f64::from(more);
    }
}

/// Values that a tile goes over before the next one does, few enough to stay near the processor.
fn rows_at_once(channels: usize) -> usize {
    (8192 / channels).clamp(8, ROWS_OF_A_SUM) * channels
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
        for rows in values.chunks(rows_at_once(origin.len())) {
            in_tiles!(origin.len(), distances_tile, rows, origin, sum, square);
        }
    }
}

#[inline(always)]
fn distances_tile<E: Element, const L: usize>(
    from: usize,
    rows: &[E],
    origin: &[f32],
    sum: &mut [f64],
    square: &mut [f64],
) {
    let count = origin.len();
    let origin: [f32; L] = *lanes(origin, from);
    let (mut first, mut second) = ([0f32; L], [0f32; L]);
    for row in rows.chunks_exact(count) {
        let row: &[E; L] = lanes(row, from);
        for lane in 0..L {
            let distance = row[lane].load() - origin[lane];
            first[lane] += distance;
            second[lane] += distance * distance;
        }
    }
    add_lanes(sum, from, first);
    add_lanes(square, from, second);
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
        in_tiles!(layout.channels, pooled_tile, image, out, layout, channels);
    }
}

#[inline(always)]
fn pooled_tile<E: Element, const L: usize>(
    from: usize,
    image: &[E],
    out: &mut [E],
    layout: &Layout,
    channels: &Channels,
) {
    let tile = Tile::<L>::of(channels, from);
    for (place, out) in out.chunks_exact_mut(layout.channels).enumerate() {
        let pixels: [&[E; L]; 4] = four(image, place, layout).map(|pixel| lanes(pixel, from));
        let out: &mut [E; L] = lanes_mut(out, from);
        for lane in 0..L {
            let values = pixels.map(|pixel| tile.normalized(lane, pixel[lane].load()));
            out[lane] = E::store(above(largest(values), 0.0));
        }
    }
}

vectorised! {
    /// Adds up the gradients behind ReLU, and their products with the distances from the mean.
    fn gradient_sums(
        values: &[E], gradient: &[E], channels: &Channels, relu: bool, sum: &mut [f64], product: &mut [f64],
    ) {
        let count = channels.mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let rows = rows_at_once(count);
        for (values, gradient) in values.chunks(rows).zip(gradient.chunks(rows)) {
            in_tiles!(count, gradient_sums_tile, values, gradient, channels, floor, sum, product);
        }
    }
}

#[inline(always)]
fn gradient_sums_tile<E: Element, const L: usize>(
    from: usize,
    values: &[E],
    gradient: &[E],
    channels: &Channels,
    floor: f32,
    sum: &mut [f64],
    product: &mut [f64],
) {
    let (tile, count) = (Tile::<L>::of(channels, from), channels.mean.len());
    let (mut first, mut second) = ([0f32; L], [0f32; L]);
    for (row, gradient) in values.chunks_exact(count).zip(gradient.chunks_exact(count)) {
        let (row, gradient): (&[E; L], &[E; L]) = (lanes(row, from), lanes(gradient, from));
        for lane in 0..L {
            let value = row[lane].load();
            let passes = tile.normalized(lane, value) > floor;
            let slope = if passes { gradient[lane].load() } else { 0.0 };
            first[lane] += slope;
            second[lane] += slope * (value - tile.mean[lane]);
        }
    }
    add_lanes(sum, from, first);
    add_lanes(product, from, second);
}

vectorised! {
    /// The gradient of the input.
    fn input_gradient(
        values: &[E], gradient: &[E], out: &mut [E], channels: &Channels, relu: bool, common: &Common,
    ) {
        let count = channels.mean.len();
        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
        let rows = rows_at_once(count);
        let parts = values.chunks(rows).zip(gradient.chunks(rows)).zip(out.chunks_mut(rows));
        for ((values, gradient), out) in parts {
            in_tiles!(count, input_gradient_tile, values, gradient, out, channels, floor, common);
        }
    }
}

#[inline(always)]
fn input_gradient_tile<E: Element, const L: usize>(
    from: usize,
    values: &[E],
    gradient: &[E],
    out: &mut [E],
    channels: &Channels,
    floor: f32,
    common: &Common,
) {
    let (tile, count) = (Tile::<L>::of(channels, from), channels.mean.len());
    let common = CommonTile::<L>::of(common, from);
    let rows = values.chunks_exact(count).zip(gradient.chunks_exact(count));
    for ((row, gradient), out) in rows.zip(out.chunks_exact_mut(count)) {
        let (row, gradient): (&[E; L], &[E; L]) = (lanes(row, from), lanes(gradient, from));
        let out: &mut [E; L] = lanes_mut(out, from);
        for lane in 0..L {
            let value = row[lane].load();
            let passes = tile.normalized(lane, value) > floor;
            let own = if passes { gradient[lane].load() } else { 0.0 };
            out[lane] = E::store(common.gradient(&tile, lane, value, own));
        }
    }
}

vectorised! {
    /// As `gradient_sums`, of one image behind pooling: the gradient goes to the first of the largest pixels.
    fn pooled_sums(
        image: &[E], gradient: &[E], layout: &Layout, channels: &Channels, sum: &mut [f64], product: &mut [f64],
    ) {
        in_tiles!(layout.channels, pooled_sums_tile, image, gradient, layout, channels, sum, product);
    }
}

#[inline(always)]
fn pooled_sums_tile<E: Element, const L: usize>(
    from: usize,
    image: &[E],
    gradient: &[E],
    layout: &Layout,
    channels: &Channels,
    sum: &mut [f64],
    product: &mut [f64],
) {
    let (tile, count) = (Tile::<L>::of(channels, from), layout.channels);
    for (part, gradient) in gradient.chunks(ROWS_OF_A_SUM * count).enumerate() {
        let (mut first, mut second) = ([0f32; L], [0f32; L]);
        for (place, gradient) in gradient.chunks_exact(count).enumerate() {
            let pixels = four(image, part * ROWS_OF_A_SUM + place, layout);
            let pixels: [&[E; L]; 4] = pixels.map(|pixel| lanes(pixel, from));
            let gradient: &[E; L] = lanes(gradient, from);
            for lane in 0..L {
                let pixels = pixels.map(|pixel| pixel[lane].load());
                let values = pixels.map(|pixel| tile.normalized(lane, pixel));
                let most = largest(values);
                let slope = if most > 0.0 { gradient[lane].load() } else { 0.0 };
                let chosen = if values[2] == most { pixels[2] } else { pixels[3] };
                let chosen = if values[1] == most { pixels[1] } else { chosen };
                let chosen = if values[0] == most { pixels[0] } else { chosen };
                first[lane] += slope;
                second[lane] += slope * (chosen - tile.mean[lane]);
            }
        }
        add_lanes(sum, from, first);
        add_lanes(product, from, second);
    }
}

vectorised! {
    /// As `input_gradient`, of one image behind pooling.
    fn pooled_gradient(
        image: &[E], gradient: &[E], out: &mut [E], layout: &Layout, channels: &Channels, common: &Common,
    ) {
        in_tiles!(layout.channels, pooled_gradient_tile, image, gradient, out, layout, channels, common);
    }
}

#[inline(always)]
fn pooled_gradient_tile<E: Element, const L: usize>(
    from: usize,
    image: &[E],
    gradient: &[E],
    out: &mut [E],
    layout: &Layout,
    channels: &Channels,
    common: &Common,
) {
    let (count, width) = (layout.channels, layout.width);
    let (tile, common) = (Tile::<L>::of(channels, from), CommonTile::<L>::of(common, from));
    let (columns, rows, line) = (width / 2, layout.height / 2, width * count);
    // Pixels of the edge that no block of four holds.
    let mut alone = |row: usize, column: usize| {
        let at = row * line + column * count + from;
        let (pixel, out): (&[E; L], &mut [E; L]) = (lanes(image, at), lanes_mut(out, at));
        for lane in 0..L {
            out[lane] = E::store(common.gradient(&tile, lane, pixel[lane].load(), 0.0));
        }
    };
    if layout.height % 2 == 1 {
        (0..width).for_each(|column| alone(layout.height - 1, column));
    }
    if width % 2 == 1 {
        (0..2 * rows).for_each(|row| alone(row, width - 1));
    }
    for (place, gradient) in gradient.chunks_exact(count).enumerate() {
        let pixels: [&[E; L]; 4] = four(image, place, layout).map(|pixel| lanes(pixel, from));
        let gradient: &[E; L] = lanes(gradient, from);
        let mut found = [[E::store(0.0); L]; 4];
        for lane in 0..L {
            let pixels = pixels.map(|pixel| pixel[lane].load());
            let values = pixels.map(|pixel| tile.normalized(lane, pixel));
            let most = largest(values);
            let own = if most > 0.0 { gradient[lane].load() } else { 0.0 };
            let first = values[0] == most;
            let second = !first & (values[1] == most);
            let third = !first & !second & (values[2] == most);
            let chosen = [first, second, third, !first & !second & !third];
            for corner in 0..4 {
                let own = if chosen[corner] { own } else { 0.0 };
                found[corner][lane] = E::store(common.gradient(&tile, lane, pixels[corner], own));
            }
        }
        let at = place / columns * 2 * line + place % columns * 2 * count + from;
        for (corner, at) in [at, at + count, at + line, at + line + count].into_iter().enumerate() {
            *lanes_mut(out, at) = found[corner];
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

#[inline(always)]
fn largest([a, b, c, d]: [f32; 4]) -> f32 {
    above(above(a, b), above(c, d))
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
            1.0 + 1.0 / 256.0,
            1.0 + 3.0 / 256.0,
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
