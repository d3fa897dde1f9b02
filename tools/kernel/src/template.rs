//! The warm build: a build directory of evcxr in which helpers and all it depends on are compiled.
//!
//! A template is made in a folder beside its place and moved there when it is whole, its stamp
//! written last: one that was killed half-way is made anew by the next call.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use evcxr::CommandContext;

use crate::Outcome;
use crate::layout::{Layout, set_environment};
use crate::library;
use crate::libtorch;
use crate::session;
use crate::stamp::Stamp;

/// Libraries are compiled as in a release build, pixel loops gain most. A cell is compiled with its checks and as evcxr's
/// `:opt` says, at first not at all optimised: most cells only call libraries, and so take half the time to compile.
/// Cargo reads this file because the build directories lie below the folder it is in.
///
/// Incremental compilation only costs time in crates as small as cells. In helpers it would do harm: build directories
/// share files, and object files of two versions of helpers were found in one library.
///
/// Link-time optimisation is off, for the sake of cells; a profile has it for all or for none. In a library that is cut
/// into units small functions would then be called across them instead of inlined, so each is one unit: with sixteen an
/// epoch of the CNN took 36 s instead of 8. The workspace compiles helpers for the benchmark in the same way.
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

/// What runs while others are compiled: more time goes into making it fast than it then saves.
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

/// How often a long build says that it is still at it.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Makes the template, or says that it is fresh.
pub(crate) fn build(layout: &Layout) -> Outcome {
    fs::create_dir_all(layout.kernel())?;
    let _only_one = lock(&layout.kernel().join("build.lock"))?;
    let stamp = Stamp::now(layout)?;
    let present = Stamp::read(&layout.template());
    let fresh = present.as_ref() == Some(&stamp) && layout.linked_libtorch().exists();
    if !fresh || !library::is_whole(layout) {
        library::link(layout)?;
    }
    if fresh {
        println!("kernel template: up to date");
        return Ok(());
    }

    let start = Instant::now();
    libtorch::make_stand_in(layout)?;
    let building = layout.kernel().join("template.new");
    remove(&building)?;
    if present.is_some_and(|present| present.base == stamp.base) {
        println!("kernel template: compiling what changed in helpers and its dependencies");
        session::copy_build(&layout.template(), &building)?;
        fs::remove_file(building.join("stamp"))?;
    } else {
        println!("kernel template: compiling helpers and all it depends on (minutes)");
        fs::create_dir_all(building.join("configuration"))?;
    }
    fs::copy(layout.lock_file(), session::kept_lock_file(&building))?;
    let folder = layout.kernel().join(".cargo");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("config.toml"), profile())?;

    compile(layout, &building, start)?;
    remove_cells(&building)?;
    // What cargo has made of the lock file: the same versions, without packages that are not needed.
    fs::copy(building.join("Cargo.lock"), session::kept_lock_file(&building))?;
    stamp.write(&building)?;
    replace(layout, &building)?;
    println!("kernel template: ready after {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs what every notebook starts with, through evcxr itself, in `folder`.
fn compile(layout: &Layout, folder: &Path, start: Instant) -> Outcome {
    let configuration = session::write_configuration(folder, None)?;
    set_environment(layout.environment());
    set_environment([
        ("EVCXR_TMPDIR", folder.display().to_string()),
        ("EVCXR_CONFIG_DIR", configuration.display().to_string()),
    ]);
    env::set_current_dir(layout.root())?;

    thread::spawn(move || {
        loop {
            thread::sleep(HEARTBEAT);
            println!("kernel template: still compiling, {:.0} s", start.elapsed().as_secs_f64());
        }
    });
    let (mut context, outputs) =
        CommandContext::new().map_err(|error| format!("evcxr does not start: {error}"))?;
    let printed = thread::spawn(move || outputs.stderr.iter().collect::<Vec<String>>());
    let mut shown = String::new();
    for cell in [
        ":load_config --quiet",
        &session::first_cell(Path::new("helpers")),
        "let first: usize = 1;\nfirst + 1",
    ] {
        let outputs = context
            .execute(cell)
            .map_err(|error| format!("cannot compile helpers for the kernel:\n{error}"))?;
        shown = outputs.get("text/plain").unwrap_or_default().to_owned();
    }
    // evcxr explains a mistake by what `cargo check` says of the cell, and that wants its own files of all that the cell
    // depends on: the first mistake in a notebook would take as long as they take to make.
    let refused = context.execute("let mistake = nobody_knows_this;").is_err();
    drop(context);
    if shown.trim() != "2" {
        let printed = printed.join().unwrap_or_default().join("\n");
        return Err(format!("the kernel compiles helpers but runs no cell:\n{printed}").into());
    }
    if !refused {
        return Err("the kernel runs a cell that uses a variable that was never set".into());
    }
    Ok(())
}

/// Removes the compiled cells: evcxr counts from one again in every session.
fn remove_cells(build: &Path) -> io::Result<()> {
    for entry in fs::read_dir(build)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            remove_cells(&entry.path())?;
        } else if name.starts_with("libcode_") || name.starts_with("libctx.") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Moves a finished build to its place, while no kernel copies the old one.
fn replace(layout: &Layout, building: &Path) -> Outcome {
    let _nobody_copies = lock(&layout.kernel().join("template.lock"))?;
    remove(&layout.template())?;
    fs::rename(building, layout.template())?;
    Ok(())
}

/// Waits for the lock on `file`; it is held until the value is dropped or the process ends.
pub(crate) fn lock(file: &Path) -> io::Result<File> {
    let lock = File::create(file)?;
    lock.lock()?;
    Ok(lock)
}

/// Removes a folder; one that is not there is fine.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
        let workspace = include_str!("../../../Cargo.toml");
        let benchmark = table(workspace, &["profile", "release"]);
        assert_eq!(cells["codegen-units"], benchmark["codegen-units"]);
        // The others are what a release build has of itself.
        assert_eq!(benchmark.len(), 1);
        assert_eq!(cells["opt-level"].as_integer(), Some(3));
        assert_eq!(cells["debug-assertions"].as_bool(), Some(false));
        assert_eq!(cells["overflow-checks"].as_bool(), Some(false));
        assert!(!cells.contains_key("incremental"));
    }
}
