//! The library that cells are linked with: helpers, all its dependencies and evcxr's variable store in one file, linked
//! from what cargo has compiled.
//!
//! Without it each cell is linked with a hundred libraries, and compiles a pasted copy of the store.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::outcome::Outcome;
use crate::toolchain::{self, LIBRARY};

/// The store, compiled here for its tests alone.
#[cfg(test)]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the source of a library")]
mod store;

pub(super) const STORE: &str = include_str!("store.rs");

/// What rustc inlines from tch into a cell calls these functions of libtorch's bindings, which a Rust library hides
/// otherwise; the cell would not load.
const EXPORTED: &str =
    "{ global: at_*; atc_*; atg_*; ati_*; atm_*; ato_*; ats_*; get_and_reset_last_err; };\n";

/// Makes the library in what is known of the warm build `template`.
pub(crate) fn make(template: &Path) -> Outcome {
    let folder = toolchain::folder(template);
    let source = folder.join("lib.rs");
    let store: String = STORE
        .lines()
        .filter(|line| !line.starts_with("//!"))
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(&source, format!("pub extern crate helpers;\npub mod store {{\n{store}}}\n"))?;
    let exported = folder.join("exported");
    fs::write(&exported, EXPORTED)?;

    let rustc = fs::read_to_string(folder.join("rustc"))?;
    let made = Command::new(rustc)
        .args(["--crate-name", LIBRARY])
        .arg(&source)
        .args(["--crate-type", "dylib", "--emit=link", "-Copt-level=3", "-Cstrip=debuginfo"])
        .arg("-Cmetadata=notebook")
        .arg(format!("-Clink-arg=-Wl,--version-script={}", exported.display()))
        .arg("--out-dir")
        .arg(&folder)
        .args(toolchain::library_arguments(template)?)
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    Ok(())
}

/// Removes the library; cells are then linked without it.
pub(crate) fn remove(template: &Path) -> io::Result<()> {
    match fs::remove_file(toolchain::library(template)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use super::store::*;

    fn with_store(test: impl FnOnce(&mut VariableStore)) {
        // SAFETY: the pointer is that of a box which nobody else has.
        let mut store = unsafe { Box::from_raw(create_variable_store()) };
        test(&mut store);
    }

    #[test]
    fn a_variable_is_taken_as_it_was_put() {
        with_store(|store| {
            store.put_variable::<Vec<u8>>("a", vec![1, 2]);
            assert!(store.check_variable::<Vec<u8>>("a"));
            assert_eq!(store.take_variable::<Vec<u8>>("a"), [1, 2]);
        });
    }

    #[test]
    fn another_type_is_told() {
        with_store(|store| {
            store.put_variable::<u8>("a", 1);
            assert!(!store.check_variable::<i8>("a"));
            assert!(store.check_variable::<i8>("missing"), "evcxr has it set by the cell");
        });
    }

    /// A type that is declared anew has the `TypeId` of the old one, and only its size tells them apart.
    #[test]
    fn a_type_of_another_size_is_told() {
        let kind = |size, align| (TypeId::of::<u8>(), size, align);
        assert!(is_of(&1u8, &kind(1, 1)));
        assert!(!is_of(&1u8, &kind(24, 1)) && !is_of(&1u8, &kind(1, 8)));
        assert!(!is_of(&1i8, &kind(1, 1)));
    }

    #[test]
    #[should_panic(expected = "has gone missing")]
    fn what_is_not_there_cannot_be_taken() {
        with_store(|store| {
            store.take_variable::<u8>("a");
        });
    }
}
