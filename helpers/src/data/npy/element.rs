//! Types of array elements: NumPy's type strings, and decoding bytes into numbers.

use half::f16;
use ndarray_npy::{ReadDataError, ReadableElement};
use py_literal::Value;

/// The kind of an array's elements, by the letter of NumPy's type string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `u`: whole numbers from 0.
    Unsigned,
    /// `i`: whole numbers.
    Signed,
    /// `f`: floating-point numbers.
    Float,
    /// `b`: true or false.
    Bool,
    /// `U`: text of a fixed number of characters, four bytes each.
    Text,
    /// `S`: text of a fixed number of bytes.
    Bytes,
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
    /// True when the most significant byte comes first.
    pub big_endian: bool,
}

/// Runs `$body` with `$values` bound to the elements in `$bytes`: a `Vec` of the matching Rust type, `u8` for bool and
/// `f32` for half precision. `ndarray-npy` decodes them; it does not know half precision, so those are read as `u16`
/// bits.
macro_rules! with_values {
    ($element:expr, $bytes:expr, $values:ident => $body:expr) => {{
        let (element, bytes): (&Element, &[u8]) = ($element, $bytes);
        macro_rules! of {
            ($type:ty) => {{
                let $values = element.read::<$type>(bytes, element.letter())?;
                $body
            }};
        }
        match (element.kind, element.bytes) {
            (Kind::Unsigned, 1) => of!(u8),
            (Kind::Unsigned, 2) => of!(u16),
            (Kind::Unsigned, 4) => of!(u32),
            (Kind::Unsigned, 8) => of!(u64),
            (Kind::Signed, 1) => of!(i8),
            (Kind::Signed, 2) => of!(i16),
            (Kind::Signed, 4) => of!(i32),
            (Kind::Signed, 8) => of!(i64),
            (Kind::Float, 4) => of!(f32),
            (Kind::Float, 8) => of!(f64),
            (Kind::Float, 2) => {
                let bits = element.read::<u16>(bytes, 'u')?.into_iter();
                let $values: Vec<f32> = bits.map(|bits| f16::from_bits(bits).to_f32()).collect();
                $body
            }
            (Kind::Bool, _) => {
                let $values: Vec<u8> =
                    element.read::<bool>(bytes, 'b')?.into_iter().map(u8::from).collect();
                $body
            }
            _ => return Err(ReadDataError::WrongDescriptor(element.descr(element.letter()))),
        }
    }};
}

impl Element {
    /// Parses NumPy's type string, such as `<f8` or `|u1`; none if it is not one.
    pub(super) fn from_descr(descr: &str) -> Option<Element> {
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
            Kind::Bool => size == 1,
            Kind::Text | Kind::Bytes => size > 0,
            _ => true,
        };
        possible.then_some(Element { kind, bytes, big_endian })
    }

    /// NumPy's name for the type: `uint8`, `float64`, `str12`.
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

    /// True for types that can be read as numbers: integers, bool, and floats of 16, 32 or 64 bits.
    pub fn is_number(&self) -> bool {
        match self.kind {
            Kind::Unsigned | Kind::Signed | Kind::Bool => true,
            Kind::Float => self.bytes <= 8,
            _ => false,
        }
    }

    /// The numbers in `bytes`; whole numbers beyond 2^53 are rounded.
    ///
    /// # Errors
    /// If the elements are not numbers, or a bool is neither 0 nor 1.
    pub(crate) fn numbers(&self, bytes: &[u8]) -> Result<Vec<f64>, ReadDataError> {
        with_values!(self, bytes, values => Ok(values.into_iter().map(|value| value as f64).collect()))
    }

    /// The whole numbers in `bytes`, exactly; floats lose their fraction.
    ///
    /// # Errors
    /// As [`Element::numbers`].
    pub(crate) fn whole_numbers(&self, bytes: &[u8]) -> Result<Vec<i128>, ReadDataError> {
        with_values!(self, bytes, values => Ok(values.into_iter().map(|value| value as i128).collect()))
    }

    fn read<T: ReadableElement>(
        &self,
        bytes: &[u8],
        letter: char,
    ) -> Result<Vec<T>, ReadDataError> {
        T::read_to_end_exact_vec(bytes, &self.descr(letter), bytes.len() / self.bytes)
    }

    fn letter(&self) -> char {
        match self.kind {
            Kind::Unsigned => 'u',
            Kind::Signed => 'i',
            Kind::Bool => 'b',
            _ => 'f',
        }
    }

    /// The type string as ndarray-npy compares it: `|` where a single byte has no order.
    fn descr(&self, letter: char) -> Value {
        let order = match (self.bytes, self.big_endian) {
            (1, _) => '|',
            (_, true) => '>',
            (_, false) => '<',
        };
        Value::String(format!("{order}{letter}{}", self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_either_byte_order() {
        let element = |descr| Element::from_descr(descr).unwrap();
        let whole = |descr, bytes: &[u8]| element(descr).whole_numbers(bytes).unwrap();
        assert_eq!(whole("<i2", &[0xfe, 0xff, 0x01, 0x00]), [-2, 1]);
        assert_eq!(whole(">i2", &[0x01, 0x02]), [258]);
        assert_eq!(whole("|i1", &[0x80, 0x7f]), [-128, 127]);
        assert_eq!(whole("<u8", &[0xff; 8]), [i128::from(u64::MAX)]);
        assert_eq!(whole("|b1", &[0, 1]), [0, 1]);
        let numbers = |descr, bytes: &[u8]| element(descr).numbers(bytes).unwrap();
        assert_eq!(numbers(">f4", &1.5f32.to_be_bytes()), [1.5]);
        assert_eq!(numbers("<f8", &(-0.25f64).to_le_bytes()), [-0.25]);
        assert_eq!(numbers(">f2", &[0x35, 0x55]), [0.333_251_953_125]);
        assert_eq!(numbers("<f2", &[0x01, 0x00]), [2f64.powi(-24)]);
        assert!(numbers("<f2", &[0x01, 0x7c])[0].is_nan());
        assert_eq!(numbers("<f2", &[0x00, 0xfc]), [f64::NEG_INFINITY]);
        // A one-byte type with a byte order, which NumPy never writes.
        assert_eq!(numbers("<u1", &[7]), [7.0]);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert!(Element::from_descr("|b1").unwrap().numbers(&[0, 2]).is_err());
        assert!(Element::from_descr("<U1").unwrap().numbers(&[0; 4]).is_err());
    }
}
