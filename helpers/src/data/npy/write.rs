//! Writing arrays for a reader in Python: `np.load(path)`.

use std::io::{BufWriter, Write};
use std::path::Path;

use ndarray::{ArrayBase, Data, Dimension};
use ndarray_npy::{WritableElement, WriteNpyError, WriteNpyExt};

use crate::error::{Error, Result};
use crate::system::files::PendingFile;

/// Writes an array, whole or not at all, and creates its folder where that is missing.
///
/// # Errors
/// If the folder cannot be created or written.
pub fn write_npy<A: WritableElement, S: Data<Elem = A>, D: Dimension>(
    path: impl AsRef<Path>,
    array: &ArrayBase<S, D>,
) -> Result<()> {
    let path = path.as_ref();
    write_whole(path, array).map_err(|source| Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
        advice: "check that the folder can be written and the disk has room".to_owned(),
    })
}

fn write_whole<A: WritableElement, S: Data<Elem = A>, D: Dimension>(
    path: &Path,
    array: &ArrayBase<S, D>,
) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, PendingFile::new(path)?);
    array.write_npy(&mut writer).map_err(|error| match error {
        WriteNpyError::Io(source) => source,
        other => std::io::Error::other(other),
    })?;
    writer.flush()?;
    writer.into_inner().map_err(|error| error.into_error())?.persist()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use ndarray_npy::read_npy;

    use super::*;

    #[test]
    fn an_array_is_read_as_it_was_written_whatever_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/array.npy");
        let rows = array![[1.5f32, -2.0, 3.0], [0.0, 5.0, 6.25]];
        for array in [rows.clone(), rows.reversed_axes()] {
            write_npy(&path, &array).unwrap();
            let read: Array2<f32> = read_npy(&path).unwrap();
            assert_eq!(read, array);
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = write_npy(file.path().join("a.npy"), &array![1u8, 2]).unwrap_err().to_string();
        assert!(text.starts_with("cannot write ") && text.ends_with("the disk has room"), "{text}");
    }
}
