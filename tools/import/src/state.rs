//! The state of an import: how far it is, which pictures it leaves out, and which have the same pixels.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The list of pictures that cannot be read, beside the arrays.
pub(crate) const LEFT_OUT: &str = "left_out.txt";

/// The progress of an import; kept beside the arrays until they are complete.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// SHA-256 of the request and of the list of pictures: if it differs, the import starts from the beginning.
    pub(crate) request: String,
    /// Number of pictures that were read, and how many of them are in the arrays.
    pub(crate) seen: usize,
    pub(crate) kept: usize,
    /// Number of pictures of each class in the arrays.
    pub(crate) counts: Vec<usize>,
    /// The pictures that are left out: the position of each in the list, and the reason.
    pub(crate) left_out: Vec<(usize, String)>,
}

/// Pictures with the same pixels, as positions in the list.
#[derive(Default)]
pub(crate) struct Copies {
    /// For each hash of pixels, the first picture that has them.
    known: HashMap<[u8; 16], usize>,
    /// A picture that has the pixels of an earlier one: the earlier picture, then this one.
    pub(crate) pairs: Vec<[usize; 2]>,
}

impl Copies {
    /// Notes the picture at this position.
    pub(crate) fn note(&mut self, pixels: &[u8], position: usize) {
        let digest = Sha256::digest(pixels);
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        let first = *self.known.entry(key).or_insert(position);
        if first != position {
            self.pairs.push([first, position]);
        }
    }
}
