//! NumPy's file format, as far as the data needs it: version 1.0, one byte per element, C order.

use std::fs;
use std::path::Path;

/// An array of `u8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<u8>,
}

impl Array {
    /// The content of the file, with the same bytes as from `numpy.save`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        if shape.len() == 1 {
            shape.push(String::new()); // Python writes a tuple of one as `(70000,)`.
        }
        let shape = shape.join(", ").trim_end().to_owned();
        let mut header =
            format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}");
        // NumPy reserves space for the shape to grow in place, and pads to a multiple of 64.
        const GROWTH: usize = 21;
        let first = self.shape.first().map_or(0, |length| length.to_string().len());
        header.push_str(&" ".repeat(GROWTH.saturating_sub(first)));
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(&self.values);
        bytes
    }

    /// Reads a file of [`Array::to_bytes`]; none if it is any other file.
    pub(crate) fn read(path: &Path) -> Option<Array> {
        let bytes = fs::read(path).ok()?;
        let length = usize::from(u16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?));
        let header = std::str::from_utf8(bytes.get(10..10 + length)?).ok()?;
        if !bytes.starts_with(b"\x93NUMPY\x01\x00")
            || !header.contains("'descr': '|u1', 'fortran_order': False")
        {
            return None;
        }
        let shape = header.split_once("'shape': (")?.1.split_once(')')?.0;
        let numbers = shape.split(',').map(str::trim).filter(|number| !number.is_empty());
        let shape: Vec<usize> = numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let values = bytes[10 + length..].to_vec();
        (shape.iter().product::<usize>() == values.len()).then_some(Array { shape, values })
    }

    /// The values of the elements `indices` of the first axis, in this order.
    pub(crate) fn take(&self, indices: &[usize]) -> Array {
        let each: usize = self.shape[1..].iter().product();
        let values = indices.iter().flat_map(|&i| &self.values[i * each..(i + 1) * each]);
        let mut shape = self.shape.clone();
        shape[0] = indices.len();
        Array { shape, values: values.copied().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_laid_out_as_numpy_does() {
        let array = Array { shape: vec![3], values: vec![7, 8, 9] };
        let bytes = array.to_bytes();
        assert_eq!(bytes.len(), 128 + 3);
        assert!(bytes.starts_with(
            b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }   "
        ));
        assert!(bytes.ends_with(b" \n\x07\x08\x09"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let array = Array { shape: vec![2, 1, 3], values: vec![1, 2, 3, 4, 5, 6] };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        fs::write(&path, array.to_bytes()).unwrap();
        assert_eq!(Array::read(&path), Some(array));
        fs::write(&path, b"\x93NUMPY\x02\x00").unwrap();
        assert_eq!(Array::read(&path), None);
    }

    #[test]
    fn images_are_taken_whole() {
        let array = Array { shape: vec![3, 1, 2], values: vec![0, 1, 10, 11, 20, 21] };
        let taken = array.take(&[2, 0]);
        assert_eq!(taken, Array { shape: vec![2, 1, 2], values: vec![20, 21, 0, 1] });
    }
}
