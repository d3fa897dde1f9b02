//! Which session a tool is called in, and what is known there.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build_folder;
use crate::paths::Paths;
use crate::state::State;
use crate::toolchain::folders::{bin, folder};
use crate::toolchain::manifest::Manifest;

/// The path and `CARGO_HOME` that the kernel was started with.
pub(super) const PATH_VARIABLE: &str = "NOTEBOOK_PATH";
pub(super) const CARGO_HOME_VARIABLE: &str = "NOTEBOOK_CARGO_HOME";
/// The warm build of this session.
pub(super) const TEMPLATE_VARIABLE: &str = "NOTEBOOK_TEMPLATE";
pub(super) const MODE_VARIABLE: &str = "NOTEBOOK_TOOLS";

/// What the stand-ins do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// A warm build is being made: call the real tools and record the answers.
    Learn,
    /// Answer from what was recorded.
    Know,
    /// The warm build belongs to another compiler: use nothing that was recorded.
    Forget,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Learn => "learn",
            Mode::Know => "know",
            Mode::Forget => "forget",
        }
    }
}

pub(super) struct Context {
    pub(super) session: PathBuf,
    pub(super) template: PathBuf,
    pub(super) mode: Mode,
    path: OsString,
    cargo_home: Option<OsString>,
}

impl Context {
    pub(super) fn from_environment() -> Option<Context> {
        let name = env::var(MODE_VARIABLE).ok()?;
        let modes = [Mode::Learn, Mode::Know, Mode::Forget];
        Some(Context {
            session: PathBuf::from(env::var_os("EVCXR_TMPDIR")?),
            template: PathBuf::from(env::var_os(TEMPLATE_VARIABLE)?),
            mode: modes.into_iter().find(|mode| mode.name() == name)?,
            path: env::var_os(PATH_VARIABLE)?,
            cargo_home: env::var_os(CARGO_HOME_VARIABLE),
        })
    }

    /// Whether the question is about the package that evcxr compiles.
    pub(super) fn is_in_session(&self) -> bool {
        let session = self.session.canonicalize();
        env::current_dir().is_ok_and(|here| session.is_ok_and(|session| here == session))
    }

    /// The folder of what was recorded for the warm build.
    pub(super) fn known(&self) -> PathBuf {
        folder(&self.template)
    }

    pub(super) fn manifest(&self) -> Option<Manifest> {
        fs::read_to_string(self.session.join("Cargo.toml")).ok().map(Manifest::new)
    }

    /// This package with the dependencies of the warm build's manifest, if cells of this one can be compiled with
    /// those.
    pub(super) fn whole(&self, manifest: &Manifest) -> Option<Manifest> {
        let built = Manifest::new(fs::read_to_string(self.template.join("Cargo.toml")).ok()?);
        let locked = fs::read_to_string(build_folder::kept_lock_file(&self.template)).ok()?;
        manifest.has_dependencies().then(|| manifest.within(&built, &locked))?
    }

    /// Whether helpers is unchanged since the warm build.
    pub(super) fn has_same_helpers(&self) -> bool {
        let now = Paths::find(None).and_then(|paths| State::now(&paths));
        now.is_ok_and(|now| State::read(&self.known()) == Some(now))
    }

    /// Whether cargo would resolve dependencies as it did for the warm build.
    pub(super) fn has_same_manifests(&self) -> bool {
        let now = Paths::find(None).and_then(|paths| State::of_manifests(&paths));
        let built = State::read(&self.known()).map(|state| state.manifests);
        now.is_ok_and(|now| built == Some(now))
    }

    /// The real tool of this name, in the environment that the kernel was started with.
    pub(super) fn real(&self, name: &str) -> Command {
        let mut command = match name {
            "rustc" => Command::new(self.rustc()),
            _ => Command::new(name),
        };
        command.env("PATH", &self.path);
        match &self.cargo_home {
            Some(home) => command.env("CARGO_HOME", home),
            None => command.env_remove("CARGO_HOME"),
        };
        // evcxr passes the path of our stand-in to cargo as `RUSTC`; replace it by the real compiler.
        if env::var_os("RUSTC")
            .is_some_and(|rustc| Path::new(&rustc).starts_with(bin(&self.session)))
        {
            command.env("RUSTC", self.rustc());
        }
        command
    }

    /// The compiler itself where its path was recorded; calling it through rustup would be slower.
    pub(super) fn rustc(&self) -> PathBuf {
        let known = fs::read_to_string(self.known().join("rustc")).map(PathBuf::from);
        match known {
            Ok(rustc) if self.mode != Mode::Forget && rustc.is_file() => rustc,
            _ => env::split_paths(&self.path)
                .map(|folder| folder.join("rustc"))
                .find(|rustc| rustc.is_file())
                .unwrap_or_else(|| PathBuf::from("rustc")),
        }
    }
}
