//! The rows of `X.npy` that a trial learns from or is scored on.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Rows of `X.npy`: a slice of their indices, a list in JSON.
///
/// All trials of a fold share the rows, 0.4 MB for 54,000 of them, and their hash. If each trial hashed them itself, a
/// search of 100,000 trials would hash 40 GB before it began.
#[derive(Clone, Default)]
pub struct Rows {
    indices: Arc<[usize]>,
    sha256: Arc<OnceLock<String>>,
}

impl Rows {
    /// SHA-256 of the indices, in hexadecimal digits.
    pub(super) fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| {
            let mut hash = Sha256::new();
            self.indices.iter().for_each(|&index| hash.update((index as u64).to_le_bytes()));
            format!("{:x}", hash.finalize())
        })
    }
}

impl Deref for Rows {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.indices
    }
}

impl FromIterator<usize> for Rows {
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Rows {
        Rows { indices: indices.into_iter().collect(), sha256: Arc::default() }
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Rows) -> bool {
        self.indices == other.indices
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.indices.fmt(f)
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.indices.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rows, D::Error> {
        Vec::deserialize(deserializer).map(Rows::from_iter)
    }
}
