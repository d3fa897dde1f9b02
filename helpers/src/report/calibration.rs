//! Whether predicted probabilities match the accuracy, as a table and as sentences.

use super::shows_its_table;
use crate::display::{Column, Table};
use crate::evaluation::{Calibrated, Calibration};

impl Calibration {
    /// The ranges that contain images, as a table: for a calibrated model the two numbers in each row are equal.
    pub fn table(&self) -> Table {
        let mut table = Table::new([
            Column::text("Probability of the prediction").unit("%"),
            Column::integer("Images"),
            Column::percent("Mean probability", 1),
            Column::percent("Accuracy", 1),
        ]);
        for bin in self.bins.iter().filter(|bin| bin.images > 0) {
            let range = format!("{:.0} to {:.0}", 100.0 * bin.low, 100.0 * bin.high);
            let (promised, kept) = (bin.confidence, bin.accuracy);
            table.push([range.into(), bin.images.into(), promised.into(), kept.into()]);
        }
        table.caption(self.sentence())
    }

    /// The difference between probability and accuracy, as a sentence.
    pub fn sentence(&self) -> String {
        let word = if self.overconfidence > 0.0 { "too high" } else { "too low" };
        format!(
            "Expected calibration error {:.2}%: the model's probabilities are on average {:.2} points {word}.",
            100.0 * self.ece,
            100.0 * self.overconfidence.abs()
        )
    }
}

shows_its_table!(Calibration);

impl Calibrated {
    /// The temperature, and its effect on the expected calibration error, as a sentence.
    pub fn sentence(&self) -> String {
        let temperature = self.scaling.temperature;
        let does = if temperature > 1.0 { "lowers" } else { "raises" };
        let [before, after] = [&self.before, &self.after].map(|found| 100.0 * found.ece);
        format!(
            "A temperature of {temperature:.2}, fitted on the validation part, {does} the probabilities: the expected \
             calibration error on the test part goes from {before:.2} to {after:.2}%. No prediction changes."
        )
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::evaluation::TemperatureScaling;

    #[test]
    fn ranges_without_images_are_left_out() {
        let found = Calibration::new(&array![[0.95_f32, 0.05], [0.85, 0.15]], &[0, 1], 10).unwrap();
        let text = found.to_string();
        assert!(text.contains("90 to 100") && text.contains("80 to 90"), "{text}");
        assert_eq!(found.table().len(), 2, "{text}");
        // Confidence 0.95 is right, 0.85 is wrong: 0.05 too low and 0.85 too high.
        let expected = "Expected calibration error 45.00%: the model's probabilities are on average 40.00 points too high.";
        assert!(text.contains(expected), "{text}");
        let scaling = TemperatureScaling { temperature: 2.0, loss_before: 1.0, loss_after: 0.5 };
        let after = Calibration { ece: 0.01, ..found.clone() };
        let text = Calibrated { scaling, before: found, after }.sentence();
        assert!(text.contains("2.00") && text.contains("from 45.00 to 1.00%"), "{text}");
    }
}
