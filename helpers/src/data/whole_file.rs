//! What needs all of a file, worked out while its first images are used: the hash, the range, and the copy of its pixels.
//!
//! [`Examination`] is for bytes that are pixels already, [`Conversion`] for other numbers, whose scaling was guessed.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::file_errors::{FileFault, UNCHANGED, wrong};
use super::images::{Copied, Facts, FileFacts, FoundImages, unknown_hash};
use super::levels::{Found, PixelCopy, Range, Values};
use super::npy::NpyFile;
use crate::error::Result;
use crate::system::background::count_switches;
use crate::system::files::read_at;

/// Bytes that the background thread reads at a time, whole elements of every type. A file with no more is read before it is
/// used: that takes no longer than the start of a thread.
const PIECE: u64 = 1 << 20;

/// The facts of a file with so many bytes of pixels; those of a large one are worked out in the background.
pub(super) fn examined(
    bytes: u64,
    examine: impl FnOnce(&AtomicBool) -> Facts + Send + 'static,
) -> FileFacts {
    match bytes > PIECE {
        true => FileFacts::later(examine),
        false => FileFacts::known(examine(&AtomicBool::new(true))),
    }
}

/// A file that is to be read to its end.
pub(super) struct WholeFile {
    file: File,
    /// Offset of the pixels, and their number of bytes.
    pub(super) start: u64,
    pub(super) bytes: u64,
    /// When the file was changed last, as it was opened.
    modified: Option<SystemTime>,
    /// Has hashed the header.
    head: Sha256,
}

impl WholeFile {
    pub(super) fn of(npy: &NpyFile) -> Result<WholeFile> {
        let file = npy.file()?;
        let (modified, head) = (modified(&file), Sha256::new_with_prefix(npy.head()));
        let (start, bytes) = (npy.header().data_start as u64, npy.data_bytes());
        Ok(WholeFile { file, start, bytes, modified, head })
    }

    /// The hash of the file; calls `visit` with all pixels, in pieces, until it returns false. None if it does, if they
    /// cannot be read to their end, or are no longer `needed`.
    pub(super) fn hash(
        mut self,
        needed: &AtomicBool,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Option<String> {
        let mut piece = vec![0; self.bytes.min(PIECE) as usize];
        let mut done = 0;
        while done < self.bytes {
            let now = &mut piece[..(self.bytes - done).min(PIECE) as usize];
            if !needed.load(Ordering::Relaxed) {
                return None;
            }
            read_at(&self.file, now, self.start + done).ok()?;
            self.head.update(&*now);
            if !visit(now) {
                return None;
            }
            done += now.len() as u64;
            count_switches();
        }
        // Images may have been read before the change, and others after it.
        let is_unchanged = modified(&self.file) == self.modified;
        Some(if is_unchanged { format!("{:x}", self.head.finalize()) } else { unknown_hash() })
    }
}

/// A look at all of a `uint8` file: range, hash, and a copy of its pixels.
pub(super) struct Examination {
    pub(super) whole: WholeFile,
    /// All but the range.
    pub(super) found: FoundImages,
    /// Room for the copy; none if the pixels stay in the file.
    pub(super) room: Option<Vec<u8>>,
    /// Where the copy goes.
    pub(super) copy: Copied,
}

impl Examination {
    /// Ends early if the result is no longer `needed`.
    pub(super) fn run(self, needed: &AtomicBool) -> Facts {
        let Examination { whole, found, mut room, copy } = self;
        let mut range = (u8::MAX, 0);
        let sha256 = whole.hash(needed, |piece| {
            range = range_of_bytes(piece, range);
            if let Some(room) = &mut room {
                room.extend_from_slice(piece);
            }
            true
        });
        let Some(sha256) = sha256 else {
            return Facts { found, sha256: unknown_hash(), fault: None };
        };
        let in_file = room.is_none();
        if let Some(pixels) = room {
            copy.get_or_init(|| Ok(pixels));
        }
        let (smallest, largest) = (f64::from(range.0), f64::from(range.1));
        let found = FoundImages { smallest, largest, in_file, ..found };
        Facts { found, sha256, fault: None }
    }
}

/// A look at all of a file of other numbers than `uint8`: hash, range, a copy of its pixels, and whether its values fit the
/// scaling that a sample of them asked for.
pub(super) struct Conversion {
    pub(super) whole: WholeFile,
    /// All but the range.
    pub(super) found: FoundImages,
    pub(super) values: Values,
    /// Has room for all pixels, and the scaling that was guessed.
    pub(super) pixels: PixelCopy,
    /// Where the pixels go, or why there are none.
    pub(super) copy: Copied,
}

impl Conversion {
    /// Ends early if the result is no longer `needed`.
    pub(super) fn run(self, needed: &AtomicBool) -> Facts {
        let Conversion { whole, found, values, mut pixels, copy } = self;
        let guess = pixels.scaling();
        let (mut range, mut read) = (Range::default(), 0);
        let (mut outside, mut refused) = (None, None);
        let sha256 = whole.hash(needed, |piece| {
            let taken = values.numbers(piece).and_then(|numbers| {
                range.take(&numbers, &values)?;
                // After the first value that contradicts, the others tell only what the error is.
                if outside.is_none() {
                    let misfit = numbers.iter().position(|&value| !guess.fits(value));
                    outside = misfit.map(|at| Found { index: read + at, value: numbers[at] });
                    pixels.take(&numbers, &values);
                }
                read += numbers.len();
                Ok(())
            });
            refused = taken.err();
            refused.is_none()
        });
        let (smallest, largest) = (range.smallest, range.largest);
        let checked = match (refused, sha256) {
            (Some(error), _) => Err(error),
            (None, None) => {
                let found = "that it cannot be read to its end any more".to_owned();
                Err(wrong(&values.path, UNCHANGED, found, "put it back and load it again"))
            }
            (None, Some(sha256)) => range.scaling_of(&values).and_then(|scaling| {
                if scaling != guess || outside.is_some() {
                    return Err(values.contradict(guess, &range, outside));
                }
                Ok((pixels.checked(&values)?, sha256))
            }),
        };
        let found = FoundImages { smallest, largest, ..found };
        match checked.map_err(FileFault::from) {
            Ok((pixels, sha256)) => {
                copy.get_or_init(|| Ok(pixels));
                Facts { found, sha256, fault: None }
            }
            Err(fault) => {
                copy.get_or_init(|| Err(fault.clone()));
                Facts { found, sha256: unknown_hash(), fault: Some(fault) }
            }
        }
    }
}

/// When the file was changed last; none where the system does not keep it.
fn modified(file: &File) -> Option<SystemTime> {
    file.metadata().and_then(|about| about.modified()).ok()
}

/// The range of these bytes and of earlier ones, as a loop that the compiler vectorises.
fn range_of_bytes(piece: &[u8], before: (u8, u8)) -> (u8, u8) {
    piece.iter().fold(before, |(least, most), &byte| (byte.min(least), byte.max(most)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::data::images::{ImageShape, Images};

    #[test]
    fn a_file_that_changed_since_it_was_opened_is_copied_but_has_no_hash() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1, 2, 7, 8, 9]).unwrap();
        let shape = ImageShape { height: 1, width: 3, channels: 1 };
        let examine = |modified| {
            let copy = Copied::default();
            let file = file.try_clone().unwrap();
            let head = Sha256::new();
            let examination = Examination {
                whole: WholeFile { file, start: 2, bytes: 3, modified, head },
                found: Images::in_memory(shape, vec![0; 3]).found().unwrap().clone(),
                room: Some(Vec::new()),
                copy: Arc::clone(&copy),
            };
            let facts = examination.run(&AtomicBool::new(true));
            assert_eq!((facts.found.smallest, facts.found.largest), (7.0, 9.0));
            assert_eq!((facts.found.in_file, copy.get()), (false, Some(&Ok(vec![7, 8, 9]))));
            facts.sha256
        };
        assert_eq!(examine(modified(&file)), format!("{:x}", Sha256::digest([7u8, 8, 9])));
        let changed = examine(Some(SystemTime::UNIX_EPOCH));
        assert!(changed.starts_with("unknown: the file changed"), "{changed}");
    }
}
