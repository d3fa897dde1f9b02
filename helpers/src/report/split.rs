//! The tables of a split, and the sentence about equal images in its parts.

use std::fmt;

use super::shows_its_table;
use crate::data::{Duplicate, Duplicates, Split, Subset};
use crate::display::{Cell, Column, Table};
use crate::plot::classes::shares;
use crate::text::thousands;

impl Split {
    /// Images in each part: a row for each class and one for all.
    pub fn table(&self) -> Table {
        let dataset = self.train.dataset();
        let parts = [&self.train, &self.validation, &self.test];
        let counts = parts.map(Subset::class_counts);
        let row = |name: Cell, images: [usize; 3]| {
            let all = images.iter().sum::<usize>();
            [name, images[0].into(), images[1].into(), images[2].into(), all.into()]
        };
        let heads = ["Train", "Validation", "Test", "All"].map(Column::integer);
        let mut table = Table::new([Column::text("Class")].into_iter().chain(heads));
        for (class, name) in dataset.class_names().iter().enumerate() {
            table.push(row(name.into(), [counts[0][class], counts[1][class], counts[2][class]]));
        }
        let stratified = if self.config.stratify { "stratified" } else { "not stratified" };
        table.row(row("All classes".into(), parts.map(Subset::len))).rule_above_last(1).caption(
            format!(
                "Images in each part, {stratified}, seed {}.{}",
                self.config.random_state,
                self.warning()
            ),
        )
    }

    /// The size of each part, and its first images, which are the same as scikit-learn's.
    pub fn sizes(&self) -> Table {
        let columns = [
            Column::text("Part"),
            Column::integer("Images"),
            Column::percent("Share", 2),
            Column::text("First indices"),
        ];
        let parts =
            [("Train", &self.train), ("Validation", &self.validation), ("Test", &self.test)];
        let rows = parts.map(|(name, part)| {
            let share = part.len() as f64 / self.dataset().len() as f64;
            let first = format!("{:?}", &part.indices()[..part.len().min(6)]);
            [name.into(), part.len().into(), share.into(), first.into()]
        });
        rows.into_iter()
            .fold(Table::new(columns), |table, row| table.row(row))
            .caption("Size of each part, and the images that it begins with.")
    }

    /// The largest difference between a class's share in a part and in the whole, in percentage points.
    pub fn imbalance(&self) -> f64 {
        let counts = self.dataset().class_counts();
        let all = self.dataset().len() as f64;
        let whole: Vec<f64> = counts.iter().map(|&count| count as f64 / all).collect();
        let parts = [&self.train, &self.validation, &self.test].map(shares);
        let gaps =
            parts.iter().flat_map(|part| part.iter().zip(&whole).map(|(a, b)| (a - b).abs()));
        100.0 * gaps.fold(0.0, f64::max)
    }

    /// The warning about images that are in two parts; empty if there are none.
    fn warning(&self) -> String {
        match self.duplicates() {
            Ok(found) if found.is_across_parts() => format!(" {found}"),
            // An error is ignored here: reading the images again reports it.
            _ => String::new(),
        }
    }
}

shows_its_table!(Split);

impl fmt::Debug for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Split { train, validation, test, config } = self;
        write!(
            formatter,
            "Split: {} train, {} validation, {} test images (seed {}{})",
            thousands(train.len()),
            thousands(validation.len()),
            thousands(test.len()),
            config.random_state,
            if config.stratify { ", stratified" } else { "" }
        )
    }
}

impl Duplicates {
    /// True if an image is in two parts.
    pub fn is_across_parts(&self) -> bool {
        !(self.validation.is_empty() && self.test.is_empty())
    }
}

/// Which part's score cannot be trusted, and what to do; or that no picture is in two parts.
impl fmt::Display for Duplicates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = match self.within_parts.len() {
            0 => String::new(),
            1 => " 1 image repeats another of its own part.".to_owned(),
            images => format!(" {} images repeat others of their own part.", thousands(images)),
        };
        if !self.is_across_parts() {
            return write!(formatter, "No picture is in two parts.{within}");
        }
        let parts = [
            ("test", "the train or the validation part", &self.test, self.test_images),
            ("validation", "the train part", &self.validation, self.validation_images),
        ];
        let sentences = parts.iter().filter_map(|(part, earlier, found, images)| {
            let Duplicate { image, original } = found.first()?;
            Some(format!(
                "{} of {} {part} images have the pixels of one in {earlier}: image {image} is image {original}{}.",
                thousands(found.len()),
                thousands(*images),
                if found.len() > 1 { ", and so on" } else { "" }
            ))
        });
        write!(
            formatter,
            "Equal pictures: {}{within} A model may remember those instead of recognising them, so these scores are too \
             good; keep one of each, X, first = np.unique(X, axis=0, return_index=True), y = y[first].",
            sentences.collect::<Vec<_>>().join(" ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::test_files::images_of;

    fn split(pixels: &[u8]) -> Split {
        let labels: Vec<u8> = (0..pixels.len()).map(|image| (image % 2) as u8).collect();
        let (_folder, dataset) = images_of(pixels, &labels);
        let part = |indices: &[usize]| dataset.subset(indices.to_vec()).unwrap();
        let parts = (part(&[0, 1, 2]), part(&[3, 4]), part(&[5, 6]));
        Split { train: parts.0, validation: parts.1, test: parts.2, config: Default::default() }
    }

    #[test]
    fn equal_pictures_in_two_parts_are_named_below_the_table() {
        // Image 5 of the test part is image 3 of the validation part, which is image 0 of the train part.
        let split = split(&[10, 20, 20, 10, 40, 10, 60]);
        let text = split.duplicates().unwrap().to_string();
        let expected = "Equal pictures: 1 of 2 test images have the pixels of one in the train or the validation part: \
                        image 5 is image 0. 1 of 2 validation images have the pixels of one in the train part: image 3 \
                        is image 0. 1 image repeats another of its own part.";
        assert!(text.starts_with(expected), "{text}");
        assert!(split.table().to_text().contains(expected));
    }

    #[test]
    fn imbalance_is_the_largest_gap_between_a_part_and_the_whole() {
        // Labels 0 1 0 1 0 1 0: class 0 has 4 of 7 images, and 2 of 3, 1 of 2 and 1 of 2 of the parts.
        let found = split(&[10, 20, 30, 40, 50, 60, 70]).imbalance();
        assert!((found - 100.0 * (2.0 / 3.0 - 4.0 / 7.0)).abs() < 1e-9, "{found}");
    }

    #[test]
    fn pictures_in_one_part_alone_are_no_warning() {
        let fine = split(&[10, 20, 20, 30, 40, 50, 60]);
        let text = fine.duplicates().unwrap().to_string();
        let expected = "No picture is in two parts. 1 image repeats another of its own part.";
        assert_eq!(text, expected);
        assert!(!fine.table().to_text().contains("picture"));
    }
}
