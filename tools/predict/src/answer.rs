//! What the model says, as a table, as JSON, or drawn.

use helpers::data::{Dataset, GaussianNoise};
use helpers::display::{Cell, Column, Table};
use helpers::models::Model;
use helpers::plot::{Figure, ImageGrid, style};
use helpers::{Error, Result};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};
use serde::Serialize;

use crate::pictures::Pictures;

/// Pictures that are drawn at most: more could not be told apart.
const DRAWN: usize = 40;

/// What the model says about each picture.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Answer {
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    picture: String,
    /// The most probable first.
    predictions: Vec<Prediction>,
}

#[derive(Serialize)]
struct Prediction {
    label: String,
    probability: f32,
}

/// What comes out of the model, a row for each picture: probabilities, or the values of an image, channels last.
pub(crate) fn outputs(model: &Model, pictures: &Pictures) -> Result<Array2<f32>> {
    let mut parts = Vec::new();
    for group in &pictures.groups {
        let all = group.images.subset((0..group.images.len()).collect())?;
        parts.push(match model.output_shape().len() {
            1 => (*model.predict(&all)?).clone(),
            _ => {
                let as_they_are = GaussianNoise { mean: 0.0, variance: 0.0, clip: false };
                (*model.denoise(&as_they_are.on(&all, 0))?).clone()
            }
        });
    }
    let views: Vec<ArrayView2<'_, f32>> = parts.iter().map(Array2::view).collect();
    concatenate(Axis(0), &views).map_err(|error| Error::Internal { message: error.to_string() })
}

/// Each picture as the model gets it and, right of it, what a model that restores images makes of it.
pub(crate) fn plot_restored(pictures: &Pictures, outputs: &Array2<f32>) -> Result<Figure> {
    let shown = outputs.nrows().min(DRAWN / 2);
    let mut grid =
        ImageGrid::new("Each picture, and what the model makes of it", (2 * shown).clamp(1, 8));
    for ((_, images, index), values) in pictures.each().zip(outputs.rows()).take(shown) {
        let level = |&value: &f32| (255.0 * value.clamp(0.0, 1.0)).round() as u8;
        let pixels = values.iter().map(level).collect();
        let restored = Dataset::unlabelled(images.image_shape(), pixels)?;
        grid.image(&images.subset(vec![index])?, 0)?.line("as it is", style::INK);
        grid.image(&restored, 0)?.line("restored", style::INK);
    }
    grid.plot()
}

impl Answer {
    /// The `top` most probable classes of each picture.
    pub(crate) fn new(
        model: &Model,
        pictures: &Pictures,
        probabilities: &Array2<f32>,
        top: usize,
    ) -> Answer {
        let names = model.trained_on().last().map_or(&[][..], |record| &record.class_names);
        let label = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
        let answered = |((name, _, _), row): ((&str, &Dataset, usize), ArrayView1<'_, f32>)| {
            let mut classes: Vec<usize> = (0..row.len()).collect();
            classes.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            let predictions = classes.into_iter().take(top.max(1));
            let predictions = predictions
                .map(|class| Prediction { label: label(class), probability: row[class] });
            Row { picture: name.to_owned(), predictions: predictions.collect() }
        };
        Answer { rows: pictures.each().zip(probabilities.rows()).map(answered).collect() }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub(crate) fn to_table(&self) -> String {
        let mut table = Table::new([
            Column::text("Picture"),
            Column::text("Class"),
            Column::percent("Probability", 1),
            Column::text("Then"),
        ]);
        for row in &self.rows {
            let then: Vec<String> = row.predictions[1..].iter().map(Prediction::to_text).collect();
            let first = &row.predictions[0];
            let cells: [Cell; 4] = [
                row.picture.as_str().into(),
                first.label.as_str().into(),
                f64::from(first.probability).into(),
                then.join(", ").as_str().into(),
            ];
            table.push(cells);
        }
        table.to_text() + "\n"
    }

    /// The pictures as the model sees them, each with the class it names and how sure it is.
    pub(crate) fn plot(&self, pictures: &Pictures) -> Result<Figure> {
        let columns = self.rows.len().clamp(1, 8);
        let mut grid = ImageGrid::new("What the model sees", columns);
        for (row, (_, images, index)) in self.rows.iter().zip(pictures.each()).take(DRAWN) {
            let all = images.subset(vec![index])?;
            grid.image(&all, 0)?.line(row.predictions[0].to_text(), style::INK);
        }
        grid.plot()
    }
}

impl Prediction {
    fn to_text(&self) -> String {
        format!("{} {:.1}%", self.label, 100.0 * self.probability)
    }
}
