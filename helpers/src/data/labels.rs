//! `y.npy` and `classes.txt`: the class of each image.
//!
//! Accepts `(N,)` or `(N, 1)` whole numbers, as integer or float, and bool; `(N, K)` one-hot rows; and strings of fixed
//! width. Class ids become `0..K` in each case:
//!
//! - whole numbers: the distinct values in ascending order, so 0, 1, 2 stay and 3, 7, 20 become 0, 1, 2
//! - truth values: False is 0 and True is 1
//! - one-hot: the column
//! - strings: the distinct strings in ascending order, as `np.unique` sorts them
//!
//! A class is named after its value, its column or its string; `classes.txt` gives better names.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::class_names::{check_name, choose_names, read_classes};
use super::file_errors::{no_truth_values, quoted, shown_shape, wrong};
use super::npy::{AcceptedTypes, Element, Header, Kind, NpyFile};
use crate::error::{Error, Result};

const ACCEPTED: AcceptedTypes = AcceptedTypes {
    what: "labels that are integers, one-hot rows or strings",
    takes: |element| element.is_number() || matches!(element.kind, Kind::Text | Kind::Bytes),
    instead: "save class ids, as y.astype(np.int64)",
    instead_of_objects: "pickled objects are never read; save strings of fixed width, \
                         np.save('y.npy', y.astype(str), allow_pickle=False)",
};

/// In which form y.npy holds the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelForm {
    /// A whole number or a truth value.
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
    /// The form of a label.
    pub form: LabelForm,
    /// True when numbers with gaps, or that do not start at 0, were mapped to `0..K`.
    pub renumbered: bool,
}

/// All labels of a file.
pub(super) struct Labels {
    pub(super) ids: Vec<i64>,
    pub(super) class_names: Vec<String>,
    pub(super) found: FoundLabels,
    pub(super) sha256: String,
}

/// `y.npy` with a header that was read and has one label for each image.
pub(super) struct LabelFile {
    npy: NpyFile,
    form: LabelForm,
}

impl LabelFile {
    /// Opens `path`, which must hold `images` labels.
    pub(super) fn open(path: &Path, images: usize) -> Result<LabelFile> {
        let npy = NpyFile::open(path, &ACCEPTED)?;
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
                let name = |value: &i64| match (element.kind, value) {
                    (Kind::Bool, 0) => "False".to_owned(),
                    (Kind::Bool, _) => "True".to_owned(),
                    _ => value.to_string(),
                };
                let names = values.iter().map(name).collect();
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
            Some(lines) => choose_names(classes, lines, names, self.form == LabelForm::Strings)?,
            None => names,
        };
        let shape = self.npy.header().shape.clone();
        let found = FoundLabels { shape, dtype: element.name(), form: self.form, renumbered };
        Ok(Labels { ids, class_names, found, sha256 })
    }

    /// Checks that there are at least two classes, with at least two images each.
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
            let advice = format!("leave such classes out, or add images; {NO_CLASSES}");
            return Err(wrong(path, "at least two images of each class", found, &advice));
        }
        Ok(())
    }

    fn numbers(&mut self) -> Result<(Vec<i64>, String)> {
        let path = self.npy.path().to_owned();
        let element = self.npy.header().element;
        let mut ids = Vec::new();
        let sha256 = self.npy.each_piece_hashed(|piece| {
            if element.kind == Kind::Float {
                let numbers = element.numbers(piece).map_err(|_| no_truth_values(&path))?;
                let fraction = |number: &&f64| number.fract() != 0.0 || !number.is_finite();
                if let Some(number) = numbers.iter().find(fraction) {
                    let index = ids.len() + numbers.iter().take_while(|n| !fraction(n)).count();
                    return Err(no_id(&path, number.to_string(), index, NO_CLASSES));
                }
            }
            for number in element.whole_numbers(piece).map_err(|_| no_truth_values(&path))? {
                match i64::try_from(number) {
                    Ok(id) if id >= 0 => ids.push(id),
                    _ => return Err(no_id(&path, number.to_string(), ids.len(), NUMBER_ANEW)),
                }
            }
            Ok(())
        })?;
        Ok((ids, sha256))
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
        let mut index = 0;
        let sha256 = self.npy.each_piece_hashed(|piece| {
            for number in element.numbers(piece).map_err(|_| no_truth_values(&path))? {
                let (row, column) = match fortran_order {
                    true => (index % rows, index / rows),
                    false => (index / columns, index % columns),
                };
                index += 1;
                if number == 0.0 {
                    continue;
                }
                if number != 1.0 {
                    return Err(refuse(format!("{number} in row {row}, column {column}")));
                }
                if ids[row] != -1 {
                    let first = ids[row];
                    let found = format!("two ones in row {row}, columns {first} and {column}");
                    return Err(refuse(found));
                }
                ids[row] = column as i64;
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
                texts.push(text.map_err(|found| {
                    let found = format!("{found} in the label at index {}", texts.len());
                    wrong(
                        &path,
                        "labels of printable text",
                        found,
                        "clean the names and save again",
                    )
                })?);
            }
            Ok(())
        })?;
        Ok((texts, sha256))
    }
}

const NO_CLASSES: &str = "if y holds no classes but measurements, this is no classification";
const NUMBER_ANEW: &str = "number the classes anew, y = np.unique(y, return_inverse=True)[1]";

/// The error for a number that cannot be a class id.
fn no_id(path: &Path, found: String, index: usize, advice: &str) -> Error {
    let found = format!("{found} at index {index}");
    wrong(path, "class ids: whole numbers from 0", found, advice)
}

/// The text of a string element without the zeros at its end; or what is wrong with it.
fn decode(element: &Element, bytes: &[u8]) -> Result<String, String> {
    if element.kind == Kind::Bytes {
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        return String::from_utf8(bytes[..end].to_vec())
            .map_err(|_| "bytes that are not UTF-8".to_owned());
    }
    let letter = |bytes: &[u8; 4]| {
        let code = match element.big_endian {
            true => u32::from_be_bytes(*bytes),
            false => u32::from_le_bytes(*bytes),
        };
        char::from_u32(code).ok_or_else(|| format!("the code {code:#x}, which is no character,"))
    };
    let text: String = bytes.as_chunks().0.iter().map(letter).collect::<Result<_, _>>()?;
    Ok(text.trim_end_matches('\0').to_owned())
}

/// The rank of each value among the distinct ones, and the distinct ones in ascending order.
fn rank<T: Ord + Clone>(values: &[T]) -> (Vec<i64>, Vec<T>) {
    // Value by value: `collect` would sort all of them first, 5 ms for 100,000 labels of ten classes.
    let mut ranks: BTreeMap<&T, i64> = BTreeMap::new();
    for value in values {
        ranks.entry(value).or_insert(0);
    }
    for (rank, (_, slot)) in ranks.iter_mut().enumerate() {
        *slot = rank as i64;
    }
    (
        values.iter().map(|value| ranks[value]).collect(),
        ranks.keys().map(|&value| value.clone()).collect(),
    )
}
