//! Images in a grid with your own lines of text above each, for new plotting functions.

use std::fmt;

use super::figure::Figure;
use super::image_grid::Images;
use super::style::{Color, NAME_SIZE};
use super::tiles::{Tile, centred, draw_tiles, grid, tile};
use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::text::clean_text;

/// Images in a grid, with lines of text in any colour above each: the basis for a plotting function of your own.
///
/// ```
/// # use helpers::{data::Dataset, plot::{ImageGrid, style::{RIGHT, WRONG}}};
/// # fn show(dataset: Dataset) -> helpers::Result<()> {
/// let mut grid = ImageGrid::new("Two images", 2);
/// grid.image(&dataset, 0)?.line("right, 98%", RIGHT).line("below it", WRONG);
/// grid.image(&dataset, 1)?.line("wrong, 51%", WRONG);
/// let figure = grid.plot()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ImageGrid {
    title: String,
    columns: usize,
    shape: Option<ImageShape>,
    tiles: Vec<Tile>,
}

impl ImageGrid {
    /// An empty grid with this many columns.
    pub fn new(title: impl Into<String>, columns: usize) -> ImageGrid {
        ImageGrid { title: title.into(), columns: columns.max(1), shape: None, tiles: Vec::new() }
    }

    /// Adds the image of this index in a data set or a part.
    ///
    /// # Errors
    /// If the index is not among the images, or the image cannot be read.
    pub fn image(&mut self, images: &impl Images, index: usize) -> Result<&mut ImageGrid> {
        let (dataset, all) = images.images();
        let Some(&image) = all.get(index) else {
            let expected = format!("one of the {} images", all.len());
            return Err(Error::parameter("index", expected, index, "they are counted from 0"));
        };
        self.shape = Some(dataset.image_shape());
        self.tiles.push(tile(dataset, image, Vec::new())?);
        Ok(self)
    }

    /// Adds a line of text to the image added last.
    pub fn line(&mut self, text: impl Into<String>, color: Color) -> &mut ImageGrid {
        if let Some(tile) = self.tiles.last_mut() {
            tile.lines.push((centred(NAME_SIZE, color), text.into()));
        }
        self
    }

    /// The picture.
    ///
    /// # Errors
    /// If there is no image.
    pub fn plot(&self) -> Result<Figure> {
        let Some(shape) = self.shape else {
            return Err(Error::drawing("the grid has no image; add one with `image`"));
        };
        let told = self.tiles.iter().map(|tile| {
            let lines: Vec<String> = tile.lines.iter().map(|(_, text)| clean_text(text)).collect();
            lines.join(", ")
        });
        let alt = format!("{}: {}.", clean_text(&self.title), told.collect::<Vec<_>>().join("; "));
        draw_tiles(shape, &self.title, &grid(&self.tiles, self.columns), 92.0, alt)
    }
}

impl fmt::Debug for ImageGrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageGrid: {} images", self.tiles.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::test_files::images_of;
    use crate::plot::style::{RIGHT, WRONG};

    #[test]
    fn the_grid_holds_what_was_put_into_it() {
        let (_folder, dataset) = images_of(&[0, 100, 200, 50], &[0, 1, 1, 0]);
        let mut grid = ImageGrid::new("Three", 2);
        let empty = grid.plot().unwrap_err().to_string();
        assert!(empty.contains("add one with `image`"), "{empty}");
        grid.image(&dataset, 0).unwrap().line("bag 98%", RIGHT).line("true: bag", RIGHT);
        grid.image(&dataset, 2).unwrap().line("shirt 51%", WRONG);
        assert_eq!(grid.plot().unwrap().alt_text(), "Three: bag 98%, true: bag; shirt 51%.");
        let outside = grid.image(&dataset, 4).unwrap_err().to_string();
        assert!(outside.contains("one of the 4 images"), "{outside}");
    }
}
