//! The command line.

use std::path::PathBuf;

use import::picture::Fit;

xflags::xflags! {
    /// Makes X.npy, y.npy and classes.txt from pictures.
    cmd import {
        /// A folder with a subfolder for each class; or a CSV file, in each row a file name and its class; or arrays as
        /// they are: an .npz file, or MNIST's own (train-images-idx3-ubyte, also .gz, its labels beside it).
        required source: PathBuf
        /// Pixels a side; 96 unless told otherwise.
        optional --size pixels: usize
        /// Grey pictures instead of coloured ones.
        optional --grey
        /// What becomes of a picture that is no square: `crop` (its middle, the default), `pad` (black bars) or `stretch`.
        optional --fit how: Fit
        /// The name of the images in an .npz file, where it is no usual one.
        optional --images name: String
        /// The name of the labels in it; of MNIST's files the one with the labels.
        optional --labels name: String
        /// Where the files go; the folder `data` unless told otherwise. What is there is never overwritten.
        optional --into folder: PathBuf
    }
}
