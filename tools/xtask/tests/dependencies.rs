//! Every crate in the lock file against deny.toml: its licence and where it comes from, with nothing but cargo.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The strings of the list `name` of a section of deny.toml.
fn listed(section: &str, name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let section = text.split(&format!("\n[{section}]\n")).nth(1).expect("the section is there");
    let section = section.split("\n[").next().unwrap_or_default();
    let list = section.split(&format!("\n{name} = [")).nth(1).expect("the list is there");
    let list = list.split(']').next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let read = |more: &[&str]| {
        Command::new(&cargo)
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(more)
            .current_dir(root())
            .output()
            .unwrap()
    };
    // Crates for other systems are in the lock file and perhaps not on this machine: only those may need the network.
    let mut output = read(&["--offline"]);
    if !output.status.success() {
        output = read(&[]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an SPDX expression can be met with the allowed licences: `(MIT OR Apache-2.0) AND Unicode-3.0`.
///
/// `A/B` is the old way to write `A OR B`.
fn allows(allowed: &BTreeSet<String>, expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let met = any(allowed, &mut words);
    met && words.is_empty()
}

fn any(allowed: &BTreeSet<String>, words: &mut Vec<&str>) -> bool {
    let mut met = all(allowed, words);
    while words.last() == Some(&"OR") {
        words.pop();
        met |= all(allowed, words);
    }
    met
}

fn all(allowed: &BTreeSet<String>, words: &mut Vec<&str>) -> bool {
    let mut met = licence(allowed, words);
    while words.last() == Some(&"AND") {
        words.pop();
        met &= licence(allowed, words);
    }
    met
}

fn licence(allowed: &BTreeSet<String>, words: &mut Vec<&str>) -> bool {
    let Some(word) = words.pop() else { return false };
    if word == "(" {
        let met = any(allowed, words);
        return words.pop() == Some(")") && met;
    }
    let mut name = word.to_owned();
    if words.last() == Some(&"WITH") {
        words.pop();
        name = format!("{name} WITH {}", words.pop().unwrap_or_default());
    }
    allowed.contains(&name)
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "GPL-3.0/MIT",
        "(MIT OR GPL-3.0) AND Zlib",
        "GPL-3.0 AND BSD-3-Clause OR MIT",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(allows(&allowed, good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Zlib) AND GPL-3.0",
        "GPL-3.0 WITH LLVM-exception",
        "Apache-2.0",
        "MIT Zlib",
        "(MIT",
    ] {
        assert!(!allows(&allowed, bad), "{bad}");
    }
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let allowed = listed("licenses", "allow");
    assert!(allowed.contains("MIT") && allowed.len() > 5, "{allowed:?}");
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !allows(&allowed, package["license"].as_str().unwrap_or_default()))
        .map(|package| {
            format!("{} {}: {}", package["name"], package["version"], package["license"])
        })
        .collect();
    assert!(
        refused.is_empty(),
        "licences that deny.toml does not allow; take another crate, or allow it there and say why:\n{}",
        refused.join("\n")
    );
}

#[test]
fn every_crate_comes_from_crates_io_or_from_here() {
    let registries = listed("sources", "allow-registry");
    let root = root();
    let packages = packages();
    assert!(packages.len() > 100);
    for package in packages {
        let found = match package["source"].as_str() {
            Some(source) => {
                source.strip_prefix("registry+").is_some_and(|url| registries.contains(url))
            }
            None => Path::new(package["manifest_path"].as_str().unwrap()).starts_with(&root),
        };
        assert!(found, "{} comes from {}", package["name"], package["source"]);
    }
    // What comes from the registry is what it was: cargo compares each with its sum.
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    for package in lock.split("[[package]]").skip(1).filter(|package| package.contains("source = "))
    {
        assert!(package.contains("\nchecksum = \""), "{package}");
    }
}

/// The analyser of a kernel reads all that helpers uses before it answers the first cell. `zerocopy` alone, 3,700
/// implementations of its traits, took it more than a second, and each `syn` a fifth of one.
#[test]
fn what_kernels_read_at_their_start_stays_small() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "-p", "helpers", "-e", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let crates: BTreeSet<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once(' '))
        .map(|(name, version)| (name, version.split(' ').next().unwrap_or_default()))
        .collect();
    let versions = |wanted: &str| crates.iter().filter(|(name, _)| *name == wanted).count();
    assert_eq!(versions("tch"), 1, "{crates:?}");
    let advice = "the lock file keeps older versions on purpose: `cargo update -p half --precise 2.4.1`, \
                  `-p ppv-lite86 --precise 0.2.17` and `-p serde_derive --precise 1.0.228` bring them back";
    assert_eq!(versions("zerocopy"), 0, "{advice}");
    assert_eq!(versions("syn"), 1, "{advice}");
    assert_eq!(versions("thiserror"), 1, "helpers takes the version that tch takes");
}
