//! Random and hostile input for everything in helpers that reads files, or shows text that came from them.
//!
//! A [`Target`] takes any bytes as the file it is about and panics if helpers breaks a promise: no panic, no memory
//! beyond what the file's length justifies, errors of one line that name the file, and results that agree with the
//! bytes. Two engines feed the same targets, starting from the files in `corpus/`, which `corpus/make.py` and
//! the program `corpus` have written:
//!
//! - `cargo test -p fuzz`: the corpus, and some thousand changed copies of it, the same ones each time
//! - `tools/fuzz/long-run TARGET SECONDS`: libFuzzer, which looks for new paths through the code as long as it is let
//!
//! An input that breaks a promise is kept: it goes into `corpus/`, and so into the tests.

mod checkpoints;
mod class_names;
mod common;
mod display;
mod labels;
mod models;
mod mutate;
mod npy;
mod trials;

pub use checkpoints::write_checkpoint;

use fastrand::Rng;

/// Something that takes bytes from anywhere.
pub struct Target {
    /// As the folder in `corpus/` is called.
    pub name: &'static str,
    /// Takes bytes and panics if a promise is broken.
    pub run: fn(&[u8]),
    /// A changed copy of an input, made so that many get past the first checks.
    pub mutate: fn(&mut Rng, &[u8]) -> Vec<u8>,
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target { name: "npy", run: npy::run, mutate: npy::mutate },
    Target { name: "labels", run: labels::run, mutate: npy::mutate },
    Target { name: "class_names", run: class_names::run, mutate: class_names::mutate },
    Target { name: "models", run: models::run, mutate: models::mutate },
    Target { name: "checkpoints", run: checkpoints::run, mutate: models::mutate },
    Target { name: "trials", run: trials::run, mutate: trials::mutate },
    Target { name: "display", run: display::run, mutate: display::mutate },
];

impl Target {
    /// The target of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> Target {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        let target = TARGETS.into_iter().find(|target| target.name == name);
        target.unwrap_or_else(|| panic!("no target `{name}`; there are {}", names.join(", ")))
    }
}
