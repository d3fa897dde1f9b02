//! Stand-ins for `cargo`, `rustc` and `rustup` in a kernel's session.
//!
//! At each start evcxr and its analyser ask cargo and rustc a dozen questions whose answers never change, and for each
//! cell cargo checks a hundred crates. So in a session this program is found under those three names, in a folder that
//! comes first in `PATH`. It answers from a record, and compiles cells with rustc alone against the warm build. What it
//! does not know it passes on to the real tools, which work on a copy of the warm build.
//!
//! The record is made together with the warm build, from evcxr's own questions. Another evcxr, rustc, lock file or
//! manifest asks something else, which the real tools answer.

mod answers;
mod build;
mod cell;
mod context;
mod folders;
mod kept;
mod lock_file;
mod manifest;
mod real;
mod statements;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) use build::{library, library_arguments};
pub(crate) use cell::{LIBRARY, without_number};
pub(crate) use context::Mode;
pub(crate) use folders::folder;
pub(crate) use kept::trim;
pub(crate) use lock_file::{merged as merged_versions, with_added as with_added_versions};

use context::{CARGO_HOME_VARIABLE, Context, MODE_VARIABLE, PATH_VARIABLE, TEMPLATE_VARIABLE};
use folders::{TOOLS, WRAPPER, bin, home};

use crate::environment::{remove_environment, set_environment};
use crate::paths::STAMP;

/// Puts the stand-ins into a session's folder.
pub(crate) fn install(session: &Path) -> io::Result<()> {
    let program = env::current_exe()?;
    let bin = bin(session);
    fs::create_dir_all(&bin)?;
    for name in TOOLS.into_iter().chain([WRAPPER]) {
        symlink(&program, bin.join(name))?;
    }
    Ok(())
}

/// The variables through which evcxr finds the stand-ins, and these find the real tools.
pub(crate) fn environment(
    session: &Path,
    template: &Path,
    mode: Mode,
) -> Vec<(&'static str, String)> {
    let own = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let path = own("PATH").unwrap_or_default();
    let mut variables = vec![
        ("PATH", format!("{}:{path}", bin(session).display())),
        (PATH_VARIABLE, path),
        ("CARGO_HOME", home(session).display().to_string()),
        (TEMPLATE_VARIABLE, template.display().to_string()),
        (MODE_VARIABLE, mode.name().to_owned()),
    ];
    variables.extend(own("CARGO_HOME").map(|home| (CARGO_HOME_VARIABLE, home)));
    variables
}

/// Restores the `PATH` and `CARGO_HOME` that the kernel was started with, for the process that runs cells.
pub(crate) fn restore_environment() {
    let Some(path) = env::var_os(PATH_VARIABLE) else { return };
    set_environment([("PATH", path.to_string_lossy().into_owned())]);
    match env::var_os(CARGO_HOME_VARIABLE) {
        Some(home) => {
            set_environment([("CARGO_HOME", home.to_string_lossy().into_owned())]);
        }
        None => remove_environment(["CARGO_HOME"]),
    }
    remove_environment([PATH_VARIABLE, CARGO_HOME_VARIABLE, TEMPLATE_VARIABLE, MODE_VARIABLE]);
}

/// Acts as a tool if this program was called by a tool's name.
pub(crate) fn run_if_called() -> Option<ExitCode> {
    let mut arguments = env::args_os();
    let called = PathBuf::from(arguments.next()?);
    let name = called.file_name()?.to_str()?.to_owned();
    if name != WRAPPER && !TOOLS.contains(&name.as_str()) {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    Some(run(&name, &arguments))
}

fn run(name: &str, arguments: &[OsString]) -> ExitCode {
    let Some(context) = Context::from_environment() else {
        eprintln!("error: this `{name}` belongs to a notebook kernel, and none has called it");
        return ExitCode::FAILURE;
    };
    if name == WRAPPER {
        return real::compile_cell_for_cargo(&context, arguments);
    }
    let words: Option<Vec<&str>> = arguments.iter().map(|word| word.to_str()).collect();
    words
        .and_then(|words| answer(&context, name, &words))
        .unwrap_or_else(|| real::pass_on(&context, name, arguments))
}

/// Answers or builds without the real tool, if possible.
fn answer(context: &Context, name: &str, words: &[&str]) -> Option<ExitCode> {
    match (name, words) {
        ("rustup", ["which", tool @ ("cargo" | "rustc")]) => {
            println!("{}", bin(&context.session).join(tool).display());
            Some(ExitCode::SUCCESS)
        }
        ("cargo", ["build" | "check", rest @ ..] | ["--offline", "build" | "check", rest @ ..])
            if context.is_in_session()
                && matches!(rest, ["--target", _, "--message-format=json"]) =>
        {
            Some(build(context, words))
        }
        ("cargo" | "rustc", _) => answers::answer(context, name, words),
        _ => None,
    }
}

/// Does `cargo build` or `cargo check`.
fn build(context: &Context, words: &[&str]) -> ExitCode {
    if !context.template.join(STAMP).is_file() && context.mode != Mode::Learn {
        return build::refuse(
            "the kernel's warm build is gone, and cells cannot be compiled; run `cargo xtask setup`, then restart the kernel",
        );
    }
    let only_check = words.contains(&"check");
    let reason = match context.mode {
        Mode::Know => match build::compile(context, only_check) {
            Ok(code) => return code,
            Err(reason) => reason,
        },
        Mode::Forget => "the compiler or the settings have changed since `cargo xtask setup`",
        Mode::Learn => "",
    };
    real::build(context, words, reason)
}
