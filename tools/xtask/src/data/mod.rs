//! The data set that the project comes with.

pub(crate) mod fashion_mnist;
mod npy;
