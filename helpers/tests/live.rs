//! What cells show while they run, read from stdout as a front does, and what is printed where none listens.

use crate::common;
use crate::provenance::write_npy;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use helpers::architectures::DenseConfig;
use helpers::data::Split;
use helpers::display::{Column, LiveDisplay, ShowResult as _, Table};
use helpers::models::Model;
use helpers::prelude::*;
use helpers::training::{Callback, Callbacks, History, TrainingState};
use helpers::tuning::{Score, TrialResult, TrialRunner, TrialSpec};
use helpers::{Error, Result};

const FOLDER: &str = "LIVE_TEST_FOLDER";
const EPOCHS: usize = 4;
const MARKUP: &str = "<script>window.hostile = 1</script>";

/// A display as it was left, and how often it was shown.
#[derive(Debug, Default)]
struct Shown {
    html: String,
    text: String,
    times: usize,
}

/// What a program showed under a front: its displays in the order in which they were made, and its other lines.
fn read(stdout: &str) -> (Vec<Shown>, Vec<String>) {
    let (mut indices, mut displays, mut others) =
        (BTreeMap::new(), Vec::<Shown>::new(), Vec::new());
    let mut lines = stdout.lines();
    while let Some(line) = lines.next() {
        let Some(attributes) = line.strip_prefix("EVCXR_BEGIN_CONTENT ") else {
            others.push(line.to_owned());
            continue;
        };
        let content: Vec<&str> =
            lines.by_ref().take_while(|line| *line != "EVCXR_END_CONTENT").collect();
        let words: Vec<&str> = attributes.split(' ').collect();
        let (kind, id) = (words[0], words[1].strip_prefix("display_id=").unwrap().to_owned());
        let updates = words.get(2) == Some(&"update");
        assert!(words.len() == 2 + usize::from(updates), "{line}");
        let first = !indices.contains_key(&id);
        let index = *indices.entry(id).or_insert(displays.len());
        if first {
            displays.push(Shown::default());
        }
        let shown = &mut displays[index];
        match kind {
            "text/html" => {
                assert_eq!(updates, shown.times > 0, "{line}");
                shown.times += 1;
                shown.html = content.join("\n");
            }
            "text/plain" => shown.text = content.join("\n"),
            other => panic!("{other}"),
        }
    }
    (displays, others)
}

/// Runs one of the tests that do nothing in an ordinary run; gives its stdout.
fn run(name: &str, front: bool, folder: &Path) -> String {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program
        .args(["--ignored", "--exact", "--nocapture", &format!("live::{name}")])
        .env(FOLDER, folder);
    match front {
        true => program.env("NOTEBOOK_FRONT", "1"),
        false => program.env_remove("NOTEBOOK_FRONT"),
    };
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn split() -> Split {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let dataset = Dataset::load(sample).unwrap().take_stratified(300, 1).unwrap();
    dataset.split(SplitConfig::default()).unwrap()
}

fn model(split: &Split) -> Model {
    let network = DenseConfig { hidden: vec![16], ..DenseConfig::default() };
    let dataset = split.train.dataset();
    network.network(dataset.image_shape(), dataset.classes()).build(3).unwrap()
}

fn config() -> FitConfig {
    FitConfig { epochs: EPOCHS, patience: EPOCHS - 1, batch_size: 32, ..FitConfig::default() }
}

/// Ends a training after this epoch, as an interrupt does.
struct Interrupt(usize);

impl Callback for Interrupt {
    fn on_epoch_end(&mut self, training: &mut TrainingState) -> Result<()> {
        match training.epochs().len() == self.0 {
            true => Err(Error::Interrupted { work: "training".into(), advice: String::new() }),
            false => Ok(()),
        }
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

#[test]
#[ignore = "a part of the next tests"]
fn trains() {
    if folder().is_none() {
        return;
    }
    println!();
    let split = split();
    let history = model(&split).fit(&split, config()).unwrap();
    let bits: Vec<u64> = history.epochs.iter().map(|row| row.val_loss.to_bits()).collect();
    println!("bits {bits:?}");
}

#[test]
fn a_training_is_a_bar_and_a_chart_that_grow_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (displays, others) = read(&run("trains", true, folder.path()));
    let [bar, record] = &displays[..] else { panic!("{displays:#?}") };
    let words =
        [&format!("{EPOCHS} epochs in ")[..], "; the weights of epoch ", ", val_accuracy 0."];
    assert!(words.iter().all(|word| bar.text.contains(word)), "{bar:?}");
    assert!(bar.times > 1 && !bar.html.contains("<progress"), "{bar:?}");
    let lines: Vec<&str> = record.text.lines().collect();
    assert_eq!(lines.len(), EPOCHS, "{lines:?}");
    assert!(lines[EPOCHS - 1].starts_with(&format!("epoch  {EPOCHS}/{EPOCHS}  ")), "{lines:?}");
    assert_eq!(record.html.matches("<svg role=\"img\" aria-label=\"").count(), 2);
    assert!(record.html.contains(&format!("<details><summary>{EPOCHS} epochs</summary><pre")));
    assert!(lines.iter().all(|line| record.html.contains(line)));
    assert!(!others.iter().any(|line| line.contains("epoch ")), "{others:?}");

    // Whole, for whoever reads XML and not HTML.
    let file = folder.path().join("record.xml");
    fs::write(&file, &record.html).unwrap();
    assert_eq!(common::run_python("well_formed.py", &[file]), b"2 svg\n");
}

#[test]
fn without_a_front_a_training_prints_whole_lines_and_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let stdout = run("trains", false, folder.path());
    assert!(!stdout.contains("EVCXR"), "{stdout}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with("epoch ")).count(), EPOCHS);
    let bits =
        |lines: &str| lines.lines().find(|line| line.starts_with("bits ")).unwrap().to_owned();
    assert_eq!(bits(&stdout), bits(&run("trains", true, folder.path())));
}

#[test]
#[ignore = "a part of the next test"]
fn scores_copies() {
    let Some(folder) = folder() else { return };
    println!();
    let mut run = Run::new("baseline", folder.join("export"), true);
    let split = run.load_split(&folder, 0, 1).unwrap();
    let mut model = model(&split);
    run.fit(&mut model, &split, FitConfig { epochs: 1, patience: 1, ..config() }).unwrap();
    run.evaluate(&model, &split).unwrap();
}

/// As notebook 4 on 24 pictures that are there five times each: the test part shows what was learnt by heart.
#[test]
fn copies_of_training_images_are_told_beside_the_scores() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..120 * 36).map(|pixel| (pixel / 36 / 5 * 10) as u8).collect();
    let labels: Vec<u8> = (0..120).map(|image| image / 5 % 2).collect();
    write_npy(&folder.path().join("X.npy"), "(120, 6, 6)", &pixels);
    write_npy(&folder.path().join("y.npy"), "(120,)", &labels);
    let stdout = run("scores_copies", false, folder.path());
    let told = "15 test images have the pixels of one in the train or the validation part: image ";
    assert!(stdout.contains("Equal pictures: ") && stdout.contains(told), "{stdout}");
}

#[test]
#[ignore = "a part of the next test"]
fn is_interrupted_and_goes_on() {
    let Some(folder) = folder() else { return };
    println!();
    let split = split();
    let callbacks = || Callbacks::default().backup_and_restore(folder.join("checkpoint"));
    model(&split).fit_with(&split, config(), callbacks().with(Interrupt(2))).unwrap_err();
    model(&split).fit_with(&split, config(), callbacks()).unwrap();
}

#[test]
fn an_interrupt_leaves_a_whole_display_and_what_goes_on_shows_the_epochs_before() {
    let folder = tempfile::tempdir().unwrap();
    let (displays, _) = read(&run("is_interrupted_and_goes_on", true, folder.path()));
    let [stopped, first, ended, second] = &displays[..] else { panic!("{displays:#?}") };
    let told = "training, in epoch 3, was interrupted; run it again, and it goes on after epoch 2";
    assert_eq!(stopped.text, told);
    assert!(!stopped.html.contains("<progress"), "{stopped:?}");
    assert_eq!(first.text.lines().count(), 2, "{first:?}");
    assert!(ended.text.starts_with(&format!("{EPOCHS} epochs in ")), "{ended:?}");
    assert_eq!(second.text.lines().count(), EPOCHS, "{second:?}");
}

#[test]
#[ignore = "a part of the next test"]
fn searches() {
    let Some(folder) = folder() else { return };
    struct Formula;
    impl TrialRunner for Formula {
        fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
            if spec.fit.batch_size == 64 {
                return Err(MARKUP.to_owned());
            }
            let accuracy = 1.0 / spec.fit.batch_size as f64;
            let history = History {
                epochs: Vec::new(),
                best_epoch: 0,
                stopped_early: false,
                fit_seconds: 0.5,
                train_images_per_second: 1.0,
                phases: Vec::new(),
            };
            let test = Score { images: 10, loss: 1.0, accuracy, ..Score::default() };
            Ok(TrialResult {
                id: spec.id(),
                test,
                train: None,
                history,
                fit_seconds: 0.5,
                score_seconds: 0.25,
                pruned: false,
                origin: None,
            })
        }
    }
    println!();
    let search = GridSearchCv {
        param_grid: ParameterGrid::new().parameter("batch_size", [32, 16, 64]),
        cv: 2.into(),
        refit: false,
        trials: folder.join("trials"),
        ..GridSearchCv::default()
    };
    search.fit_with(&split(), &Formula).unwrap();
}

#[test]
fn a_search_counts_its_trials_and_names_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let stdout = run("searches", true, folder.path());
    // While it ran, a table of what was found so far; at its end the notebook shows the results.
    let table = ">Mean accuracy of the trials so far</caption>";
    assert!(stdout.contains(table), "{stdout}");
    let (displays, others) = read(&stdout);
    let [bar, record] = &displays[..] else { panic!("{displays:#?}") };
    assert!(bar.text.starts_with("4 of 6 trials done, 2 failed in "), "{bar:?}");
    assert!(bar.text.ends_with("; best: mean accuracy 0.0625, batch_size 16"), "{bar:?}");
    let lines: Vec<&str> = record.text.lines().collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!(
        lines.iter().filter(|line| line.contains("FAILED: batch_size 64 on fold ")).count(),
        2
    );
    assert!(
        record.html.contains("&lt;script&gt;") && !record.html.contains("<script"),
        "{record:?}"
    );
    assert!(!record.html.contains("<table"), "{record:?}");
    assert!(!others.iter().any(|line| line.starts_with("trial ")), "{others:?}");
    let printed = run("searches", false, tempfile::tempdir().unwrap().path());
    assert_eq!(printed.lines().filter(|line| line.starts_with("trial ")).count(), 6, "{printed}");
}

#[test]
#[ignore = "a part of the next tests"]
fn shows_things_in_place() {
    if folder().is_none() {
        return;
    }
    println!();
    let (mut line, mut second) = (LiveDisplay::new(), LiveDisplay::new());
    line.update("one\nEVCXR_END_CONTENT");
    second.update(&Table::new([Column::integer("n")]).row([1.into()]));
    line.update(&format!("two {MARKUP}"));
}

#[test]
fn a_cell_has_several_displays_and_each_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (displays, _) = read(&run("shows_things_in_place", true, folder.path()));
    let [line, table] = &displays[..] else { panic!("{displays:#?}") };
    assert_eq!((line.times, table.times), (2, 1));
    assert_eq!(line.text, format!("two {MARKUP}"));
    assert_eq!(line.html, "<div>two &lt;script&gt;window.hostile = 1&lt;/script&gt;</div>");
    assert!(table.html.starts_with("<table ") && table.text == "n\n-\n1", "{table:?}");
    let printed = run("shows_things_in_place", false, folder.path());
    let expected = ["one EVCXR-END_CONTENT", "n", "-", "1", &format!("two {MARKUP}")[..]];
    let lines: Vec<&str> = printed.lines().filter(|line| expected.contains(line)).collect();
    assert_eq!(lines, expected);
}

#[test]
#[ignore = "a part of the next test"]
fn ends_in_results() {
    if folder().is_none() {
        return;
    }
    println!();
    let table: Result<Table> = Ok(Table::new([Column::integer("n")]).row([1.into()]));
    // As evcxr calls it for a cell's last expression.
    (table).evcxr_display();
    (Err::<Table, Error>(Error::Drawing { message: "none".to_owned() })).evcxr_display();
    (Ok::<(), Error>(())).evcxr_display();
    ().evcxr_display(); // what a loop gives
}

#[test]
fn a_cell_may_end_in_a_call_that_can_fail() {
    let folder = tempfile::tempdir().unwrap();
    let stdout = run("ends_in_results", false, folder.path());
    let shown: Vec<&str> = stdout.lines().filter(|line| line.contains("EVCXR_")).collect();
    let block = |kind| [kind, "EVCXR_END_CONTENT"];
    let table =
        [block("EVCXR_BEGIN_CONTENT text/html"), block("EVCXR_BEGIN_CONTENT text/plain")].concat();
    // Then what evcxr's own `?` prints, once: the two `()` show nothing.
    assert_eq!(shown, [&table[..], &["EVCXR_ERROR_OCCURRED"]].concat());
}
