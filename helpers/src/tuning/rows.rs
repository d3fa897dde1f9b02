//! The rows of `X.npy` that a trial learns from or is scored on.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::de::{self, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Rows of `X.npy`: a slice of their indices. In JSON a list, or, for ascending rows that lie close together, a mask in
/// hexadecimal digits, each for four rows, the first of them its lowest bit, which is far shorter.
///
/// All trials of a fold share the rows, 0.4 MB for 54,000 of them, and their hash. If each trial hashed them itself, a
/// search of 100,000 trials would hash 40 GB before it began.
#[derive(Clone, Default)]
pub struct Rows {
    indices: Arc<[usize]>,
    sha256: Arc<OnceLock<String>>,
}

impl Rows {
    /// SHA-256 of the indices, in hexadecimal digits.
    pub(super) fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| {
            let mut hash = Sha256::new();
            self.indices.iter().for_each(|&index| hash.update((index as u64).to_le_bytes()));
            format!("{:x}", hash.finalize())
        })
    }
}

impl Rows {
    /// The mask, where the rows ascend and it is shorter than their list.
    fn mask(&self) -> Option<String> {
        let &last = self.indices.last()?;
        let ascends = self.indices.windows(2).all(|pair| pair[0] < pair[1]);
        // In the list each row takes two characters at least.
        if !ascends || last / 4 >= 2 * self.indices.len() {
            return None;
        }
        let mut digits = vec![0_u8; last / 4 + 1];
        self.indices.iter().for_each(|&row| digits[row / 4] |= 1 << (row % 4));
        let letter = |&digit: &u8| char::from(b"0123456789abcdef"[usize::from(digit)]);
        Some(digits.iter().map(letter).collect())
    }
}

impl Deref for Rows {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.indices
    }
}

impl FromIterator<usize> for Rows {
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Rows {
        Rows { indices: indices.into_iter().collect(), sha256: Arc::default() }
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Rows) -> bool {
        self.indices == other.indices
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.indices.fmt(f)
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.mask() {
            Some(mask) => serializer.serialize_str(&mask),
            None => self.indices.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rows, D::Error> {
        deserializer.deserialize_any(ListOrMask)
    }
}

/// Reads rows in both of their forms.
struct ListOrMask;

impl<'de> Visitor<'de> for ListOrMask {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, or a mask of them in hexadecimal digits")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element()? {
            rows.push(row);
        }
        Ok(rows.into_iter().collect())
    }

    fn visit_str<E: de::Error>(self, mask: &str) -> Result<Rows, E> {
        let mut rows = Vec::new();
        for (index, letter) in mask.chars().enumerate() {
            let digit = letter.to_digit(16).ok_or_else(|| {
                E::invalid_value(Unexpected::Char(letter), &"a hexadecimal digit")
            })?;
            rows.extend((0..4).filter(|bit| (digit >> bit) & 1 == 1).map(|bit| 4 * index + bit));
        }
        Ok(rows.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_json_in_their_order() {
        // Rows 0 and 2 are 1 and 4 in the first digit, row 5 is 2 in the second one.
        for (rows, text) in [
            (vec![0, 2, 5], "\"52\""),
            (vec![3, 4, 5, 6, 7], "\"8f\""),
            (vec![5, 2, 0], "[5,2,0]"),
            (vec![1, 1], "[1,1]"),
            (vec![2, 900], "[2,900]"),
            (vec![], "[]"),
        ] {
            let rows: Rows = rows.into_iter().collect();
            assert_eq!(serde_json::to_string(&rows).unwrap(), text);
            let again: Rows = serde_json::from_str(text).unwrap();
            assert_eq!((&again, again.sha256()), (&rows, rows.sha256()));
        }
        for (text, problem) in [
            ("\"5g\"", "invalid value: character `g`, expected a hexadecimal digit"),
            ("7", "expected a list of rows, or a mask of them in hexadecimal digits"),
            ("[-1]", "invalid value: integer `-1`"),
        ] {
            let error = serde_json::from_str::<Rows>(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
