//! Computing features batch by batch, and writing them to a file at the same time.

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::file::{FeatureWriter, FileFormat};
use crate::data::Subset;
use crate::data::batches::ImageSource;
use crate::display::Bar;
use crate::error::Result;
use crate::models::model::Model;
use crate::models::model_file::as_bytes;
use crate::models::precision::Precision;
use crate::system::interrupt::InterruptGuard;
use crate::system::memory::keep_freed_memory;
use crate::system::threads::AdaptiveThreads;
use crate::text::{duration, thousands};

/// How features are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Also computes the features of each mirror image; training then takes one of the two at random. Doubles time and
    /// disk space.
    pub mirrored: bool,
    /// The number format of the products, and of the features.
    pub precision: Precision,
}

/// Writes what the first `layers` layers make of `images` to a new file at `path`.
pub(super) fn compute(
    model: &Model,
    images: &Subset,
    layers: usize,
    config: FeatureConfig,
    path: &Path,
    format: &FileFormat,
) -> Result<()> {
    let mut writer = FeatureWriter::new(path, format)?;
    let started = Instant::now();
    let mut bar = Bar::new(format.images);
    let source = ImageSource::new(images, model.normalization(), Default::default());
    let positions: Vec<usize> = (0..images.len()).collect();
    let mut done = 0;
    let predictor = model.predictor(0..layers, config.precision)?;
    keep_freed_memory();
    let at_once = model.images_at_once(0..layers, config.precision);
    let interrupts = InterruptGuard::new();
    let mut threads = AdaptiveThreads::new();
    threads.enter();
    for mirrored in [false, true].into_iter().take(if config.mirrored { 2 } else { 1 }) {
        for batch in positions.chunks(at_once) {
            interrupts.check("the computation of features", "run it again, and it starts anew")?;
            let mut input = source.pixels(batch, false)?;
            if mirrored {
                input = input.f_flip([3])?;
            }
            let output = predictor.outputs(&input)?;
            let rows = match format.shape.len() {
                3 => output.f_permute([0, 2, 3, 1])?,
                _ => output,
            };
            writer.append(&as_bytes(&rows)?)?;
            threads.after_batch(batch.len());
            done += batch.len();
            bar.tick(done, |share, remaining| {
                format!(
                    "features: {:.0}% of {} images, {:.0} images a second, ETA {}",
                    100.0 * share,
                    thousands(format.images),
                    done as f64 / started.elapsed().as_secs_f64(),
                    duration(remaining)
                )
            });
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    writer.finish(seconds)?;
    bar.finish(&format!(
        "features: {} images in {}, {:.0} images a second",
        thousands(format.images),
        duration(seconds),
        format.images as f64 / seconds
    ));
    Ok(())
}
