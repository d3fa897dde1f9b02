//! The warm build: a build directory of evcxr in which helpers and all it depends on are compiled.
//!
//! A template is made in a folder of its own and moved to where kernels look when it is whole, its stamp
//! written last: one that was killed half-way is made anew by the next call.

mod flush;
mod profile;
mod rust_src;
mod stamp;

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use evcxr::CommandContext;
pub(crate) use stamp::Stamp;

use crate::Outcome;
use crate::build_folder;
use crate::environment::{environment, set_environment};
use crate::files::{lock, remove};
use crate::libtorch;
use crate::paths::Paths;

/// How often a long build says that it is still at it.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Makes the template, or says that it is fresh.
pub(crate) fn build(paths: &Paths) -> Outcome {
    fs::create_dir_all(paths.kernel())?;
    let _only_one = lock(&paths.kernel().join("build.lock"))?;
    let stamp = Stamp::now(paths)?;
    let present = Stamp::read(&paths.template());
    let same_base = present.as_ref().is_some_and(|present| present.base == stamp.base);
    if !same_base || !paths.flush_library().exists() {
        flush::make(paths)?;
    }
    let fresh = present.as_ref() == Some(&stamp) && paths.linked_libtorch().exists();
    if !fresh || !rust_src::is_whole(paths) {
        rust_src::link(paths)?;
    }
    if fresh {
        println!("kernel template: up to date");
        return Ok(());
    }

    let start = Instant::now();
    libtorch::make_stand_in(paths)?;
    let building = paths.kernel().join("template.new");
    remove(&building)?;
    if same_base {
        println!("kernel template: compiling what changed in helpers and its dependencies");
        build_folder::copy(&paths.template(), &building)?;
        fs::remove_file(building.join("stamp"))?;
    } else {
        println!("kernel template: compiling helpers and all it depends on (minutes)");
        fs::create_dir_all(building.join("configuration"))?;
    }
    fs::copy(paths.lock_file(), build_folder::kept_lock_file(&building))?;
    let folder = paths.kernel().join(".cargo");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("config.toml"), profile::profile())?;

    compile(paths, &building, start)?;
    remove_cells(&building)?;
    // What cargo has made of the lock file: the same versions, without packages that are not needed.
    fs::copy(building.join("Cargo.lock"), build_folder::kept_lock_file(&building))?;
    stamp.write(&building)?;
    replace(paths, &building)?;
    println!("kernel template: ready after {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs what every notebook starts with, through evcxr itself, in `folder`.
fn compile(paths: &Paths, folder: &Path, start: Instant) -> Outcome {
    let configuration = build_folder::write_configuration(folder, None)?;
    set_environment(environment(paths));
    set_environment([
        ("EVCXR_TMPDIR", folder.display().to_string()),
        ("EVCXR_CONFIG_DIR", configuration.display().to_string()),
    ]);
    env::set_current_dir(paths.root())?;

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
        &build_folder::first_cell(Path::new("helpers")),
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

/// Moves a finished build to where kernels look, while no kernel copies the old one.
fn replace(paths: &Paths, building: &Path) -> Outcome {
    let _nobody_copies = lock(&paths.kernel().join("template.lock"))?;
    remove(&paths.template())?;
    fs::rename(building, paths.template())?;
    Ok(())
}
