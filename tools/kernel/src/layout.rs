//! Where things are, and the environment that cells are compiled and run in.

use std::env;
use std::path::{Path, PathBuf};

use crate::Outcome;

/// Names the repository to a kernel; the kernelspec sets it.
pub(crate) const REPOSITORY_VARIABLE: &str = "NOTEBOOK_REPOSITORY";

/// Names the libtorch to compile with to the build of its bindings.
pub(crate) const LIBTORCH_VARIABLE: &str = "LIBTORCH";

/// The places under one repository root.
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The repository: `given`, or what the kernelspec names, or the one this binary or the working
    /// directory lies in.
    ///
    /// # Errors
    /// If none of these holds `helpers/Cargo.toml`.
    pub(crate) fn find(given: Option<PathBuf>) -> Outcome<Layout> {
        let named = given.or_else(|| env::var_os(REPOSITORY_VARIABLE).map(PathBuf::from));
        let starts = match named {
            Some(named) if is_repository(&named) => vec![named],
            Some(named) => {
                return Err(format!("{} holds no helpers/Cargo.toml", named.display()).into());
            }
            None => [env::current_exe(), env::current_dir()].into_iter().flatten().collect(),
        };
        starts
            .iter()
            .filter_map(|start| start.ancestors().find(|folder| is_repository(folder)))
            .find_map(|root| root.canonicalize().ok())
            .map(|root| Layout { root })
            .ok_or_else(|| {
                format!("no repository found; set {REPOSITORY_VARIABLE} to its root").into()
            })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn helpers(&self) -> PathBuf {
        self.root.join("helpers")
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join("Cargo.lock")
    }

    /// The folder that holds all that a kernel needs: this binary, the template, the sessions.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.root.join(".tools/kernel")
    }

    pub(crate) fn installed_binary(&self) -> PathBuf {
        self.kernel().join("notebook-kernel")
    }

    pub(crate) fn template(&self) -> PathBuf {
        self.kernel().join("template")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.kernel().join("sessions")
    }

    /// What evcxr's analyser sees of Rust's standard library (`library.rs`).
    pub(crate) fn library(&self) -> PathBuf {
        self.kernel().join("library")
    }

    /// Where set-up puts libtorch.
    pub(crate) fn libtorch(&self) -> PathBuf {
        self.root.join(".tools/libtorch")
    }

    /// What cells are linked with (`libtorch.rs`).
    pub(crate) fn linked_libtorch(&self) -> PathBuf {
        match cfg!(target_os = "linux") {
            true => self.kernel().join("libtorch"),
            false => self.libtorch(),
        }
    }

    /// The environment of a kernel and of all that it starts.
    ///
    /// The loader path names the wheel's own folder and not the links that `LIBTORCH` holds:
    /// libtorch finds its companions relative to where it lies.
    ///
    /// A thread that waits for others spins for 300,000 rounds before it sleeps, if OpenMP is left alone. With another
    /// program on the processor it spins in the others' way: training on two cores beside one busy process ran at 30% of
    /// its speed for a dense network, and at 47% with 3,000 rounds. Alone, 3,000 rounds cost a sixth of the speed, and
    /// 20,000 nothing that could be measured.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let torch = self.root.join(".tools/torch/torch/lib");
        let loader_path =
            if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
        vec![
            (REPOSITORY_VARIABLE, self.root.display().to_string()),
            (LIBTORCH_VARIABLE, self.linked_libtorch().display().to_string()),
            (loader_path, torch.display().to_string()),
            ("RUST_BACKTRACE", "0".to_owned()),
            ("RUST_SRC_PATH", self.library().display().to_string()),
            ("GOMP_SPINCOUNT", "20000".to_owned()),
        ]
    }
}

fn is_repository(folder: &Path) -> bool {
    folder.join("helpers/Cargo.toml").is_file()
}

/// Sets environment variables of this process.
pub(crate) fn set_environment<'a>(variables: impl IntoIterator<Item = (&'a str, String)>) {
    for (name, value) in variables {
        // SAFETY: called from `main` before any other thread is started.
        unsafe { env::set_var(name, value) };
    }
}
