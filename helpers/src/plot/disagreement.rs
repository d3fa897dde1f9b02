//! Several models on the same images: the mistakes of each, and the images that only one of them gets right.

use ndarray::Array2;
use plotters::style::text_anchor::{HPos, VPos};

use super::figure::Figure;
use super::heat_map::{MapCell, Side, draw_matrix, percent, whole_percent};
use super::image_grid::{check_indices, list, nothing};
use super::page::{Rect, Text, draw};
use super::style::{INK, RIGHT, TICK_SIZE, TITLE_SIZE, WRONG};
use super::tiles::{Tile, centred, draw_tiles, grid, tile};
use crate::artifacts::{Predictions, display_name};
use crate::data::Subset;
use crate::error::{Error, Result};
use crate::evaluation::metrics::check_lengths;
use crate::evaluation::{LabelIssue, confusion_matrix};
use crate::text::clean_text;

/// The confusion matrices of several models side by side, on one scale: of each true class (rows) the percent of its
/// images that were given each class (columns).
///
/// Cells are shaded by the square root of the share, so that rare confusions are visible, too; shares below half a
/// percent have no number.
///
/// # Errors
/// If there is no model, or a class id has no name.
pub fn plot_confusions(models: &[Predictions], class_names: &[String]) -> Result<Figure> {
    if models.is_empty() {
        return Err(Error::NothingToScore);
    }
    let shares = models.iter().map(|model| {
        let matrix = confusion_matrix(&model.y_true, &model.y_pred, class_names.len())?;
        let share =
            |(row, column)| matrix[(row, column)] as f64 / matrix.row(row).sum().max(1) as f64;
        Ok((display_name(&model.name), Array2::from_shape_fn(matrix.dim(), share)))
    });
    let shares = shares.collect::<Result<Vec<(String, Array2<f64>)>>>()?;
    let described: Vec<String> =
        shares.iter().map(|(name, share)| found_by(name, share, class_names)).collect();
    let alt = format!("Confusion matrices side by side. {}.", described.join("; "));
    let (count, classes) = (models.len() as f64, class_names.len() as f64);
    let style = Text::new(TICK_SIZE);
    let widest = style.widest(class_names, 130.0);
    let gap = 16.0;
    let side = ((836.0 - widest - 44.0 - count * gap) / count / classes).clamp(2.0, 32.0);
    let (size, left, top) = (side * classes, widest + 40.0, 38.0);
    // A matrix of few classes is narrower than the name above it.
    let title = Text::new(TITLE_SIZE).bold().widest(shares.iter().map(|(name, _)| name), 300.0);
    let step = size.max(title) + gap;
    let right = left + count * step;
    let of_rows: Side = ("True class".to_owned(), class_names.to_vec());
    let unnamed: Side = (String::new(), vec![String::new(); class_names.len()]);
    let figure = draw((right, top + size + widest + 44.0), alt, |page| {
        for (index, (name, share)) in shares.iter().enumerate() {
            let area = Rect::new(left + step * index as f64, top, size, size);
            let sides = [if index == 0 { &of_rows } else { &unnamed }, &of_rows];
            draw_matrix(page, area, name, sides, (130.0, true), |at| {
                let shade = Some(share[at].sqrt());
                MapCell { lines: whole_percent(share[at]), shade, framed: false }
            })?;
        }
        let style = style.anchor(HPos::Center, VPos::Bottom);
        let middle = (left + right - gap) / 2.0;
        page.text("Predicted class", (middle, top + size + widest + 36.0), style)
    })?;
    // The names of the rows stand at the first matrix alone, so they are shown again beside each of the others.
    let height = top + size + widest + 16.0;
    let names = [0.0, 0.0, left - 1.0, height];
    let matrix =
        |index: usize| [left - 1.0 + step * index as f64, 0.0, step + 1.0 - gap / 2.0, height];
    let name = [(left + right - gap) / 2.0 - 60.0, height, 120.0, 28.0];
    let rows = (0..models.len()).map(|index| vec![names, matrix(index)]).chain([vec![name]]);
    Ok(figure.in_parts("", "+", &rows.collect::<Vec<_>>()))
}

/// The share of each class that a model finds, in words.
fn found_by(name: &str, share: &Array2<f64>, class_names: &[String]) -> String {
    // The row of a class without images is all zeros: it is not described.
    let shown =
        class_names.iter().zip(share.rows()).enumerate().filter(|(_, (_, row))| row.sum() > 0.0);
    let found: Vec<String> = shown
        .map(|(class, (name, row))| format!("{} {:.0}%", clean_text(name), 100.0 * row[class]))
        .collect();
    format!("{name} finds {}", found.join(", "))
}

/// The images with the most doubtful labels: the upper line has the label with its probability, the lower one the
/// prediction.
///
/// - `images`: those that [`find_label_issues`](crate::evaluation::find_label_issues) was called for
/// - `n`: maximum number of pictures; without doubtful labels the figure says so
///
/// # Errors
/// If `n` is 0, or an issue is about an image that is not among them.
pub fn plot_label_issues(images: &Subset, issues: &[LabelIssue], n: usize) -> Result<Figure> {
    if issues.is_empty() {
        return nothing("No label to show: none is doubtful.");
    }
    let shown = &issues[..n.min(issues.len())];
    let indices: Vec<usize> = shown.iter().map(|issue| issue.image).collect();
    check_indices(&indices, images.len())?;
    let (dataset, mut described) = (images.dataset(), Vec::new());
    let mut tiles = Vec::new();
    for issue in shown {
        let [label, suggested] =
            [issue.label, issue.suggested].map(|class| clean_text(&dataset.class_names()[class]));
        described.push(format!("{label}, seen as {suggested}"));
        let lines = [
            (
                centred(TICK_SIZE, INK).bold(),
                format!("label: {label} {}", percent(issue.self_confidence)),
            ),
            (centred(TICK_SIZE, INK), format!("seen: {suggested} {}", percent(issue.confidence))),
        ];
        tiles.push(tile(dataset, images.indices()[issue.image], lines.to_vec())?);
    }
    let title = "Doubtful labels: the label and what the model sees, with their probabilities";
    let alt = format!("{title}. {}.", list(described));
    // The number of columns that leaves the fewest empty cells in the last row, the smallest of equal ones.
    let columns = (4..=6).min_by_key(|columns| tiles.len().next_multiple_of(*columns)).unwrap_or(5);
    draw_tiles(dataset.image_shape(), title, &grid(&tiles, columns), 92.0, alt)
}

/// Images that only one of several models predicts correctly, one row per model: below each picture the true class and
/// the predictions of the others.
///
/// - `images`: the part that the predictions are of
/// - `examples`: maximum number of pictures in a row; the first ones in the order of the images
///
/// # Errors
/// If there are fewer than two models, the predictions of one are for other images, or `examples` is 0.
pub fn plot_only_one_right(
    images: &Subset,
    models: &[Predictions],
    examples: usize,
) -> Result<Figure> {
    if models.len() < 2 || examples == 0 {
        let found = format!("{} models, {examples} pictures", models.len());
        let (expected, advice) = ("at least two, and at least one picture", "8 fill a row");
        return Err(Error::parameter("models", expected, found, advice));
    }
    for model in models {
        check_lengths(images.len(), model.y_pred.len())?;
        let of_these = Predictions::new(&model.name, images, &model.y_pred, model.quick)?;
        if of_these.images_sha256 != model.images_sha256 {
            let (found, advice) = (clean_text(&model.name), "split the data as its notebook did");
            let expected = "predictions of the images that are shown";
            return Err(Error::parameter("models", expected, found, advice));
        }
    }
    let (dataset, y_true) = (images.dataset(), images.labels());
    let named = |class: i64| clean_text(&dataset.class_names()[class as usize]);
    let (mut rows, mut described) = (Vec::new(), Vec::new());
    for model in models {
        let others: Vec<&Predictions> =
            models.iter().filter(|other| other.name != model.name).collect();
        let alone: Vec<usize> = (0..images.len())
            .filter(|&image| model.y_pred[image] == y_true[image])
            .filter(|&image| others.iter().all(|other| other.y_pred[image] != y_true[image]))
            .collect();
        let name = display_name(&model.name);
        let mut tiles: Vec<Tile> = Vec::new();
        for &image in alone.iter().take(examples) {
            let mut wrong: Vec<String> =
                others.iter().map(|other| named(other.y_pred[image])).collect();
            wrong.dedup();
            let style = centred(TICK_SIZE, RIGHT);
            let mut lines = vec![(style.bold(), format!("✓ {}", named(y_true[image])))];
            lines.extend(
                wrong.into_iter().map(|wrong| (centred(TICK_SIZE, WRONG), format!("✗ {wrong}"))),
            );
            tiles.push(tile(dataset, images.indices()[image], lines)?);
        }
        described.push(format!("{name} alone on {}", alone.len()));
        // Names of several words stand in two lines, which leaves room for the pictures.
        let label = name.rsplit_once(' ').map(|(first, last)| format!("{first}\n{last}"));
        rows.push((format!("{}: {}", label.unwrap_or(name), alone.len()), tiles));
    }
    let title = "Images that one model alone predicts correctly, and how many there are";
    let alt = format!("{title}: {} of {} images.", list(described), images.len());
    draw_tiles(dataset.image_shape(), title, &rows, 78.0, alt)
}
