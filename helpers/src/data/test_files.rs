//! Small data sets for tests, as files.

use tempfile::TempDir;

use super::Dataset;

/// An `.npy` file in C order.
pub(crate) fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}\n");
    let length = (head.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], head.as_bytes(), data].concat()
}

/// A folder with these files.
pub(crate) fn folder(x: &[u8], y: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("X.npy"), x).unwrap();
    std::fs::write(folder.path().join("y.npy"), y).unwrap();
    folder
}

/// Images of 1 x 2 pixels, the first of which is the one given and the second white.
pub(crate) fn images_of(pixels: &[u8], labels: &[u8]) -> (TempDir, Dataset) {
    let count = pixels.len();
    let pixels: Vec<u8> = pixels.iter().flat_map(|&pixel| [pixel, 255]).collect();
    let folder = folder(&npy("|u1", &[count, 1, 2], &pixels), &npy("|u1", &[count], labels));
    let dataset = Dataset::load(folder.path()).unwrap();
    (folder, dataset)
}
