//! A network as a picture: a box for each layer that changes the shape, with the layers that keep it listed below.

use super::figure::{Figure, NARROW, Screen};
use super::page::{Page, Rect, Text, draw};
use super::style::{BORDER, Color, GREY, INK, NAME_SIZE, Point, RULE, TITLE_SIZE, WHITE};
use super::tiles::centred;
use crate::Result;
use crate::layers::Layer;
use crate::models::Model;
use crate::text::thousands;

const LEFT: f64 = 12.0;
/// Distance between the middles of two boxes.
const STEP: f64 = 76.0;
const TALLEST: f64 = 96.0;
const LINE: f64 = 13.5;
const SMALL: f64 = 10.5;

/// A box: its name, its output shape, and the layers after it that keep the shape.
struct LayerBox {
    name: String,
    shape: Vec<i64>,
    color: Color,
    then: Vec<String>,
    /// The number of equal blocks that it represents; 1 for any other layer.
    blocks: usize,
}

impl LayerBox {
    fn new(name: String, shape: Vec<i64>, color: Color) -> LayerBox {
        LayerBox { name, shape, color, then: Vec::new(), blocks: 1 }
    }

    fn title(&self) -> String {
        if self.blocks == 1 { self.name.clone() } else { format!("{} blocks", self.blocks) }
    }

    fn is_blocks_like(&self, layer: &Layer, shape: &[i64]) -> bool {
        matches!(layer, Layer::Block(_)) && self.name.starts_with("block") && self.shape == shape
    }

    /// The lines below the box, each with its style.
    fn lines(&self) -> Vec<(Text, String)> {
        let style = centred(SMALL, INK);
        let name = (Text { size: NAME_SIZE - 1.0, ..style }.bold(), self.title());
        let then = self.then.iter().map(|word| (style.color(GREY), word.clone()));
        [name, (style, shape_text(&self.shape))].into_iter().chain(then).collect()
    }
}

impl Model {
    /// The network drawn from left to right, like Keras's `plot_model`. The height of a box is that of the image (for a
    /// dense layer the number of units), its width the number of channels, both on a logarithmic scale; below it are
    /// its output shape and the layers after it that keep that shape.
    ///
    /// # Errors
    /// If the picture would be too large.
    pub fn plot(&self) -> Result<Figure> {
        let boxes = self.boxes();
        let title = format!("The network: {} parameters", thousands(self.count_params()));
        Figure::for_each_screen(&title, |screen| {
            // Most boxes in a row, the least width, and the height above the first row.
            let (title, most, least, above) = match screen {
                Screen::Desk => (title.as_str(), 11, 420.0, 30.0),
                Screen::Phone => ("", 4, NARROW, 4.0),
            };
            let columns = boxes.len().div_ceil(boxes.len().div_ceil(most));
            let rows: Vec<&[LayerBox]> = boxes.chunks(columns).collect();
            let lines = |row: &[LayerBox]| row.iter().map(|layer| layer.then.len()).max();
            let height =
                |row: &[LayerBox]| TALLEST + 24.0 + LINE * (2 + lines(row).unwrap_or(0)) as f64;
            let width = least.max(2.0 * LEFT + STEP * columns as f64);
            let size = (width, above + rows.iter().map(|row| height(row)).sum::<f64>());
            draw(size, described(&boxes), |page| {
                page.text(title, (LEFT, 18.0), Text::new(TITLE_SIZE).bold())?;
                let mut top = above;
                for row in rows {
                    draw_row(page, row, top)?;
                    top += height(row);
                }
                Ok(())
            })
        })
    }

    fn boxes(&self) -> Vec<LayerBox> {
        let network = self.network();
        let input = network.input_shape().to_vec();
        let mut boxes = vec![LayerBox::new("input".to_owned(), input, WHITE)];
        for (index, layer) in network.layers().iter().enumerate() {
            let shape = self.output_of(index).to_vec();
            let learns = matches!(layer, Layer::Conv2d(_) | Layer::Dense(_) | Layer::Block(_));
            match boxes.last_mut() {
                Some(last) if !learns && last.shape == shape => last.then.push(words(layer)),
                // Consecutive equal blocks are one box.
                Some(last) if last.is_blocks_like(layer, &shape) => last.blocks += 1,
                _ => boxes.push(LayerBox::new(words(layer), shape, color(layer))),
            }
        }
        boxes
    }
}

fn described(boxes: &[LayerBox]) -> String {
    let told = boxes.iter().map(|layer| {
        let then: String = layer.then.iter().map(|word| format!(", {word}")).collect();
        format!("{} ({}){then}", layer.title(), shape_text(&layer.shape))
    });
    format!("The network from left to right: {}.", told.collect::<Vec<_>>().join("; "))
}

fn draw_row(page: &Page<'_>, row: &[LayerBox], top: f64) -> Result<()> {
    let middle = top + 8.0 + TALLEST / 2.0;
    let mut before: Option<f64> = None;
    for (index, layer) in row.iter().enumerate() {
        let centre = LEFT + STEP * (index as f64 + 0.5);
        let (width, height) = size(&layer.shape);
        let (left, right) = (centre - width / 2.0, centre + width / 2.0);
        if let Some(before) = before {
            arrow(page, (before + 3.0, middle), left - 3.0)?;
        }
        let rect = Rect::new(left, middle - height / 2.0, width, height);
        page.fill(rect, layer.color)?;
        page.frame(rect, 1.0, if layer.color == WHITE { RULE } else { INK })?;
        before = Some(right);
        for (line, (style, text)) in layer.lines().into_iter().enumerate() {
            let base = top + TALLEST + 26.0 + LINE * line as f64;
            page.text_in(STEP - 4.0, &text, (centre, base), style)?;
        }
    }
    Ok(())
}

fn arrow(page: &Page<'_>, (from, y): Point, to: f64) -> Result<()> {
    if to - from < 4.0 {
        return Ok(());
    }
    page.line(&[(from, y), (to, y)], 1.2, RULE, None)?;
    for dy in [-3.0, 3.0] {
        page.line(&[(to - 4.0, y + dy), (to, y)], 1.2, RULE, None)?;
    }
    Ok(())
}

/// Width and height of the box of this shape: about 1,350 channels, 128 rows or 4,096 units fill it.
fn size(shape: &[i64]) -> (f64, f64) {
    let share = |values: i64, most: f64| ((values.max(1) as f64).log2() / most).min(1.0);
    match shape {
        [channels, height, _] => {
            (6.0 + 40.0 * share(*channels, 10.4), 10.0 + (TALLEST - 10.0) * share(*height, 7.0))
        }
        _ => (8.0, 14.0 + (TALLEST - 14.0) * share(shape.iter().product(), 12.0)),
    }
}

fn color(layer: &Layer) -> Color {
    match layer {
        Layer::Conv2d(_) | Layer::Block(_) => [158, 196, 228],
        Layer::Dense(_) => [244, 196, 128],
        Layer::MaxPooling2d(_) | Layer::AveragePooling2d(_) | Layer::GlobalAveragePooling2d(_) => {
            [170, 214, 190]
        }
        _ => BORDER,
    }
}

fn words(layer: &Layer) -> String {
    match layer {
        Layer::Conv2d(conv) => {
            let side = conv.kernel_size;
            let step = if conv.strides > 1 { format!("/{}", conv.strides) } else { String::new() };
            format!("conv {side}×{side}{step}")
        }
        Layer::Dense(_) => "dense".to_owned(),
        Layer::Block(block) => block.name.replace('_', " "),
        Layer::BatchNormalization(_) => "batch norm".to_owned(),
        Layer::MaxPooling2d(_) => "max pool".to_owned(),
        Layer::AveragePooling2d(_) => "average pool".to_owned(),
        Layer::GlobalAveragePooling2d(_) => "global mean".to_owned(),
        Layer::UpSampling2d(_) => "upsample".to_owned(),
        Layer::RepeatChannels(_) => "grey to RGB".to_owned(),
        Layer::Dropout(dropout) => format!("dropout {}", dropout.rate),
        other => other.kind().replace('_', " "),
    }
}

/// The shape in Keras's order: height, width, channels.
fn shape_text(shape: &[i64]) -> String {
    match shape {
        [channels, height, width] => format!("{height}×{width}×{channels}"),
        _ => thousands(shape.iter().product::<i64>() as usize),
    }
}

#[cfg(test)]
mod tests {
    use crate::architectures::{CnnConfig, TransferConfig};
    use crate::data::ImageShape;

    const SHAPE: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

    #[test]
    fn a_box_for_each_change_of_shape_and_each_layer_that_learns() {
        let figure = CnnConfig::default().network(SHAPE, 10).build(1).unwrap().plot().unwrap();
        let expected = "The network from left to right: input (28×28×1); conv 3×3 (28×28×64), batch norm, relu; \
                        max pool (14×14×64); conv 3×3 (14×14×128), batch norm, relu; max pool (7×7×128); \
                        conv 3×3 (7×7×256), batch norm, relu; conv 3×3 (7×7×256), batch norm, relu; \
                        max pool (3×3×256); flatten (2,304), dropout 0.4; dense (128), batch norm, relu, dropout 0.4; \
                        dense (10).";
        assert_eq!(figure.alt_text(), expected);
    }

    #[test]
    fn a_long_network_takes_several_rows() {
        let network = TransferConfig::default().network(SHAPE, 10).unwrap();
        let figure = network.build(1).unwrap().plot().unwrap();
        let (width, height) = figure.size();
        assert!(width < 900 && height > 200, "{width} x {height}");
    }
}
