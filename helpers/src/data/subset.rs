//! A selection of images of a data set in its own order, such as a part of a split or a fold of a search.

use std::borrow::Cow;
use std::sync::Arc;

use super::dataset::{Dataset, count_classes};
use crate::error::{Error, Result};

/// Bytes of pixels that are fetched at a time when all images are visited.
const FETCHED: usize = 1 << 20;

/// A selection of images of a [`Dataset`], in its own order. A clone is cheap.
#[derive(Clone)]
pub struct Subset {
    dataset: Dataset,
    indices: Arc<[usize]>,
}

impl Dataset {
    /// The images with these indices, in this order.
    ///
    /// # Errors
    /// If an index is not below [`Dataset::len`].
    pub fn subset(&self, indices: Vec<usize>) -> Result<Subset> {
        if let Some(&outside) = indices.iter().find(|&&index| index >= self.len()) {
            let expected = format!("below {}, the number of images", self.len());
            let advice = "take them from a split of this very data set";
            return Err(Error::parameter("indices", expected, outside, advice));
        }
        Ok(Subset { dataset: self.clone(), indices: indices.into() })
    }
}

impl Subset {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The first `images` of them; all, where there are fewer or `images` is 0.
    pub fn take(&self, images: usize) -> Subset {
        let images = if images == 0 { self.len() } else { images.min(self.len()) };
        Subset { dataset: self.dataset.clone(), indices: self.indices[..images].into() }
    }

    /// The data set the images are in.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The index of each image in the data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The class id of each image.
    pub fn labels(&self) -> Vec<i64> {
        self.indices.iter().map(|&index| self.dataset.labels()[index]).collect()
    }

    /// The pixels of one image, as [`Dataset::image`] gives them.
    ///
    /// # Errors
    /// As [`Dataset::image`]; `image` must be below [`Subset::len`].
    pub fn image(&self, image: usize) -> Result<Cow<'_, [u8]>> {
        match self.indices.get(image) {
            Some(&index) => self.dataset.image(index),
            None => {
                let expected = format!("below {}, the number of images in this part", self.len());
                Err(Error::parameter("image", expected, image, "images are counted from 0"))
            }
        }
    }

    /// [`Subset::image`] for several images; pixels that stay in the file are read into `buffer`.
    pub(crate) fn fetch<'a>(
        &'a self,
        images: &[usize],
        buffer: &'a mut Vec<u8>,
    ) -> Result<Vec<&'a [u8]>> {
        self.dataset.fetch(images.iter().map(|&image| self.indices[image]), buffer)
    }

    /// Calls `visit` with each image's position in this subset and its pixels, in order.
    pub(crate) fn each_image(&self, mut visit: impl FnMut(usize, &[u8])) -> Result<()> {
        let at_once = (FETCHED / self.dataset.image_shape().pixels()).max(1);
        let (mut position, mut buffer) = (0, Vec::new());
        for images in self.indices.chunks(at_once) {
            for pixels in self.dataset.fetch(images.iter().copied(), &mut buffer)? {
                visit(position, pixels);
                position += 1;
            }
        }
        Ok(())
    }

    /// Number of images of each class, by class id.
    pub fn class_counts(&self) -> Vec<usize> {
        count_classes(
            self.indices.iter().map(|&index| self.dataset.labels()[index]),
            self.dataset.classes(),
        )
    }
}

impl std::fmt::Debug for Subset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Subset: {} of {} images", self.len(), self.dataset.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::test_files::images_of;

    #[test]
    fn each_image_is_visited_once_and_in_order() {
        let (_folder, dataset) = images_of(&[0, 10, 20, 30], &[0, 1, 0, 1]);
        // More than are fetched at a time.
        let order: Vec<usize> = (0..FETCHED).map(|index| index * 7 % 4).collect();
        let mut visited = Vec::new();
        let subset = dataset.subset(order.clone()).unwrap();
        subset
            .each_image(|position, pixels| {
                assert_eq!(position, visited.len());
                visited.push(usize::from(pixels[0] / 10));
            })
            .unwrap();
        assert!(visited == order);
    }

    #[test]
    fn an_image_beyond_the_last_is_an_error() {
        let (_folder, dataset) = images_of(&[0, 10, 20, 30], &[0, 1, 0, 1]);
        let text = dataset.image(4).unwrap_err().to_string();
        assert!(text.starts_with("`image` must be below 4, the number of images, got 4"), "{text}");
        let text = dataset.subset(vec![3]).unwrap().image(1).unwrap_err().to_string();
        assert!(text.contains("below 1, the number of images in this part, got 1"), "{text}");
    }
}
