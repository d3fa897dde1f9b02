//! The part of the standard library's sources that evcxr's analyser needs to know the types of variables.
//!
//! By default the analyser reads all of the component `rust-src`, tests and processor intrinsics included, and asks
//! cargo how it is built: one and a half seconds of each kernel's start. If the component is missing, it is downloaded
//! in the middle of the first cell. So set-up downloads it, and the analyser gets a folder with links to the three
//! crates that cells see.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::remove;
use crate::outcome::Outcome;
use crate::paths::Paths;

const CRATES: [&str; 3] = ["core", "alloc", "std"];

/// Makes [`Paths::rust_src`]; it stays empty if the sources are unavailable, and the analyser then looks for them
/// itself.
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

/// The sources of the installed compiler, downloaded if they are missing.
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
        // Rust may be installed without rustup, so only the presence of the files counts.
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
