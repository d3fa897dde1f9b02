//! Paths in the repository that the kernel uses.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use crate::outcome::Outcome;

/// Tells a kernel where the repository is; set by the kernelspec.
pub(crate) const REPOSITORY_VARIABLE: &str = "NOTEBOOK_REPOSITORY";

/// The library that `template/flush.rs` makes, relative to the repository's root.
pub(crate) const FLUSH_LIBRARY: &str = ".tools/kernel/libnotebook_flush.so";

/// A file in a template that is written last: without it the template is incomplete.
pub(crate) const STAMP: &str = "stamp";

/// The paths under one repository root.
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The repository: `given`, or what the kernelspec names, or the one this binary or the working
    /// directory lies in.
    ///
    /// # Errors
    /// If none of these holds `helpers/Cargo.toml`.
    pub(crate) fn find(given: Option<PathBuf>) -> Outcome<Paths> {
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
            .map(|root| Paths { root })
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

    /// The warm builds: the one in use, those that kernels still use, one that is being made.
    pub(crate) fn templates(&self) -> PathBuf {
        self.kernel().join("templates")
    }

    /// A link to the warm build that kernels start on.
    pub(crate) fn template(&self) -> PathBuf {
        self.kernel().join("template")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.kernel().join("sessions")
    }

    pub(crate) fn flush_library(&self) -> PathBuf {
        self.root.join(FLUSH_LIBRARY)
    }

    /// What evcxr's analyser sees of Rust's standard library (`template/rust_src.rs`).
    pub(crate) fn rust_src(&self) -> PathBuf {
        self.kernel().join("rust-src")
    }

    /// The program that runs trials of a search (`template/trial.rs`).
    pub(crate) fn trial(&self) -> PathBuf {
        self.root.join(".tools/trial")
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
}

/// The path of this program. If set-up has replaced the file since this process started, the path
/// of the new file.
pub(crate) fn program() -> io::Result<PathBuf> {
    let path = env::current_exe()?;
    let replaced =
        path.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(replaced.unwrap_or(path))
}

fn is_repository(folder: &Path) -> bool {
    folder.join("helpers/Cargo.toml").is_file()
}
