//! Copies arrays out of other files without changes: `.npz`, as NumPy writes it, and IDX, MNIST's format.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use crate::arrays::header;

/// Usual names of images and labels in an `.npz` file.
const IMAGES: [&str; 6] = ["X", "x", "images", "x_train", "train_images", "arr_0"];
const LABELS: [&str; 6] = ["y", "Y", "labels", "y_train", "train_labels", "arr_1"];

/// The most bytes of a `.npy` header that is read.
const LONGEST_HEADER: u64 = 1 << 16;

/// The file with the arrays, and which of them to use.
pub(crate) struct Container {
    pub(crate) source: PathBuf,
    /// The name of the images in an `.npz` file.
    pub(crate) images: Option<String>,
    /// The name of the labels in it; for an IDX file with images, the file with the labels.
    pub(crate) labels: Option<String>,
}

/// Whether this file has one of these formats.
pub(crate) fn is_one(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "npz") || idx_name(path).is_some()
}

/// The file's name without `.gz`, if it is an IDX file of images.
fn idx_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    name.contains("idx3-ubyte").then(|| name.to_owned())
}

impl Container {
    /// Writes `X.npy` and `y.npy` into the folder.
    ///
    /// # Errors
    /// As a sentence, with what to do.
    pub(crate) fn copy(&self, into: &Path) -> Result<(), String> {
        self.take(into).inspect_err(|_| {
            // One file without the other is not a data set; none of them existed before.
            for name in ["X.npy", "y.npy"] {
                let _ = fs::remove_file(into.join(name));
            }
        })
    }

    fn take(&self, into: &Path) -> Result<(), String> {
        let said = |error: io::Error| format!("cannot read {}: {error}", self.source.display());
        let shapes = if idx_name(&self.source).is_some() {
            let labels = self.labels_beside()?;
            [("X.npy", inner(&self.source)), ("y.npy", inner(&labels))]
                .map(|(name, file)| {
                    from_idx(&file, &into.join(name))
                        .map_err(|error| format!("cannot read {}: {error}", file.display()))
                })
                .into_iter()
                .collect::<Result<Vec<_>, _>>()?
        } else {
            let mut archive =
                ZipArchive::new(BufReader::new(File::open(&self.source).map_err(said)?))
                    .map_err(|error| said(error.into()))?;
            let names: Vec<String> = archive
                .file_names()
                .filter_map(|name| Some(name.strip_suffix(".npy")?.to_owned()))
                .collect();
            let images = chosen(&names, self.images.as_ref(), &IMAGES, "--images")?;
            let labels = chosen(&names, self.labels.as_ref(), &LABELS, "--labels")?;
            let mut shapes = Vec::new();
            for (name, target) in [(images, "X.npy"), (labels, "y.npy")] {
                let entry = archive.by_name(&format!("{name}.npy"));
                let entry = entry.map_err(|error| said(error.into()))?;
                shapes.push(from_npy(entry, &into.join(target)).map_err(said)?);
            }
            shapes
        };
        if let [images, labels] = &shapes[..]
            && images.entries != labels.entries
        {
            let number = |entries: Option<u64>| entries.unwrap_or_default();
            return Err(format!(
                "{} holds {} images and {} labels; expected as many of each",
                self.source.display(),
                number(images.entries),
                number(labels.entries)
            ));
        }
        for (name, shape) in ["X.npy", "y.npy"].iter().zip(shapes) {
            println!("{name}: {}", shape.text);
        }
        Ok(())
    }

    /// The file with the labels of an IDX file with images.
    fn labels_beside(&self) -> Result<PathBuf, String> {
        if let Some(labels) = &self.labels {
            return Ok(PathBuf::from(labels));
        }
        let name = idx_name(&self.source).unwrap_or_default();
        let name = name.replace("images", "labels").replace("idx3", "idx1");
        let labels = self.source.with_file_name(name);
        if labels.exists() {
            return Ok(labels);
        }
        let (source, labels) = (self.source.display(), labels.display());
        Err(format!("no labels beside {source}: expected {labels}; name the file with --labels"))
    }
}

/// An array's type and shape, as the text of its header, and the number of its entries.
struct Shape {
    text: String,
    entries: Option<u64>,
}

/// The path of the file: some archives put it into a folder of the same name.
fn inner(path: &Path) -> PathBuf {
    match path.file_name() {
        Some(name) if path.is_dir() => path.join(name),
        _ => path.to_owned(),
    }
}

/// The array with the given name, or the first that has a usual name.
fn chosen(
    names: &[String],
    asked: Option<&String>,
    usual: &[&str],
    option: &str,
) -> Result<String, String> {
    let is_there = |name: &&str| names.iter().any(|there| there == name);
    let found = match asked {
        Some(name) => Some(name.as_str()).filter(|name| is_there(name)),
        None => usual.iter().copied().find(|name| is_there(name)),
    };
    found.map(str::to_owned).ok_or_else(|| {
        let there = names.join(", ");
        match asked {
            Some(name) => format!("no array `{name}` in the file; it holds {there}"),
            None => {
                format!("no array with a usual name in the file; name one of {there} with {option}")
            }
        }
    })
}

/// Copies an array to its own file; returns its header, which has the type and the shape.
fn from_npy(mut source: impl Read, path: &Path) -> io::Result<Shape> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut start = [0; 8];
    source.read_exact(&mut start)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(invalid("it is no array of NumPy's"));
    }
    let mut length = vec![0; if start[6] == 1 { 2 } else { 4 }];
    source.read_exact(&mut length)?;
    let number = length.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
    if number > LONGEST_HEADER {
        return Err(invalid("its header is too long"));
    }
    let mut text = vec![0; number as usize];
    source.read_exact(&mut text)?;
    write_whole(path, |file| {
        file.write_all(&start)?;
        file.write_all(&length)?;
        file.write_all(&text)?;
        io::copy(&mut source, file).map(drop)
    })?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Ok(Shape { entries: first_side(&text), text })
}

/// The number of entries in the header of an array: 5 for `{'descr': '|u1', 'shape': (5, 4), }`.
fn first_side(header: &str) -> Option<u64> {
    let (_, shape) = header.split_once("'shape':")?;
    let shape = shape.trim_start().strip_prefix('(')?;
    shape.split([',', ')']).next()?.trim().parse().ok()
}

/// An IDX file (Yann LeCun's MNIST page): two zeros, the type, the number of dimensions, each as four bytes, the values; big-endian.
fn from_idx(source: &Path, path: &Path) -> io::Result<Shape> {
    let file = BufReader::new(File::open(source)?);
    let mut source: Box<dyn Read> = match source.extension().is_some_and(|ending| ending == "gz") {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut start = [0; 4];
    source.read_exact(&mut start)?;
    let descr = match start {
        [0, 0, 0x08, _] => "|u1",
        [0, 0, 0x09, _] => "|i1",
        [0, 0, 0x0b, _] => ">i2",
        [0, 0, 0x0c, _] => ">i4",
        [0, 0, 0x0d, _] => ">f4",
        [0, 0, 0x0e, _] => ">f8",
        _ => return Err(invalid(format!("it is no IDX file: it begins with {start:02x?}"))),
    };
    let mut shape = Vec::new();
    for _ in 0..start[3] {
        let mut side = [0; 4];
        source.read_exact(&mut side)?;
        shape.push(u64::from(u32::from_be_bytes(side)));
    }
    let size: u64 = descr[2..].parse().unwrap_or(1);
    let bytes = shape.iter().try_fold(size, |bytes, &side| bytes.checked_mul(side));
    let bytes = bytes.ok_or_else(|| invalid(format!("its shape is {shape:?}")))?;
    write_whole(path, |file| {
        file.write_all(&header(descr, &shape))?;
        let copied = io::copy(&mut source.take(bytes), file)?;
        if copied == bytes {
            return Ok(());
        }
        Err(invalid(format!("it is cut off: {copied} of {bytes} bytes of values")))
    })?;
    Ok(Shape { text: format!("{descr}, shape {shape:?}"), entries: shape.first().copied() })
}

/// Writes the file atomically: completely or not at all.
fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let part = path.with_extension("npy.part");
    let mut file = File::create(&part)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    match written {
        Ok(()) => fs::rename(part, path),
        Err(error) => {
            let _ = fs::remove_file(part);
            Err(error)
        }
    }
}
