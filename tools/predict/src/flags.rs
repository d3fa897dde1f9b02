//! The command line.

use std::path::PathBuf;

use import::picture::Fit;

xflags::xflags! {
    /// Says what a trained model sees in pictures.
    cmd predict {
        /// A model file that a notebook wrote: export/models/cnn.safetensors.
        required model: PathBuf
        /// Pictures (JPEG, PNG, WebP, GIF, BMP, TIFF) or arrays of images like X.npy.
        repeated picture: PathBuf
        /// JSON instead of a table.
        optional --json
        /// Draws the first 40 with what the model says, to this PNG file; of a model that restores images the first 20, each
        /// with the image that it gives.
        optional --plot file: PathBuf
        /// Writes all that comes out, a row for each picture, for `np.load`; of a model that restores images the images, in 0..=1.
        optional --array file: PathBuf
        /// So many classes for each picture, the most probable first; 3 unless told otherwise.
        optional --top number: usize
        /// What becomes of a picture of another shape: `crop` (its middle, the default), `pad` (black bars) or `stretch`.
        optional --fit how: Fit
        /// Makes light dark and dark light first: for photos on white where the model has learnt from pictures on black.
        optional --invert
        /// Computes in 32 bits, whatever the model was trained in.
        optional --float32
    }
}
