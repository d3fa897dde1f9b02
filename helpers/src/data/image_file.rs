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
//! it as well.
//!
//! So is a file of other numbers in C order with more than [`LARGEST_WHOLE`] bytes, if a sample of its values makes one of the
//! fixed scalings likely: 1 MiB, from 16 places that are spread evenly. The thread converts and checks all values, and what is
//! computed with the images is not kept before it says that they fit. All other files are read to the end first, because
//! their range decides what each value becomes; only their hash is left to the background.

use std::path::Path;

use super::file_errors::{shown_shape, wrong};
use super::images::{
    Copied, Facts, FoundImages, ImageShape, Images, Pixels, PixelsInFile, unknown_hash,
};
use super::levels::{PixelCopy, Range, Values};
use super::npy::{AcceptedTypes, Element, Header, Kind, NpyFile};
use super::scaling::{DARKEST, Scaling};
use super::whole_file::{Conversion, Examination, WholeFile, examined};
use crate::error::Result;
use crate::system::files::read_at;
use crate::system::memory::Memory;
use crate::text::shown_path;

/// A `uint8` file with more pixels than this many bytes is not copied into memory: 1 GiB.
pub const LARGEST_COPY: u64 = 1 << 30;

/// A file of other numbers than `uint8` with at most this many bytes of them is read to its end before it is used: 4 MiB.
pub const LARGEST_WHOLE: u64 = 4 << 20;

/// A sample of the values of a file: this many places of it, and so many bytes in each.
const SAMPLE: (u64, u64) = (16, 1 << 16);

/// Which files are read how.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// In place of [`LARGEST_COPY`] and [`LARGEST_WHOLE`].
    pub(super) largest_copy: u64,
    pub(super) largest_whole: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { largest_copy: LARGEST_COPY, largest_whole: LARGEST_WHOLE }
    }
}

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
    pub(super) shape: ImageShape,
    pub(super) count: usize,
}

impl ImageFile {
    pub(super) fn open(path: &Path) -> Result<ImageFile> {
        let npy = NpyFile::open(path, &ACCEPTED)?;
        let (count, shape) = image_shape(path, &npy.header().shape)?;
        Ok(ImageFile { npy, shape, count })
    }

    /// Opens the pixels: reads all of them, or leaves that to the background. `on_progress` is called with the share of the
    /// work that is done.
    pub(super) fn read(
        mut self,
        limits: Limits,
        memory: Memory,
        on_progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Images> {
        let Header { element, fortran_order, .. } = *self.npy.header();
        // Checked before the file is read once; a file that is not copied needs no memory.
        let plain = element.kind == Kind::Unsigned && element.bytes == 1 && !fortran_order;
        let large = self.npy.data_bytes() > limits.largest_copy;
        if !(plain && large) {
            self.check_room(memory)?;
        }
        if plain && let Some(images) = self.read_plain(large, on_progress)? {
            return Ok(images);
        }
        if !plain
            && !fortran_order
            && self.npy.data_bytes() > limits.largest_whole
            && let Some(scaling) = self.likely_scaling()?
        {
            let (pixels, conversion) = self.unread(scaling)?;
            let facts = examined(self.npy.data_bytes(), move |needed| conversion.run(needed));
            let (shape, count, pixels) = (self.shape, self.count, Pixels::File(pixels));
            return Ok(Images { shape, count, pixels, file_facts: facts.with_checks().into() });
        }
        // Scaled values are always copied, so now a large `uint8` file needs memory, too.
        self.check_room(memory)?;
        self.read_whole(on_progress)
    }

    /// Reads a file to its end: a second time if the first values do not tell the scaling of all.
    fn read_whole(&mut self, on_progress: &mut dyn FnMut(f64) -> Result<()>) -> Result<Images> {
        let whole = WholeFile::of(&self.npy)?;
        // The share begins anew with the second time.
        let (mut read, total) = (0, self.npy.data_bytes());
        let mut on_progress = |piece: usize| {
            read = if read < total { read } else { 0 } + piece as u64;
            on_progress(read as f64 / total as f64)
        };
        let values = self.values();
        let (range, copy) = self.range(&values, &mut on_progress)?;
        let scaling = range.scaling_of(&values)?;
        let copy = match copy.filter(|copy| copy.scaling() == scaling) {
            Some(copy) => copy,
            None => self.copy(&values, scaling, &mut on_progress)?,
        };
        let pixels = Pixels::Memory(copy.checked(&values)?);
        let found = self.found(range.smallest, range.largest, scaling, false);
        let file_facts = examined(whole.bytes, move |needed| {
            let sha256 = whole.hash(needed, |_| true).unwrap_or_else(unknown_hash);
            Facts { found, sha256, fault: None }
        });
        Ok(Images { shape: self.shape, count: self.count, pixels, file_facts: file_facts.into() })
    }

    /// The scaling that a sample of the values makes likely. None without one, and if a value of the sample is wrong or
    /// cannot be read: who reads the file from its start finds the first such value.
    pub(super) fn likely_scaling(&self) -> Result<Option<Scaling>> {
        let (values, file, mut range) = (self.values(), self.npy.file()?, Range::default());
        let (start, total) = (self.npy.header().data_start as u64, self.npy.data_bytes());
        let (places, width) = (SAMPLE.0, self.npy.header().element.bytes as u64);
        let mut sample = vec![0; SAMPLE.1.min(total / width * width) as usize];
        for place in 0..places {
            let offset = (total - sample.len() as u64) / (places - 1) * place / width * width;
            let taken = read_at(&file, &mut sample, start + offset).is_ok()
                && values.numbers(&sample).is_ok_and(|all| range.take(&all, &values).is_ok());
            if !taken {
                return Ok(None);
            }
        }
        Ok(range.likely_scaling())
    }

    /// The pixels of a file that is not read yet, and who is to read it.
    pub(super) fn unread(&self, scaling: Scaling) -> Result<(PixelsInFile, Conversion)> {
        let (whole, values, copy) = (WholeFile::of(&self.npy)?, self.values(), Copied::default());
        let pixels = PixelsInFile {
            file: self.npy.file()?,
            path: values.path.clone(),
            start: whole.start,
            scaled: Some((values.element, scaling)),
            copy: Copied::clone(&copy),
        };
        let found = self.found(0.0, 0.0, scaling, false);
        let room = PixelCopy::new(&values, scaling, self.room()?);
        Ok((pixels, Conversion { whole, found, values, pixels: room, copy }))
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
        let copy = Copied::default();
        let examination = Examination {
            whole,
            found: self.found(0.0, 0.0, Scaling::AsIs, true),
            room: if large { None } else { Some(self.room()?) },
            copy: Copied::clone(&copy),
        };
        let file_facts = examined(bytes, move |needed| examination.run(needed));
        let pixels = Pixels::File(PixelsInFile { file, path, start, scaled: None, copy });
        let (shape, count, file_facts) = (self.shape, self.count, file_facts.into());
        Ok(Some(Images { shape, count, pixels, file_facts }))
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
        values: &Values,
        on_progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<(Range, Option<PixelCopy>)> {
        let mut range = Range::default();
        let (mut room, mut copy) = (Some(self.room()?), None);
        self.npy.each_piece(|piece| {
            on_progress(piece.len())?;
            let numbers = values.numbers(piece)?;
            range.take(&numbers, values)?;
            let scaling = range.scaling();
            if let Some(room) = room.take() {
                copy = scaling.map(|scaling| PixelCopy::new(values, scaling, room));
            }
            copy = copy.take().filter(|copy: &PixelCopy| Some(copy.scaling()) == scaling);
            if let Some(copy) = &mut copy {
                copy.take(&numbers, values);
            }
            Ok(())
        })?;
        Ok((range, copy))
    }

    /// A copy of the values with this scaling.
    fn copy(
        &mut self,
        values: &Values,
        scaling: Scaling,
        on_progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<PixelCopy> {
        let mut copy = PixelCopy::new(values, scaling, self.room()?);
        self.npy.each_piece(|piece| {
            on_progress(piece.len())?;
            copy.take(&values.numbers(piece)?, values);
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

    fn values(&self) -> Values {
        let Header { element, fortran_order: fortran, .. } = *self.npy.header();
        let (path, count, shape) = (self.npy.path().to_owned(), self.count, self.shape);
        Values { path, element, count, shape, fortran }
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
