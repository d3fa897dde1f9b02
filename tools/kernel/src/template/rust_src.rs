//! The sources of Rust's standard library, as far as evcxr's analyser needs them to know the types of variables.
//!
//! Left alone, it reads all that the compiler's component `rust-src` holds, tests and processor intrinsics included, and
//! asks cargo how that is built: one and a half seconds of each kernel's start. And where the component is missing, it
//! fetches it in the middle of somebody's first cell. So set-up fetches it, and the analyser is shown a folder with links
//! to the three crates that cells see.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::remove;
use crate::outcome::Outcome;
use crate::paths::Paths;

const CRATES: [&str; 3] = ["core", "alloc", "std"];

/// Makes [`Paths::rust_src`], empty where the sources cannot be had: the analyser then looks for them by itself.
pub(crate) fn link(paths: &Paths) -> Outcome {
    let folder = paths.rust_src();
    remove(&folder)?;
    fs::create_dir_all(&folder)?;
    match sources()? {
        Some(sources) => link_crates(&sources, &folder),
        None => {
            println!(
                "note: the sources of Rust's standard library are missing, so cells will ask for the types of more \
                 variables; `rustup component add rust-src` brings them, then run `cargo xtask setup` again"
            );
            Ok(())
        }
    }
}

/// Whether the analyser finds the sources in [`Paths::rust_src`].
pub(crate) fn is_whole(paths: &Paths) -> bool {
    CRATES.iter().all(|name| paths.rust_src().join(name).join("src/lib.rs").is_file())
}

fn link_crates(sources: &Path, folder: &Path) -> Outcome {
    for name in CRATES {
        fs::create_dir(folder.join(name))?;
        symlink(sources.join(name).join("src"), folder.join(name).join("src"))?;
    }
    Ok(())
}

/// The sources that belong to the compiler; fetched if they must be.
fn sources() -> Outcome<Option<PathBuf>> {
    let asked = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
    let sources = sysroot.join("lib/rustlib/src/rust/library");
    let present = || CRATES.iter().all(|name| sources.join(name).join("src/lib.rs").is_file());
    if !present() {
        println!("kernel template: fetching the sources of Rust's standard library");
        // Rust may have come another way than by rustup. What counts is what is there afterwards.
        let _ = Command::new("rustup").args(["component", "add", "rust-src"]).output();
    }
    Ok(present().then_some(sources))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_analyser_is_shown_three_crates() {
        let folder = tempfile::tempdir().unwrap();
        let (sources, shown) = (folder.path().join("sources"), folder.path().join("shown"));
        for name in ["core", "alloc", "std", "stdarch"] {
            fs::create_dir_all(sources.join(name).join("src")).unwrap();
            fs::write(sources.join(name).join("src/lib.rs"), name).unwrap();
        }
        fs::write(sources.join("Cargo.toml"), "").unwrap();
        fs::create_dir(&shown).unwrap();

        link_crates(&sources, &shown).unwrap();

        for name in CRATES {
            assert_eq!(fs::read_to_string(shown.join(name).join("src/lib.rs")).unwrap(), name);
        }
        assert!(!shown.join("stdarch").exists());
        assert!(!shown.join("Cargo.toml").exists(), "with it the analyser would ask cargo");
    }
}
