//! NumPy's `.npy` files: the header, checked against the length of the file before anything is allocated, and the
//! data, read in pieces.
//!
//! Nothing is ever unpickled. What the numbers mean is said in [`super::images`] and [`super::labels`].
//! Start at [`Header::parse`], which works on bytes alone.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::system::files::{ReadError, open_regular};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Headers of plain arrays have about a hundred bytes; NumPy itself refuses those beyond ten thousand.
const LONGEST_HEADER: usize = 10_000;
/// Bytes read at a time. A piece ends on an element's boundary.
const PIECE: usize = 1 << 20;

/// What kind of thing the elements of an array are, by the letter of NumPy's type string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `u`: whole numbers from 0.
    Unsigned,
    /// `i`: whole numbers.
    Signed,
    /// `f`: floating-point numbers.
    Float,
    /// `U`: text of a fixed number of characters, four bytes each.
    Text,
    /// `S`: text of a fixed number of bytes.
    Bytes,
    /// `b`: true or false.
    Bool,
    /// `c`: complex numbers.
    Complex,
    /// `O`: Python objects, which only unpickling could read.
    Object,
    /// `M` and `m`: points in time and differences between them.
    Time,
    /// `V`, or a list of fields: records.
    Record,
}

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// What they are.
    pub kind: Kind,
    /// Bytes of one.
    pub bytes: usize,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

impl Element {
    /// From NumPy's type string, as `<f8` or `|u1`; none when it is not one.
    fn from_descr(descr: &str) -> Option<Element> {
        let mut letters = descr.chars();
        let big_endian = match letters.next()? {
            '>' => true,
            '<' | '|' | '=' => false,
            _ => return None,
        };
        let kind = match letters.next()? {
            'u' => Kind::Unsigned,
            'i' => Kind::Signed,
            'f' => Kind::Float,
            'U' => Kind::Text,
            'S' | 'a' => Kind::Bytes,
            'b' | '?' => Kind::Bool,
            'c' => Kind::Complex,
            'O' => Kind::Object,
            'M' | 'm' => Kind::Time,
            'V' => Kind::Record,
            _ => return None,
        };
        let text = letters.as_str();
        let (digits, unit) =
            text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        // Dates and times name their unit, as `<M8[ns]`.
        if !unit.is_empty() && kind != Kind::Time {
            return None;
        }
        let size = if digits.is_empty() { 0 } else { digits.parse::<usize>().ok()? };
        let bytes = if kind == Kind::Text { size.checked_mul(4)? } else { size };
        let possible = match kind {
            Kind::Unsigned | Kind::Signed => matches!(size, 1 | 2 | 4 | 8),
            Kind::Float => matches!(size, 2 | 4 | 8 | 10 | 12 | 16),
            Kind::Text | Kind::Bytes => size > 0,
            _ => true,
        };
        possible.then_some(Element { kind, bytes, big_endian })
    }

    /// NumPy's name for it: `uint8`, `float64`, `str12`.
    pub fn name(&self) -> String {
        let bits = self.bytes.saturating_mul(8);
        match self.kind {
            Kind::Unsigned => format!("uint{bits}"),
            Kind::Signed => format!("int{bits}"),
            Kind::Float => format!("float{bits}"),
            Kind::Complex => format!("complex{bits}"),
            Kind::Text => format!("strings of {} characters", self.bytes / 4),
            Kind::Bytes => format!("strings of {} bytes", self.bytes),
            Kind::Bool => "bool".to_owned(),
            Kind::Object => "Python objects".to_owned(),
            Kind::Time => "dates or times".to_owned(),
            Kind::Record => "records of several fields".to_owned(),
        }
    }

    /// Whether it is a number that can be read: an integer, or a float of 16, 32 or 64 bits.
    pub fn is_number(&self) -> bool {
        match self.kind {
            Kind::Unsigned | Kind::Signed => true,
            Kind::Float => self.bytes <= 8,
            _ => false,
        }
    }

    /// The element in `bytes` as a number; whole numbers beyond 2^53 are rounded.
    pub(crate) fn number(&self, bytes: &[u8]) -> f64 {
        match (self.kind, self.bytes) {
            (Kind::Float, 2) => half_to_f64(self.word(bytes) as u16),
            (Kind::Float, 4) => f64::from(f32::from_bits(self.word(bytes) as u32)),
            (Kind::Float, _) => f64::from_bits(self.word(bytes)),
            _ => self.whole(bytes) as f64,
        }
    }

    /// The integer in `bytes`.
    pub(crate) fn whole(&self, bytes: &[u8]) -> i128 {
        let word = self.word(bytes);
        if self.kind == Kind::Signed {
            let unused = 64 - 8 * self.bytes as u32;
            i128::from((word << unused) as i64 >> unused)
        } else {
            i128::from(word)
        }
    }

    /// One, two, four or eight bytes as one word.
    fn word(&self, bytes: &[u8]) -> u64 {
        // A match on the length, because a copy of a length known only at run time takes far longer than the rest.
        let little = match *bytes {
            [a] => return u64::from(a),
            [a, b] => u64::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => unreachable!("numbers have 1, 2, 4 or 8 bytes"),
        };
        if self.big_endian { little.swap_bytes() >> (64 - 8 * bytes.len()) } else { little }
    }
}

/// IEEE 754 half precision: 1 sign bit, 5 of exponent, 10 of fraction.
fn half_to_f64(half: u16) -> f64 {
    let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(half >> 10 & 0x1f), f64::from(half & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// What the head of an `.npy` file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Type of the elements.
    pub element: Element,
    /// Whether the first index varies fastest in the file, instead of the last.
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
        let wrong =
            |expected: &str, found: String, advice: &str| wrong(path, expected, found, advice);
        if !bytes.starts_with(MAGIC) {
            let advice = if bytes.starts_with(&[0x80]) { NO_PICKLES } else { SAVE_AGAIN };
            let found = match bytes {
                [] => "an empty file".to_owned(),
                [b'P', b'K', ..] => "a zip archive, as np.savez writes".to_owned(),
                [0x80, ..] => "a pickle".to_owned(),
                _ if MAGIC.starts_with(bytes) => format!("a file of {} bytes", bytes.len()),
                _ => format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(6)])),
            };
            return Err(wrong("a NumPy file, which begins with \\x93NUMPY", found, advice));
        }
        let cut = |found: usize| {
            wrong("a whole header", format!("a file that ends in it, after {found} bytes"), CUT_OFF)
        };
        let (length_bytes, version) = match bytes.get(6..8) {
            None => return Err(cut(bytes.len())),
            Some([1, 0]) => (2, 1),
            Some([version @ (2 | 3), 0]) => (4, *version),
            Some(other) => {
                let found = format!("version {}.{}", other[0], other[1]);
                return Err(wrong("a NumPy file of version 1.0, 2.0 or 3.0", found, SAVE_AGAIN));
            }
        };
        let text_start = 8 + length_bytes;
        let mut length = [0; 4];
        length[..length_bytes]
            .copy_from_slice(bytes.get(8..text_start).ok_or_else(|| cut(bytes.len()))?);
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_HEADER {
            let found = format!("one that claims {length}");
            return Err(wrong(
                &format!("a header of at most {LONGEST_HEADER} bytes"),
                found,
                SAVE_AGAIN,
            ));
        }
        let text = bytes.get(text_start..text_start + length).ok_or_else(|| cut(bytes.len()))?;
        let text = if version == 3 {
            String::from_utf8_lossy(text).into_owned()
        } else {
            text.iter().map(|&byte| char::from(byte)).collect()
        };
        let not_numpys = |what: String| {
            wrong(
                "the header NumPy writes, with 'descr', 'fortran_order' and 'shape'",
                what,
                SAVE_AGAIN,
            )
        };
        let fields =
            Literal::parse_dict(&text).ok_or_else(|| not_numpys(quoted(text.trim_end())))?;
        let field = |name: &str| {
            let mut named = fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
            match (named.next(), named.next()) {
                (Some(value), None) => Ok(value),
                (None, _) => Err(not_numpys(format!("one without '{name}'"))),
                _ => Err(not_numpys(format!("one with two '{name}'"))),
            }
        };
        let element = match field("descr")? {
            Literal::Text(descr) => Element::from_descr(descr).ok_or_else(|| {
                wrong(
                    "a type that NumPy knows",
                    quoted(descr),
                    "save the array as uint8, an integer or a float",
                )
            })?,
            // A list of fields, or a tuple of a type and a shape.
            Literal::List | Literal::Tuple(_) => {
                Element { kind: Kind::Record, bytes: 0, big_endian: false }
            }
            _ => return Err(not_numpys("one whose 'descr' is no type".to_owned())),
        };
        let Literal::Bool(fortran_order) = *field("fortran_order")? else {
            return Err(not_numpys(
                "one whose 'fortran_order' is neither True nor False".to_owned(),
            ));
        };
        let Literal::Tuple(sides) = field("shape")? else {
            return Err(not_numpys("one whose 'shape' is no tuple of whole numbers".to_owned()));
        };
        let shape: Option<Vec<usize>> = sides.iter().map(|side| side.parse().ok()).collect();
        let Some(shape) = shape else {
            let found = quoted(&format!("({})", sides.join(", ")));
            return Err(wrong(
                "a shape whose sides are whole numbers from 0 up",
                found,
                SAVE_AGAIN,
            ));
        };
        Ok(Header { element, fortran_order, shape, data_start: text_start + length })
    }

    /// Bytes of data that the shape and the type declare; none beyond what 64 bits count.
    fn data_bytes(&self) -> Option<u64> {
        // A side of length 0 makes the product 0 whatever the others are, in any order of multiplying.
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape
            .iter()
            .try_fold(self.element.bytes as u64, |bytes, &side| bytes.checked_mul(side as u64))
    }
}

/// Which types of elements a file may have, and what to do about another one.
pub(super) struct Wanted {
    pub(super) what: &'static str,
    pub(super) takes: fn(&Element) -> bool,
    pub(super) instead: &'static str,
    pub(super) instead_of_objects: &'static str,
}

/// An `.npy` file whose header is read and whose length is right.
#[derive(Debug)]
pub struct NpyFile {
    path: PathBuf,
    file: File,
    head: Vec<u8>,
    header: Header,
}

impl NpyFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If it is not there or no regular file, if the header is not NumPy's, if the type is not `wanted`, or if the file
    /// is shorter or longer than its header declares.
    pub(super) fn open(path: &Path, wanted: &Wanted) -> Result<NpyFile> {
        let io = |source| unreadable(path, source, MISSING);
        let (mut file, length) = open_regular(path).map_err(|unread| match unread {
            ReadError::Io(source) => io(source),
            ReadError::Other(found) => {
                wrong(path, "a NumPy file", found, "put the file itself there")
            }
        })?;
        let mut head = Vec::new();
        (&mut file).take(LONGEST_HEADER as u64 + 12).read_to_end(&mut head).map_err(io)?;
        let header = Header::parse(path, &head)?;
        head.truncate(header.data_start);
        if !(wanted.takes)(&header.element) {
            let advice = match header.element.kind {
                Kind::Object => wanted.instead_of_objects,
                Kind::Float => "save it in single precision, astype(np.float32)",
                Kind::Record => "save the one field that is meant, as records['pixels']",
                _ => wanted.instead,
            };
            return Err(wrong(path, wanted.what, header.element.name(), advice));
        }
        let npy = NpyFile { path: path.to_owned(), file, head, header };
        npy.check_length(length)?;
        Ok(npy)
    }

    fn check_length(&self, length: u64) -> Result<()> {
        let Header { element, shape, data_start, .. } = &self.header;
        let what = format!("shape {} of {}", shown_shape(shape), element.name());
        let Some(declared) = self.header.data_bytes() else {
            let found = format!("{what}, more than can be counted");
            return Err(wrong(&self.path, "a shape that fits the file", found, SAVE_AGAIN));
        };
        let there = length.saturating_sub(*data_start as u64);
        if there == declared {
            return Ok(());
        }
        let advice = if there < declared {
            CUT_OFF
        } else {
            "something stands behind the array; save X and y apart"
        };
        Err(wrong(
            &self.path,
            &format!("{declared} bytes of data for {what}"),
            format!("{there} bytes"),
            advice,
        ))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Bytes of data.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.header.data_bytes().unwrap_or(0)
    }

    /// Gives `visit` all the data in order, in pieces of whole elements.
    pub(crate) fn each_piece(&mut self, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let NpyFile { path, file, header, .. } = self;
        let failed = |source: std::io::Error| match source.kind() {
            ErrorKind::UnexpectedEof => wrong(
                path,
                "the file to stay as it was",
                "that it got shorter while it was read".into(),
                CUT_OFF,
            ),
            _ => unreadable(path, source, MISSING),
        };
        file.seek(SeekFrom::Start(header.data_start as u64)).map_err(failed)?;
        let element = header.element.bytes;
        let mut left = header.data_bytes().unwrap_or(0);
        // An element may be larger than a piece, but not than the data, whose length was compared with the file's.
        let mut piece = vec![0; left.min(((PIECE / element).max(1) * element) as u64) as usize];
        while left > 0 {
            let now = left.min(piece.len() as u64) as usize;
            file.read_exact(&mut piece[..now]).map_err(failed)?;
            visit(&piece[..now])?;
            left -= now as u64;
        }
        Ok(())
    }

    /// As [`NpyFile::each_piece`]; returns the SHA-256 of the whole file, its header included.
    pub(crate) fn each_piece_hashed(
        &mut self,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<String> {
        let mut hash = Sha256::new_with_prefix(&self.head);
        self.each_piece(|piece| {
            hash.update(piece);
            visit(piece)
        })?;
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What to do when X.npy or y.npy is not there.
pub(super) const MISSING: &str =
    "`cargo xtask data` fetches X.npy and y.npy, or put your own there";
const SAVE_AGAIN: &str = "save the array again with np.save";
const NO_PICKLES: &str = "pickles are never read; save the array with np.save";
const CUT_OFF: &str = "it was cut off; copy or save it again";

/// An [`Error::File`].
pub(super) fn wrong(path: &Path, expected: &str, found: String, advice: &str) -> Error {
    Error::File {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found,
        advice: advice.to_owned(),
    }
}

/// An [`Error::Io`]; `missing` says what to do when the file is not there.
pub(super) fn unreadable(path: &Path, source: std::io::Error, missing: &str) -> Error {
    let advice = match source.kind() {
        ErrorKind::NotFound => missing,
        ErrorKind::PermissionDenied => "make it readable with chmod +r",
        _ => "copy it again",
    };
    Error::Io { action: "read", path: path.to_owned(), source, advice: advice.to_owned() }
}

/// Text from a file as one short line that cannot be mistaken for anything else.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    format!("{shown:?}{}", if shown.len() < text.len() { "…" } else { "" })
}

/// A shape as NumPy prints it: `(2, 3)`, `(2,)`, `()`.
pub(super) fn shown_shape(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The Python literals that headers are made of.
#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Bool(bool),
    /// Whole numbers, as they are written.
    Tuple(Vec<String>),
    /// A list, or a tuple of other things; what is in it does not matter.
    List,
}

impl Literal {
    /// `{'key': value, …}` and nothing but blanks behind it.
    fn parse_dict(text: &str) -> Option<Vec<(String, Literal)>> {
        let mut rest = text.trim_start().strip_prefix('{')?.trim_start();
        let mut fields = Vec::new();
        while !rest.starts_with('}') {
            let (key, after) = Literal::parse_text(rest)?;
            let (value, after) =
                Literal::parse(after.trim_start().strip_prefix(':')?.trim_start())?;
            fields.push((key, value));
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None if rest.starts_with('}') => {}
                None => return None,
            }
        }
        rest[1..].trim().is_empty().then_some(fields)
    }

    /// One value, and the text behind it.
    fn parse(text: &str) -> Option<(Literal, &str)> {
        if let Some(rest) = text.strip_prefix("True") {
            return Some((Literal::Bool(true), rest));
        }
        if let Some(rest) = text.strip_prefix("False") {
            return Some((Literal::Bool(false), rest));
        }
        if text.starts_with(['\'', '"']) {
            return Literal::parse_text(text).map(|(text, rest)| (Literal::Text(text), rest));
        }
        let (inside, rest) = Literal::parse_brackets(text)?;
        if !text.starts_with('(') {
            return Some((Literal::List, rest));
        }
        // Python 2 wrote long integers with an L.
        let mut sides: Vec<&str> =
            inside.split(',').map(|side| side.trim().trim_end_matches('L')).collect();
        if sides.last() == Some(&"") {
            sides.pop();
        }
        let whole = |side: &&str| {
            let digits = side.strip_prefix('-').unwrap_or(side);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if sides.iter().all(whole) {
            Some((Literal::Tuple(sides.into_iter().map(str::to_owned).collect()), rest))
        } else {
            Some((Literal::List, rest))
        }
    }

    fn parse_text(text: &str) -> Option<(String, &str)> {
        let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (inside, rest) = text[1..].split_once(quote)?;
        Some((inside.to_owned(), rest))
    }

    /// What stands between an opening bracket and the one that closes it, and the text behind.
    fn parse_brackets(text: &str) -> Option<(&str, &str)> {
        let mut open = Vec::new();
        let mut quote = None;
        for (place, letter) in text.char_indices() {
            match (quote, letter) {
                (Some(end), _) if letter == end => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(letter),
                (None, '(') => open.push(')'),
                (None, '[') => open.push(']'),
                (None, ')' | ']') if open.pop() != Some(letter) => return None,
                (None, _) => {}
            }
            if open.is_empty() {
                return (place > 0 && quote.is_none())
                    .then(|| (&text[1..place], &text[place + 1..]));
            }
        }
        None
    }
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
        for place in 0..whole.len() {
            for value in 0..=255 {
                let mut bytes = whole.clone();
                bytes[place] = value;
                // Version 3 takes the text as UTF-8: both ways of reading it.
                for version in [1, 3] {
                    if place != 6 {
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
    fn numbers_are_read_in_either_byte_order() {
        let element = |descr| Element::from_descr(descr).unwrap();
        assert_eq!(element("<i2").whole(&[0xfe, 0xff]), -2);
        assert_eq!(element(">i2").whole(&[0x01, 0x02]), 258);
        assert_eq!(element("|i1").whole(&[0x80]), -128);
        assert_eq!(element("<u8").whole(&[0xff; 8]), i128::from(u64::MAX));
        assert_eq!(element(">f4").number(&1.5f32.to_be_bytes()), 1.5);
        assert_eq!(element("<f8").number(&(-0.25f64).to_le_bytes()), -0.25);
        assert_eq!(element(">f2").number(&[0x35, 0x55]), 0.333_251_953_125);
        assert_eq!(element("<f2").number(&[0x01, 0x00]), 2f64.powi(-24));
        assert!(element("<f2").number(&[0x01, 0x7c]).is_nan());
        assert_eq!(element("<f2").number(&[0x00, 0xfc]), f64::NEG_INFINITY);
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
