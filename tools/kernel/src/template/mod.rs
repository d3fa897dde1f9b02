//! The warm build: a build directory of evcxr in which helpers and all its dependencies are compiled, with the recorded
//! answers of cargo and rustc (`toolchain`).
//!
//! Each build is made in a folder of its own. Its stamp is written when it is complete, and the link that kernels
//! follow is changed last. A build that was killed half-way is removed by the next call; one that a kernel still uses
//! stays until that kernel has ended.

mod flush;
mod library;
mod profile;
mod rust_src;
mod stamp;
mod trial;

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use evcxr::CommandContext;
pub(crate) use stamp::Stamp;

use crate::build_folder;
use crate::crates::Crates;
use crate::environment::{environment, set_environment};
use crate::files::{lock, remove};
use crate::libtorch;
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::state::State;
use crate::toolchain::{self, Mode};

/// How often a long build says how far it is.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The warm build that kernels start on.
pub(crate) fn current(paths: &Paths) -> Option<PathBuf> {
    fs::read_link(paths.template()).ok().map(|name| paths.kernel().join(name))
}

/// Locked by everything that uses a template.
pub(crate) fn lock_file(template: &Path) -> PathBuf {
    template.with_extension("lock")
}

/// Makes the template with these crates beside helpers, or says that it is fresh.
pub(crate) fn build(paths: &Paths, crates: &Crates) -> Outcome {
    fs::create_dir_all(paths.templates())?;
    let _only_one = lock(&paths.kernel().join("build.lock"))?;
    let (stamp, state) = (Stamp::with(paths, crates)?, State::now(paths)?);
    let present = current(paths).and_then(|folder| Some((Stamp::read(&folder)?, folder)));
    let present_base = present.as_ref().map(|(present, _)| &present.base);
    if present_base != Some(&stamp.base) || !paths.flush_library().exists() {
        flush::make(paths)?;
    }
    let fresh = present.as_ref().is_some_and(|(present, _)| *present == stamp)
        && paths.linked_libtorch().exists()
        && trial::is_made(paths);
    if !fresh || !rust_src::is_whole(paths) {
        rust_src::link(paths)?;
    }
    if fresh {
        println!("kernel template: up to date");
        return Ok(());
    }

    let start = Instant::now();
    libtorch::make_stand_in(paths)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let building = paths.templates().join(now.as_micros().to_string());
    // Locked at once: another set-up would find the folder without a stamp and remove it.
    let in_use = fs::File::create(lock_file(&building))?;
    in_use.lock_shared()?;
    fs::create_dir_all(building.join("configuration"))?;
    let before =
        present.filter(|(present, _)| present.base == stamp.base).map(|(_, folder)| folder);
    begin(paths, before.as_deref(), &building)?;
    let folder = paths.kernel().join(".cargo");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("config.toml"), profile::profile())?;

    compile(paths, &building, start, crates)?;
    toolchain::restore_environment();
    remove_cells(&building)?;
    // What cargo has made of the lock file: the same versions, without packages that are not needed.
    fs::copy(building.join("Cargo.lock"), build_folder::kept_lock_file(&building))?;
    state.write(&toolchain::folder(&building))?;
    stamp.write(&building)?;
    if State::now(paths)? == state {
        link_cells(paths, &building)?;
        trial::make(paths, &building)?;
    } else {
        println!("note: helpers was edited meanwhile; run `cargo xtask setup` once more");
    }
    replace(paths, &building)?;
    println!("kernel template: ready after {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Prepares a build's folder: the locked versions and, if there is an earlier build, what it has compiled.
fn begin(paths: &Paths, before: Option<&Path>, building: &Path) -> Outcome {
    let mut versions = fs::read_to_string(paths.lock_file())?;
    match before {
        Some(folder) => {
            // Crates that were added before stay in the versions that they had.
            if let Ok(before) = fs::read_to_string(build_folder::kept_lock_file(folder)) {
                versions = toolchain::with_added_versions(&versions, &before);
            }
            println!("kernel template: compiling what changed in helpers and its dependencies");
            build_folder::copy(&folder.join("target"), &building.join("target"))?;
        }
        None => println!("kernel template: compiling helpers and all it depends on (minutes)"),
    }
    lock_helpers(paths, building, &versions)
}

/// Makes cargo record which versions evcxr's package uses of helpers' dependencies. Without that record cargo would
/// choose again among the locked versions, perhaps differently with another crate beside helpers, and recompile
/// everything that depends on them.
fn lock_helpers(paths: &Paths, folder: &Path, versions: &str) -> Outcome {
    let manifest = format!(
        "[package]\nname = \"ctx\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[lib]\npath = \"src/lib.rs\"\n\
         [dependencies]\nhelpers = {{ path = {:?} }}\n",
        paths.helpers()
    );
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let lock_file = folder.join("Cargo.lock");
    fs::write(&lock_file, versions)?;
    let said = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--quiet"])
        .current_dir(folder)
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).trim().to_owned().into());
    }
    let kept = toolchain::merged_versions(versions, &fs::read_to_string(lock_file)?);
    Ok(fs::write(build_folder::kept_lock_file(folder), kept)?)
}

/// Runs through evcxr what every notebook starts with, in `folder`, while the stand-in for cargo records what it is
/// asked.
fn compile(paths: &Paths, folder: &Path, start: Instant, crates: &Crates) -> Outcome {
    crates.write_to_template(folder)?;
    let configuration = build_folder::write_configuration(folder)?;
    fs::create_dir_all(toolchain::folder(folder))?;
    fs::write(toolchain::folder(folder).join("rustc"), rustc().display().to_string())?;
    toolchain::install(folder)?;
    set_environment(environment(paths));
    set_environment(toolchain::environment(folder, folder, Mode::Learn));
    set_environment([
        ("EVCXR_TMPDIR", folder.display().to_string()),
        ("EVCXR_CONFIG_DIR", configuration.display().to_string()),
    ]);
    env::set_current_dir(paths.root())?;

    tell_progress(folder, start)?;
    let (mut context, outputs) =
        CommandContext::new().map_err(|error| format!("evcxr does not start: {error}"))?;
    let printed = thread::spawn(move || outputs.stderr.iter().collect::<Vec<String>>());
    let mut shown = String::new();
    let first = crates.commands() + &build_folder::first_cell(Path::new("helpers"));
    // Records how cells are compiled at each optimisation level, the usual one last.
    for cell in
        [":load_config --quiet", &first, ":opt 1\n1", ":opt 2\n1", ":opt 3\n1", ":opt 0\n1", COUNT]
    {
        let outputs =
            context.execute(cell).map_err(|error| cannot_compile(&error.to_string(), crates))?;
        shown = outputs.get("text/plain").unwrap_or_default().to_owned();
    }
    // evcxr explains a mistake with the help of `cargo check`, which needs metadata files of every dependency. Made
    // here, so that the first mistake after another `:dep` does not wait for them.
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

/// Says every few seconds how far a build in this folder is, until this program ends.
fn tell_progress(folder: &Path, start: Instant) -> Outcome {
    let target = folder.join("target");
    let files = match dependency_files(&target) {
        0 => 2 * packages(&fs::read_to_string(folder.join("Cargo.lock"))?),
        // How much is left is unknown for a build that continues an earlier one.
        _ => 0,
    };
    thread::spawn(move || {
        loop {
            thread::sleep(HEARTBEAT);
            let (done, seconds) = (dependency_files(&target), start.elapsed().as_secs_f64());
            match files.checked_sub(done).filter(|_| done > 0) {
                Some(left) => println!(
                    "kernel template: {} of {} crates, ETA {:.0} s",
                    done / 2,
                    files / 2,
                    seconds * left as f64 / done as f64
                ),
                None => println!("kernel template: compiling helpers, {seconds:.0} s"),
            }
        }
    });
    Ok(())
}

/// The number of packages in a lock file, without the package of the cells.
fn packages(lock_file: &str) -> usize {
    lock_file.matches("[[package]]").count().saturating_sub(1)
}

/// The number of dependency files, which list a crate's sources. Cargo writes two for each crate here: one when it
/// compiles the crate and one when it checks it.
fn dependency_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => dependency_files(&entry.path()),
        Ok(_) if entry.file_name().to_string_lossy().ends_with(".d") => 1,
        _ => 0,
    };
    entries.map(count).sum()
}

fn cannot_compile(error: &str, crates: &Crates) -> String {
    let added = crates.text();
    let hint = match added.lines().next() {
        Some(_) => format!(
            "\nif it is one of the crates that were added, `cargo xtask kernel remove CRATE` leaves it out:\n{added}"
        ),
        None => String::new(),
    };
    format!("cannot compile helpers for the kernel:\n{error}{hint}")
}

/// A cell that shows 2, with a variable.
pub(crate) const COUNT: &str = "let first: usize = 1;\nfirst + 1";

/// The path of the compiler itself; calling it through rustup would be slower.
fn rustc() -> PathBuf {
    let said = Command::new("rustup").args(["which", "rustc"]).output();
    let text = said.ok().filter(|said| said.status.success()).map(|said| said.stdout);
    let path = text.map(|text| PathBuf::from(String::from_utf8_lossy(&text).trim()));
    let on_path = || {
        let folders = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&folders).map(|folder| folder.join("rustc")).find(|rustc| rustc.is_file())
    };
    path.or_else(on_path).unwrap_or_else(|| PathBuf::from("rustc"))
}

/// Makes the library that cells are linked with, and tries it. Without it cells take longer, and nothing else.
fn link_cells(paths: &Paths, folder: &Path) -> Outcome {
    if let Err(error) = library::make(folder).and_then(|()| rehearse(paths, folder)) {
        println!("note: cells are linked with each library by itself, which takes longer: {error}");
        library::remove(folder)?;
        rehearse(paths, folder)?;
    }
    Ok(())
}

/// Runs the first cells of a notebook as a kernel would, in a process of its own.
fn rehearse(paths: &Paths, template: &Path) -> Outcome {
    let said = Command::new(env::current_exe()?)
        .arg("rehearse")
        .arg(template)
        .env(crate::paths::REPOSITORY_VARIABLE, paths.root())
        .output()?;
    match said.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said.stderr).trim().to_owned().into()),
    }
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

/// Points the link of kernels to a finished build, and removes builds that nobody uses.
fn replace(paths: &Paths, built: &Path) -> Outcome {
    let _nobody_starts = lock(&paths.kernel().join("template.lock"))?;
    let link = paths.template();
    if !link.is_symlink() {
        // An older kernel has left a folder here.
        remove(&link)?;
    }
    let fresh = paths.kernel().join("template.new");
    remove(&fresh)?;
    let _ = fs::remove_file(&fresh);
    let name = built.strip_prefix(paths.kernel())?;
    symlink(name, &fresh)?;
    fs::rename(fresh, link)?;
    remove_unused(&paths.templates(), built)?;
    Ok(())
}

fn remove_unused(templates: &Path, used: &Path) -> io::Result<()> {
    for entry in fs::read_dir(templates)? {
        let path = entry?.path();
        let lock_file = lock_file(&path);
        let folder = path.with_extension("");
        let in_use = fs::File::open(&lock_file).is_ok_and(|lock| lock.try_lock().is_err());
        if folder == used || in_use {
            continue;
        }
        remove(&folder)?;
        if lock_file.exists() {
            fs::remove_file(lock_file)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_are_compiled_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let deps = folder.path().join("debug/deps");
        fs::create_dir_all(&deps).unwrap();
        for name in ["serde-1.d", "serde-2.d", "libserde-1.rlib"] {
            fs::write(deps.join(name), "").unwrap();
        }
        assert_eq!(dependency_files(folder.path()), 2);
        assert_eq!(
            packages("version = 4\n[[package]]\nname = \"ctx\"\n[[package]]\nname = \"serde\"\n"),
            1
        );
    }

    #[test]
    fn a_template_that_a_kernel_uses_stays() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("helpers")).unwrap();
        fs::write(root.path().join("helpers/Cargo.toml"), "").unwrap();
        let paths = Paths::find(Some(root.path().to_owned())).unwrap();
        let template = |name: &str| {
            let folder = paths.templates().join(name);
            fs::create_dir_all(&folder).unwrap();
            folder
        };
        // Earlier versions left a folder here instead of a link.
        fs::create_dir_all(paths.template().join("target")).unwrap();
        let (used, new) = (template("1"), template("3"));
        template("2");
        let kernel = lock(&lock_file(&used)).unwrap();
        drop(lock(&lock_file(&paths.templates().join("2"))).unwrap());

        assert_eq!(current(&paths), None);
        replace(&paths, &new).unwrap();
        assert_eq!(current(&paths), Some(new.clone()));
        replace(&paths, &new).unwrap();
        drop(kernel);

        let mut left: Vec<_> = fs::read_dir(paths.templates())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["1", "1.lock", "3"]);
        replace(&paths, &new).unwrap();
        assert!(!used.exists());
    }
}
