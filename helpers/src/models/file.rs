//! Model files: safetensors, with settings in the metadata. Nothing in them is ever executed.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use tch::{Kind, Tensor};

use crate::artifacts::write_atomically;
use crate::error::{Error, Result};

/// Writes named `f32` tensors and metadata, atomically.
pub(crate) fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
    metadata: HashMap<String, String>,
) -> Result<()> {
    let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = tensors
        .map(|(name, tensor)| {
            let tensor = tensor.detach().f_to_kind(Kind::Float)?.f_contiguous()?;
            let values = Vec::<f32>::try_from(tensor.f_flatten(0, -1)?)?;
            let shape = tensor.size().iter().map(|&side| side as usize).collect();
            Ok((name, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        })
        .collect::<Result<_>>()?;
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.clone(), bytes)
                .expect("the shape is the tensor's own"),
        )
    });
    let whole = serialize(views, Some(metadata)).expect("f32 tensors of their own shapes");
    write_atomically(path, &whole)
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
        let metadata = SafeTensors::read_metadata(&map)
            .and_then(|(_, metadata)| SafeTensors::deserialize(&map).map(|_| metadata))
            .map_err(|error| Error::File {
                path: path.to_owned(),
                expected: "a safetensors file".to_owned(),
                found: error.to_string(),
                advice: advice.to_owned(),
            })?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
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
