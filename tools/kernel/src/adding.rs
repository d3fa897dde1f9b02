//! The commands `add`, `remove` and `list`: rebuild the warm build with one crate more or less, and print which were
//! added.

use std::fs;
use std::process::Command;

use crate::crates::{self, Crates};
use crate::files::{lock, write_lasting};
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::template;

/// Rebuilds the warm build with this crate (`NAME` or `NAME@VERSION`) in it; if that fails, everything stays as it was.
pub(crate) fn add(paths: &Paths, requested: &str) -> Outcome {
    let line = resolve(requested)?;
    change(paths, |crates| Ok(crates.with(&line))).map_err(|error| {
        format!("`{requested}` cannot be added, and the warm build is as it was before: {error}")
    })?;
    println!("`:dep {line}` costs no wait from now on, in kernels that start after this");
    Ok(())
}

/// Makes a warm build without this crate.
pub(crate) fn remove(paths: &Paths, requested: &str) -> Outcome {
    change(paths, |crates| match crates.has(requested) {
        true => Ok(crates.without(requested)),
        false => {
            Err(format!("`{requested}` was not added; `cargo xtask kernel list` says what was")
                .into())
        }
    })?;
    println!("`{requested}` is no part of the warm build any longer");
    Ok(())
}

/// Prints the crates, a line each.
pub(crate) fn list(paths: &Paths) {
    let text = Crates::of(paths).text();
    print!("{}", if text.is_empty() { "no crates were added\n" } else { &text });
}

fn change(paths: &Paths, how: impl FnOnce(&Crates) -> Outcome<Crates>) -> Outcome {
    fs::create_dir_all(paths.kernel())?;
    let _only_one = lock(&paths.kernel().join("crates.lock"))?;
    let crates = how(&Crates::of(paths))?;
    template::build(paths, &crates)?;
    Ok(write_lasting(&crates::file(paths), crates.text().as_bytes())?)
}

/// The crate as a line of a manifest, with the version that cargo chooses; an error if there is no such crate.
fn resolve(requested: &str) -> Outcome<String> {
    let (name, _) = requested.split_once('@').unwrap_or((requested, ""));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!(
            "`{requested}` is no crate's name; write it as `itertools` or `itertools@0.14`"
        )
        .into());
    }
    let folder = tempfile::tempdir()?;
    let manifest = folder.path().join("Cargo.toml");
    fs::write(&manifest, "[package]\nname = \"asks\"\nedition = \"2024\"\n[dependencies]\n")?;
    fs::create_dir(folder.path().join("src"))?;
    fs::write(folder.path().join("src/lib.rs"), "")?;
    let said = Command::new("cargo")
        .args(["add", "--quiet", requested])
        .current_dir(folder.path())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !said.status.success() {
        let said = String::from_utf8_lossy(&said.stderr);
        let said = said.trim().trim_start_matches("error: ").to_owned();
        return Err(format!("cargo finds no crate `{requested}`: {said}").into());
    }
    let text = fs::read_to_string(manifest)?;
    let line = text.lines().find(|line| crates::name(line) == name && line.contains(" = "));
    line.map(str::to_owned).ok_or_else(|| {
        format!("cargo knows the crate `{name}` under another name; write it so").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_refused() {
        for requested in ["", "@1", "--git=x", "a b", "../a"] {
            assert!(resolve(requested).unwrap_err().to_string().contains("is no crate's name"));
        }
    }
}
