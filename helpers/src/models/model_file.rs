//! Model files: safetensors, with settings in the metadata. Nothing in them is ever executed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors, serialize};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::system::files::read_regular;
use crate::system::memory::Memory;
use crate::system::write_atomically;
use crate::text::{clean_text, shown_path};

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
            let tensor = tensor.f_detach()?.f_to_kind(Kind::Float)?.f_contiguous()?;
            let values = Vec::<f32>::try_from(tensor.f_flatten(0, -1)?)?;
            let shape = tensor.size().iter().map(|&side| side as usize).collect();
            Ok((name, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        })
        .collect::<Result<_>>()?;
    let parts = bytes.iter().map(|(name, shape, bytes)| (*name, &shape[..], &bytes[..]));
    metadata.insert(CHECKSUM.to_owned(), checksum(&metadata, parts.collect()));
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, SafeTensorError>>()
        .map_err(Error::internal)?;
    let whole = serialize(views, Some(metadata)).map_err(Error::internal)?;
    write_atomically(path, &with_sorted_header(&whole)?)
}

/// The same file with its header sorted by name: `serialize` writes metadata in a different order each time, but equal
/// models must give equal files.
fn with_sorted_header(file: &[u8]) -> Result<Vec<u8>> {
    let (length, rest) = file.split_first_chunk::<8>().ok_or_else(|| {
        Error::internal("a safetensors file begins with the length of its header")
    })?;
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let sorted = |header: &[u8]| -> serde_json::Result<Vec<u8>> {
        let mut header: BTreeMap<String, Value> = serde_json::from_slice(header)?;
        if let Some(metadata) = header.remove("__metadata__") {
            let texts: BTreeMap<String, String> = serde_json::from_value(metadata)?;
            header.insert("__metadata__".to_owned(), serde_json::to_value(texts)?);
        }
        serde_json::to_vec(&header)
    };
    let mut text = sorted(header).map_err(Error::internal)?;
    // Tensors begin at a multiple of eight bytes.
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok([&(text.len() as u64).to_le_bytes()[..], &text, data].concat())
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
    // Lengths separate neighbouring texts.
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

/// A model file in memory; tensors are copied when they are requested.
pub(crate) struct ModelFile {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
    /// What to do when it is missing or wrong.
    advice: &'static str,
}

impl ModelFile {
    /// Reads a file that [`write()`] wrote.
    ///
    /// # Errors
    /// If it cannot be read, is no model file, or its checksum is wrong.
    pub(crate) fn open(path: &Path, advice: &'static str) -> Result<ModelFile> {
        let file = ModelFile::of_any_program(path, advice)?;
        if !file.metadata.contains_key(CHECKSUM) {
            return Err(file.broken(
                format!("a checksum, `{CHECKSUM}`, in the metadata"),
                "none; it was written by another program".to_owned(),
            ));
        }
        Ok(file)
    }

    /// As [`ModelFile::open`], also a file without a checksum, such as pretrained weights.
    pub(crate) fn of_any_program(path: &Path, advice: &'static str) -> Result<ModelFile> {
        let broken = |expected: &str, found: String| Error::File {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: clean_text(&found),
            advice: advice.to_owned(),
        };
        let length = std::fs::metadata(path).map_or(0, |about| about.len());
        let work = format!("reading {}", shown_path(path));
        Memory::now().require(length, &work, "close other programs, or take a smaller model")?;
        let expected = "a safetensors file";
        let bytes = read_regular(path, u64::MAX)
            .map_err(|unread| unread.into_error(path, expected, advice))?;
        let (metadata, tensors) = SafeTensors::read_metadata(&bytes)
            .and_then(|(_, metadata)| Ok((metadata, SafeTensors::deserialize(&bytes)?)))
            .map_err(|error| broken(expected, error.to_string()))?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        if let Some(expected) = metadata.get(CHECKSUM) {
            let tensors = tensors.tensors();
            let parts = tensors.iter().map(|(name, view)| (&name[..], view.shape(), view.data()));
            let found = checksum(&metadata, parts.collect());
            if found != *expected {
                let expected = format!("contents with the checksum {}", clean_text(expected));
                return Err(broken(&expected, format!("{found}: the file is damaged")));
            }
        }
        Ok(ModelFile { path: path.to_owned(), bytes, metadata, advice })
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
        serde_json::from_str(self.metadata(key)?).map_err(|error| {
            self.broken(format!("`{key}` in the metadata"), clean_text(&error.to_string()))
        })
    }

    /// A tensor of this name and shape, copied.
    pub(crate) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let file = SafeTensors::deserialize(&self.bytes).map_err(Error::internal)?;
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

    /// An error that says what the file should hold and what it holds.
    pub(crate) fn broken(&self, expected: String, found: String) -> Error {
        let advice = self.advice.to_owned();
        Error::File { path: self.path.clone(), expected, found, advice }
    }
}

/// A value as JSON, for the metadata of a file.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// A tensor's values as they lie in memory, row by row.
pub(crate) fn as_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.f_detach()?.f_contiguous()?;
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
    /// The checksum is not asked for in files of other programs, and so it could be taken out to change ours.
    #[test]
    fn a_file_of_ours_without_its_checksum_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let tensor = Tensor::from_slice(&[1.0f32]);
        write(&path, [("a", &tensor)].into_iter(), HashMap::new()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
        header["__metadata__"].as_object_mut().unwrap().remove(CHECKSUM);
        let header = header.to_string();
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &whole[8 + length..]];
        std::fs::write(&path, bytes.concat()).unwrap();
        let text = ModelFile::open(&path, "make it again").err().unwrap().to_string();
        let expected = "expected a checksum, `sha256`, in the metadata, found none; it was written by another program; \
                        make it again";
        assert!(text.ends_with(expected), "{text}");
        let file = ModelFile::of_any_program(&path, "").unwrap();
        assert_eq!(Vec::<f32>::try_from(file.tensor("a", &[1]).unwrap()).unwrap(), [1.0]);
    }
}
