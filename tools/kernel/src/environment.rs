//! The environment that cells are compiled and run in.

use std::env;
use std::path::PathBuf;

use crate::paths::{Paths, REPOSITORY_VARIABLE};

/// Tells the build of libtorch's bindings which libtorch to compile with.
pub(crate) const LIBTORCH_VARIABLE: &str = "LIBTORCH";

/// The environment of a kernel and of all that it starts.
///
/// The loader path names the wheel's own folder and not the links that `LIBTORCH` holds: libtorch looks for the
/// libraries that it needs relative to its own place.
///
/// By default OpenMP lets a waiting thread spin for 300,000 rounds before it sleeps. When another program is busy, this
/// takes processor time from the threads that work: training on two cores beside one busy process ran at 30% of its
/// speed for a dense network, and at 47% with 3,000 rounds. On an otherwise idle machine 3,000 rounds cost a sixth of
/// the speed, and 20,000 cost nothing that could be measured.
pub(crate) fn environment(paths: &Paths) -> Vec<(&'static str, String)> {
    let torch = paths.root().join(".tools/torch/torch/lib");
    let loader_path =
        if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
    vec![
        (REPOSITORY_VARIABLE, paths.root().display().to_string()),
        (LIBTORCH_VARIABLE, paths.linked_libtorch().display().to_string()),
        (loader_path, torch.display().to_string()),
        ("RUST_BACKTRACE", "0".to_owned()),
        ("RUST_SRC_PATH", paths.rust_src().display().to_string()),
        ("GOMP_SPINCOUNT", "20000".to_owned()),
    ]
}

/// Tells a kernel in which folder the compiler was when the kernel was installed.
pub(crate) const RUST_VARIABLE: &str = "NOTEBOOK_RUST";

/// The folder of the compiler that is on the path.
pub(crate) fn rust_folder() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).find(|folder| folder.join("rustc").is_file())
}

/// Adds the compiler's folder to `PATH` if no compiler is found there: JupyterLab may have been started from a desktop,
/// and VS Code reads no shell's settings.
pub(crate) fn find_rust() {
    if rust_folder().is_some() {
        return;
    }
    let home = |name: &str| env::var_os(name).map(PathBuf::from);
    let folders = [
        home(RUST_VARIABLE),
        home("CARGO_HOME").map(|home| home.join("bin")),
        home("HOME").map(|home| home.join(".cargo/bin")),
    ];
    let found = folders.into_iter().flatten().find(|folder| folder.join("rustc").is_file());
    let Some(found) = found else { return };
    let before = env::var_os("PATH").unwrap_or_default();
    if let Ok(path) = env::join_paths(env::split_paths(&before).chain([found])) {
        set_environment([("PATH", path.to_string_lossy().into_owned())]);
    }
}

/// Removes environment variables of this process, so that what it starts does not find them.
pub(crate) fn remove_environment<const N: usize>(names: [&str; N]) {
    for name in names {
        // SAFETY: called from `main` before any other thread is started.
        unsafe { env::remove_var(name) };
    }
}

/// Sets environment variables of this process.
pub(crate) fn set_environment<'a>(variables: impl IntoIterator<Item = (&'a str, String)>) {
    for (name, value) in variables {
        // SAFETY: called from `main` before any other thread is started.
        unsafe { env::set_var(name, value) };
    }
}
