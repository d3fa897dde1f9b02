//! `y.npy` and `classes.txt`: the class of each image.
//!
//! Taken are `(N,)` or `(N, 1)` whole numbers, in an integer or a floating type; `(N, K)` one-hot rows; and strings of
//! fixed width. Whatever they were, class ids become `0..K`:
//!
//! - whole numbers: the distinct values in ascending order, so 0, 1, 2 stay and 3, 7, 20 become 0, 1, 2
//! - one-hot: the column
//! - strings: the distinct strings in ascending order, as `np.unique` sorts them
//!
//! A class is named after its value, its column or its string. `classes.txt` gives numbered classes better names, one
//! a line in the order of the ids.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::npy::{Element, Header, Kind, NpyFile, Wanted, quoted, shown_shape, unreadable, wrong};
use crate::error::Result;
use crate::system::files::{ReadError, read_regular};

/// A name longer than this is no name.
const LONGEST_NAME: usize = 200;
/// Largest `classes.txt` that is read, in bytes.
const LARGEST_CLASSES_FILE: u64 = 1 << 20;

const WANTED: Wanted = Wanted {
    what: "labels that are integers, one-hot rows or strings",
    takes: |element| element.is_number() || matches!(element.kind, Kind::Text | Kind::Bytes),
    instead: "save class ids, as y.astype(np.int64)",
    instead_of_objects: "pickled objects are never read; save strings of fixed width, \
                         np.save('y.npy', y.astype(str), allow_pickle=False)",
};

/// How y.npy says which class an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelForm {
    /// A whole number.
    Numbers,
    /// A row with a single 1.
    OneHot,
    /// A string.
    Strings,
}

/// What was found in y.npy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLabels {
    /// The shape of the array.
    pub shape: Vec<usize>,
    /// NumPy's name of the type.
    pub dtype: String,
    /// What a label looks like.
    pub form: LabelForm,
    /// Whether numbers with gaps, or not from 0, were numbered anew as `0..K`.
    pub renumbered: bool,
}

/// All labels of a file.
pub(super) struct Labels {
    pub(super) ids: Vec<i64>,
    pub(super) class_names: Vec<String>,
    pub(super) found: FoundLabels,
    pub(super) sha256: String,
}

/// A y whose header is read and says that there is a label for each image.
pub(super) struct LabelFile {
    npy: NpyFile,
    form: LabelForm,
}

impl LabelFile {
    /// Opens `path`, which must hold `images` labels.
    pub(super) fn open(path: &Path, images: usize) -> Result<LabelFile> {
        let npy = NpyFile::open(path, &WANTED)?;
        let Header { element, shape, .. } = npy.header();
        let text = matches!(element.kind, Kind::Text | Kind::Bytes);
        let form = match shape[..] {
            [_] | [_, 1] if text => LabelForm::Strings,
            [_] | [_, 1] => LabelForm::Numbers,
            [_, columns] if columns > 1 && !text => LabelForm::OneHot,
            _ => {
                let expected = "labels of shape (N,), (N, 1) or, one-hot, (N, K)";
                let found = format!(
                    "shape {}{}",
                    shown_shape(shape),
                    if text { " of strings" } else { "" }
                );
                return Err(wrong(
                    path,
                    expected,
                    found,
                    "save one label an image, as y = y.reshape(N)",
                ));
            }
        };
        if shape[0] != images {
            let expected = format!("{images} labels, one for each image of X.npy");
            return Err(wrong(
                path,
                &expected,
                shape[0].to_string(),
                "take both from the same export",
            ));
        }
        Ok(LabelFile { npy, form })
    }

    /// Reads all labels, with the names in `classes` when that file is there.
    pub(super) fn read(mut self, classes: &Path) -> Result<Labels> {
        let element = self.npy.header().element;
        let (ids, values, names, sha256) = match self.form {
            LabelForm::Strings => {
                let (texts, sha256) = self.strings()?;
                let (ids, names) = rank(&texts);
                (ids, None, names, sha256)
            }
            LabelForm::Numbers => {
                let (numbers, sha256) = self.numbers()?;
                let (ids, values) = rank(&numbers);
                let names = values.iter().map(i64::to_string).collect();
                (ids, Some(values), names, sha256)
            }
            LabelForm::OneHot => {
                let (ids, columns, sha256) = self.one_hot()?;
                (ids, None, (0..columns).map(|column| column.to_string()).collect(), sha256)
            }
        };
        self.check_classes(&ids, &names)?;
        let renumbered =
            values.is_some_and(|values| values.iter().zip(0..).any(|(&value, id)| value != id));
        let class_names = match read_classes(classes)? {
            Some(lines) => check_names(classes, lines, names, self.form)?,
            None => names,
        };
        let shape = self.npy.header().shape.clone();
        let found = FoundLabels { shape, dtype: element.name(), form: self.form, renumbered };
        Ok(Labels { ids, class_names, found, sha256 })
    }

    /// At least two classes, at least two images in each.
    fn check_classes(&self, ids: &[i64], names: &[String]) -> Result<()> {
        let path = self.npy.path();
        if let [only] = names {
            let found = format!("{} alone", quoted(only));
            return Err(wrong(path, "at least two classes", found, "add images of another class"));
        }
        let mut counts = vec![0_usize; names.len()];
        for &id in ids {
            counts[id as usize] += 1;
        }
        if let Some(rare) = counts.iter().position(|&count| count < 2) {
            let others = counts.iter().filter(|&&count| count < 2).count() - 1;
            let mut found = format!("{} of class {}", counts[rare], quoted(&names[rare]));
            if others > 0 {
                found += &format!(", and {others} more classes as rare");
            }
            let advice = "leave such classes out, or add images; if y holds no classes but measurements, this is no \
                          classification";
            return Err(wrong(path, "at least two images of each class", found, advice));
        }
        Ok(())
    }

    fn numbers(&mut self) -> Result<(Vec<i64>, String)> {
        let path = self.npy.path().to_owned();
        let element = self.npy.header().element;
        let mut numbers = Vec::new();
        let sha256 = self.npy.each_piece_hashed(|piece| {
            for bytes in piece.chunks_exact(element.bytes) {
                let at = |found: String| format!("{found} at place {}", numbers.len());
                let refuse = |found, advice| {
                    Err(wrong(&path, "class ids: whole numbers from 0", found, advice))
                };
                let number = if element.kind == Kind::Float {
                    let value = element.number(bytes);
                    if value.fract() != 0.0 || !value.is_finite() {
                        let advice =
                            "if y holds no classes but measurements, this is no classification";
                        return refuse(at(value.to_string()), advice);
                    }
                    value as i128
                } else {
                    element.whole(bytes)
                };
                match i64::try_from(number) {
                    Ok(number) if number >= 0 => numbers.push(number),
                    _ => {
                        let advice =
                            "number the classes anew, y = np.unique(y, return_inverse=True)[1]";
                        return refuse(at(number.to_string()), advice);
                    }
                }
            }
            Ok(())
        })?;
        Ok((numbers, sha256))
    }

    /// The column of the 1 in each row, and the number of columns.
    fn one_hot(&mut self) -> Result<(Vec<i64>, usize, String)> {
        let path = self.npy.path().to_owned();
        let Header { element, fortran_order, ref shape, .. } = *self.npy.header();
        let (rows, columns) = (shape[0], shape[1]);
        let refuse = |found| {
            let advice = "save class ids, y = y.argmax(axis=1)";
            wrong(&path, "one-hot rows: a single 1 and zeros", found, advice)
        };
        let mut ids = vec![-1; rows];
        let mut place = 0;
        let sha256 = self.npy.each_piece_hashed(|piece| {
            for bytes in piece.chunks_exact(element.bytes) {
                let (row, column) = if fortran_order {
                    (place % rows, place / rows)
                } else {
                    (place / columns, place % columns)
                };
                place += 1;
                match element.number(bytes) {
                    0.0 => {}
                    1.0 if ids[row] == -1 => ids[row] = column as i64,
                    1.0 => {
                        return Err(refuse(format!(
                            "two ones in row {row}, columns {} and {column}",
                            ids[row]
                        )));
                    }
                    other => return Err(refuse(format!("{other} in row {row}, column {column}"))),
                }
            }
            Ok(())
        })?;
        match ids.iter().position(|&id| id == -1) {
            Some(row) => Err(refuse(format!("no 1 in row {row}"))),
            None => Ok((ids, columns, sha256)),
        }
    }

    fn strings(&mut self) -> Result<(Vec<String>, String)> {
        let path = self.npy.path().to_owned();
        let element = self.npy.header().element;
        let mut texts: Vec<String> = Vec::new();
        let sha256 = self.npy.each_piece_hashed(|piece| {
            for bytes in piece.chunks_exact(element.bytes) {
                let text =
                    decode(&element, bytes).and_then(|text| check_name(&text).map(|()| text));
                match text {
                    Ok(text) => texts.push(text),
                    Err(found) => {
                        let found = format!("{found} in the label at place {}", texts.len());
                        return Err(wrong(
                            &path,
                            "labels of printable text",
                            found,
                            "clean the names and save again",
                        ));
                    }
                }
            }
            Ok(())
        })?;
        Ok((texts, sha256))
    }
}

/// The text of a string element, without the zeros that fill it up; or what is wrong with it.
fn decode(element: &Element, bytes: &[u8]) -> Result<String, String> {
    if element.kind == Kind::Bytes {
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        return String::from_utf8(bytes[..end].to_vec())
            .map_err(|_| "bytes that are not UTF-8".to_owned());
    }
    let letter = |bytes: &[u8]| {
        let code = Element { kind: Kind::Unsigned, bytes: 4, ..*element }.whole(bytes) as u32;
        char::from_u32(code).ok_or_else(|| format!("the code {code:#x}, which is no character,"))
    };
    let text: String = bytes.chunks_exact(4).map(letter).collect::<Result<_, _>>()?;
    Ok(text.trim_end_matches('\0').to_owned())
}

/// What makes a text useless as the name of a class.
fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("nothing but blanks".to_owned());
    }
    if let Some(letter) =
        name.chars().find(|letter| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'))
    {
        return Err(format!("the control character U+{:04X}", letter as u32));
    }
    let length = name.chars().count();
    if length > LONGEST_NAME {
        return Err(format!("{length} characters, where {LONGEST_NAME} are the most,"));
    }
    Ok(())
}

/// The rank of each value among the distinct ones, and the distinct ones in ascending order.
fn rank<T: Ord + Clone>(values: &[T]) -> (Vec<i64>, Vec<T>) {
    let mut ranks: BTreeMap<&T, i64> = values.iter().map(|value| (value, 0)).collect();
    for (rank, (_, slot)) in ranks.iter_mut().enumerate() {
        *slot = rank as i64;
    }
    (
        values.iter().map(|value| ranks[value]).collect(),
        ranks.keys().map(|&value| value.clone()).collect(),
    )
}

/// The lines of `classes.txt`; none when there is no such file.
fn read_classes(path: &Path) -> Result<Option<Vec<String>>> {
    let unreadable =
        |source| unreadable(path, source, "mend the link, or remove it: the file may be left out");
    // A dangling link is not "no such file": somebody wanted names.
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let expected = "a text file with the name of a class on each line";
    let bytes = read_regular(path, LARGEST_CLASSES_FILE).map_err(|unread| match unread {
        ReadError::Io(source) => unreadable(source),
        ReadError::Other(found) => {
            wrong(path, expected, found, "remove it, or write the names alone into a file")
        }
    })?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(wrong(
            path,
            expected,
            "bytes that are not UTF-8".to_owned(),
            "save it as UTF-8",
        ));
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end();
    let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    let mut seen = BTreeSet::new();
    for (number, line) in (1..).zip(&lines) {
        if let Err(found) = check_name(line) {
            let advice = "write one printable name a line";
            return Err(wrong(path, expected, format!("{found} in line {number}"), advice));
        }
        if !seen.insert(line) {
            let found = format!("{} a second time in line {number}", quoted(line));
            return Err(wrong(path, "different names", found, "tell the classes apart"));
        }
    }
    Ok(Some(lines))
}

/// The names of `classes.txt`, when they fit the classes found in y.
fn check_names(
    path: &Path,
    lines: Vec<String>,
    found: Vec<String>,
    form: LabelForm,
) -> Result<Vec<String>> {
    if lines.len() != found.len() {
        let expected = format!("{} names, one for each class in y.npy", found.len());
        return Err(wrong(
            path,
            &expected,
            lines.len().to_string(),
            "write one name a line, or remove the file",
        ));
    }
    if form != LabelForm::Strings {
        return Ok(lines);
    }
    // The strings are the names already, and their sorted order is the one scikit-learn numbers them in.
    match lines.iter().find(|line| found.binary_search(line).is_err()) {
        None => Ok(found),
        Some(stranger) => {
            let found = format!("{}, which is no label in y.npy", quoted(stranger));
            Err(wrong(
                path,
                "the strings of y.npy",
                found,
                "remove the file: y.npy names its classes itself",
            ))
        }
    }
}
