//! The tables and sentences about a data set.

use std::fmt;

use super::shows_its_table;
use crate::data::images::FoundImages;
use crate::data::labels::LabelForm;
use crate::data::scaling::Scaling;
use crate::data::{Dataset, DatasetInfo, ImageShape, shown_shape};
use crate::display::{Column, Table};
use crate::text::{clean_text, thousands, with_thousands};

/// At most this many classes are named in the table; a data set may have hundreds.
const CLASSES_SHOWN: usize = 12;

impl Dataset {
    /// Shape, type, range, memory and classes, a row each. If a value of X.npy was found to be wrong, the row of X.npy says so.
    pub fn table(&self) -> Table {
        let table = Table::new([Column::text("Data set"), Column::text("")])
            .row(["Images".into(), self.images_sentence().into()]);
        let read = self.found_images().and_then(|found| Ok((found, self.info()?)));
        let table = match &read {
            Ok((found, _)) => table
                .row(["X.npy".into(), x_sentence(found).into()])
                .row(["Values".into(), values_sentence(found).into()])
                .row(["Memory".into(), self.memory_sentence(found).into()]),
            Err(wrong) => table.row(["X.npy".into(), wrong.to_string().into()]),
        };
        let table = table
            .row(["y.npy".into(), self.y_sentence().into()])
            .row(["Classes".into(), self.classes_sentence().into()])
            .row(["Images a class".into(), self.balance_sentence().into()]);
        let table = match &read {
            Ok((_, info)) => table.row(["SHA-256".into(), checksums_sentence(info).into()]),
            Err(_) => table,
        };
        table.caption("The data as it was loaded.")
    }

    /// What the labels are, and the accuracy of always naming the largest class, which needs no learning.
    pub fn sentence(&self) -> String {
        let counts = self.class_counts();
        let most = counts.iter().copied().max().unwrap_or(0);
        let largest = counts.iter().position(|&count| count == most).unwrap_or(0);
        let named = match counts.iter().all(|&count| count == most) {
            true => "any one class, since all are equally large,".to_owned(),
            false => clean_text(&self.class_names()[largest]),
        };
        format!(
            "{} images, and as many labels, from 0 to {}. Always naming {named} is right for {:.1}% of the images.",
            thousands(self.len()),
            self.labels().iter().max().unwrap_or(&0),
            100.0 * most as f64 / self.len() as f64
        )
    }

    fn images_sentence(&self) -> String {
        let ImageShape { height, width, channels } = self.image_shape();
        let colour = if channels == 1 { "grey" } else { "red, green and blue" };
        let all = self.sampled_from().map_or(String::new(), |all| {
            format!("; drawn from the {} of the files", thousands(all))
        });
        format!("{} of {height} × {width} pixels, {colour}{all}", thousands(self.len()))
    }

    fn memory_sentence(&self, found: &FoundImages) -> String {
        let megabytes = with_thousands(self.pixel_bytes() as f64 / 1e6, 1);
        let held = match found.in_file {
            true => "read from the file as they are used",
            false => "in memory",
        };
        let all = if self.is_sample() { " for all images of the files" } else { "" };
        let floats = with_thousands(4.0 * self.pixel_bytes() as f64 / 1e6, 1);
        format!("{megabytes} MB of uint8{all}, {held}; {floats} MB as 32-bit floats")
    }

    fn y_sentence(&self) -> String {
        let found = self.found_labels();
        let form = match (found.form, found.renumbered) {
            (LabelForm::Numbers, false) => "a class id each",
            (LabelForm::Numbers, true) => "a number each, renumbered from 0",
            (LabelForm::OneHot, _) => "a one-hot row each",
            (LabelForm::Strings, _) => "a name each",
        };
        format!("shape {}, {}, {form}", shown_shape(&found.shape), found.dtype)
    }

    fn classes_sentence(&self) -> String {
        let shown = self.classes().min(CLASSES_SHOWN);
        let names = self.class_names()[..shown].join(", ");
        match self.classes() - shown {
            0 => format!("{}: {names}", self.classes()),
            more => format!("{}: {names} and {more} more", self.classes()),
        }
    }

    fn balance_sentence(&self) -> String {
        let counts = self.class_counts();
        let fewest = counts.iter().min().copied().unwrap_or(0);
        let most = counts.iter().max().copied().unwrap_or(0);
        match fewest == most {
            true => thousands(most),
            false => format!("{} to {}", thousands(fewest), thousands(most)),
        }
    }
}

/// The first digits, which are enough to identify the files.
fn checksums_sentence(info: &DatasetInfo) -> String {
    format!("X.npy {}, y.npy {}", &info.x_sha256[..16], &info.y_sha256[..16])
}

fn x_sentence(found: &FoundImages) -> String {
    let order = if found.fortran_order { ", Fortran order" } else { "" };
    let endian = if found.big_endian { ", big-endian" } else { "" };
    format!("shape {}, {}{order}{endian}", shown_shape(&found.shape), found.dtype)
}

fn values_sentence(found: &FoundImages) -> String {
    let scaling = match found.scaling {
        Scaling::AsIs if found.dtype.starts_with("float") => "rounded to whole numbers".to_owned(),
        scaling => scaling.to_string(),
    };
    format!("{} to {}, {scaling}", found.smallest, found.largest)
}

shows_its_table!(Dataset);

impl fmt::Debug for Dataset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImageShape { height, width, channels } = self.image_shape();
        write!(
            formatter,
            "Dataset: {} images {height} × {width} × {channels}, {} classes",
            self.len(),
            self.classes()
        )
    }
}
