//! Writes `X.npy` and `y.npy` entry by entry: NumPy's format, version 1.0, with the number of pictures filled in at the
//! end.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of the header, the same for any number of pictures.
const HEADER: u64 = 128;

/// A growing array, in a temporary file beside its final path.
pub(crate) struct Array {
    /// The final path.
    path: PathBuf,
    part: PathBuf,
    file: File,
    /// NumPy's name of the type, and the shape of one entry.
    descr: &'static str,
    shape: Vec<usize>,
    /// Bytes of one entry.
    entry: u64,
}

impl Array {
    /// The array with this many entries of an earlier call, or an empty one.
    pub(crate) fn open(
        path: &Path,
        descr: &'static str,
        shape: Vec<usize>,
        entries: u64,
    ) -> io::Result<Array> {
        let part = path.with_extension("npy.part");
        let size: usize = descr[2..].parse().unwrap_or(1);
        let entry = (size * shape.iter().product::<usize>()) as u64;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part)?;
        // Entries after the last saved state are dropped and written again.
        file.set_len(HEADER + entries * entry)?;
        let mut array = Array { path: path.to_owned(), part, file, descr, shape, entry };
        array.file.seek(SeekFrom::End(0))?;
        Ok(array)
    }

    /// Whether the file has this many entries.
    pub(crate) fn holds(path: &Path, entry: u64, entries: u64) -> bool {
        let length = path.with_extension("npy.part").metadata().map_or(0, |data| data.len());
        length >= HEADER + entries * entry
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Calls `take` with each entry so far, in order.
    pub(crate) fn each(&self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(&self.part)?);
        file.seek(SeekFrom::Start(HEADER))?;
        let mut entry = vec![0; self.entry as usize];
        loop {
            match file.read_exact(&mut entry) {
                Ok(()) => take(&entry),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Flushes to disk what was written since the last call.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Writes the header for this many entries, and renames the file to its final path.
    pub(crate) fn finish(mut self, entries: u64) -> io::Result<()> {
        let sides = self.shape.iter().map(|&side| side as u64);
        let shape: Vec<u64> = std::iter::once(entries).chain(sides).collect();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(self.descr, &shape))?;
        self.file.sync_all()?;
        std::fs::rename(&self.part, &self.path)
    }
}

/// The header of an array in C order.
pub(crate) fn header(descr: &str, shape: &[u64]) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let shape = sides.join(", ") + comma;
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = HEADER as usize - 10;
    let text = format!("{text:<width$}\n", width = length - 1);
    [&b"\x93NUMPY\x01\x00"[..], &(length as u16).to_le_bytes(), text.as_bytes()].concat()
}
