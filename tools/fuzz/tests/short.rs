//! The short run: for each target the corpus, and changed copies of it, the same ones each time.
//!
//! The input that a target is at is in `target/tmp/NAME.input`, also if the process was ended, as it is when more memory
//! is asked for than the input's length justifies. Copy it to `tools/fuzz/corpus/NAME/` once it is mended.

use std::fs;
use std::path::Path;

use fastrand::Rng;
use fuzz::Target;

/// Runs a target on its corpus and on this many changed copies.
fn short_run(name: &str, copies: usize) {
    let target = Target::named(name);
    let current = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.input"));
    let run = |input: &[u8]| {
        fs::write(&current, input).unwrap();
        (target.run)(input);
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus in {}", folder.display());
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, input) in files.iter().zip(&corpus) {
        println!("{}", file.display());
        run(input);
    }
    println!("a changed copy: {}", current.display());
    let mut random = Rng::with_seed(1);
    for _ in 0..copies {
        let original = &corpus[random.usize(..corpus.len())];
        let mut input = (target.mutate)(&mut random, original);
        // A change upon a change, now and then.
        while random.u8(..3) == 0 {
            input = (target.mutate)(&mut random, &input);
        }
        run(&input);
    }
    fs::remove_file(&current).unwrap();
}

#[test]
fn npy() {
    short_run("npy", 5000);
}

#[test]
fn labels() {
    short_run("labels", 5000);
}

#[test]
fn class_names() {
    short_run("class_names", 3000);
}

#[test]
fn models() {
    short_run("models", 2000);
}

#[test]
fn checkpoints() {
    short_run("checkpoints", 100);
}

#[test]
fn trials() {
    short_run("trials", 1000);
}

#[test]
fn display() {
    short_run("display", 5000);
}
