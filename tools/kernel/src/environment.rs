//! The environment that cells are compiled and run in.

use std::env;
use std::path::PathBuf;

use crate::paths::{Paths, REPOSITORY_VARIABLE};

/// Names the libtorch to compile with to the build of its bindings.
pub(crate) const LIBTORCH_VARIABLE: &str = "LIBTORCH";

/// The environment of a kernel and of all that it starts.
///
/// The loader path names the wheel's own folder and not the links that `LIBTORCH` holds:
/// libtorch finds its companions relative to where it lies.
///
/// A thread that waits for others spins for 300,000 rounds before it sleeps, if OpenMP is left alone. With another
/// program on the processor it spins in the others' way: training on two cores beside one busy process ran at 30% of
/// its speed for a dense network, and at 47% with 3,000 rounds. Alone, 3,000 rounds cost a sixth of the speed, and
/// 20,000 nothing that could be measured.
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

/// Names to a kernel the folder in which the compiler was found when the kernel was installed.
pub(crate) const RUST_VARIABLE: &str = "NOTEBOOK_RUST";

/// The folder of the compiler that is on the path.
pub(crate) fn rust_folder() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).find(|folder| folder.join("rustc").is_file())
}

/// Puts the compiler's folder on the path if it is not there: JupyterLab may have been started from a desktop, and VS Code
/// reads no shell's settings.
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
