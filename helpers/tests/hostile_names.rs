//! Class names, model names, file names and errors that try to become markup: what a notebook shows of them.
//!
//! A process of its own shows everything as a cell does, through evcxr's protocol, and the test reads its stdout as the
//! kernel would. What it read is kept in `tools/template/tests/hostile_outputs.json`, from which the tests of the pages
//! make a notebook and open it in a browser. After a change here: `WRITE_HOSTILE_OUTPUTS=1 cargo test -p helpers --test all
//! hostile_names`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use helpers::architectures::AutoencoderConfig;
use helpers::artifacts::{Artifacts, Metrics, Predictions};
use helpers::data::Split;
use helpers::display::{Column, Table};
use helpers::evaluation::{Comparisons, LabelIssue};
use helpers::evaluation::{Evaluation, Quality};
use helpers::models::Model;
use helpers::plot::{BarChart, LineChart, plot_scatter};
use helpers::plot::{CostPoint, HeatMap, plot_accuracy_cost, plot_reliability};
use helpers::prelude::*;
use helpers::report::comparative_table;
use helpers::training::Callbacks;
use helpers::training::{EpochRecord, History};
use helpers::tuning::{Score, TrialResult, TrialRunner, TrialSpec};
use ndarray::Array2;
use serde_json::json;

const FOLDER: &str = "HOSTILE_TEST_FOLDER";

/// One class each; a script that runs sets `window.hostile`.
const NAMES: [&str; 8] = [
    "<script>window.hostile = 'script'</script>",
    "\"><img src=x onerror=\"window.hostile = 'onerror'\">",
    "'><svg onload=\"window.hostile = 'onload'\">",
    "</style></title></table></article><script>window.hostile = 'closed'</script>",
    "[x](javascript:window.hostile='link') ![y](https://example.org/y.png)",
    "{{ 7 * 7 }}{% raw %}{# #}$\\href{javascript:window.hostile=1}{x}$",
    "EVCXR_END_CONTENT",
    "\u{202e}gpj.exe &lt;b&gt; &#60;script&#62;",
];

/// A data set of these classes, three images of each, in `folder`.
fn dataset(folder: &Path) -> Dataset {
    let array = |descr: &str, shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    };
    let count = 3 * NAMES.len();
    let labels: Vec<u8> = (0..count).map(|image| (image % NAMES.len()) as u8).collect();
    let pixels: Vec<u8> = (0..count * 16).map(|pixel| (7 * pixel % 251) as u8).collect();
    fs::write(folder.join("X.npy"), array("|u1", &format!("({count}, 4, 4)"), &pixels)).unwrap();
    fs::write(folder.join("y.npy"), array("|u1", &format!("({count},)"), &labels)).unwrap();
    fs::write(folder.join("classes.txt"), NAMES.join("\n")).unwrap();
    Dataset::load(folder).unwrap()
}

/// Names of classes and models where predictions, models and denoisers are shown.
fn show_predictions_and_comparisons(dataset: &Dataset, split: &Split) {
    let (names, truth) = (dataset.class_names(), dataset.labels());
    // As sure of the next class as of the right one, or more.
    let probability = |(image, class): (usize, usize)| match (class + 8 - truth[image] as usize) % 8
    {
        0 => 0.375,
        1 => 0.625,
        _ => 0.0,
    };
    let probabilities = Array2::from_shape_fn((dataset.len(), names.len()), probability);
    plot_predictions(dataset, &probabilities, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap().evcxr_display();
    let points =
        Array2::from_shape_fn((dataset.len(), 2), |(image, axis)| (image * (axis + 1)) as f32);
    plot_scatter(NAMES[0], NAMES[1], NAMES[2], &points, truth, names).unwrap().evcxr_display();
    let scored = |name: &str, accuracy: f64| {
        let accuracy_ci95 = [accuracy - 0.125, accuracy + 0.125];
        let scores = Evaluation { images: 24, loss: 0.5, accuracy, accuracy_ci95 };
        Metrics::new(name, split, 42, true).unwrap().parameters(7).scores(scores, scores)
    };
    let models: Vec<Metrics> = NAMES.iter().map(|name| scored(name, 0.5)).collect();
    comparative_table(&models).unwrap().evcxr_display();
    let wrong: Vec<i64> = truth.iter().map(|class| (class + 1) % 8).collect();
    Comparisons::new(&[(NAMES[0], truth), (NAMES[1], &wrong[..])], truth).unwrap().evcxr_display();
    let cost = |name: &&str| CostPoint {
        name: (*name).to_owned(),
        cost: name.len() as f64,
        accuracy: 0.5,
        interval: [0.25, 0.75],
    };
    let costs: Vec<CostPoint> = NAMES.iter().map(cost).collect();
    plot_accuracy_cost(NAMES[3], NAMES[4], &costs).unwrap().evcxr_display();
    let noise = GaussianNoise { mean: 0.0, variance: 0.01, clip: false };
    let noisy = noise.on(&dataset.subset((0..dataset.len()).collect()).unwrap(), 1);
    let denoised =
        LinearDenoiser::fit(noisy.clean(), noise, 1).unwrap().denoise(&noisy, 16).unwrap();
    let denoisers = NAMES.map(|name| (name, &denoised));
    plot_denoised(&noisy, &denoisers, &[0, 1]).unwrap().evcxr_display();
    let quality =
        Quality { images: 24, mse: 0.5, psnr_db: 3.0, mean_image_psnr_db: 3.0, ssim: 0.5 };
    helpers::report::compare_denoisers(&[(NAMES[0], quality), (NAMES[1], quality)]).evcxr_display();
    let curve = [1.0, 2.0, 3.0];
    let lines = NAMES
        .iter()
        .skip(3)
        .take(3)
        .fold(LineChart::new(NAMES[0], NAMES[1], NAMES[2]), |chart, name| {
            chart.line(*name, &curve, &curve)
        });
    lines.plot().unwrap().evcxr_display();
    let map = HeatMap {
        title: NAMES[0].to_owned(),
        rows: (NAMES[1].to_owned(), NAMES.map(str::to_owned).to_vec()),
        columns: (NAMES[2].to_owned(), NAMES.map(str::to_owned).to_vec()),
        values: Array2::from_elem((8, 8), 0.5),
        spread: Array2::from_elem((8, 8), f64::NAN),
        percent: false,
        digits: 3,
    };
    map.plot().unwrap().evcxr_display();
}

/// Names of classes and models where one looks closer.
fn show_closer_looks(dataset: &Dataset, split: &Split) {
    let (names, truth) = (dataset.class_names(), dataset.labels());
    let all = dataset.subset((0..dataset.len()).collect()).unwrap();
    let said = |step: i64| truth.iter().map(|class| class * step % 8).collect::<Vec<i64>>();
    let models = [(NAMES[0], 3), (NAMES[1], 5), (NAMES[6], 7)]
        .map(|(name, step)| Predictions::new(name, &all, &said(step), true).unwrap());
    plot_confusions(&models, names).unwrap().evcxr_display();
    plot_only_one_right(&all, &models, 3).unwrap().evcxr_display();
    ConfusedPairs::new(truth, &said(3), names).unwrap().evcxr_display();
    let [now, before] =
        [3, 5].map(|step| classification_report(truth, &said(step), names).unwrap());
    now.gains_table(&before, [NAMES[0], NAMES[1]]).evcxr_display();
    now.plot_gains(&before, [NAMES[0], NAMES[1]]).unwrap().evcxr_display();
    let accuracy_ci95 = [0.375, 0.625];
    let scores = Evaluation { images: 24, loss: 0.5, accuracy: 0.5, accuracy_ci95 };
    let metrics = Metrics::new(NAMES[0], split, 42, true).unwrap().scores(scores, scores);
    let metrics = metrics.predict_images_per_second(100.0);
    plot_models_cost(&[metrics], Cost::Prediction).unwrap().evcxr_display();
    let network = Sequential::new(dataset.image_shape()).conv2d(2, 3).relu().flatten();
    let model = network.dense(4).dense(8).build(1).unwrap();
    let probabilities = model.predict(&all).unwrap();
    let indices: Vec<usize> = (0..8).collect();
    plot_grad_cam(&model, &all, &probabilities, &indices).unwrap().evcxr_display();
    plot_feature_maps(&model, &all, 1).unwrap().evcxr_display();
    plot_last_features(&model, &all, 20, 1).unwrap().evcxr_display();
    show_augmented(dataset, 2, &Augmentation::default(), 2, 1).unwrap().evcxr_display();
    let found = Calibration::new(&probabilities, truth, 5).unwrap();
    plot_reliability(&[(NAMES[0], &found), (NAMES[3], &found)]).unwrap().evcxr_display();
    let issue = |image: usize| LabelIssue {
        image,
        label: image % 8,
        suggested: (image + 1) % 8,
        self_confidence: 0.125,
        confidence: 0.5,
    };
    let issues: Vec<LabelIssue> = indices.into_iter().map(issue).collect();
    plot_label_issues(&all, &issues, 8).unwrap().evcxr_display();
    let noisy = GaussianNoise::default().on(&all, 1);
    let network = AutoencoderConfig::default().network(dataset.image_shape()).unwrap();
    let model = network.build(1).unwrap();
    plot_interpolation(&model, &noisy, &[(0, 1), (2, 3)], 2).unwrap().evcxr_display();
    let sentences = [
        mistakes_sentence(&models),
        ConfusedPairs::new(truth, &said(3), names).unwrap().sentence(),
        label_issues_sentence(&issues, 24, names),
    ];
    let rows = sentences.map(|sentence| [sentence.into()]);
    let table = Table::new([Column::text("Sentence")]);
    rows.into_iter().fold(table, |table, row| table.row(row)).evcxr_display();
}

/// A search whose trials fail with messages from elsewhere, and whose parameters are markup.
fn show_a_search(split: &Split, folder: &Path) {
    struct Failing;
    impl TrialRunner for Failing {
        fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
            if spec.fit.batch_size == 16 {
                return Err(format!("{}\nEVCXR_BEGIN_CONTENT text/html\n{}", NAMES[0], NAMES[1]));
            }
            let score = Score { images: 8, loss: 0.5, accuracy: 0.5, ..Score::default() };
            let record = EpochRecord {
                epoch: 1,
                loss: 0.5,
                accuracy: 0.5,
                val_loss: 0.5,
                val_accuracy: 0.5,
                learning_rate: 0.001,
                seconds: 1.0,
            };
            let history = History {
                epochs: vec![record],
                best_epoch: 1,
                stopped_early: false,
                fit_seconds: 1.0,
                train_images_per_second: 1.0,
                phases: Vec::new(),
            };
            let (id, train) = (spec.id(), None);
            Ok(TrialResult {
                id,
                test: score,
                train,
                history,
                fit_seconds: 1.0,
                score_seconds: 1.0,
                pruned: false,
                origin: None,
            })
        }
    }
    let search = GridSearchCv {
        param_grid: ParameterGrid::new().parameter("batch_size", [8, 16]),
        cv: 3.into(),
        validation: 0.5,
        n_jobs: 1,
        refit: false,
        // Its lines go the ordinary way.
        verbose: 1,
        trials: folder.join("trials"),
        ..GridSearchCv::default()
    };
    // All images, so that each fold trains on two of each class.
    let dataset = split.train.dataset();
    let train = dataset.subset((0..dataset.len()).collect()).unwrap();
    let mut found = search.fit_with(&Split { train, ..split.clone() }, &Failing).unwrap();
    found.search_seconds = 1.0;
    let hostile = |name: &str, value: &str| [(name.to_owned(), json!(value))].into();
    found.cv_results.params = vec![hostile(NAMES[0], NAMES[1]), hostile(NAMES[0], NAMES[2])];
    found.best_params = found.cv_results.params[0].clone();
    found.evcxr_display();
    Table::new([Column::text("Sentence")]).row([found.sentence().into()]).evcxr_display();
    found.histories[0][0].as_ref().unwrap().plot().unwrap().evcxr_display();
}

/// Lines that name files whose folder is called as a block of the protocol begins.
fn say_where_files_are(split: &Split, folder: &Path) {
    let folder = folder.join("x\nEVCXR_BEGIN_CONTENT text/html\n\u{1b}[31mred");
    fs::create_dir_all(&folder).unwrap();
    let shape = split.train.dataset().image_shape();
    let model = || {
        let mut model = Sequential::new(shape).flatten().dense(4).dense(8).build(1).unwrap();
        model.freeze().unwrap();
        model.unfreeze_from("dense_1").unwrap();
        model
    };
    model().summary().evcxr_display();
    let fit = |epochs| {
        let callbacks = Callbacks::default().backup_and_restore(folder.join("checkpoint"));
        let config = FitConfig { epochs, ..FitConfig::default() };
        model().fit_with(split, config, callbacks).unwrap();
    };
    for epochs in [1, 1, 2] {
        fit(epochs);
    }
    fs::write(folder.join("checkpoint"), "none").unwrap();
    fit(1);
    for _ in 0..2 {
        let features = model().features(split.train.dataset(), &folder, FeatureConfig::default());
        let path = features.unwrap().path;
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"x").unwrap();
    }
}

/// `println!("{table}")`: several lines of text, none of which evcxr could take for its own.
#[test]
fn what_is_printed_is_text_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let split = dataset.split(SplitConfig { stratify: false, ..SplitConfig::default() }).unwrap();
    let (names, truth) = (dataset.class_names(), dataset.labels());
    let wrong: Vec<i64> = truth.iter().map(|class| class * 3 % NAMES.len() as i64).collect();
    // As notebook 2 prints them.
    assert!(names.iter().all(|name| !name.contains("EVCXR_")), "{names:?}");
    let pair = [(NAMES[6], truth), (NAMES[7], &wrong[..])];
    let model = Sequential::new(dataset.image_shape()).flatten().dense(8).build(1).unwrap();
    let texts = [
        Table::new([Column::text(NAMES[6])])
            .row([NAMES[7].into()])
            .caption(NAMES.join("\n"))
            .to_string(),
        Metrics::new(NAMES[6], &split, 42, true).unwrap().to_string(),
        classification_report(truth, &wrong, names).unwrap().to_string(),
        classification_report(truth, &wrong, names).unwrap().hardest(1),
        Comparisons::new(&pair, truth).unwrap().to_string(),
        ConfusedPairs::new(truth, &wrong, names).unwrap().to_string(),
        ConfusedPairs::new(truth, &wrong, names).unwrap().sentence(),
        Comparisons::new(&pair, truth).unwrap().sentences().join("\n"),
        model.summary().to_string(),
    ];
    for text in texts {
        assert!(!text.contains("EVCXR_"), "{text}");
        assert!(
            !text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')),
            "{text:?}"
        );
    }
}

#[test]
#[ignore = "a part of the next test"]
fn shows_everything() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let dataset = dataset(&folder);
    let names = dataset.class_names();
    // libtest has begun a line with the test's name.
    println!();
    dataset.evcxr_display();
    let config = SplitConfig { stratify: false, ..SplitConfig::default() };
    let split = dataset.split(config).unwrap();
    split.evcxr_display();
    let truth = dataset.labels();
    let predicted: Vec<i64> = truth.iter().map(|class| class * 3 % NAMES.len() as i64).collect();
    classification_report(truth, &predicted, names).unwrap().evcxr_display();
    let matrix = confusion_matrix(truth, &predicted, names.len()).unwrap();
    plot_confusion(&matrix, names).unwrap().evcxr_display();
    show_images(&dataset, &[0, 1, 2, 3, 4, 5, 6, 7], 4).unwrap().evcxr_display();
    show_classes(&dataset, 2, 1).unwrap().evcxr_display();
    let counts = dataset.class_counts();
    let chart = BarChart::new(NAMES[0], NAMES[1], names).counts(NAMES[2], &counts);
    chart.plot().unwrap().evcxr_display();
    let metrics = Metrics::new(NAMES[1], &split, 42, true).unwrap();
    metrics.evcxr_display();
    Table::new([Column::text(NAMES[3]).unit(NAMES[0]), Column::integer(NAMES[5])])
        .row([NAMES[1].into(), "two\nlines\r\nEVCXR_BEGIN_CONTENT text/html\n<script>".into()])
        .row(["\u{1b}[31mred\0".into(), f64::NAN.into()])
        .caption(NAMES.join("\n"))
        .evcxr_display();
    show_predictions_and_comparisons(&dataset, &split);
    show_closer_looks(&dataset, &split);
    show_a_search(&split, &folder);
    say_where_files_are(&split, &folder);

    // Errors end on stderr, and papermill puts them into the notebook.
    let artifacts = Artifacts::new(&folder);
    for name in NAMES {
        let file = format!("/nowhere/{}\n\u{1b}[2J", name.replace('/', "\u{2215}"));
        eprintln!("ERROR {}", Dataset::load(&file).unwrap_err());
        eprintln!("ERROR {}", artifacts.load_metrics(name).unwrap_err());
        // Of these names one is a plain word, and gives a file.
        if let Err(error) = artifacts.save_metrics(&Metrics::new(name, &split, 1, true).unwrap()) {
            eprintln!("ERROR {error}");
        }
        eprintln!("ERROR {}", Model::load(&file).map(drop).unwrap_err());
    }
}

/// The blocks of evcxr's protocol in a program's stdout, as pairs of MIME type and text; other lines are as they are.
fn blocks(stdout: &str) -> (Vec<(String, String)>, Vec<&str>) {
    let (mut blocks, mut others) = (Vec::new(), Vec::new());
    let mut open: Option<(String, Vec<&str>)> = None;
    for line in stdout.lines() {
        if let Some(kind) = line.strip_prefix("EVCXR_BEGIN_CONTENT ") {
            assert!(open.replace((kind.to_owned(), Vec::new())).is_none(), "a block in a block");
        } else if line == "EVCXR_END_CONTENT" {
            let (kind, lines) = open.take().expect("an end without a beginning");
            blocks.push((kind, lines.join("\n")));
        } else {
            match &mut open {
                Some((_, lines)) => lines.push(line),
                None => others.push(line),
            }
        }
    }
    assert!(open.is_none(), "a block without an end");
    (blocks, others)
}

/// The HTML with a picture of one pixel in place of each.
fn without_pictures(html: &str) -> String {
    const DOT: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
    let mut parts = html.split("data:image/png;base64,");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find('"').unwrap();
        kept += &format!("data:image/png;base64,{DOT}{}", &part[end..]);
    }
    kept
}

#[test]
fn hostile_text_stays_in_its_block_and_is_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "hostile_names::shows_everything"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (blocks, others) = blocks(&stdout);
    // The harness tells the name of this test.
    let others: Vec<_> = others.into_iter().filter(|line| !line.starts_with("test ")).collect();
    // The one line that may hold markup, as text, is that of a failed trial.
    let failed = |line: &&&str| line.contains("FAILED: ");
    assert_eq!(others.iter().filter(failed).count(), 3, "{others:?}");
    assert!(
        !others
            .iter()
            .filter(|line| !failed(line))
            .any(|line| line.contains("hostile") || line.contains('<')),
        "{others:?}"
    );
    // Paths were printed, on one line each and without markers.
    for words in ["had already ended", "the checkpoint ", "not used: ", "features: computed anew: "]
    {
        assert!(
            others.iter().any(|line| line.contains(words)),
            "no line with `{words}`: {others:?}"
        );
    }
    assert!(!others.iter().any(|line| line.contains(['\u{1b}', '\u{202e}'])), "{others:?}");
    // Thirty-six things are shown, each as a page and as plain text.
    assert_eq!(blocks.len(), 2 * 36);
    let mut outputs = Vec::new();
    for pair in blocks.chunks(2) {
        let [(html_kind, html), (plain_kind, plain)] = pair else { unreachable!() };
        assert_eq!([&html_kind[..], &plain_kind[..]], ["text/html", "text/plain"]);
        for tag in ["<script", "<svg", "<img src=x", "</style", "</title", "</article", "\u{202e}"]
        {
            assert!(!html.contains(tag), "{tag} in {html}");
        }
        assert!(!plain.contains(['\u{1b}', '\u{202e}', '\0']), "{plain:?}");
        outputs.push(json!({"text/html": without_pictures(html), "text/plain": plain}));
    }
    let errors: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("ERROR ")).collect();
    // All but the one of the plain word.
    assert_eq!(errors.len(), 4 * NAMES.len() - 1, "an error is more than one line: {stderr}");
    for error in &errors {
        assert!(!error.contains(['\u{1b}', '\u{202e}']), "{error:?}");
    }
    let place = folder.path().display().to_string();
    let errors: Vec<String> = errors.iter().map(|error| error.replace(&place, "data")).collect();
    let whole = json!({"outputs": outputs, "errors": errors});
    let text = serde_json::to_string_pretty(&whole).unwrap().replace(&place, "data") + "\n";
    let kept =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/template/tests/hostile_outputs.json");
    if std::env::var_os("WRITE_HOSTILE_OUTPUTS").is_some() {
        fs::write(&kept, &text).unwrap();
    }
    let found = fs::read_to_string(&kept).unwrap_or_default();
    assert!(found == text, "hostile_outputs.json is an older one; make it again as said above");
}
