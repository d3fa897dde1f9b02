//! From X.npy and y.npy to images in memory, their split and their batches.
