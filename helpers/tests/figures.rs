//! Every kind of picture, drawn once. `FIGURES=some/folder cargo test -p helpers --test all figures` keeps them to look
//! at, and what a phone shows of them.

use std::path::Path;

use base64::Engine;
use helpers::data::{Dataset, GaussianNoise, Subset};
use helpers::evaluation::{LinearDenoiser, most_confident_mistakes};
use helpers::plot::{
    BarChart, CostPoint, Figure, HeatMap, LineChart, plot_accuracy_cost, plot_confusion,
    plot_denoised, plot_predictions, plot_scatter, random_indices, show_classes, show_images,
    style,
};
use helpers::training::{EpochRecord, History};
use ndarray::Array2;

fn sample() -> Dataset {
    Dataset::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample")).unwrap()
}

struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    fn pixel(&self, row: usize, column: usize) -> [u8; 3] {
        let at = 3 * (row * self.width + column);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// How many pixels of the columns `from..to` pass the test.
    fn count(&self, from: usize, to: usize, test: impl Fn([u8; 3]) -> bool) -> usize {
        let columns = |row| (from..to).map(move |column| (row, column));
        (0..self.height)
            .flat_map(columns)
            .filter(|&(row, column)| test(self.pixel(row, column)))
            .count()
    }
}

fn decode(figure: &Figure) -> Picture {
    decode_png(figure.png())
}

/// What a page shows on a phone in place of the figure, if that is a drawing of its own.
fn drawing_for_a_phone(figure: &Figure) -> Option<Vec<u8>> {
    let html = figure.to_html();
    let (_, rest) = html.split_once("data-narrow=\"data:image/png;base64,")?;
    let (text, _) = rest.split_once('"')?;
    Some(base64::engine::general_purpose::STANDARD.decode(text).unwrap())
}

fn decode_png(png: &[u8]) -> Picture {
    let mut decoder = png::Decoder::new(png);
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut rgb).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    Picture { width: info.width as usize, height: info.height as usize, rgb }
}

/// Checks what holds for every figure, and keeps it when asked to.
fn keep(figure: &Figure, name: &str) -> Picture {
    let picture = decode(figure);
    let (width, height) = figure.size();
    assert_eq!(
        (picture.width, picture.height),
        (2 * width, 2 * height),
        "{name}: two pixels a unit"
    );
    assert!(!figure.alt_text().is_empty(), "{name}: alternative text");
    assert!(figure.png().len() < 110_000, "{name}: {} bytes", figure.png().len());
    let folder = std::env::var_os("FIGURES");
    if let Some(folder) = &folder {
        figure.save(Path::new(folder).join(format!("{name}.png"))).unwrap();
    }
    if let Some(png) = drawing_for_a_phone(figure) {
        let narrow = decode_png(&png);
        assert!(
            narrow.width <= 2 * 340 && narrow.width < picture.width,
            "{name}: {}",
            narrow.width
        );
        assert!(narrow.count(0, narrow.width, |pixel| pixel != [255; 3]) > 1000, "{name}: empty");
        for column in [0, narrow.width - 1] {
            let inked = narrow.count(column, column + 1, |pixel| pixel != [255; 3]);
            assert_eq!(inked, 0, "{name}: the drawing for a phone is cut at column {column}");
        }
        if let Some(folder) = &folder {
            std::fs::write(Path::new(folder).join(format!("{name}_phone.png")), &png).unwrap();
        }
    }
    picture
}

fn history(epochs: usize) -> History {
    let record = |epoch: usize| {
        let t = epoch as f64;
        let wave = (1.7 * t).sin() * 0.012;
        EpochRecord {
            epoch,
            loss: 0.12 + 0.75 * (-t / 4.0).exp(),
            accuracy: 0.955 - 0.3 * (-t / 4.0).exp(),
            val_loss: 0.27 + 0.5 * (-t / 3.0).exp() + 0.004 * (t - 8.0).max(0.0) + wave,
            val_accuracy: 0.905 - 0.2 * (-t / 3.0).exp() - 0.3 * wave,
            learning_rate: 1e-3 * (1.0 - t / 60.0),
            seconds: 8.0,
        }
    };
    let epochs: Vec<EpochRecord> = (1..=epochs).map(record).collect();
    let best = epochs.iter().min_by(|a, b| a.val_loss.total_cmp(&b.val_loss)).unwrap().epoch;
    History {
        epochs,
        best_epoch: best,
        stopped_early: true,
        fit_seconds: 100.0,
        train_images_per_second: 5000.0,
        phases: Vec::new(),
    }
}

#[test]
fn history_has_a_train_and_a_validation_curve() {
    // The only epoch of a history is the best one: its star covers the mark of the validation part.
    let picture = keep(&history(1).plot().unwrap(), "history_1");
    let half = picture.width / 2;
    for (from, to) in [(0, half), (half, picture.width)] {
        assert!(picture.count(from, to, |pixel| pixel == style::TRAIN) > 30);
        assert!(picture.count(from, to, |[red, ..]| red < 40) > 100);
    }
    for epochs in [3, 18, 50] {
        let picture = keep(&history(epochs).plot().unwrap(), &format!("history_{epochs}"));
        for color in [style::TRAIN, style::VALIDATION] {
            let half = picture.width / 2;
            for (from, to) in [(0, half), (half, picture.width)] {
                assert!(
                    picture.count(from, to, |pixel| pixel == color) > 30,
                    "{epochs}: {color:?}"
                );
            }
        }
    }
}

#[test]
fn a_later_phase_begins_at_a_labelled_line() {
    let figure = history(10).followed_by(&history(8), "fine-tuning").plot().unwrap();
    keep(&figure, "history_phases");
    let text = figure.alt_text();
    assert!(text.contains("over 18 epochs; fine-tuning from epoch 11 on."), "{text}");
    // A phase of many epochs after one of few, and the other way round: the label keeps inside.
    keep(
        &history(1).followed_by(&history(18), "fine-tuning").plot().unwrap(),
        "history_phase_early",
    );
    keep(
        &history(18).followed_by(&history(1), "fine-tuning").plot().unwrap(),
        "history_phase_late",
    );
    let plain = history(18).plot().unwrap();
    assert!(plain.alt_text().contains("over 18 epochs. Best"), "{}", plain.alt_text());
}

#[test]
fn images_are_shown_with_their_classes() {
    let dataset = sample();
    let picked = random_indices(dataset.len(), 8, 42).unwrap();
    let figure = show_images(&dataset, &picked, 4).unwrap();
    for &image in &picked {
        let name = &dataset.class_names()[dataset.labels()[image] as usize];
        assert!(figure.alt_text().contains(name.as_str()), "{name} in {}", figure.alt_text());
    }
    keep(&figure, "images");
    keep(&show_images(&dataset, &[0], 4).unwrap(), "images_one");
    keep(&show_classes(&dataset, 9, 42).unwrap(), "classes");
}

#[test]
fn enlarged_images_keep_their_pixels() {
    let dataset = sample();
    let picture = decode(&show_images(&dataset, &[3], 1).unwrap());
    let (shape, image) = (dataset.image_shape(), dataset.image(3).unwrap());
    // Each of the 28 x 28 values fills a block of 7 x 7, wherever the image was put.
    let side = 7 * shape.width;
    let fits = |top: usize, left: usize| {
        (0..side).all(|row| {
            (0..side).all(|column| {
                // The outermost pixels may hold the frame.
                let edge = [0, side - 1];
                edge.contains(&row)
                    || edge.contains(&column)
                    || picture.pixel(top + row, left + column)
                        == [image[row / 7 * shape.width + column / 7]; 3]
            })
        })
    };
    let corners = (0..picture.height - side)
        .flat_map(|top| (0..picture.width - side).map(move |left| (top, left)));
    assert_eq!(corners.filter(|&(top, left)| fits(top, left)).count(), 1);
}

/// The first `n` images, and probabilities that name another class than the true one for the `wrong` ones.
fn predicted(dataset: &Dataset, n: usize, wrong: impl Fn(usize) -> bool) -> (Subset, Array2<f32>) {
    let part = dataset.subset((0..n).collect()).unwrap();
    let classes = dataset.classes();
    let mut probabilities = Array2::zeros((n, classes));
    for (image, &class) in part.labels().iter().enumerate() {
        let sure = 0.55 + 0.44 * (image % 7) as f32 / 6.0;
        let said = (class as usize + usize::from(wrong(image))) % classes;
        probabilities.row_mut(image).fill((1.0 - sure) / (classes - 1) as f32);
        probabilities[(image, said)] = sure;
    }
    (part, probabilities)
}

#[test]
fn a_right_label_is_blue_and_a_wrong_one_red() {
    let (part, probabilities) = predicted(&sample(), 2, |image| image == 1);
    let blue = |[red, _, blue]: [u8; 3]| blue > red.saturating_add(90);
    let red = |[red, _, blue]: [u8; 3]| red > blue.saturating_add(90);
    let colors = |indices: &[usize]| {
        let picture = decode(&plot_predictions(&part, &probabilities, indices).unwrap());
        (picture.count(0, picture.width, blue), picture.count(0, picture.width, red))
    };
    let (blues, reds) = colors(&[0]);
    assert!(blues > 100 && reds == 0, "right: {blues} blue and {reds} red pixels");
    let (blues, reds) = colors(&[1]);
    assert!(blues == 0 && reds > 100, "wrong: {blues} blue and {reds} red pixels");
    // Side by side, each keeps its own.
    let both = decode(&plot_predictions(&part, &probabilities, &[0, 1]).unwrap());
    let half = both.width / 2;
    assert_eq!((both.count(0, half, red), both.count(half, both.width, blue)), (0, 0));
    assert!(both.count(0, half, blue) > 100 && both.count(half, both.width, red) > 100);
}

#[test]
fn predictions_say_right_and_wrong_in_words_too() {
    let (part, probabilities) = predicted(&sample(), 12, |image| image % 3 == 1);
    let all: Vec<usize> = (0..12).collect();
    let figure = plot_predictions(&part, &probabilities, &all).unwrap();
    assert!(figure.alt_text().starts_with("8 of 12 predictions right"), "{}", figure.alt_text());
    keep(&figure, "predictions");
    // 4 was said with 0.843, 10 and 1 with less.
    let mistakes = most_confident_mistakes(&probabilities, &part.labels(), 3).unwrap();
    assert_eq!(mistakes, [4, 10, 1]);
    keep(&plot_predictions(&part, &probabilities, &mistakes).unwrap(), "mistakes");
}

#[test]
fn a_model_without_mistakes_has_a_figure_too() {
    let (part, probabilities) = predicted(&sample(), 5, |_| false);
    let mistakes = most_confident_mistakes(&probabilities, &part.labels(), 8).unwrap();
    let figure = plot_predictions(&part, &probabilities, &mistakes).unwrap();
    assert_eq!(figure.alt_text(), "No prediction to show: there is none of this kind.");
    keep(&figure, "no_mistakes");
}

#[test]
fn lines_over_linear_and_logarithmic_axes() {
    let values = [10.0, 20.0, 39.0, 78.0, 156.0];
    let chart =
        LineChart::new("Quality against rate", "Bottleneck (values per image)", "PSNR (dB)")
            .log_x()
            .line("network", &values, &[15.9, 17.0, 18.1, 19.1, 19.6])
            .line("linear denoiser", &values, &[13.9, 15.0, 16.1, 16.9, 17.1]);
    keep(&chart.plot().unwrap(), "rate");
    let steps: Vec<f64> = (0..400).map(f64::from).collect();
    let rate = |step: &f64| 1e-3 * (step / 60.0).min(1.0) * (1.0 - step / 420.0);
    let rates: Vec<f64> = steps.iter().map(rate).collect();
    let chart =
        LineChart::new("Learning rate", "Step", "Learning rate").line("rate", &steps, &rates);
    keep(&chart.plot().unwrap(), "learning_rate");
}

#[test]
fn points_are_scattered_by_class() {
    let (points, dataset) = (1200, sample());
    let labels: Vec<i64> = (0..points as i64).map(|point| point % 10).collect();
    let codes = Array2::from_shape_fn((points, 2), |(point, axis)| {
        let angle = (point % 10) as f32 * 0.628 + axis as f32 * 1.57;
        3.0 * angle.cos() + ((point * 7919 + axis * 104_729) % 1000) as f32 / 500.0 - 1.0
    });
    let names = dataset.class_names();
    let figure = plot_scatter(
        "Codes by class",
        "First component",
        "Second component",
        &codes,
        &labels,
        names,
    );
    keep(&figure.unwrap(), "scatter");
}

#[test]
fn versions_of_images_are_compared() {
    let dataset = sample();
    let noise = GaussianNoise { mean: 0.0, variance: 0.1, clip: false };
    let noisy = noise.on(&dataset.subset((5..105).collect()).unwrap(), 1);
    let linear = LinearDenoiser::fit(noisy.clean(), noise, 1).unwrap();
    let denoised = linear.denoise(&noisy, 16).unwrap();
    let figure = plot_denoised(&noisy, &[("linear", &denoised)], &[3, 0, 50, 99]).unwrap();
    let text = figure.alt_text();
    assert!(text.contains("4 images, in rows before, noisy ("), "{text}");
    assert_eq!(text.matches(" dB").count(), 8, "{text}");
    keep(&figure, "denoised");
    let other = noise.on(&dataset.subset(vec![1, 2]).unwrap(), 1);
    let errors = [
        (
            plot_denoised(&noisy, &[], &[100]),
            "`indices` must be indices below 100, the number of images, got 100; ",
        ),
        (plot_denoised(&noisy, &[], &[]), "cannot draw: there is no image to show"),
        (
            plot_denoised(&other, &[("linear", &denoised)], &[0]),
            "`restored` must be of shape (2, 784), a row for each clean image, got (100, 784); ",
        ),
    ];
    for (result, expected) in errors {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}\nexpected: {expected}");
    }
}

/// About 850 of 1000 right in each class, the rest spread unevenly.
fn confusions(classes: usize) -> Array2<u64> {
    Array2::from_shape_fn((classes, classes), |(truth, predicted)| {
        if truth == predicted {
            850
        } else {
            [0, 3, 47, 12, 0, 130][(3 * truth + 5 * predicted) % 6]
        }
    })
}

#[test]
fn confusion_matrices_of_few_and_many_classes() {
    let dataset = sample();
    let figure = plot_confusion(&confusions(10), dataset.class_names()).unwrap();
    assert!(figure.alt_text().starts_with("Confusion matrix of 10 classes: 8,500 of"));
    keep(&figure, "confusion");
    for classes in [2, 20, 60] {
        let names: Vec<String> =
            (0..classes).map(|class| format!("a longer class {class}")).collect();
        let figure = plot_confusion(&confusions(classes), &names).unwrap();
        keep(&figure, &format!("confusion_{classes}"));
    }
}

/// A map of these values, their indices for names.
fn heat_map(values: Array2<f64>) -> HeatMap {
    let names = |count: usize| (String::new(), (0..count).map(|name| name.to_string()).collect());
    let (rows, columns) = values.dim();
    HeatMap {
        title: String::new(),
        rows: names(rows),
        columns: names(columns),
        spread: values.clone(),
        values,
        percent: false,
        digits: 3,
    }
}

#[test]
fn heat_map_of_a_grid_search() {
    let names = ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"];
    let values = Array2::from_shape_fn((4, 5), |(row, column)| {
        0.868 + 0.003 * ((row * 5 + column * 7) % 6) as f64 - 0.002 * row as f64
    });
    let spread = values.mapv(|value| 0.001 + 0.1 * (value - 0.86));
    let map = HeatMap {
        title: "Mean validation accuracy (%) over 3 folds".to_owned(),
        rows: ("Dropout".to_owned(), ["0.0", "0.1", "0.3", "0.5"].map(str::to_owned).to_vec()),
        columns: ("Kernel initializer".to_owned(), names.map(str::to_owned).to_vec()),
        values,
        spread,
        percent: true,
        digits: 2,
    };
    keep(&map.plot().unwrap(), "heat_map");
}

#[test]
fn bars_with_one_series_and_with_three() {
    let dataset = sample();
    let names = dataset.class_names();
    let counts = dataset.class_counts();
    let chart = BarChart::new("Images of each class", "Images", names).counts("images", &counts);
    keep(&chart.plot().unwrap(), "class_counts");
    let share = |n: usize| -> Vec<usize> { (0..10).map(|class| n + class % 3).collect() };
    let chart = BarChart::new("Images of each class in each part", "Images", names)
        .counts("train", &share(310))
        .counts("validation", &share(42))
        .counts("test", &share(48));
    keep(&chart.plot().unwrap(), "split_counts");
    let f1: Vec<f64> = (0..10).map(|class| 0.8 + 0.019 * f64::from(class)).collect();
    let chart = BarChart::new("F1 of each class", "F1 (%)", names).bars("F1", &f1).percent(1);
    keep(&chart.plot().unwrap(), "f1");
}

#[test]
fn accuracy_against_cost() {
    let point = |name: &str, cost: f64, accuracy: f64| CostPoint {
        name: name.to_owned(),
        cost,
        accuracy,
        interval: [accuracy - 0.0055, accuracy + 0.0052],
    };
    let points = [
        point("baseline", 95.0, 0.9112),
        point("cnn", 1050.0, 0.9421),
        point("transfer", 1490.0, 0.9498),
    ];
    let figure =
        plot_accuracy_cost("Accuracy against training time", "Training (s)", &points).unwrap();
    keep(&figure, "cost");
}

/// A data set of RGB images in a folder: a red square, then a green one, then a blue one, and again.
fn colored(side: usize) -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let images = 6;
    let npy = |shape: &str, bytes: &[u8]| {
        let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        file
    };
    let pixels: Vec<u8> = (0..images)
        .flat_map(|image| {
            let mut color = [20, 20, 20];
            color[image % 3] = 230;
            color.repeat(side * side)
        })
        .collect();
    let labels: Vec<u8> = (0..images).map(|image| (image % 3) as u8).collect();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("X.npy", &npy(&format!("({images}, {side}, {side}, 3)"), &pixels));
    write("y.npy", &npy(&format!("({images},)"), &labels));
    write("classes.txt", b"red\n<b>green</b>\nblue\n");
    let dataset = Dataset::load(folder.path()).unwrap();
    (folder, dataset)
}

#[test]
fn images_in_colour_keep_their_colours_at_any_size() {
    for side in [8, 32, 64, 300] {
        let (_folder, dataset) = colored(side);
        let figure = show_images(&dataset, &[0, 1, 2], 3).unwrap();
        let picture = keep(&figure, &format!("rgb_{side}"));
        let mut end = 0;
        for color in [[230, 20, 20], [20, 230, 20], [20, 20, 230]] {
            let count = |from, to| picture.count(from, to, |pixel| pixel == color);
            let all = count(0, picture.width);
            assert!(all > 30_000, "{side}: {all} pixels of {color:?}");
            let columns = || (0..picture.width).filter(|&column| count(column, column + 1) > 0);
            let (first, last) = (columns().next().unwrap(), columns().next_back().unwrap());
            // A square of this colour alone, right of the one before.
            assert!(first >= end && all == (last + 1 - first).pow(2), "{side}: {first} to {last}");
            end = last + 1;
        }
        // Names come from data: they are escaped, in the picture's words too.
        let html = figure.to_html();
        assert!(html.contains("&lt;b&gt;green&lt;/b&gt;") && !html.contains("<b>"), "{side}");
    }
}

#[test]
fn long_labels_are_not_cut() {
    // Two labels that differ in their last letter alone make two pictures.
    let names =
        |last: &str| vec![format!("PyTorch, compiled, channels last, bf1{last}"), "b".to_owned()];
    let numbers = [1.0, 2.0];
    type Chart = fn(&[String], &[f64]) -> Figure;
    let charts: [Chart; 5] = [
        |names, values| {
            BarChart::new("Training", "Images/s", names).bars("x", values).plot().unwrap()
        },
        |names, values| {
            let chart = BarChart::new("Training", "Images/s", &["a".into(), "b".into()]);
            chart.bars(&names[0], values).bars("y", values).plot().unwrap()
        },
        |names, values| {
            let chart = LineChart::new("Training", "Threads", "Images/s");
            chart.line(&names[0], values, values).line("y", values, &[2.0, 1.0]).plot().unwrap()
        },
        |names, _| plot_confusion(&Array2::from_elem((2, 2), 7), names).unwrap(),
        |names, _| {
            let points =
                Array2::from_shape_fn((4, 2), |(point, axis)| (point * point + axis) as f32);
            plot_scatter("", "x", "y", &points, &[1, 1, 1, 1], names).unwrap()
        },
    ];
    for (index, chart) in charts.iter().enumerate() {
        let (six, nine) = (chart(&names("6"), &numbers), chart(&names("9"), &numbers));
        assert!(six.png() != nine.png(), "{index}");
        assert!(six.png() == chart(&names("6"), &numbers).png(), "{index}: the same each time");
    }
    keep(&charts[0](&names("6"), &numbers), "long_names");
}

#[test]
fn charts_have_a_drawing_for_a_phone() {
    let names: Vec<String> = ["Ankle boot", "Bag", "T-shirt/top"].map(str::to_owned).to_vec();
    let numbers = [1.0, 2.0, 3.0];
    let point = CostPoint { name: "cnn".into(), cost: 9.0, accuracy: 0.9, interval: [0.8, 0.95] };
    let line = LineChart::new("A title", "Epoch", "Loss").line("train", &numbers, &numbers);
    let figures = [
        ("line", line.clone().plot()),
        ("lines", line.line("validation", &numbers, &[3.0, 2.0, 1.0]).plot()),
        ("bars", BarChart::new("A title", "Images", &names).bars("images", &numbers).plot()),
        ("cost", plot_accuracy_cost("A title", "Training (s)", &[point])),
        ("confusion", plot_confusion(&confusions(10), sample().class_names())),
        ("heat map", heat_map(Array2::from_elem((4, 12), 0.5)).plot()),
        ("points", {
            let points = Array2::from_shape_fn((3, 2), |(row, column)| (row * column) as f32);
            plot_scatter("A title", "x", "y", &points, &[0, 1, 2], &names)
        }),
        ("rows of images", show_classes(&sample(), 8, 1)),
    ];
    for (name, figure) in figures {
        let figure = figure.unwrap();
        let drawing = drawing_for_a_phone(&figure);
        assert!(drawing.is_some(), "{name}");
        keep(&figure, name);
        let titled = figure.to_html().contains("data-title=\"A title\"");
        assert!(titled || matches!(name, "confusion" | "heat map" | "rows of images"), "{name}");
    }
    // Sixty columns have no room there; the page shows the figure as it is.
    let names: Vec<String> = (0..60).map(|class| class.to_string()).collect();
    assert!(drawing_for_a_phone(&plot_confusion(&confusions(60), &names).unwrap()).is_none());
}

/// The names of both axes are longer than the few rows are high and the few columns are wide.
#[test]
fn long_names_of_axes_stay_on_the_page_of_a_phone() {
    let values = |count: usize| (0..count).map(|value| format!("value {value}")).collect();
    let map = HeatMap {
        rows: ("Initializer of all kernels".to_owned(), values(2)),
        columns: (
            "The share of the values that dropout leaves out, by layer".to_owned(),
            values(6),
        ),
        ..heat_map(Array2::from_elem((2, 6), 0.5))
    };
    let narrow = decode_png(&drawing_for_a_phone(&map.plot().unwrap()).unwrap());
    let (bottom, right) = (narrow.height - 1, narrow.width - 1);
    let edges = (0..narrow.width).flat_map(|column| [(0, column), (bottom, column)]);
    let sides = (0..narrow.height).flat_map(|row| [(row, 0), (row, right)]);
    for (row, column) in edges.chain(sides) {
        assert_eq!(narrow.pixel(row, column), [255; 3], "cut at row {row}, column {column}");
    }
}

#[test]
fn a_legend_stands_beside_the_data() {
    // Points in every corner and all over the middle: the chart's area is that of one without a legend.
    let values: Vec<f64> = (0..100).map(|step| f64::from(step % 10)).collect();
    let others: Vec<f64> = (0..100).map(|step| f64::from(step / 10)).collect();
    let chart = LineChart::new("", "x", "y").line("train", &values, &others);
    let (one, two) =
        (chart.plot().unwrap(), chart.line("validation", &[3.0], &[3.0]).plot().unwrap());
    assert!(two.size().0 > one.size().0 && two.size().1 == one.size().1);
    let train = |figure: &Figure| {
        let picture = decode(figure);
        picture.count(0, 2 * one.size().0, |pixel| pixel == style::TRAIN)
    };
    // A mark of the other series, with its rim, covers a little.
    assert!(train(&one) - train(&two) < 700, "{} and {}", train(&one), train(&two));
}

/// Whatever numbers and names come, there is a picture or an error, and no panic.
#[test]
fn no_value_makes_a_drawing_panic() {
    let odd = [0.0, -0.0, 1.0, 1e-320, 1e300, f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, -3.5e-7];
    let texts = ["", "a", "EVCXR_END_CONTENT\n", "\u{202e}", "🦀 ⛵", &"long ".repeat(300)]
        .map(str::to_owned);
    let mut drawn = 0;
    for (index, &a) in odd.iter().enumerate() {
        let (b, text) = (odd[(3 * index + 1) % odd.len()], &texts[index % texts.len()]);
        for chart in
            [LineChart::new(text, text, text), LineChart::new(text, text, text).log_x().log_y()]
        {
            let chart = chart.line(text, &[a, b, a], &[b, a, b]);
            drawn += usize::from(chart.plot().is_ok());
            drawn += usize::from(chart.line("empty", &[], &[]).plot().is_ok());
        }
        let names = [text.clone(), String::new()];
        for chart in
            [BarChart::new(text, text, &names), BarChart::new(text, text, &names).percent(1)]
        {
            drawn += usize::from(chart.bars(text, &[a, b]).bars("", &[b, a]).plot().is_ok());
        }
        let map = HeatMap {
            columns: (text.clone(), names.to_vec()),
            spread: ndarray::array![[b, a]],
            ..heat_map(ndarray::array![[a, b]])
        };
        drawn += usize::from(map.plot().is_ok());
        let point = CostPoint { name: text.clone(), cost: a, accuracy: b, interval: [b, a] };
        drawn += usize::from(plot_accuracy_cost(text, text, &[point.clone(), point]).is_ok());
        let points = ndarray::array![[a as f32, b as f32], [b as f32, a as f32]];
        drawn += usize::from(plot_scatter(text, text, text, &points, &[0, 1], &names).is_ok());
        let mut history = history(2);
        (history.epochs[0].val_loss, history.epochs[1].loss) = (a, b);
        (history.epochs[0].accuracy, history.epochs[1].val_accuracy) = (b, a);
        drawn += usize::from(history.followed_by(&history, text).plot().is_ok());
    }
    assert!(drawn > 40, "{drawn}");
    assert!(plot_accuracy_cost("", "", &[]).is_err());
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let dataset = sample();
    let part = dataset.subset(vec![0, 1]).unwrap();
    let names: Vec<String> = ["a".to_owned(), "b".to_owned()].to_vec();
    let (_, right) = predicted(&dataset, 2, |_| false);
    let broken =
        CostPoint { name: "cnn".into(), cost: f64::NAN, accuracy: 0.9, interval: [0.8, 0.95] };
    let line = LineChart::new("", "", "");
    let mut empty = history(1);
    empty.epochs.clear();
    let errors = [
        (
            show_images(&part, &[2], 4),
            "`indices` must be indices below 2, the number of images, got 2; ",
        ),
        (
            show_images(&part, &[], 4),
            "cannot draw: there is no image to show; pass at least one index",
        ),
        (show_images(&part, &[0], 0), "`columns` must be at least 1, got 0; "),
        (show_classes(&part, 0, 1), "`examples` must be at least 1, got 0; "),
        (
            plot_predictions(&dataset, &right, &[0]),
            "4000 labels, 2 predictions; predict and score the same",
        ),
        (
            plot_predictions(&part, &Array2::from_elem((2, 3), 1.0 / 3.0), &[0]),
            "cannot draw: the probabilities are of 3 classes, the images of 10",
        ),
        (
            plot_predictions(&part, &Array2::zeros((2, 10)), &[0]),
            "image 0 has the sum 0, expected probabilities",
        ),
        (
            plot_confusion(&Array2::zeros((2, 3)), &names),
            "cannot draw: the matrix has shape (2, 3) and there are 2 class names",
        ),
        (
            HeatMap { rows: ("".into(), vec!["a".into()]), ..heat_map(Array2::zeros((2, 2))) }
                .plot(),
            "cannot draw: the values have shape (2, 2), with 1 row names",
        ),
        (
            heat_map(Array2::from_elem((1, 1), f64::NAN)).plot(),
            "cannot draw: the heat map holds no finite number",
        ),
        (
            BarChart::new("", "", &names).bars("x", &[1.0]).plot(),
            "cannot draw: series `x` has 1 values for 2 names",
        ),
        (
            BarChart::new("", "", &names).bars("x", &[1.0, -1.0]).plot(),
            "cannot draw: series `x` holds a value below 0",
        ),
        (BarChart::new("", "", &names).plot(), "cannot draw: the bar chart is empty"),
        (
            plot_accuracy_cost("", "", &[broken]),
            "cannot draw: model `cnn` has a cost or an accuracy",
        ),
        (line.clone().line("x", &[1.0], &[]).plot(), "cannot draw: line `x` has 1 x and 0 y"),
        (line.plot(), "cannot draw: nothing to draw along"),
        (empty.plot(), "cannot draw: the history has no epoch"),
        (
            plot_scatter("", "", "", &Array2::zeros((2, 3)), &[0, 1], &names),
            "cannot draw: the points have shape (2, 3)",
        ),
        (
            plot_scatter("", "", "", &Array2::zeros((1, 2)), &[2], &names),
            "image 0 has class 2, expected 0 to 1",
        ),
    ];
    for (result, expected) in errors {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}\nexpected: {expected}");
    }
}
