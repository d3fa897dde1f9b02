//! The constants of Adam (Kingma & Ba 2015) and the factors of a step, for the processor and for a GPU.

/// First and second moments of a weight; empty where it is not trained.
pub(crate) type Moments = (Vec<f32>, Vec<f32>);

pub(super) const BETA_1: f64 = 0.9;
pub(super) const BETA_2: f64 = 0.999;
pub(super) const EPSILON: f64 = 1e-7;

/// The factors of one step.
#[derive(Clone, Copy)]
pub(super) struct Factors<T> {
    /// Learning rate divided by the first moment's bias correction.
    pub size: T,
    /// One over the square root of the second moment's bias correction.
    pub root: T,
    /// Factor of weight decay.
    pub keep: T,
}

impl Factors<f64> {
    /// The factors of step `step`, counted from 1.
    pub(super) fn of_step(step: u64, learning_rate: f64, weight_decay: f64) -> Factors<f64> {
        let corrected = |beta: f64| 1.0 - beta.powf(step as f64);
        Factors {
            size: learning_rate / corrected(BETA_1),
            root: 1.0 / corrected(BETA_2).sqrt(),
            keep: 1.0 - learning_rate * weight_decay,
        }
    }
}
