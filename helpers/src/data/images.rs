//! The images of `X.npy` as other code uses them: `u8`, channels last, in memory or read from the file.
//!
//! A file may get into memory while its first images are read from it, and converted: see `PixelsInFile`.

use std::borrow::Cow;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file_errors::{FileFault, MISSING, UNCHANGED, unreadable, wrong};
use super::npy::Element;
use super::scaling::Scaling;
use crate::error::{Error, Result};
use crate::system::background::in_background;
use crate::system::files::{read_ahead, read_at};

/// Height, width and channels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
}

impl ImageShape {
    /// Bytes of one image: height x width x channels.
    pub fn pixels(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// What was found in X.npy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundImages {
    /// The shape of the array.
    pub shape: Vec<usize>,
    /// NumPy's name of the type: `uint8`, `float64`.
    pub dtype: String,
    /// True when the file is in Fortran order.
    pub fortran_order: bool,
    /// True when its most significant bytes come first.
    pub big_endian: bool,
    /// The smallest value in the file.
    pub smallest: f64,
    /// The largest value in the file.
    pub largest: f64,
    /// How the values became `u8`.
    pub scaling: Scaling,
    /// True when the pixels stay in the file and are read from it as they are used.
    pub in_file: bool,
}

/// All images of a file.
pub(super) struct Images {
    pub(super) shape: ImageShape,
    pub(super) count: usize,
    pub(super) pixels: Pixels,
    /// What needs only these does not keep the pixels.
    pub(super) file_facts: Arc<FileFacts>,
}

pub(super) enum Pixels {
    Memory(Vec<u8>),
    File(PixelsInFile),
}

/// Pixels that are read from the file: all the time, or until a copy of them is in memory.
pub(super) struct PixelsInFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Offset of the first image's pixels, in bytes.
    pub(super) start: u64,
    /// What the numbers in the file are, and how they become pixels; none if they are the pixels.
    pub(super) scaled: Option<(Element, Scaling)>,
    pub(super) copy: Copied,
}

/// The pixels of all images, or what is wrong with them, from the moment when the background thread has read a file that is
/// to be copied.
pub(super) type Copied = Arc<OnceLock<std::result::Result<Vec<u8>, FileFault>>>;

/// How long the background thread waits before it reads the file, so that it takes neither disk nor processor from the first
/// batches; whoever needs the results ends the wait.
const AHEAD: Duration = Duration::from_millis(250);

/// Results that need the whole file: its range and its hash. Who has them has the copy of its pixels, too, if there is one.
pub(super) struct FileFacts {
    known: OnceLock<Facts>,
    /// The thread that computes them, until the result is taken.
    thread: Mutex<Option<JoinHandle<Facts>>>,
    /// False once nobody can ask for the results.
    needed: Arc<AtomicBool>,
    /// True if the pixels are valid only when the results say so.
    checks: bool,
}

pub(super) struct Facts {
    pub(super) found: FoundImages,
    pub(super) sha256: String,
    /// Why the pixels are not valid, if they are not.
    pub(super) fault: Option<FileFault>,
}

/// Stands in for the hash of a file that changed while it was read, or could not be read to its end. It is unique, so no kept
/// result can claim to come from the same file. Reading an image that is no longer there gives the error.
pub(super) fn unknown_hash() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    format!("unknown: the file changed while it was in use ({process}-{number})")
}

impl FileFacts {
    pub(super) fn known(examined: Facts) -> FileFacts {
        let needed = Arc::new(AtomicBool::new(true));
        FileFacts {
            known: OnceLock::from(examined),
            thread: Mutex::new(None),
            needed,
            checks: false,
        }
    }

    /// Computes the results in the background. `examine` should stop early when its flag turns false: nobody waits for the
    /// result any more.
    pub(super) fn later(examine: impl FnOnce(&AtomicBool) -> Facts + Send + 'static) -> FileFacts {
        let needed = Arc::new(AtomicBool::new(true));
        let still_needed = Arc::clone(&needed);
        let thread = in_background(move || {
            std::thread::park_timeout(AHEAD);
            examine(&still_needed)
        });
        let thread = Mutex::new(Some(thread));
        FileFacts { known: OnceLock::new(), thread, needed, checks: false }
    }

    /// For pixels that are valid only when the results say so.
    pub(super) fn with_checks(mut self) -> FileFacts {
        self.checks = true;
        self
    }

    /// True once somebody has waited for the results, or if they were known from the start.
    #[cfg(test)]
    pub(super) fn are_known(&self) -> bool {
        self.known.get().is_some()
    }

    /// Waits for the results if they decide whether the pixels are valid; fails if they are not.
    pub(super) fn check(&self) -> Result<()> {
        if self.checks { self.checked().map(drop) } else { Ok(()) }
    }

    /// Waits for the results; fails if the pixels are not valid.
    pub(super) fn checked(&self) -> Result<&Facts> {
        let facts = self.get();
        facts.fault.as_ref().map_or(Ok(facts), |fault| Err(fault.into()))
    }

    /// Waits for the results, valid or not.
    pub(super) fn get(&self) -> &Facts {
        self.known.get_or_init(|| {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            #[allow(clippy::expect_used, reason = "`OnceLock` asks one caller")]
            let thread = thread.expect("it is asked once, by the first one");
            thread.thread().unpark();
            thread.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
        })
    }
}

/// Stops the thread: with the data set and what was made from it gone, nobody can ask for its results.
impl Drop for FileFacts {
    fn drop(&mut self) {
        self.needed.store(false, Ordering::Relaxed);
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread {
            thread.thread().unpark();
        }
    }
}

impl Images {
    /// Images whose pixels are in memory already, one after the other.
    pub(super) fn in_memory(shape: ImageShape, pixels: Vec<u8>) -> Images {
        let ImageShape { height, width, channels } = shape;
        let mut dimensions = vec![pixels.len() / shape.pixels(), height, width];
        dimensions.extend((channels > 1).then_some(channels));
        let level = |level: Option<&u8>| level.map_or(0.0, |&level| f64::from(level));
        let found = FoundImages {
            shape: dimensions,
            dtype: "uint8".to_owned(),
            fortran_order: false,
            big_endian: false,
            smallest: level(pixels.iter().min()),
            largest: level(pixels.iter().max()),
            scaling: Scaling::AsIs,
            in_file: false,
        };
        let (count, sha256) = (found.shape[0], format!("{:x}", Sha256::digest(&pixels)));
        let file_facts = Arc::new(FileFacts::known(Facts { found, sha256, fault: None }));
        Images { shape, count, file_facts, pixels: Pixels::Memory(pixels) }
    }

    /// What was found in the file. Waits until all of it was read; fails if the pixels are not valid.
    pub(super) fn found(&self) -> Result<&FoundImages> {
        Ok(&self.file_facts.checked()?.found)
    }

    /// Bytes of the pixels of all images.
    pub(super) fn bytes(&self) -> usize {
        self.count * self.shape.pixels()
    }

    /// The pixels of the image in this row of X.
    pub(super) fn image(&self, row: usize) -> Result<Cow<'_, [u8]>> {
        let size = self.shape.pixels();
        match self.pixels.place()? {
            Place::Memory(bytes) => Ok(Cow::Borrowed(&bytes[row * size..(row + 1) * size])),
            Place::File(pixels) => {
                let mut buffer = Vec::new();
                self.read(pixels, [row].into_iter(), &mut buffer)?;
                Ok(Cow::Owned(buffer))
            }
        }
    }

    /// The pixels of the images in these rows of X: as they are in memory, or read into `buffer`.
    pub(super) fn fetch<'a>(
        &'a self,
        rows: impl Iterator<Item = usize>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Vec<&'a [u8]>> {
        let size = self.shape.pixels();
        match self.pixels.place()? {
            Place::Memory(bytes) => {
                Ok(rows.map(|row| &bytes[row * size..(row + 1) * size]).collect())
            }
            Place::File(pixels) => {
                self.read(pixels, rows, buffer)?;
                Ok(buffer.chunks_exact(size).collect())
            }
        }
    }

    fn read(
        &self,
        pixels: &PixelsInFile,
        rows: impl Iterator<Item = usize>,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        if pixels.fetch(rows, self.shape.pixels(), buffer)? {
            return Ok(());
        }
        // Who reads all of the file knows what the error is.
        self.file_facts.checked()?;
        let found = "that it changed while it was in use".to_owned();
        Err(wrong(&pixels.path, UNCHANGED, found, "load it again"))
    }
}

/// Where pixels are to be had from at the moment.
enum Place<'a> {
    Memory(&'a [u8]),
    File(&'a PixelsInFile),
}

impl Pixels {
    fn place(&self) -> Result<Place<'_>> {
        match self {
            Pixels::Memory(bytes) => Ok(Place::Memory(bytes)),
            Pixels::File(pixels) => match pixels.copy.get() {
                Some(Ok(bytes)) => Ok(Place::Memory(bytes)),
                Some(Err(fault)) => Err(Error::from(fault)),
                None => Ok(Place::File(pixels)),
            },
        }
    }
}

impl PixelsInFile {
    /// Reads the pixels of these rows, `size` of each. False if a value does not fit the scaling.
    fn fetch(
        &self,
        rows: impl Iterator<Item = usize>,
        size: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<bool> {
        let PixelsInFile { file, path, start, scaled, .. } = self;
        let bytes = size * scaled.map_or(1, |(element, _)| element.bytes);
        let runs: Vec<(u64, usize)> = runs(rows)
            .into_iter()
            .map(|rows| (start + (rows.start * bytes) as u64, rows.len() * bytes))
            .collect();
        // All are asked for before the first is waited for: a disk serves many as soon as one.
        if runs.len() > 1 {
            runs.iter().for_each(|&(offset, bytes)| read_ahead(file, offset, bytes));
        }
        buffer.clear();
        let mut numbers = Vec::new();
        for (offset, length) in runs {
            let raw = if scaled.is_some() { &mut numbers } else { &mut *buffer };
            let filled = raw.len();
            raw.resize(filled + length, 0);
            read_at(file, &mut raw[filled..], offset).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    let found = "that it got shorter while it was in use".to_owned();
                    wrong(path, UNCHANGED, found, "put it back and load it again")
                }
                _ => unreadable(path, error, MISSING),
            })?;
            if let Some((element, scaling)) = *scaled {
                if !numbers.chunks(bytes).all(|image| scale(element, scaling, image, buffer)) {
                    return Ok(false);
                }
                numbers.clear();
            }
        }
        Ok(true)
    }
}

/// Appends the pixels of an image. False if a value does not fit the scaling.
fn scale(element: Element, scaling: Scaling, image: &[u8], pixels: &mut Vec<u8>) -> bool {
    element.numbers(image).is_ok_and(|numbers| {
        pixels.extend(numbers.iter().map(|&value| scaling.level(value)));
        numbers.iter().all(|&value| scaling.fits(value))
    })
}

/// Rows that follow each other in the file, in one range each.
fn runs(rows: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match runs.last_mut() {
            Some(run) if run.end == row => run.end += 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn examined() -> Facts {
        let shape = ImageShape { height: 1, width: 1, channels: 1 };
        let images = Images::in_memory(shape, vec![7]);
        Facts { found: images.found().unwrap().clone(), sha256: "known".to_owned(), fault: None }
    }

    #[test]
    fn rows_that_follow_each_other_are_read_at_once() {
        assert_eq!(runs([4, 5, 6, 2, 3, 3, 1].into_iter()), [4..7, 2..4, 3..4, 1..2]);
    }

    #[test]
    fn a_file_is_examined_beside_what_goes_on_and_waited_for_when_it_is_asked_for() {
        let (go, wait) = mpsc::channel();
        let file_facts = FileFacts::later(move |_| {
            wait.recv().unwrap();
            examined()
        });
        // Not known yet: the thread waits for this.
        go.send(()).unwrap();
        assert_eq!(file_facts.get().sha256, "known");
    }

    #[test]
    fn the_thread_of_a_data_set_that_is_gone_ends() {
        let (ends, ended) = mpsc::channel();
        let file_facts = FileFacts::later(move |needed| {
            while needed.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            ends.send(()).unwrap();
            examined()
        });
        drop(file_facts);
        ended.recv().unwrap();
    }
}
