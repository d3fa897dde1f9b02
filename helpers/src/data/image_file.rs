//! Opens `X.npy`: images `(N, H, W)` or `(N, H, W, C)` with 1 or 3 channels become `u8`, row by row, channels last.
//!
//! Accepts any integer, bool and any float, in C or Fortran order and either byte order. The range of the values
//! decides what they mean: [`Scaling`] has the rules. The range and the rule are kept, to be shown.
//!
//! Up to [`LARGEST_COPY`] bytes, pixels are copied into memory. Pixels of a larger file that is already `uint8` in C
//! order stay in it: an image is read when it is needed, and the system's page cache keeps what is in use.
//!
//! A `uint8` file in C order is open at once. A background thread computes its range and its hash, and copies it; callers
//! wait only when they need those: 5 GB take three seconds. Until then, images of a file that is to be copied are read from
//! it as well. Other files are read to the end first, because their range decides what each value becomes; only their hash is
//! left to the background.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::file_errors::{no_truth_values, shown_shape, wrong};
use super::images::{
    Facts, FileFacts, FoundImages, ImageShape, Images, Pixels, PixelsInFile, unknown_hash,
};
use super::npy::{AcceptedTypes, Element, Header, Kind, NpyFile};
use super::scaling::{DARKEST, Scaling};
use crate::error::{Error, Result};
use crate::system::background::count_switches;
use crate::system::files::read_at;
use crate::system::memory::Memory;
use crate::text::shown_path;

/// A `uint8` file with more pixels than this many bytes is not copied into memory: 1 GiB.
pub const LARGEST_COPY: u64 = 1 << 30;

/// Bytes that the background thread reads at a time. A file with no more is read before it is used: that takes no longer than
/// the start of a thread.
const PIECE: u64 = 1 << 20;

/// Fewer grey levels than this are an error, unless the file holds no more different values.
const FEWEST_LEVELS: usize = 16;

const ACCEPTED: AcceptedTypes = AcceptedTypes {
    what: "images of uint8, another integer or a float",
    takes: Element::is_number,
    instead: "save it as numbers, as X.astype(np.uint8)",
    instead_of_objects: "pickled objects are never read; bring all images to one size and save one array of them, \
                         np.save('X.npy', np.stack(X), allow_pickle=False)",
};

/// `X.npy` with a header that was read and has the shape of images.
pub(super) struct ImageFile {
    npy: NpyFile,
    shape: ImageShape,
    pub(super) count: usize,
}

impl ImageFile {
    pub(super) fn open(path: &Path) -> Result<ImageFile> {
        let npy = NpyFile::open(path, &ACCEPTED)?;
        let (count, shape) = image_shape(path, &npy.header().shape)?;
        Ok(ImageFile { npy, shape, count })
    }

    /// Reads all pixels. A `uint8` file in C order with more than `largest_copy` bytes of pixels is not copied. `on_progress`
    /// is called with the share of the work that is done.
    pub(super) fn read(
        mut self,
        largest_copy: u64,
        memory: Memory,
        on_progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Images> {
        let Header { element, fortran_order, .. } = *self.npy.header();
        // Checked before the file is read once; a file that is not copied needs no memory.
        let plain = element.kind == Kind::Unsigned && element.bytes == 1 && !fortran_order;
        let large = self.npy.data_bytes() > largest_copy;
        if !(plain && large) {
            self.check_room(memory)?;
        }
        if plain && let Some(images) = self.read_plain(large, on_progress)? {
            return Ok(images);
        }
        // Scaled values are always copied, so now a large `uint8` file needs memory, too.
        self.check_room(memory)?;
        let whole = WholeFile::of(&self.npy)?;
        // Read a second time if the first values do not tell the scaling of all; the share then begins anew.
        let (mut read, total) = (0, self.npy.data_bytes());
        let mut on_progress = |piece: usize| {
            read = if read < total { read } else { 0 } + piece as u64;
            on_progress(read as f64 / total as f64)
        };
        let (range, copy) = self.range(&mut on_progress)?;
        let scaling = self.scaling(&range)?;
        let copy = match copy.filter(|copy| copy.levels.scaling == scaling) {
            Some(copy) => copy,
            None => self.copy(scaling, &mut on_progress)?,
        };
        let pixels = Pixels::Memory(copy.checked(self.npy.path())?);
        let found = self.found(range.smallest, range.largest, scaling, false);
        let file_facts = examined(whole.bytes, move |needed| Facts {
            found,
            sha256: whole.hash(needed, |_| ()).unwrap_or_else(unknown_hash),
        });
        Ok(Images { shape: self.shape, count: self.count, pixels, file_facts })
    }

    /// For a `uint8` file in C order whose values need no scaling: everything that needs all of it is left to the
    /// background, and so is the copy, unless the file is too `large` for one. None if the values need scaling.
    fn read_plain(
        &mut self,
        large: bool,
        on_progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Option<Images>> {
        let (whole, bytes, mut read) = (WholeFile::of(&self.npy)?, self.npy.data_bytes(), 0);
        // One value that is not dark is enough to decide: no byte is above 255.
        let has_bright = self.npy.any_piece(|piece| {
            read += piece.len();
            on_progress(read as f64 / bytes as f64)?;
            Ok(piece.iter().any(|&byte| f64::from(byte) >= DARKEST))
        })?;
        if !has_bright {
            return Ok(None);
        }
        let (path, start, file) = (self.npy.path().to_owned(), whole.start, self.npy.file()?);
        let copy = Arc::new(OnceLock::new());
        let examination = Examination {
            whole,
            found: self.found(0.0, 0.0, Scaling::AsIs, true),
            room: if large { None } else { Some(self.room()?) },
            copy: Arc::clone(&copy),
        };
        let file_facts = examined(bytes, move |needed| examination.run(needed));
        let pixels = Pixels::File(PixelsInFile { file, path, start, copy });
        Ok(Some(Images { shape: self.shape, count: self.count, pixels, file_facts }))
    }

    fn found(&self, smallest: f64, largest: f64, scaling: Scaling, in_file: bool) -> FoundImages {
        let Header { element, fortran_order, ref shape, .. } = *self.npy.header();
        FoundImages {
            shape: shape.clone(),
            dtype: element.name(),
            fortran_order,
            big_endian: element.big_endian,
            smallest,
            largest,
            scaling,
            in_file,
        }
    }

    fn check_room(&self, memory: Memory) -> Result<()> {
        let pixels = (self.count * self.shape.pixels()) as u64;
        let work = format!("loading the images of {}", shown_path(self.npy.path()));
        let advice = "close other programs, or save fewer or smaller images; beyond 1 GiB, images saved as uint8 in C \
                      order, np.ascontiguousarray(X, np.uint8), stay in their file and take no memory";
        memory.require(pixels, &work, advice)
    }

    /// The range of the values, and a copy of them with the scaling that those of the first piece ask for; none if those of
    /// a later piece ask for another. Fails at the first value that is not finite.
    fn range(
        &mut self,
        on_progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<(Range, Option<PixelCopy>)> {
        let order = self.order();
        let path = self.npy.path().to_owned();
        let element = self.npy.header().element;
        let (mut range, mut index) = (Range::default(), 0);
        let (mut room, mut copy) = (Some(self.room()?), None);
        self.npy.each_piece(|piece| {
            on_progress(piece.len())?;
            let values = element.numbers(piece).map_err(|_| no_truth_values(&path))?;
            for &value in &values {
                if !value.is_finite() {
                    return Err(order.refuse(&path, index, value));
                }
                range.take(value, index);
                index += 1;
            }
            let scaling = range.scaling();
            if let Some(room) = room.take() {
                copy = scaling.map(|scaling| PixelCopy::new(order, scaling, room));
            }
            copy = copy.take().filter(|copy: &PixelCopy| Some(copy.levels.scaling) == scaling);
            if let Some(copy) = &mut copy {
                copy.take(&values);
            }
            Ok(())
        })?;
        Ok((range, copy))
    }

    /// The scaling rule for this range.
    fn scaling(&self, range: &Range) -> Result<Scaling> {
        let Range { smallest, largest, index, .. } = *range;
        range.scaling().ok_or_else(|| {
            let path = self.npy.path();
            if Scaling::is_negative(smallest) {
                return self.order().refuse(path, index, smallest);
            }
            let found = format!("{smallest} to {largest}");
            let advice = "scale them, as X = (X - X.min()) / (X.max() - X.min())";
            wrong(path, "different values from 0 to 65535", found, advice)
        })
    }

    /// A copy of the values with this scaling.
    fn copy(
        &mut self,
        scaling: Scaling,
        on_progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<PixelCopy> {
        let element = self.npy.header().element;
        let path = self.npy.path().to_owned();
        let mut copy = PixelCopy::new(self.order(), scaling, self.room()?);
        self.npy.each_piece(|piece| {
            on_progress(piece.len())?;
            copy.take(&element.numbers(piece).map_err(|_| no_truth_values(&path))?);
            Ok(())
        })?;
        Ok(copy)
    }

    /// An empty list with room for all pixels.
    fn room(&self) -> Result<Vec<u8>> {
        // The shape was checked against the length of the file: there are at most as many pixels as bytes in it.
        let total = self.count * self.shape.pixels();
        let mut pixels = Vec::new();
        pixels.try_reserve_exact(total).map_err(|_| {
            let found = format!("{total} bytes of them");
            let advice = "close other programs or save fewer images";
            wrong(self.npy.path(), "room for the images in memory", found, advice)
        })?;
        Ok(pixels)
    }

    fn order(&self) -> Order {
        Order { count: self.count, shape: self.shape, fortran: self.npy.header().fortran_order }
    }
}

/// The facts of a file with so many bytes of pixels; those of a large one are worked out in the background.
fn examined(
    bytes: u64,
    examine: impl FnOnce(&AtomicBool) -> Facts + Send + 'static,
) -> Arc<FileFacts> {
    Arc::new(match bytes > PIECE {
        true => FileFacts::later(examine),
        false => FileFacts::known(examine(&AtomicBool::new(true))),
    })
}

/// A file that is to be read to its end.
struct WholeFile {
    file: File,
    /// Offset of the pixels, and their number of bytes.
    start: u64,
    bytes: u64,
    /// When the file was changed last, as it was opened.
    modified: Option<SystemTime>,
    /// Has hashed the header.
    head: Sha256,
}

impl WholeFile {
    fn of(npy: &NpyFile) -> Result<WholeFile> {
        let file = npy.file()?;
        let (modified, head) = (modified(&file), Sha256::new_with_prefix(npy.head()));
        let (start, bytes) = (npy.header().data_start as u64, npy.data_bytes());
        Ok(WholeFile { file, start, bytes, modified, head })
    }

    /// The hash of the file; calls `visit` with all pixels, in pieces. None if they cannot be read to their end, or are no
    /// longer `needed`.
    fn hash(mut self, needed: &AtomicBool, mut visit: impl FnMut(&[u8])) -> Option<String> {
        let mut piece = vec![0; self.bytes.min(PIECE) as usize];
        let mut done = 0;
        while done < self.bytes {
            let now = &mut piece[..(self.bytes - done).min(PIECE) as usize];
            if !needed.load(Ordering::Relaxed) {
                return None;
            }
            read_at(&self.file, now, self.start + done).ok()?;
            self.head.update(&*now);
            visit(now);
            done += now.len() as u64;
            count_switches();
        }
        // Images may have been read before the change, and others after it.
        let is_unchanged = modified(&self.file) == self.modified;
        Some(if is_unchanged { format!("{:x}", self.head.finalize()) } else { unknown_hash() })
    }
}

/// A look at all of a `uint8` file: range, hash, and a copy of its pixels.
struct Examination {
    whole: WholeFile,
    /// All but the range.
    found: FoundImages,
    /// Room for the copy; none if the pixels stay in the file.
    room: Option<Vec<u8>>,
    /// Where the copy goes.
    copy: Arc<OnceLock<Vec<u8>>>,
}

impl Examination {
    /// Ends early if the result is no longer `needed`.
    fn run(self, needed: &AtomicBool) -> Facts {
        let Examination { whole, found, mut room, copy } = self;
        let mut range = (u8::MAX, 0);
        let sha256 = whole.hash(needed, |piece| {
            range = range_of_bytes(piece, range);
            if let Some(room) = &mut room {
                room.extend_from_slice(piece);
            }
        });
        let Some(sha256) = sha256 else {
            return Facts { found, sha256: unknown_hash() };
        };
        let in_file = room.is_none();
        if let Some(pixels) = room {
            copy.get_or_init(|| pixels);
        }
        let (smallest, largest) = (f64::from(range.0), f64::from(range.1));
        Facts { found: FoundImages { smallest, largest, in_file, ..found }, sha256 }
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

/// Smallest and largest value of a file, and the index of the smallest; what mean and deviation are made from.
struct Range {
    smallest: f64,
    largest: f64,
    index: usize,
    count: f64,
    sum: f64,
    squares: f64,
}

impl Default for Range {
    fn default() -> Range {
        let (smallest, largest) = (f64::INFINITY, f64::NEG_INFINITY);
        Range { smallest, largest, index: 0, count: 0.0, sum: 0.0, squares: 0.0 }
    }
}

impl Range {
    fn take(&mut self, value: f64, index: usize) {
        if value < self.smallest {
            (self.smallest, self.index) = (value, index);
        }
        self.largest = self.largest.max(value);
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    /// The scaling rule for these values; none when they cannot be grey levels.
    fn scaling(&self) -> Option<Scaling> {
        let Range { smallest, largest, .. } = *self;
        match self.is_standardised() {
            true => Some(Scaling::Range { black: smallest, white: largest }),
            false => Scaling::of(smallest, largest),
        }
    }

    /// Whether the values have been standardised: a mean of 0 and a standard deviation of 1, each within a tenth. One
    /// wrong negative value among those of 0 to 1 or 0 to 255 does not look like that.
    fn is_standardised(&self) -> bool {
        let mean = self.sum / self.count;
        let deviation = (self.squares / self.count - mean * mean).sqrt();
        Scaling::is_negative(self.smallest) && mean.abs() < 0.1 && (deviation - 1.0).abs() < 0.1
    }
}

/// Values of a file as `u8`, in C order.
struct PixelCopy {
    order: Order,
    levels: Levels,
    pixels: Vec<u8>,
    /// The index in the file of the next value.
    index: usize,
}

impl PixelCopy {
    fn new(order: Order, scaling: Scaling, mut room: Vec<u8>) -> PixelCopy {
        if order.fortran {
            room.resize(order.count * order.shape.pixels(), 0);
        }
        PixelCopy { order, levels: Levels::new(scaling), pixels: room, index: 0 }
    }

    fn take(&mut self, values: &[f64]) {
        for &value in values {
            let level = self.levels.of(value);
            if self.order.fortran {
                self.pixels[self.order.in_c_order(self.index)] = level;
            } else {
                self.pixels.push(level);
            }
            self.index += 1;
        }
    }

    /// The pixels, unless different values were merged into too few levels.
    fn checked(self, path: &Path) -> Result<Vec<u8>> {
        let Some(left) = self.levels.too_few() else {
            return Ok(self.pixels);
        };
        let found = format!("{left}, with {}", self.levels.scaling);
        let advice = "spread what matters over 0 to 1: low, high = np.percentile(X, [0.1, 99.9]); \
                      X = np.clip((X - low) / (high - low), 0, 1)";
        Err(wrong(path, &format!("at least {FEWEST_LEVELS} levels of grey"), found, advice))
    }
}

/// Which grey levels the values of a file become, and whether different values became the same level.
struct Levels {
    scaling: Scaling,
    /// The first value that became each level.
    first: [Option<f64>; 256],
    merged: bool,
}

impl Levels {
    fn new(scaling: Scaling) -> Levels {
        Levels { scaling, first: [None; 256], merged: false }
    }

    fn of(&mut self, value: f64) -> u8 {
        let level = self.scaling.level(value);
        let first = *self.first[usize::from(level)].get_or_insert(value);
        self.merged |= first != value;
        level
    }

    /// How many levels are used, if different values were merged into too few of them.
    fn too_few(&self) -> Option<usize> {
        let used = self.first.iter().flatten().count();
        (self.merged && used < FEWEST_LEVELS).then_some(used)
    }
}

/// How an element's index in the file corresponds to a pixel.
#[derive(Clone, Copy)]
struct Order {
    count: usize,
    shape: ImageShape,
    fortran: bool,
}

impl Order {
    /// The index in C order of the element with this index in a file in Fortran order.
    fn in_c_order(&self, index: usize) -> usize {
        let ImageShape { height, width, channels } = self.shape;
        let (image, rest) = (index % self.count, index / self.count);
        let (row, rest) = (rest % height, rest / height);
        let (column, channel) = (rest % width, rest / width);
        ((image * height + row) * width + column) * channels + channel
    }

    /// The error for an invalid value, with its image and pixel.
    fn refuse(&self, path: &Path, index: usize, value: f64) -> Error {
        let index = if self.fortran { self.in_c_order(index) } else { index };
        let ImageShape { width, channels, .. } = self.shape;
        let (image, pixel) = (index / self.shape.pixels(), index % self.shape.pixels());
        let (row, column, channel) =
            (pixel / channels / width, pixel / channels % width, pixel % channels);
        let mut found = format!("{value} in image {image}, row {row}, column {column}");
        if channels > 1 {
            found += &format!(", channel {channel}");
        }
        if value.is_finite() {
            let advice = "if that is meant, shift it: X = (X - X.min()) / (X.max() - X.min())";
            wrong(
                path,
                "no negative values, unless from -1 to 1 or standardised (mean 0, deviation 1)",
                found,
                advice,
            )
        } else {
            wrong(
                path,
                "finite values",
                found,
                "replace it, X = np.nan_to_num(X, posinf=0, neginf=0), or leave that image out",
            )
        }
    }
}

/// The number of images and their shape for an array of this shape.
fn image_shape(path: &Path, shape: &[usize]) -> Result<(usize, ImageShape)> {
    let refuse = |advice: &str| {
        let expected = "images of shape (N, H, W) or (N, H, W, C) with 1 or 3 channels";
        Err(wrong(path, expected, format!("shape {}", shown_shape(shape)), advice))
    };
    let (count, shape) = match *shape {
        [count, height, width] => (count, ImageShape { height, width, channels: 1 }),
        [count, height, width, channels @ (1 | 3)] => {
            (count, ImageShape { height, width, channels })
        }
        [_, 1 | 3, _, _] => return refuse("put the channels last, X = np.moveaxis(X, 1, -1)"),
        [_, _, _, 4] => return refuse("leave the transparency out, X = X[..., :3]"),
        [_, _] => {
            return refuse(
                "give each image its rows and columns back, as X = X.reshape(-1, 28, 28)",
            );
        }
        [_] => return refuse("if these are the labels, X and y are swapped"),
        _ => return refuse("reshape it, X = X.reshape(N, H, W)"),
    };
    if count == 0 {
        return refuse("save at least two images of each of two classes");
    }
    if shape.pixels() == 0 {
        return refuse("save images that have pixels");
    }
    Ok((count, shape))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_changed_since_it_was_opened_is_copied_but_has_no_hash() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1, 2, 7, 8, 9]).unwrap();
        let shape = ImageShape { height: 1, width: 3, channels: 1 };
        let examine = |modified| {
            let copy = Arc::new(OnceLock::new());
            let file = file.try_clone().unwrap();
            let head = Sha256::new();
            let examination = Examination {
                whole: WholeFile { file, start: 2, bytes: 3, modified, head },
                found: Images::in_memory(shape, vec![0; 3]).found().clone(),
                room: Some(Vec::new()),
                copy: Arc::clone(&copy),
            };
            let facts = examination.run(&AtomicBool::new(true));
            assert_eq!((facts.found.smallest, facts.found.largest), (7.0, 9.0));
            assert_eq!((facts.found.in_file, copy.get()), (false, Some(&vec![7, 8, 9])));
            facts.sha256
        };
        assert_eq!(examine(modified(&file)), format!("{:x}", Sha256::digest([7u8, 8, 9])));
        let changed = examine(Some(SystemTime::UNIX_EPOCH));
        assert!(changed.starts_with("unknown: the file changed"), "{changed}");
    }
}
