//! How many images of each class there are.

use super::bar::BarChart;
use super::figure::Figure;
use crate::Result;
use crate::data::{Dataset, Split, Subset};

impl Dataset {
    /// A bar chart of each class's number of images.
    ///
    /// # Errors
    /// If the picture would be too large.
    pub fn plot_class_counts(&self) -> Result<Figure> {
        BarChart::new("Images of each class", "Images", self.class_names())
            .counts("Images", &self.class_counts())
            .plot()
    }
}

impl Split {
    /// A bar chart of each class's share of the images, one bar per part.
    ///
    /// # Errors
    /// If the picture would be too large.
    pub fn plot_balance(&self) -> Result<Figure> {
        let title = "Class balance of each part";
        BarChart::new(title, "Share of the part's images (%)", self.class_names())
            .bars("Train", &shares(&self.train))
            .bars("Validation", &shares(&self.validation))
            .bars("Test", &shares(&self.test))
            .percent(1)
            .plot()
    }
}

/// Each class's share of the images.
pub(crate) fn shares(part: &Subset) -> Vec<f64> {
    part.class_counts().iter().map(|&count| count as f64 / part.len().max(1) as f64).collect()
}
