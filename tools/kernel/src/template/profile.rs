//! How cargo compiles helpers, what it depends on, and cells.

/// Libraries are compiled as in a release build; loops over pixels gain most. Cells keep their run-time checks and the
/// level of evcxr's `:opt`, at first 0: most cells only call libraries, and unoptimised they take half the time to
/// compile. Cargo reads this file because the build directories are below its folder.
///
/// Incremental compilation only costs time in crates as small as cells. In helpers it would do harm: build directories
/// share files, and object files of two versions of helpers were found in one library.
///
/// Link-time optimisation is off, because cells would pay for it and a profile sets it for all crates or none. Without
/// it, small functions of a library with several codegen units are called across units instead of inlined. So each
/// library is one unit: with sixteen an epoch of the CNN took 36 s instead of 8. The workspace compiles helpers for the
/// benchmark the same way.
const PROFILE: &str = "\
[profile.dev]
incremental = false
lto = \"off\"

[profile.dev.package.\"*\"]
opt-level = 3
codegen-units = 1
debug-assertions = false
overflow-checks = false
";

/// Crates that run only during compilation: optimising them takes longer than it saves.
const COMPILE_TIME: [&str; 10] = [
    "autocfg",
    "cc",
    "proc-macro2",
    "quote",
    "serde_derive",
    "syn",
    "thiserror-impl",
    "unicode-ident",
    "version_check",
    "zerocopy-derive",
];

/// The cargo configuration of all build directories.
pub(crate) fn profile() -> String {
    let unoptimised = |name: &str| format!("\n[profile.dev.package.{name}]\nopt-level = 0\n");
    PROFILE.to_owned() + &COMPILE_TIME.map(unoptimised).concat()
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    /// The table below these keys.
    fn table(text: &str, keys: &[&str]) -> Table {
        keys.iter().fold(text.parse().expect("TOML"), |table: Table, key| {
            table[*key].as_table().expect("a table").clone()
        })
    }

    #[test]
    fn notebooks_call_helpers_as_the_benchmark_measures_it() {
        let cells = table(&profile(), &["profile", "dev", "package", "*"]);
        let workspace = include_str!("../../../../Cargo.toml");
        let benchmark = table(workspace, &["profile", "release"]);
        assert_eq!(cells["codegen-units"], benchmark["codegen-units"]);
        // The other settings are the defaults of a release build, except for some packages of the kernel.
        let (packages, settings): (Vec<_>, Vec<_>) =
            benchmark.iter().partition(|(name, _)| *name == "package");
        assert_eq!(settings.len(), 1, "{settings:?}");
        let mut names = packages.iter().flat_map(|(_, names)| names.as_table().unwrap().keys());
        assert!(names.all(|name| name.starts_with("ra_ap_ide_")), "{packages:?}");
        assert_eq!(cells["opt-level"].as_integer(), Some(3));
        assert_eq!(cells["debug-assertions"].as_bool(), Some(false));
        assert_eq!(cells["overflow-checks"].as_bool(), Some(false));
        assert!(!cells.contains_key("incremental"));
    }
}
