//! Model files: safetensors, with settings in the metadata. Nothing in them is ever executed.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use crate::artifacts::write_atomically;
use crate::error::{Error, Result};

/// The name of the checksum in a file's metadata.
const CHECKSUM: &str = "sha256";

/// Writes named `f32` tensors and metadata, with a checksum of both, atomically.
pub(crate) fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
    mut metadata: HashMap<String, String>,
) -> Result<()> {
    let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = tensors
        .map(|(name, tensor)| {
            let tensor = tensor.detach().f_to_kind(Kind::Float)?.f_contiguous()?;
            let values = Vec::<f32>::try_from(tensor.f_flatten(0, -1)?)?;
            let shape = tensor.size().iter().map(|&side| side as usize).collect();
            Ok((name, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        })
        .collect::<Result<_>>()?;
    let parts = bytes.iter().map(|(name, shape, bytes)| (*name, &shape[..], &bytes[..]));
    metadata.insert(CHECKSUM.to_owned(), checksum(&metadata, parts.collect()));
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.clone(), bytes)
                .expect("the shape is the tensor's own"),
        )
    });
    let whole = serialize(views, Some(metadata)).expect("f32 tensors of their own shapes");
    write_atomically(path, &with_sorted_header(&whole))
}

/// The same file with everything in its header in the order of its name: `serialize` writes metadata in another order
/// each time, and equal models shall be equal files.
fn with_sorted_header(file: &[u8]) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk::<8>().expect("a file begins with a length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: BTreeMap<String, Value> = serde_json::from_slice(header).expect("JSON");
    if let Some(metadata) = header.remove("__metadata__") {
        let texts: BTreeMap<String, String> =
            serde_json::from_value(metadata).expect("metadata are texts");
        let texts = serde_json::to_value(texts).expect("texts are JSON");
        header.insert("__metadata__".to_owned(), texts);
    }
    let mut text = serde_json::to_vec(&header).expect("what was JSON is JSON");
    // Tensors begin at a multiple of eight bytes.
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text, data].concat()
}

/// The SHA-256 of metadata and tensors, whatever order they come in.
fn checksum(
    metadata: &HashMap<String, String>,
    mut tensors: Vec<(&str, &[usize], &[u8])>,
) -> String {
    let mut texts: Vec<_> = metadata.iter().filter(|(key, _)| *key != CHECKSUM).collect();
    texts.sort();
    tensors.sort();
    let mut hash = Sha256::new();
    // Lengths keep neighbours apart.
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for (key, text) in texts {
        add(key.as_bytes());
        add(text.as_bytes());
    }
    for (name, shape, bytes) in tensors {
        add(name.as_bytes());
        add(format!("{shape:?}").as_bytes());
        add(bytes);
    }
    format!("{:x}", hash.finalize())
}

/// A model file, open; its tensors are read from the map as they are asked for.
pub(crate) struct ModelFile {
    path: PathBuf,
    map: Mmap,
    metadata: HashMap<String, String>,
    /// What to do when it is missing or wrong.
    advice: &'static str,
}

impl ModelFile {
    pub(crate) fn open(path: &Path, advice: &'static str) -> Result<ModelFile> {
        let unreadable = |source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
            advice: advice.to_owned(),
        };
        let file = File::open(path).map_err(unreadable)?;
        // SAFETY: the map is only read, and `write` replaces files by renaming, so that a mapped one never changes.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let broken = |expected: &str, found: String| Error::File {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
            advice: advice.to_owned(),
        };
        let (metadata, tensors) = SafeTensors::read_metadata(&map)
            .and_then(|(_, metadata)| Ok((metadata, SafeTensors::deserialize(&map)?)))
            .map_err(|error| broken("a safetensors file", error.to_string()))?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        // Files of other programs, such as pretrained weights, have none.
        if let Some(expected) = metadata.get(CHECKSUM) {
            let tensors = tensors.tensors();
            let parts = tensors.iter().map(|(name, view)| (&name[..], view.shape(), view.data()));
            let found = checksum(&metadata, parts.collect());
            if found != *expected {
                let found = format!("{found}: the file is damaged");
                return Err(broken(&format!("contents with the checksum {expected}"), found));
            }
        }
        Ok(ModelFile { path: path.to_owned(), map, metadata, advice })
    }

    /// A text of the metadata.
    pub(crate) fn metadata(&self, key: &str) -> Result<&str> {
        self.metadata.get(key).map(String::as_str).ok_or_else(|| {
            self.broken(
                format!("`{key}` in the metadata"),
                "none; it was written by another program".to_owned(),
            )
        })
    }

    /// A value of the metadata, written as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        serde_json::from_str(self.metadata(key)?)
            .map_err(|error| self.broken(format!("`{key}` in the metadata"), error.to_string()))
    }

    /// A tensor of this name and shape, copied.
    pub(crate) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let file = SafeTensors::deserialize(&self.map).expect("checked when opened");
        let view = file.tensor(name).map_err(|_| {
            self.broken(format!("a tensor `{name}`"), format!("{} other tensors", file.len()))
        })?;
        let found: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        if view.dtype() != Dtype::F32 || found != shape {
            return Err(self.broken(
                format!("`{name}` as f32 of shape {shape:?}"),
                format!("{:?} of shape {found:?}", view.dtype()),
            ));
        }
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        Ok(Tensor::f_from_slice(&values)?.f_view(shape)?)
    }

    fn broken(&self, expected: String, found: String) -> Error {
        let advice = self.advice.to_owned();
        Error::File { path: self.path.clone(), expected, found, advice }
    }
}

/// A tensor's values as they lie in memory, row by row.
pub(crate) fn as_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.detach().f_contiguous()?;
    let values = tensor.numel();
    let mut bytes = vec![0; values * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, values)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_models_are_equal_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let tensor = Tensor::from_slice(&[1.0f32, 2.0, 3.0]);
        let written = || {
            // A new map has its own order.
            let names = ["config", "training", "state", "format", "colour"];
            let metadata = names.map(|name| (name.to_owned(), name.to_uppercase()));
            write(&path, [("b", &tensor), ("a", &tensor)].into_iter(), metadata.into()).unwrap();
            std::fs::read(&path).unwrap()
        };
        let first = written();
        for _ in 0..20 {
            assert_eq!(written(), first);
        }
        let file = ModelFile::open(&path, "").unwrap();
        assert_eq!(file.metadata("state").unwrap(), "STATE");
        assert_eq!(Vec::<f32>::try_from(file.tensor("a", &[3]).unwrap()).unwrap(), [1.0, 2.0, 3.0]);
    }
}
