//! How well brightness alone separates the classes.

use std::fmt;

use crate::Result;
use crate::data::Dataset;
use crate::plot::{BarChart, Figure};
use crate::text::clean_text;

/// The mean pixel of each image, by class: how well can classes be told apart without any shapes?
#[derive(Clone, PartialEq)]
pub struct Brightness {
    class_names: Vec<String>,
    /// The values of each class's images, 0 for black to 1 for white.
    images: Vec<Vec<f64>>,
}

impl Dataset {
    /// The mean pixel of each image, by class.
    ///
    /// # Errors
    /// If the images cannot be read.
    pub fn brightness(&self) -> Result<Brightness> {
        let mut images = vec![Vec::new(); self.classes()];
        for (index, &label) in self.labels().iter().enumerate() {
            let pixels = self.image(index)?;
            let sum: u64 = pixels.iter().map(|&pixel| u64::from(pixel)).sum();
            images[label as usize].push(sum as f64 / (255.0 * pixels.len() as f64));
        }
        Ok(Brightness { class_names: self.class_names().to_vec(), images })
    }
}

impl Brightness {
    fn means(&self) -> Vec<f64> {
        let mean = |images: &Vec<f64>| images.iter().sum::<f64>() / images.len().max(1) as f64;
        self.images.iter().map(mean).collect()
    }

    /// A bar chart of the mean of each class.
    ///
    /// # Errors
    /// If the picture would be too large.
    pub fn plot(&self) -> Result<Figure> {
        BarChart::new("Mean brightness of each class", "Percent of white", &self.class_names)
            .bars("Brightness", &self.means())
            .percent(1)
            .plot()
    }

    /// The two classes that brightness separates best and the two that it separates worst, by the share of their images
    /// that are nearer to the mean of their own class than to the other's; as a sentence.
    pub fn sentence(&self) -> String {
        let means = self.means();
        let present: Vec<usize> =
            (0..means.len()).filter(|&class| !self.images[class].is_empty()).collect();
        let nearer = |own: usize, other: usize| {
            let near = |image: &&f64| (*image - means[own]).abs() < (*image - means[other]).abs();
            let images = &self.images[own];
            images.iter().filter(near).count() as f64 / images.len() as f64
        };
        let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
        for (index, &a) in present.iter().enumerate() {
            let with = |&b: &usize| ((nearer(a, b) + nearer(b, a)) / 2.0, a, b);
            pairs.extend(present[index + 1..].iter().map(with));
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let [Some(best), Some(worst)] = [pairs.first(), pairs.last()] else {
            return "With one class there is nothing to separate.".to_owned();
        };
        let told = |&(share, a, b): &(f64, usize, usize)| {
            let [a, b] = [a, b].map(|class| clean_text(&self.class_names[class]));
            format!(
                "{a} and {b} ({:.1}% of their images are nearer to their own mean)",
                100.0 * share
            )
        };
        let clear = pairs.iter().filter(|pair| pair.0 >= 0.9).count();
        format!(
            "Brightness best separates {} and worst {}. {clear} of {} pairs of classes are separated for nine images in ten.",
            told(best),
            told(worst),
            pairs.len()
        )
    }
}

impl fmt::Debug for Brightness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Brightness of {} classes", self.class_names.len())
    }
}

#[cfg(test)]
mod tests {
    use crate::data::test_files::images_of;

    #[test]
    fn the_pair_that_differs_most_and_the_one_that_differs_least_are_named() {
        // Pixels of three classes: dark, a little brighter with one dark image, and bright.
        let pixels = [0, 10, 20, 0, 250, 240];
        let (_folder, dataset) = images_of(&pixels, &[0, 0, 1, 1, 2, 2]);
        let text = dataset.brightness().unwrap().sentence();
        let expected = "best separates 0 and 2 (100.0% of their images are nearer to their own mean) and worst 0 and 1 (50.0% of";
        assert!(text.contains(expected), "{text}");
        assert!(
            text.ends_with("2 of 3 pairs of classes are separated for nine images in ten."),
            "{text}"
        );
    }
}
