//! The head of an `.npy` file: type, order and shape, from a Python dictionary in text.

use std::path::Path;

use py_literal::Value;

use super::element::{Element, Kind};
use crate::data::file_errors::{CUT_OFF, SAVE_AGAIN, quoted, wrong};
use crate::error::Result;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Headers of plain arrays have about a hundred bytes; NumPy itself refuses those beyond ten thousand.
pub(super) const LONGEST_HEADER: usize = 10_000;
/// Deepest nesting of brackets: a recursive parser needs stack for each level. Records have three.
const DEEPEST: usize = 32;
const NO_PICKLES: &str = "pickles are never read; save the array with np.save";

/// The content of an `.npy` file's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Type of the elements.
    pub element: Element,
    /// True when the first index varies fastest in the file, instead of the last.
    pub fortran_order: bool,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Where the data begins, in bytes from the start of the file.
    pub data_start: usize,
}

impl Header {
    /// Reads the header from the first bytes of a file; `path` is named in errors.
    ///
    /// Formats 1.0, 2.0 and 3.0 are understood.
    ///
    /// # Errors
    /// If it is no `.npy` file, is cut off, or its header is not the one NumPy writes.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Header> {
        let (text, data_start) = header_text(path, bytes)?;
        let not_numpys = |found: String| {
            let expected = "the header NumPy writes, with 'descr', 'fortran_order' and 'shape'";
            wrong(path, expected, found, SAVE_AGAIN)
        };
        let fields = parse_dict(&text).ok_or_else(|| not_numpys(quoted(text.trim_end())))?;
        let field = |name: &str| {
            let is_named = |key: &Value| matches!(key, Value::String(key) if key == name);
            let mut named = fields.iter().filter(|(key, _)| is_named(key)).map(|(_, value)| value);
            match (named.next(), named.next()) {
                (Some(value), None) => Ok(value),
                (None, _) => Err(not_numpys(format!("one without '{name}'"))),
                _ => Err(not_numpys(format!("one with two '{name}'"))),
            }
        };
        let element = match field("descr")? {
            Value::String(descr) => Element::from_descr(descr).ok_or_else(|| {
                let advice = "save the array as uint8, an integer or a float";
                wrong(path, "a type that NumPy knows", quoted(descr), advice)
            })?,
            // A list of fields, or a tuple of a type and a shape.
            Value::List(_) | Value::Tuple(_) => {
                Element { kind: Kind::Record, bytes: 0, big_endian: false }
            }
            _ => return Err(not_numpys("one whose 'descr' is no type".to_owned())),
        };
        let Value::Boolean(fortran_order) = *field("fortran_order")? else {
            let found = "one whose 'fortran_order' is neither True nor False";
            return Err(not_numpys(found.to_owned()));
        };
        let no_shape = || not_numpys("one whose 'shape' is no tuple of whole numbers".to_owned());
        let Value::Tuple(sides) = field("shape")? else { return Err(no_shape()) };
        let mut shape = Vec::new();
        for side in sides {
            let Value::Integer(side) = side else { return Err(no_shape()) };
            shape.push(usize::try_from(side).map_err(|_| {
                let sides: Vec<String> = sides.iter().map(Value::to_string).collect();
                let found = quoted(&format!("({})", sides.join(", ")));
                wrong(path, "a shape whose sides are whole numbers from 0 up", found, SAVE_AGAIN)
            })?);
        }
        Ok(Header { element, fortran_order, shape, data_start })
    }

    /// Bytes of data that the shape and the type declare; none beyond what 64 bits count.
    pub(super) fn data_bytes(&self) -> Option<u64> {
        // A side of length 0 makes the product 0 whatever the others are, in any order of multiplying.
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape
            .iter()
            .try_fold(self.element.bytes as u64, |bytes, &side| bytes.checked_mul(side as u64))
    }
}

/// The header's text, and where the data begins.
fn header_text(path: &Path, bytes: &[u8]) -> Result<(String, usize)> {
    if !bytes.starts_with(MAGIC) {
        let advice = if bytes.starts_with(&[0x80]) { NO_PICKLES } else { SAVE_AGAIN };
        let found = match bytes {
            [] => "an empty file".to_owned(),
            [b'P', b'K', ..] => "a zip archive, as np.savez writes".to_owned(),
            [0x80, ..] => "a pickle".to_owned(),
            _ if MAGIC.starts_with(bytes) => format!("a file of {} bytes", bytes.len()),
            _ => format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(6)])),
        };
        return Err(wrong(path, "a NumPy file, which begins with \\x93NUMPY", found, advice));
    }
    let cut = || {
        let found = format!("a file that ends in it, after {} bytes", bytes.len());
        wrong(path, "a whole header", found, CUT_OFF)
    };
    let (length_bytes, version) = match bytes.get(6..8) {
        None => return Err(cut()),
        Some([1, 0]) => (2, 1),
        Some([version @ (2 | 3), 0]) => (4, *version),
        Some(other) => {
            let found = format!("version {}.{}", other[0], other[1]);
            return Err(wrong(path, "a NumPy file of version 1.0, 2.0 or 3.0", found, SAVE_AGAIN));
        }
    };
    let start = 8 + length_bytes;
    let mut length = [0; 4];
    length[..length_bytes].copy_from_slice(bytes.get(8..start).ok_or_else(cut)?);
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_HEADER {
        let expected = format!("a header of at most {LONGEST_HEADER} bytes");
        return Err(wrong(path, &expected, format!("one that claims {length}"), SAVE_AGAIN));
    }
    let text = bytes.get(start..start + length).ok_or_else(cut)?;
    let text = if version == 3 {
        String::from_utf8_lossy(text).into_owned()
    } else {
        text.iter().map(|&byte| char::from(byte)).collect()
    };
    Ok((text, start + length))
}

/// The entries of `{'key': value, …}`; none when the text is something else.
fn parse_dict(text: &str) -> Option<Vec<(Value, Value)>> {
    let mut depth = 0_usize;
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return None;
        }
    }
    let parse = |text: &str| text.trim().parse().ok();
    // Python 2 wrote long integers with an L, as `(60000L, 28L, 28L)`.
    match parse(text).or_else(|| parse(&without_long_suffixes(text)))? {
        Value::Dict(entries) => Some(entries),
        _ => None,
    }
}

fn without_long_suffixes(text: &str) -> String {
    let mut after_digit = false;
    let keeps = |&letter: &char| {
        let keep = !(after_digit && letter == 'L');
        after_digit = letter.is_ascii_digit();
        keep
    };
    text.chars().filter(keeps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 1.0 with this header text and no data.
    fn head(text: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Header> {
        Header::parse(Path::new("X.npy"), bytes)
    }

    #[test]
    fn a_header_says_type_order_and_shape() {
        let text = "{'descr': '>i2', 'fortran_order': True, 'shape': (7, 5, 3), }  \n";
        let header = parse(&head(text)).unwrap();
        assert_eq!(header.element, Element { kind: Kind::Signed, bytes: 2, big_endian: true });
        assert!(header.fortran_order);
        assert_eq!(header.shape, [7, 5, 3]);
        assert_eq!(header.data_start, 10 + text.len());
    }

    #[test]
    fn order_of_the_fields_and_quotes_do_not_matter() {
        let header =
            parse(&head(r#"{"shape":(4L,),"fortran_order":False,"descr":"|u1"}"#)).unwrap();
        assert_eq!(header.shape, [4]);
        assert_eq!(header.element.name(), "uint8");
    }

    #[test]
    fn no_prefix_of_a_header_is_a_header() {
        let whole = head("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n");
        assert!(parse(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn no_byte_of_a_header_can_make_the_parser_panic() {
        let whole = head("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n");
        for index in 0..whole.len() {
            for value in 0..=255 {
                let mut bytes = whole.clone();
                bytes[index] = value;
                // Version 3 takes the text as UTF-8: both ways of reading it.
                for version in [1, 3] {
                    if index != 6 {
                        bytes[6] = version;
                    }
                    let _ = parse(&bytes);
                }
            }
        }
    }

    #[test]
    fn a_list_of_fields_is_a_record_whatever_brackets_its_names_hold() {
        let text = "{'descr': [('a](', '<f8'), ('b', '<i4', (2,))], 'fortran_order': False, 'shape': (2,), }";
        assert_eq!(parse(&head(text)).unwrap().element.kind, Kind::Record);
    }

    #[test]
    fn brackets_in_brackets_do_not_end_the_stack() {
        for bracket in ["(", "[", "{", "{'a':"] {
            assert!(parse(&head(&bracket.repeat(1900))).is_err());
        }
    }

    #[test]
    fn broken_headers_are_refused() {
        for text in [
            "",
            "{",
            "{}",
            "{'descr'",
            "{'descr':",
            "{'descr': '<f8'",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)} more",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (2, 3)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2, -3)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3], }",
            "{'descr': '<f8.5', 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': 2)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<q8', 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<f3', 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<U0', 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<é8', 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<U99999999999999999999', 'fortran_order': False, 'shape': (2,)}",
        ] {
            assert!(parse(&head(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_shape_with_a_zero_side_declares_no_data_however_large_the_others() {
        let header = parse(&head(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551615, 2, 0), }",
        ))
        .unwrap();
        assert_eq!(header.data_bytes(), Some(0));
    }
}
