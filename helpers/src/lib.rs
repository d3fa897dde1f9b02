//! Deep learning on image data, for Rust notebooks.
