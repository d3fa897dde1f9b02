//! Images with equal pixels: an image that is in two parts of a split makes the score of the later part too good.
//!
//! Start at [`Split::duplicates`] or [`Subset::duplicates`].

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::split::Split;
use super::subset::Subset;
use crate::error::Result;

/// An image and the earlier one with equal pixels, by their indices in the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// The later image: in a later part, or later in the same part.
    pub image: usize,
    /// The first image with these pixels.
    pub original: usize,
}

/// The duplicates in a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicates {
    /// Validation images that are also in the train part.
    pub validation: Vec<Duplicate>,
    /// Test images that are also in the train or in the validation part.
    pub test: Vec<Duplicate>,
    /// Images that repeat one of their own part and none of an earlier part.
    pub within_parts: Vec<Duplicate>,
    /// How many images the validation part holds.
    pub validation_images: usize,
    /// How many images the test part holds.
    pub test_images: usize,
}

impl Subset {
    /// Each image whose pixels equal those of an earlier image, in order.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn duplicates(&self) -> Result<Vec<Duplicate>> {
        let found = Seen::default().repeated(self, 0)?;
        Ok(found.into_iter().map(|(duplicate, _)| duplicate).collect())
    }
}

impl Split {
    /// Images with equal pixels, by the part of the original. It reads every pixel once.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn duplicates(&self) -> Result<Duplicates> {
        let mut seen = Seen::default();
        let mut within_parts = Vec::new();
        let mut across = |part, images| -> Result<Vec<Duplicate>> {
            let (own, other): (Vec<_>, Vec<_>) = seen
                .repeated(images, part)?
                .into_iter()
                .partition(|&(_, part_of_original)| part_of_original == part);
            within_parts.extend(own.into_iter().map(|(duplicate, _)| duplicate));
            Ok(other.into_iter().map(|(duplicate, _)| duplicate).collect())
        };
        across(0, &self.train)?;
        let validation = across(1, &self.validation)?;
        let test = across(2, &self.test)?;
        let (validation_images, test_images) = (self.validation.len(), self.test.len());
        Ok(Duplicates { validation, test, within_parts, validation_images, test_images })
    }
}

/// For each hash of pixels seen so far: the first image with it, and that image's part.
#[derive(Default)]
struct Seen(HashMap<u64, (usize, usize)>);

impl Seen {
    /// The images of `part` that repeat an earlier one, each with the part of the original.
    fn repeated(&mut self, images: &Subset, part: usize) -> Result<Vec<(Duplicate, usize)>> {
        let indices = images.indices();
        let mut candidates = Vec::new();
        images.each_image(|position, pixels| {
            let mut hash = DefaultHasher::new();
            hash.write(pixels);
            let image = indices[position];
            let (original, of) = *self.0.entry(hash.finish()).or_insert((image, part));
            if original != image {
                candidates.push((Duplicate { image, original }, of));
            }
        })?;
        // Equal hashes of different images are unlikely, but would report a leak that does not exist, so pixels are
        // compared.
        let mut repeated = Vec::new();
        for (duplicate, of) in candidates {
            let Duplicate { image, original } = duplicate;
            if images.dataset().image(image)? == images.dataset().image(original)? {
                repeated.push((duplicate, of));
            }
        }
        Ok(repeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::test_files::images_of;

    fn duplicate(image: usize, original: usize) -> Duplicate {
        Duplicate { image, original }
    }

    #[test]
    fn equal_pictures_are_found_within_and_across_parts() {
        // Images 0, 3 and 5 show one picture, 1 and 4 another, 2 a third and 6 a fourth.
        let (_folder, dataset) = images_of(&[10, 20, 30, 10, 20, 10, 40], &[0, 1, 0, 1, 0, 1, 0]);
        let part = |indices: &[usize]| dataset.subset(indices.to_vec()).unwrap();
        assert_eq!(
            part(&[5, 6, 0, 1, 3]).duplicates().unwrap(),
            [duplicate(0, 5), duplicate(3, 5)]
        );
        let split = Split {
            train: part(&[0, 2, 3]),
            validation: part(&[1, 5]),
            test: part(&[4, 6]),
            config: Default::default(),
        };
        let found = split.duplicates().unwrap();
        assert_eq!(found.within_parts, [duplicate(3, 0)]);
        assert_eq!(found.validation, [duplicate(5, 0)]);
        assert_eq!(found.test, [duplicate(4, 1)]);
        assert_eq!((found.validation_images, found.test_images), (2, 2));
    }

    #[test]
    fn different_pictures_are_no_duplicates() {
        let (_folder, dataset) = images_of(&[10, 20, 30, 40], &[0, 1, 0, 1]);
        let all = dataset.subset(vec![3, 1, 0, 2]).unwrap();
        assert!(all.duplicates().unwrap().is_empty());
        // The same image twice is no second picture.
        assert!(dataset.subset(vec![1, 1]).unwrap().duplicates().unwrap().is_empty());
    }
}
