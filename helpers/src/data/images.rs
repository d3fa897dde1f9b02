//! `X.npy`: images `(N, H, W)` or `(N, H, W, C)` with 1 or 3 channels become `u8`, row by row, channels last.
//!
//! Any integer or floating type is taken, in C or Fortran order and either byte order. What the numbers mean is told
//! from their range; [`Scaling`] has the rules, and the range and the rule that applied are kept to be shown.
//!
//! Up to [`LARGEST_COPY`] the pixels are copied into memory. Beyond it a file that already is `uint8` in C order stays
//! where it is, mapped: an image is copied out when it is asked for, and the machine's page cache holds what is in use. A
//! file that is cut meanwhile gives an error and does not end the process; `mapped.rs` says how.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dataset::ImageShape;
use super::npy::{Element, Header, Kind, MISSING, NpyFile, Wanted, shown_shape, unreadable, wrong};
use crate::error::{Error, Result};
use crate::mapped::MappedFile;
use crate::system::memory::Memory;
use crate::text::shown_path;

/// A `uint8` file with more pixels than this many bytes stays where it is, mapped, and is not copied: 1 GiB.
pub const LARGEST_COPY: u64 = 1 << 30;

/// Interpolated images may leave their range by a rounding error; this much of it is forgiven.
const SLACK: f64 = 1e-3;

/// Floats that are all below this are not meant as 0 to 255: so taken, nearly black images would be left of them.
const DARKEST: f64 = 32.0;

const WANTED: Wanted = Wanted {
    what: "images of uint8, another integer or a float",
    takes: Element::is_number,
    instead: "save it as numbers, as X.astype(np.uint8)",
    instead_of_objects: "pickled objects are never read; bring all images to one size and save one array of them, \
                         np.save('X.npy', np.stack(X), allow_pickle=False)",
};

/// How the values of X became `u8`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Scaling {
    /// Whole numbers up to 255 are taken as they are.
    AsIs,
    /// Whole numbers of which the largest is 1: 0 is black and 1 is white (255).
    BlackAndWhite,
    /// Whole numbers up to 65535 beyond 255: `0..=white` is scaled to `0..=255` and rounded, where `white` is the
    /// largest value of that many bits, as 4095 when the largest is 3900 (12 bits).
    WholeRange {
        /// The value that becomes 255.
        white: u16,
    },
    /// Floats from 0 to 1, times 255, rounded.
    Unit,
    /// Floats from 0 to 255 of which the largest is at least 32, rounded.
    Rounded,
}

impl Scaling {
    fn factor(self) -> f64 {
        match self {
            Scaling::AsIs | Scaling::Rounded => 1.0,
            Scaling::BlackAndWhite | Scaling::Unit => 255.0,
            Scaling::WholeRange { white } => 255.0 / f64::from(white),
        }
    }
}

impl std::fmt::Display for Scaling {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scaling::AsIs => write!(formatter, "taken as they are"),
            Scaling::BlackAndWhite => write!(formatter, "0 is black, 1 is white"),
            Scaling::WholeRange { white } => write!(formatter, "0 to {white} scaled to 0 to 255"),
            Scaling::Unit => write!(formatter, "0 to 1 scaled to 0 to 255"),
            Scaling::Rounded => write!(formatter, "rounded to whole numbers"),
        }
    }
}

/// What was found in X.npy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundImages {
    /// The shape of the array.
    pub shape: Vec<usize>,
    /// NumPy's name of the type: `uint8`, `float64`.
    pub dtype: String,
    /// Whether the file is in Fortran order.
    pub fortran_order: bool,
    /// Whether its most significant bytes come first.
    pub big_endian: bool,
    /// The smallest value in the file.
    pub smallest: f64,
    /// The largest value in the file.
    pub largest: f64,
    /// How the values became `u8`.
    pub scaling: Scaling,
    /// Whether the pixels stay in the file, which is mapped, and are taken from it as they are used, instead of in memory.
    pub in_file: bool,
}

/// All images of a file.
pub(super) struct Images {
    pub(super) shape: ImageShape,
    pub(super) found: FoundImages,
    pub(super) sha256: String,
    pixels: Pixels,
}

enum Pixels {
    Memory(Vec<u8>),
    File(PixelsInFile),
}

struct PixelsInFile {
    file: MappedFile,
    path: PathBuf,
    /// Where those of the first image begin.
    start: u64,
}

impl Images {
    /// Bytes of the pixels of all images.
    pub(super) fn bytes(&self) -> usize {
        self.found.shape.iter().product()
    }

    /// The pixels of the image in this row of X.
    pub(super) fn image(&self, row: usize) -> Result<Cow<'_, [u8]>> {
        let size = self.shape.pixels();
        match &self.pixels {
            Pixels::Memory(bytes) => Ok(Cow::Borrowed(&bytes[row * size..(row + 1) * size])),
            Pixels::File(pixels) => {
                let mut buffer = Vec::new();
                pixels.fetch([row].into_iter(), size, &mut buffer)?;
                Ok(Cow::Owned(buffer))
            }
        }
    }

    /// The pixels of the images in these rows of X: where they are in memory, or in `buffer`, to which those in the file
    /// come all at once.
    pub(super) fn fetch<'a>(
        &'a self,
        rows: impl Iterator<Item = usize>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Vec<&'a [u8]>> {
        let size = self.shape.pixels();
        match &self.pixels {
            Pixels::Memory(bytes) => {
                Ok(rows.map(|row| &bytes[row * size..(row + 1) * size]).collect())
            }
            Pixels::File(pixels) => {
                pixels.fetch(rows, size, buffer)?;
                Ok(buffer.chunks_exact(size).collect())
            }
        }
    }
}

impl PixelsInFile {
    fn fetch(
        &self,
        rows: impl Iterator<Item = usize>,
        size: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let PixelsInFile { file, path, start } = self;
        let places: Vec<u64> = rows.map(|row| start + (row * size) as u64).collect();
        buffer.resize(places.len() * size, 0);
        file.read(&places, size, buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => wrong(
                path,
                "the file to stay as it was",
                "that it got shorter while it was in use".to_owned(),
                "put it back and load it again",
            ),
            _ => unreadable(path, error, MISSING),
        })
    }
}

/// An X whose header is read and whose shape is one of images.
pub(super) struct ImageFile {
    npy: NpyFile,
    shape: ImageShape,
    pub(super) count: usize,
}

impl ImageFile {
    pub(super) fn open(path: &Path) -> Result<ImageFile> {
        let npy = NpyFile::open(path, &WANTED)?;
        let (count, shape) = image_shape(path, &npy.header().shape)?;
        Ok(ImageFile { npy, shape, count })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.npy.path().to_owned()
    }

    /// Reads all pixels; those of a plain file with more than `largest_copy` bytes of them stay in it.
    pub(super) fn read(mut self, largest_copy: u64, memory: Memory) -> Result<Images> {
        // Known before the file is read once; what can stay in it needs no memory.
        let plain = self.npy.header().element.bytes == 1 && !self.npy.header().fortran_order;
        if !(plain && self.npy.data_bytes() > largest_copy) {
            self.check_room(memory)?;
        }
        let (range, sha256) = self.range()?;
        let scaling = self.scaling(range[1])?;
        let Header { element, fortran_order, data_start, .. } = *self.npy.header();
        let as_stored = element.bytes == 1 && scaling == Scaling::AsIs && !fortran_order;
        let in_file = as_stored && self.npy.data_bytes() > largest_copy;
        let pixels = if in_file {
            let path = self.path();
            let opened = self.npy.file().try_clone();
            let file = opened.map_err(|source| unreadable(&path, source, MISSING))?;
            let file = MappedFile::new(file);
            Pixels::File(PixelsInFile { file, path, start: data_start as u64 })
        } else {
            // A plain file of two values or of signed numbers is no exception any more.
            self.check_room(memory)?;
            Pixels::Memory(self.copy(scaling)?)
        };
        let found = FoundImages {
            shape: self.npy.header().shape.clone(),
            dtype: element.name(),
            fortran_order,
            big_endian: element.big_endian,
            smallest: range[0],
            largest: range[1],
            scaling,
            in_file,
        };
        Ok(Images { shape: self.shape, found, sha256, pixels })
    }

    fn check_room(&self, memory: Memory) -> Result<()> {
        let pixels = (self.count * self.shape.pixels()) as u64;
        let work = format!("loading the images of {}", shown_path(self.npy.path()));
        let advice = "close other programs, or save fewer or smaller images; beyond 1 GiB, images saved as uint8 in C \
                      order, np.ascontiguousarray(X, np.uint8), stay in their file and take no memory";
        memory.require(pixels, &work, advice)
    }

    /// Smallest and largest value, and the hash of the file. Refuses what is no finite number.
    fn range(&mut self) -> Result<([f64; 2], String)> {
        let layout = self.layout();
        let path = self.path();
        let element = self.npy.header().element;
        let (mut range, mut place) = ([f64::INFINITY, f64::NEG_INFINITY], 0);
        let plain = element.kind == Kind::Unsigned && element.bytes == 1;
        let sha256 = self.npy.each_piece_hashed(|piece| {
            if plain {
                // Bytes cannot be wrong, and this is the usual case: a loop that the compiler turns into wide steps.
                let (least, most) = piece
                    .iter()
                    .fold((u8::MAX, 0), |(least, most), &byte| (byte.min(least), byte.max(most)));
                range = [range[0].min(f64::from(least)), range[1].max(f64::from(most))];
                return Ok(());
            }
            for bytes in piece.chunks_exact(element.bytes) {
                let value = element.number(bytes);
                if !value.is_finite() || value < -SLACK {
                    return Err(layout.refuse(&path, place, value));
                }
                range = [range[0].min(value), range[1].max(value)];
                place += 1;
            }
            Ok(())
        })?;
        Ok((range, sha256))
    }

    /// What the values mean, told from the type and the largest of them.
    fn scaling(&self, largest: f64) -> Result<Scaling> {
        let refuse = |expected: &str| {
            let found = format!("{largest} as the largest");
            Err(wrong(self.npy.path(), expected, found, "scale them, as X = X / X.max()"))
        };
        if self.npy.header().element.kind == Kind::Float {
            return match largest {
                _ if largest <= 1.0 + SLACK => Ok(Scaling::Unit),
                _ if (DARKEST..=255.0 + SLACK).contains(&largest) => Ok(Scaling::Rounded),
                _ => refuse("floats from 0 to 1 or from 0 to 255"),
            };
        }
        match largest {
            1.0 => Ok(Scaling::BlackAndWhite),
            _ if largest <= 255.0 => Ok(Scaling::AsIs),
            _ if largest <= f64::from(u16::MAX) => {
                Ok(Scaling::WholeRange { white: u16::MAX >> (largest as u16).leading_zeros() })
            }
            _ => refuse("whole numbers from 0 to 65535"),
        }
    }

    /// All pixels as `u8`, in C order.
    fn copy(&mut self, scaling: Scaling) -> Result<Vec<u8>> {
        let layout = self.layout();
        let element = self.npy.header().element;
        // The shape was checked against the length of the file: there are at most as many pixels as bytes in it.
        let total = self.count * self.shape.pixels();
        let mut pixels = Vec::new();
        pixels.try_reserve_exact(total).map_err(|_| {
            let advice = "close other programs or save fewer images";
            wrong(
                self.npy.path(),
                "room for the images in memory",
                format!("{total} bytes of them"),
                advice,
            )
        })?;
        let factor = scaling.factor();
        let byte = |bytes: &[u8]| (element.number(bytes) * factor + 0.5).floor() as u8;
        if !layout.fortran_order {
            self.npy.each_piece(|piece| {
                if element.bytes == 1 && factor == 1.0 {
                    pixels.extend_from_slice(piece);
                } else {
                    pixels.extend(piece.chunks_exact(element.bytes).map(byte));
                }
                Ok(())
            })?;
        } else {
            pixels.resize(total, 0);
            let mut place = 0;
            self.npy.each_piece(|piece| {
                for bytes in piece.chunks_exact(element.bytes) {
                    pixels[layout.in_c_order(place)] = byte(bytes);
                    place += 1;
                }
                Ok(())
            })?;
        }
        Ok(pixels)
    }

    fn layout(&self) -> Layout {
        Layout {
            count: self.count,
            shape: self.shape,
            fortran_order: self.npy.header().fortran_order,
        }
    }
}

/// Which pixel an element of the file is.
#[derive(Clone, Copy)]
struct Layout {
    count: usize,
    shape: ImageShape,
    fortran_order: bool,
}

impl Layout {
    /// The place in C order of the element at this place of a file in Fortran order.
    fn in_c_order(&self, place: usize) -> usize {
        let ImageShape { height, width, channels } = self.shape;
        let (image, rest) = (place % self.count, place / self.count);
        let (row, rest) = (rest % height, rest / height);
        let (column, channel) = (rest % width, rest / width);
        ((image * height + row) * width + column) * channels + channel
    }

    /// The error for a value that no pixel has, with the pixel.
    fn refuse(&self, path: &Path, place: usize, value: f64) -> Error {
        let place = if self.fortran_order { self.in_c_order(place) } else { place };
        let ImageShape { width, channels, .. } = self.shape;
        let (image, pixel) = (place / self.shape.pixels(), place % self.shape.pixels());
        let (row, column, channel) =
            (pixel / channels / width, pixel / channels % width, pixel % channels);
        let mut found = format!("{value} in image {image}, row {row}, column {column}");
        if channels > 1 {
            found += &format!(", channel {channel}");
        }
        if value.is_finite() {
            let advice = "if it is standardised, undo that, or shift it: X = (X - X.min()) / (X.max() - X.min())";
            wrong(path, "no negative values", found, advice)
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

/// How many images of which shape an array of this shape holds.
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
