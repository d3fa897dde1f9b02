//! Batches: from `u8` images to the tensors a network takes.
//!
//! In: `(H, W, C)`, `u8`. Out, a batch at a time: `(B, C, H, W)` in channels-last memory, `f32` or bf16, normalised, with
//! class ids `(B,)`, `i64`. Gathering, augmentation and normalisation are one pass over the pixels, in the number format
//! that the network computes in.

use half::bf16;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::augment::{Augmentation, Change};
use super::device_images::DeviceImages;
use super::subset::Subset;
use crate::error::Result;
use crate::system::device;
use crate::system::elements::{Element, write};
use crate::system::parallel::in_parallel;

/// Normalises pixels: `(value / 255 - mean) / std`, each channel on its own.
///
/// Keras's `Normalization` layer after a `Rescaling(1/255)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Mean of each channel, for pixels in 0..=1; one value serves all channels.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel, above 0.
    pub std: Vec<f64>,
}

impl Default for Normalization {
    /// Pixels in 0..=1.
    fn default() -> Normalization {
        Normalization { mean: vec![0.0], std: vec![1.0] }
    }
}

impl Normalization {
    /// Mean and standard deviation of these images, for each channel.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn of(images: &Subset) -> Result<Normalization> {
        let channels = images.dataset().image_shape().channels;
        let mut histogram = vec![[0u64; 256]; channels];
        images.each_image(|_, pixels| {
            for pixel in pixels.chunks_exact(channels) {
                for (counts, &value) in histogram.iter_mut().zip(pixel) {
                    counts[value as usize] += 1;
                }
            }
        })?;
        let (mut mean, mut std) = (Vec::new(), Vec::new());
        for counts in &histogram {
            let pixels = counts.iter().sum::<u64>().max(1) as f64;
            let moment = |about: f64, power: i32| {
                let term = |(value, &count): (usize, &u64)| {
                    (value as f64 / 255.0 - about).powi(power) * count as f64
                };
                counts.iter().enumerate().map(term).sum::<f64>() / pixels
            };
            let average = moment(0.0, 1);
            mean.push(average);
            // A constant channel has standard deviation 0; it is divided by 1 instead.
            std.push(match moment(average, 2).sqrt() {
                spread if spread > 1e-6 => spread,
                _ => 1.0,
            });
        }
        Ok(Normalization { mean, std })
    }

    /// The normalised value of each of the 256 levels, for each channel.
    fn levels(&self, channels: usize) -> Vec<[f32; 256]> {
        let of = |values: &[f64], channel: usize| values[channel.min(values.len() - 1)];
        (0..channels)
            .map(|channel| {
                let (mean, std) = (of(&self.mean, channel), of(&self.std, channel));
                std::array::from_fn(|level| ((level as f64 / 255.0 - mean) / std) as f32)
            })
            .collect()
    }
}

/// A source of batches for `fit` and `predict`.
pub(crate) trait BatchSource {
    /// How many examples there are.
    fn len(&self) -> usize;

    /// How many of a model's layers have already been applied to the inputs.
    fn first_layer(&self) -> usize {
        0
    }

    /// Hashes everything that the batches depend on, except the random numbers.
    ///
    /// # Errors
    /// If part of it cannot be read.
    fn identify(&self, hash: &mut Sha256) -> Result<()>;

    /// Waits until all values of the images are checked, if they must be; fails if one is wrong. For who keeps what was
    /// computed with them.
    fn check(&self) -> Result<()>;

    /// Inputs and targets of the examples at `positions`; `training` switches augmentation on. Inputs are in `kind`,
    /// unless the source has a fixed format.
    fn batch(&self, positions: &[usize], training: bool, kind: Kind) -> Result<(Tensor, Tensor)>;
}

/// Images with their class ids.
pub(crate) struct ImageSource<'a> {
    images: &'a Subset,
    labels: Vec<i64>,
    levels: Vec<[f32; 256]>,
    augmentation: Augmentation,
    on_device: Option<DeviceImages>,
}

/// If the images have more bytes than this, they stay in main memory, and each batch is copied to the GPU.
const MOST_ON_DEVICE: usize = 4 << 30;

impl ImageSource<'_> {
    pub(crate) fn new(
        images: &Subset,
        normalization: Normalization,
        augmentation: Augmentation,
    ) -> ImageSource<'_> {
        let channels = images.dataset().image_shape().channels;
        ImageSource {
            images,
            labels: images.labels(),
            levels: normalization.levels(channels),
            augmentation,
            on_device: None,
        }
    }

    /// Copies the images to the device on which a network computes. Does nothing for the processor, which can read them
    /// where they are, nor for more than `MOST_ON_DEVICE` bytes.
    ///
    /// # Errors
    /// If an image cannot be read, or the device has no memory for them.
    pub(crate) fn on(mut self, device: device::Device) -> Result<Self> {
        let bytes = self.images.len() * self.images.dataset().image_shape().pixels();
        if !device.is_fused() && (1..=MOST_ON_DEVICE).contains(&bytes) {
            let copied = DeviceImages::new(self.images, &self.labels, &self.levels, device.tch());
            self.on_device = Some(copied?);
        }
        Ok(self)
    }

    /// The images alone, `(B, C, H, W)`, `f32`.
    pub(crate) fn pixels(&self, positions: &[usize], training: bool) -> Result<Tensor> {
        self.pixels_as::<f32>(positions, training, Kind::Float)
    }

    /// [`ImageSource::pixels`] in the number format `kind`, which is that of `E`.
    fn pixels_as<E: Element>(
        &self,
        positions: &[usize],
        training: bool,
        kind: Kind,
    ) -> Result<Tensor> {
        let levels: Vec<[E; 256]> =
            self.levels.iter().map(|levels| levels.map(|level| E::store(level))).collect();
        let shape = self.images.dataset().image_shape();
        let [height, width, channels] = [shape.height, shape.width, shape.channels];
        let size = [positions.len(), height, width, channels].map(|side| side as i64);
        let batch = Tensor::f_empty(size, (kind, Device::Cpu))?;
        let values = positions.len() * height * width * channels;
        let flat = batch.f_view([-1])?;
        let out: &mut [E] = match values {
            // An empty tensor has no memory, and a slice needs an address.
            0 => &mut [],
            _ => write(&flat, values)?,
        };
        let images = out.chunks_exact_mut(height * width * channels);
        let mut buffer = Vec::new();
        let pixels = self.images.fetch(positions, &mut buffer)?;
        if training && !self.augmentation.is_none() {
            let changes = self.draw(positions.len())?;
            let tasks = images.zip(&pixels).zip(&changes).collect();
            in_parallel(values, tasks, |((out, image), change)| {
                write_changed(&levels, out, image, change, [height, width]);
            });
        } else {
            let tasks = images.zip(&pixels).collect();
            in_parallel(values, tasks, |(out, image)| write_image(&levels, out, image));
        }
        Ok(batch.f_permute([0, 3, 1, 2])?)
    }

    fn draw(&self, images: usize) -> Result<Vec<Change>> {
        let shape = self.images.dataset().image_shape();
        self.augmentation.draw(images, shape.height, shape.width)
    }
}

fn write_image<E: Element>(levels: &[[E; 256]], out: &mut [E], image: &[u8]) {
    if let [levels] = levels {
        for (out, &level) in out.iter_mut().zip(image) {
            *out = levels[level as usize];
        }
        return;
    }
    let channels = levels.len();
    for (out, pixel) in out.chunks_exact_mut(channels).zip(image.chunks_exact(channels)) {
        for ((out, &level), levels) in out.iter_mut().zip(pixel).zip(levels) {
            *out = levels[level as usize];
        }
    }
}

fn write_changed<E: Element>(
    levels: &[[E; 256]],
    out: &mut [E],
    image: &[u8],
    change: &Change,
    [height, width]: [usize; 2],
) {
    let channels = levels.len();
    let line = width * channels;
    let black = |out: &mut [E]| {
        for pixel in out.chunks_exact_mut(channels) {
            pixel.iter_mut().zip(levels).for_each(|(out, levels)| *out = levels[0]);
        }
    };
    let (columns, first) = change.columns(width);
    let (start, end) = (columns.start * channels, columns.end * channels);
    for (row, out) in out.chunks_exact_mut(line).enumerate() {
        let Some(source) = change.source_row(row, height) else {
            black(out);
            continue;
        };
        black(&mut out[..start]);
        black(&mut out[end..]);
        let (pixels, image) = (&mut out[start..end], &image[source * line..][..line]);
        if change.flip {
            let mirrored = image[..(first + 1) * channels].chunks_exact(channels).rev();
            for (out, pixel) in pixels.chunks_exact_mut(channels).zip(mirrored) {
                write_image(levels, out, pixel);
            }
        } else {
            write_image(levels, pixels, &image[first * channels..][..end - start]);
        }
        let erased = change.erased_columns(row);
        black(&mut out[erased.start * channels..erased.end * channels]);
    }
}

impl BatchSource for ImageSource<'_> {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn identify(&self, hash: &mut Sha256) -> Result<()> {
        hash.update(format!("{:?} {:?}", self.images.dataset().image_shape(), self.augmentation));
        for &value in self.levels.iter().flatten() {
            hash.update(value.to_le_bytes());
        }
        identify_images(self.images, hash)
    }

    fn check(&self) -> Result<()> {
        self.images.dataset().check()
    }

    fn batch(&self, positions: &[usize], training: bool, kind: Kind) -> Result<(Tensor, Tensor)> {
        if let Some(images) = &self.on_device {
            let changes = match training && !self.augmentation.is_none() {
                true => self.draw(positions.len())?,
                false => Vec::new(),
            };
            return images.batch(positions, &changes, kind);
        }
        let labels: Vec<i64> = positions.iter().map(|&position| self.labels[position]).collect();
        let pixels = match kind {
            Kind::BFloat16 => self.pixels_as::<bf16>(positions, training, kind)?,
            _ => self.pixels(positions, training)?,
        };
        Ok((pixels, Tensor::f_from_slice(&labels)?))
    }
}

/// The mirror images, left and right, of a source of images.
pub(crate) struct Mirrored<'a>(pub(crate) &'a dyn BatchSource);

impl BatchSource for Mirrored<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn identify(&self, hash: &mut Sha256) -> Result<()> {
        hash.update(b"mirrored");
        self.0.identify(hash)
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn batch(&self, positions: &[usize], training: bool, kind: Kind) -> Result<(Tensor, Tensor)> {
        let (images, targets) = self.0.batch(positions, training, kind)?;
        Ok((images.f_flip([3])?, targets))
    }
}

/// Hashes the pixels and labels of `images`, in order.
pub(crate) fn identify_images(images: &Subset, hash: &mut Sha256) -> Result<()> {
    let labels = images.labels();
    images.each_image(|position, pixels| {
        hash.update(pixels);
        hash.update(labels[position].to_le_bytes());
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use crate::data::test_files::{folder, npy};

    /// Every change of `Augmentation` at once, and images of one and of three channels.
    #[test]
    fn batches_made_on_a_device_are_those_of_the_processor() {
        let augmentation = Augmentation { horizontal_flip: true, shift: 0.4, erase: 0.7 };
        for channels in [1, 3] {
            let [images, height, width] = [40, 7, 5];
            let pixels: Vec<u8> = (0..images * height * width * channels)
                .map(|index| (index * 37 % 251) as u8)
                .collect();
            let labels: Vec<u8> = (0..images).map(|image| (image % 4) as u8).collect();
            let files = folder(
                &npy("|u1", &[images, height, width, channels], &pixels),
                &npy("|u1", &[images], &labels),
            );
            let dataset = Dataset::load(files.path()).unwrap();
            let part = dataset.subset((0..images).rev().step_by(2).collect()).unwrap();
            let normalization = Normalization::of(&part).unwrap();
            let source = |device: device::Device| {
                ImageSource::new(&part, normalization.clone(), augmentation).on(device).unwrap()
            };
            let here = source(device::Device::Cpu);
            let there = source(device::Device::CpuReference);
            assert!(here.on_device.is_none() && there.on_device.is_some());
            let positions: Vec<usize> = (0..part.len()).chain([3, 3]).collect();
            for (kind, training) in
                [(Kind::Float, false), (Kind::Float, true), (Kind::BFloat16, true)]
            {
                let [(x, y), (other_x, other_y)] = [&here, &there].map(|source| {
                    tch::manual_seed(6);
                    source.batch(&positions, training, kind).unwrap()
                });
                assert_eq!((x.kind(), x.size()), (other_x.kind(), other_x.size()));
                assert!(x.equal(&other_x) && y.equal(&other_y), "{channels} {kind:?} {training}");
            }
        }
    }

    /// The value at a row and column of a changed image, and a channel, worked out for each pixel by itself.
    fn expected(
        image: &[u8],
        change: &Change,
        [height, width, channels]: [usize; 3],
        [row, column, channel]: [usize; 3],
    ) -> f32 {
        let [top, left, tall, wide] = change.erased;
        let is_erased = (top..top + tall).contains(&row) && (left..left + wide).contains(&column);
        let column = if change.flip { width - 1 - column } else { column };
        let (y, x) = (row as i64 - change.down, column as i64 - change.right);
        let is_inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
        match is_inside && !is_erased {
            true => image[(y as usize * width + x as usize) * channels + channel].into(),
            false => 0.0,
        }
    }

    #[test]
    fn images_are_changed_row_by_row_as_pixel_by_pixel() {
        let (height, width) = (3, 4);
        for channels in [1, 3] {
            let image: Vec<u8> = (1..=(height * width * channels) as u8).collect();
            let levels = vec![std::array::from_fn(|level| level as f32); channels];
            for flip in [false, true] {
                for (down, right) in
                    (-4..=4).flat_map(|down| (-5..=5).map(move |right| (down, right)))
                {
                    for erased in [[0; 4], [0, 1, 2, 2], [2, 3, 1, 1]] {
                        let change = Change { flip, down, right, erased };
                        let mut out = vec![-1f32; image.len()];
                        write_changed(&levels, &mut out, &image, &change, [height, width]);
                        for (index, &value) in out.iter().enumerate() {
                            let (pixel, channel) = (index / channels, index % channels);
                            let at = [pixel / width, pixel % width, channel];
                            let sides = [height, width, channels];
                            assert_eq!(
                                value,
                                expected(&image, &change, sides, at),
                                "{change:?} {at:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}
