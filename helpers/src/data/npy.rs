//! NumPy's `.npy` files.
