//! A file of features: a safetensors file whose header is known in advance, except for the computing time and the hash
//! of the values.
//!
//! So a reader compares the header byte by byte, without a parser that a damaged file could mislead. Values are in
//! channels-last order, which the trained layers need. Start at [`FeatureFile::open_checked`] and
//! [`FeatureWriter::new`].

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tch::Kind;

use crate::display::Bar;
use crate::error::{Error, Result};
use crate::system::files::{PendingFile, open_regular, read_at};
use crate::system::interrupt::InterruptGuard;
use crate::text::clean_text;

/// What determines a file of features, apart from the values.
pub(super) struct FileFormat {
    /// The hash of everything that the features depend on.
    pub(super) key: String,
    /// Shape of one image's features, as the network returns it.
    pub(super) shape: Vec<i64>,
    /// Number of images; doubled if mirror images follow.
    pub(super) images: usize,
    pub(super) kind: Kind,
}

impl FileFormat {
    /// Bytes of one image's features.
    pub(super) fn row_bytes(&self) -> usize {
        self.shape.iter().product::<i64>() as usize * self.kind.elt_size_in_bytes()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.images as u64 * self.row_bytes() as u64
    }

    /// The header of the file; its length does not depend on the time and the hash.
    pub(super) fn header(&self, seconds: &str, sha256: &str) -> Vec<u8> {
        let name = if self.kind == Kind::BFloat16 { "BF16" } else { "F32" };
        let mut whole = vec![self.images as i64];
        match self.shape[..] {
            [channels, height, width] => whole.extend([height, width, channels]),
            _ => whole.extend(&self.shape),
        }
        let metadata = serde_json::json!({
            "key": self.key,
            "seconds": format!("{seconds:>12}"),
            "sha256": format!("{sha256:>64}"),
        });
        let mut text = serde_json::json!({
            "__metadata__": metadata,
            "features": { "dtype": name, "shape": whole, "data_offsets": [0, self.bytes()] },
        })
        .to_string();
        text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.extend(text.as_bytes());
        header
    }
}

/// A file of features, open for reading.
pub(super) struct FeatureFile {
    file: File,
    path: PathBuf,
    /// Where the first image's features begin, in bytes.
    start: u64,
    row_bytes: usize,
    /// The computing time in seconds and the hash of the values, as the header has them.
    seconds: String,
    sha256: String,
}

impl FeatureFile {
    /// Opens a file that is of this format.
    pub(super) fn open(path: &Path, format: &FileFormat) -> Result<FeatureFile> {
        let (file, length) = open_regular(path)
            .map_err(|error| error.into_error(path, "a file of features", REMOVE))?;
        let start = format.header("", "").len();
        let whole = start as u64 + format.bytes();
        if length != whole {
            return Err(broken(path, format!("{whole} bytes"), length.to_string()));
        }
        let mut header = vec![0; start];
        read_at(&file, &mut header, 0).map_err(|error| unreadable(path, error))?;
        let value: serde_json::Value = serde_json::from_slice(&header[8..]).unwrap_or_default();
        let text = |name: &str| value["__metadata__"][name].as_str().unwrap_or_default().to_owned();
        let (seconds, sha256) = (text("seconds"), text("sha256"));
        // The rest of the header is known.
        if header != format.header(&seconds, &sha256) {
            let expected = "features of these images and weights, in this shape and format";
            return Err(broken(path, expected.to_owned(), "another header".to_owned()));
        }
        let (path, row_bytes) = (path.to_owned(), format.row_bytes());
        Ok(FeatureFile { file, path, start: start as u64, row_bytes, seconds, sha256 })
    }

    /// [`FeatureFile::open`] for a file that another process may have written: also checks the hash of its values.
    pub(super) fn open_checked(path: &Path, format: &FileFormat) -> Result<FeatureFile> {
        let features = FeatureFile::open(path, format)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; format.bytes().min(1 << 20) as usize];
        let (mut offset, end) = (features.start, features.start + format.bytes());
        let (mut bar, interrupts) = (Bar::new(format.bytes() as usize), InterruptGuard::new());
        while offset < end {
            interrupts.check("reading the features", "run it again")?;
            let now = (end - offset).min(piece.len() as u64) as usize;
            read_at(&features.file, &mut piece[..now], offset)
                .map_err(|error| unreadable(path, error))?;
            hash.update(&piece[..now]);
            offset += now as u64;
            bar.tick((offset - features.start) as usize, |share, _| {
                format!("features: {:.0}% of the file read and checked", 100.0 * share)
            });
        }
        bar.close("features: the file is read and checked");
        hash.update(&features.seconds);
        let found = format!("{:x}", hash.finalize());
        if found != features.sha256 {
            let expected = format!("contents with the checksum {}", clean_text(&features.sha256));
            return Err(broken(path, expected, format!("{found}: the file is damaged")));
        }
        Ok(features)
    }

    /// The seconds that computing the features took.
    pub(super) fn seconds(&self) -> f64 {
        let seconds = self.seconds.trim().parse().ok();
        seconds.filter(|seconds: &f64| seconds.is_finite()).unwrap_or(0.0)
    }

    /// Fills `bytes` with the features of one image.
    pub(super) fn read_row(&self, row: usize, bytes: &mut [u8]) -> Result<()> {
        let offset = self.start + (row * self.row_bytes) as u64;
        read_at(&self.file, bytes, offset).map_err(|error| unreadable(&self.path, error))
    }
}

/// A file of features that is being written; it gets its name when it is complete.
pub(super) struct FeatureWriter<'a> {
    writer: BufWriter<PendingFile>,
    path: &'a Path,
    format: &'a FileFormat,
    hash: Sha256,
}

impl FeatureWriter<'_> {
    pub(super) fn new<'a>(path: &'a Path, format: &'a FileFormat) -> Result<FeatureWriter<'a>> {
        let file = PendingFile::new(path).map_err(|error| unwritable(path, error))?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        // A placeholder of the final length, which `finish` overwrites.
        writer.write_all(&format.header("", "")).map_err(|error| unwritable(path, error))?;
        Ok(FeatureWriter { writer, path, format, hash: Sha256::new() })
    }

    /// Appends the features of the next images.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.writer.write_all(bytes).map_err(|error| unwritable(self.path, error))
    }

    /// Writes the final header and gives the file its name.
    pub(super) fn finish(self, seconds: f64) -> Result<()> {
        let FeatureWriter { writer, path, format, hash } = self;
        let file = writer.into_inner().map_err(|error| unwritable(path, error.into_error()))?;
        let seconds = format!("{seconds:012.3}");
        let sha256 = format!("{:x}", hash.chain_update(&seconds).finalize());
        write_at_start(file.as_file(), &format.header(&seconds, &sha256))
            .and_then(|()| file.persist())
            .map_err(|error| unwritable(path, error))
    }
}

fn write_at_start(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)
}

/// Advice for a file of features that cannot be read.
const REMOVE: &str = "remove the file; it is made again";

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "read", path: path.to_owned(), source, advice: REMOVE.to_owned() }
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    let advice = "check that the folder can be written and the disk has room".to_owned();
    Error::Io { action: "write", path: path.to_owned(), source, advice }
}

/// An [`Error::File`] about a file of features.
fn broken(path: &Path, expected: String, found: String) -> Error {
    Error::File { path: path.to_owned(), expected, found, advice: REMOVE.to_owned() }
}
