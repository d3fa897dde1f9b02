//! A full disk: what was there stays whole, nothing is left beside it, and the error names the file and what to do.
//!
//! The disk is full in two ways: no file of the process may grow beyond some bytes (RLIMIT_FSIZE, which works
//! everywhere), and a file system of a few kilobytes, where the machine lets its user mount one. Both need a process of
//! their own.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use helpers::architectures::DenseConfig;
use helpers::artifacts::{Artifacts, Metrics, Predictions};
use helpers::data::Split;
use helpers::models::Model;
use helpers::prelude::*;
use helpers::system::write_atomically;
use helpers::training::{Callbacks, History};

const FOLDER: &str = "FULL_DISK_TEST_FOLDER";

/// Runs one of the tests below that do nothing in an ordinary run, with `program` in front.
fn run(program: &[&str], name: &str, folder: &Path) -> Output {
    let words = program.iter().map(PathBuf::from).chain([std::env::current_exe().unwrap()]);
    let words: Vec<PathBuf> = words.collect();
    Command::new(&words[0])
        .args(&words[1..])
        .args(["--ignored", "--exact", &format!("full_disk::{name}")])
        .env(FOLDER, folder)
        .output()
        .unwrap()
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// From now on no file of this process grows beyond `bytes`; the write that would fails.
fn files_end_at(bytes: u64) {
    // SAFETY: `limit` is a whole `rlimit`, which both calls use only while they run. The signal is that of this very
    // limit: ignored, it lets the write return an error instead of ending the process.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit), 0);
        limit.rlim_cur = (bytes as libc::rlim_t).min(limit.rlim_max);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

fn split() -> Split {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let dataset = Dataset::load(sample).unwrap().take_stratified(200, 1).unwrap();
    dataset.split(SplitConfig::default()).unwrap()
}

fn model(split: &Split, hidden: usize) -> Model {
    let shape = split.train.dataset().image_shape();
    let config = DenseConfig { hidden: vec![hidden], ..DenseConfig::default() };
    config.network(shape, split.train.dataset().classes()).build(3).unwrap()
}

fn fit(model: &mut Model, split: &Split, epochs: usize, callbacks: Callbacks) -> History {
    let config = FitConfig { epochs, patience: epochs, ..FitConfig::default() };
    model.fit_with(split, config, callbacks).unwrap()
}

#[test]
#[ignore = "a part of the next test"]
fn every_artifact_on_a_full_disk() {
    let Some(folder) = folder() else { return };

    // Every byte at which a small file can end.
    let path = folder.join("small");
    write_atomically(&path, b"the old one").unwrap();
    for length in 0..20 {
        files_end_at(length);
        let error = write_atomically(&path, &[b'x'; 20]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write {}: ", path.display())), "{error}");
        assert!(error.ends_with("check that the folder can be written and the disk has room"));
        assert_eq!(contents(&folder), [(path.clone(), b"the old one".to_vec())].into());
    }
    files_end_at(20);
    write_atomically(&path, &[b'x'; 20]).unwrap();
    fs::remove_file(&path).unwrap();
    files_end_at(u64::MAX);

    // Every kind of file that a notebook leaves, made once and then again on a full disk.
    let split = split();
    let mut trained = model(&split, 16);
    let history = fit(&mut trained, &split, 2, Callbacks::default());
    let artifacts = Artifacts::new(&folder);
    let metrics = Metrics::new("cnn", &split, 42, true).unwrap().history(&history);
    let predictions = Predictions::new("cnn", &split.test, &split.test.labels(), true).unwrap();
    let figure = history.plot().unwrap();
    let model_path = artifacts.model_path("cnn");
    let save_all = || {
        [
            trained.save(&model_path),
            artifacts.save_metrics(&metrics).map(drop),
            artifacts.save_predictions(&predictions).map(drop),
            figure.save(folder.join("figures/loss.png")),
            history.save(folder.join("history.csv")),
        ]
    };
    save_all().into_iter().for_each(|saved| saved.unwrap());
    let before = contents(&folder);
    assert_eq!(before.len(), 5);
    let largest = before.values().map(Vec::len).max().unwrap() as u64;
    for limit in [0, 1, 50, 100] {
        files_end_at(limit);
        for (saved, name) in save_all().into_iter().zip([
            "cnn.safetensors",
            "cnn.json",
            "cnn.json",
            "loss.png",
            "history.csv",
        ]) {
            let error = saved.expect_err(name).to_string();
            assert!(error.contains(name) && error.contains("the disk has room"), "{error}");
        }
        assert!(contents(&folder) == before, "after {limit} bytes");
    }
    files_end_at(largest - 1);
    assert!(trained.save(&model_path).is_err());
    assert!(contents(&folder) == before);

    // A checkpoint that does not fit costs nothing but the checkpoint; that of another training is still there.
    files_end_at(u64::MAX);
    let checkpoint = folder.join("checkpoint.safetensors");
    let mut first = model(&split, 16);
    fit(&mut first, &split, 2, Callbacks::default().backup_and_restore(&checkpoint));
    let before = contents(&folder);
    for limit in [0, 1000, before[&checkpoint].len() as u64 - 1] {
        files_end_at(limit);
        let mut second = model(&split, 24);
        let callbacks = Callbacks::default().backup_and_restore(&checkpoint);
        assert_eq!(fit(&mut second, &split, 2, callbacks).epochs_run(), 2);
        assert!(contents(&folder) == before);
    }

    // Features are written as they are computed.
    let mut frozen = model(&split, 16);
    frozen.freeze().unwrap();
    frozen.unfreeze_from("dense_1").unwrap();
    let features = folder.join("features");
    for limit in [0, 10, 1000, 5000] {
        files_end_at(limit);
        let dataset = split.train.dataset();
        let error = frozen.features(dataset, &features, FeatureConfig::default()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("features_") && error.contains("the disk has room"), "{error}");
        assert_eq!(contents(&features), BTreeMap::new());
    }
    files_end_at(u64::MAX);
}

#[test]
fn what_was_there_stays_and_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    assert_passed(&run(&["env"], "every_artifact_on_a_full_disk", folder.path()));
}

#[test]
#[ignore = "a part of the next test"]
fn models_on_a_small_file_system() {
    let Some(folder) = folder() else { return };
    let split = split();
    let path = folder.join("models/cnn.safetensors");
    // 12,730 weights are 51 kB, 79,510 of them 318 kB.
    model(&split, 16).save(&path).unwrap();
    let before = contents(&folder);
    let error = model(&split, 100).save(&path).unwrap_err().to_string();
    assert!(error.contains("cnn.safetensors: No space left on device"), "{error}");
    assert!(error.ends_with("check that the folder can be written and the disk has room"));
    assert!(contents(&folder) == before);
    // What failed takes no room: as much as before still fits.
    model(&split, 17).save(folder.join("other.safetensors")).unwrap();
}

#[test]
fn a_small_file_system_runs_full() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let mount = "mount -t tmpfs -o size=200k none \"$0\" || exit 99; exec \"$@\"";
    let allowed = Command::new("unshare").args(["-rm", "sh", "-c", mount, place, "true"]).output();
    // Where it is not allowed, the test above fills the disk without a file system of its own.
    if allowed.is_ok_and(|output| output.status.success()) {
        let program = ["unshare", "-rm", "sh", "-c", mount, place];
        assert_passed(&run(&program, "models_on_a_small_file_system", folder.path()));
    }
}
