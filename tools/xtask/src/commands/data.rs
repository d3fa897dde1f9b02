//! `cargo xtask data`: Fashion-MNIST as `data/X.npy` and `data/y.npy`.

use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::project::Project;

/// Fetches the data; with `sample` also makes the committed sample.
pub(crate) fn run(project: &Project, sample: bool) -> Result<(), Failure> {
    let mut progress = Progress::new(1 + usize::from(sample));
    fashion_mnist::fetch(project, progress.step("Data"))?;
    if sample {
        fashion_mnist::sample(project, progress.step("Sample"))?;
    }
    Ok(())
}
