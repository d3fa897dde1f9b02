//! NumPy's `.npy` files. The header is checked against the length of the file before anything is allocated. The data is
//! read in pieces, so that no type of X takes more memory than its images as bytes.
//!
//! `ndarray-npy` decodes the numbers of each piece. Its own reader of whole files is not used, because it allocates
//! what a header claims. Nothing is ever unpickled. What the numbers mean is documented in [`super::scaling`] and
//! [`super::labels`]. Start at [`Header::parse`], which works on bytes alone.

mod element;
mod header;
mod write;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use element::{Element, Kind};
pub use header::Header;
pub use write::write_npy;

use header::LONGEST_HEADER;

use super::file_errors::{CUT_OFF, MISSING, SAVE_AGAIN, UNCHANGED, shown_shape, unreadable, wrong};
use crate::error::Result;
use crate::system::files::{ReadError, open_regular};

/// Bytes read at a time, rounded down to whole elements.
const PIECE: usize = 1 << 20;

/// The types of elements that a file may have, and advice for other types.
pub(super) struct AcceptedTypes {
    pub(super) what: &'static str,
    pub(super) takes: fn(&Element) -> bool,
    pub(super) instead: &'static str,
    pub(super) instead_of_objects: &'static str,
}

/// An `.npy` file whose header was read and whose length matches it.
#[derive(Debug)]
pub struct NpyFile {
    path: PathBuf,
    file: File,
    head: Vec<u8>,
    header: Header,
}

impl NpyFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If it is not there or no regular file, if the header is not NumPy's, if the type is not `accepted`, or if the file
    /// is shorter or longer than its header declares.
    pub(super) fn open(path: &Path, accepted: &AcceptedTypes) -> Result<NpyFile> {
        let io = |source| unreadable(path, source, MISSING);
        let (mut file, length) = open_regular(path).map_err(|unread| match unread {
            ReadError::Io(source) => io(source),
            ReadError::Other(found) => {
                wrong(path, "a NumPy file", found, "put the file itself there")
            }
        })?;
        let mut head = Vec::new();
        (&mut file).take(LONGEST_HEADER as u64 + 12).read_to_end(&mut head).map_err(io)?;
        let header = Header::parse(path, &head)?;
        head.truncate(header.data_start);
        if !(accepted.takes)(&header.element) {
            let advice = match header.element.kind {
                Kind::Object => accepted.instead_of_objects,
                Kind::Float => "save it in single precision, astype(np.float32)",
                Kind::Record => "save the one field that is meant, as records['pixels']",
                _ => accepted.instead,
            };
            return Err(wrong(path, accepted.what, header.element.name(), advice));
        }
        let npy = NpyFile { path: path.to_owned(), file, head, header };
        npy.check_length(length)?;
        Ok(npy)
    }

    fn check_length(&self, length: u64) -> Result<()> {
        let Header { element, shape, data_start, .. } = &self.header;
        let what = format!("shape {} of {}", shown_shape(shape), element.name());
        let Some(declared) = self.header.data_bytes() else {
            let found = format!("{what}, more than can be counted");
            return Err(wrong(&self.path, "a shape that fits the file", found, SAVE_AGAIN));
        };
        let there = length.saturating_sub(*data_start as u64);
        if there == declared {
            return Ok(());
        }
        let advice = if there < declared {
            CUT_OFF
        } else {
            "something stands behind the array; save X and y apart"
        };
        Err(wrong(
            &self.path,
            &format!("{declared} bytes of data for {what}"),
            format!("{there} bytes"),
            advice,
        ))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Another handle of the open file, for reads by position, which do not interfere with each other.
    ///
    /// # Errors
    /// If the process may open no more files.
    pub(crate) fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|source| unreadable(&self.path, source, MISSING))
    }

    /// The bytes before the data.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Bytes of data.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.header.data_bytes().unwrap_or(0)
    }

    /// Calls `visit` with all the data in order, in pieces of whole elements.
    pub(crate) fn each_piece(&mut self, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.any_piece(|piece| visit(piece).map(|()| false)).map(drop)
    }

    /// Calls `visit` with the data in order, in pieces of whole elements, until it returns true; returns whether it
    /// did.
    pub(crate) fn any_piece(
        &mut self,
        mut visit: impl FnMut(&[u8]) -> Result<bool>,
    ) -> Result<bool> {
        let NpyFile { path, file, header, .. } = self;
        let failed = |source: std::io::Error| match source.kind() {
            ErrorKind::UnexpectedEof => {
                wrong(path, UNCHANGED, "that it got shorter while it was read".into(), CUT_OFF)
            }
            _ => unreadable(path, source, MISSING),
        };
        file.seek(SeekFrom::Start(header.data_start as u64)).map_err(failed)?;
        let element = header.element.bytes;
        let mut left = header.data_bytes().unwrap_or(0);
        // An element may be larger than a piece, but not than the data, whose length was compared with the file's.
        let mut piece = vec![0; left.min(((PIECE / element).max(1) * element) as u64) as usize];
        while left > 0 {
            let now = left.min(piece.len() as u64) as usize;
            file.read_exact(&mut piece[..now]).map_err(failed)?;
            if visit(&piece[..now])? {
                return Ok(true);
            }
            left -= now as u64;
        }
        Ok(false)
    }

    /// As [`NpyFile::each_piece`]; returns the SHA-256 of the whole file, its header included.
    pub(crate) fn each_piece_hashed(
        &mut self,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<String> {
        let mut hash = Sha256::new_with_prefix(&self.head);
        self.each_piece(|piece| {
            hash.update(piece);
            visit(piece)
        })?;
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
