//! Calling the real tools.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::build_folder;
use crate::files::{remove, write_whole};
use crate::link::{LEFT_TO_CARGO, LINK_VARIABLE, keep_diagnostics};
use crate::toolchain::build::{self, METADATA};
use crate::toolchain::context::{Context, Mode};
use crate::toolchain::folders::{WRAPPER, bin};
use crate::toolchain::{cell, lock_file, statements};

/// Runs the real tool in place of this process; in the session's folder as a child, so that the lock file can be
/// repaired.
pub(super) fn pass_on(context: &Context, name: &str, arguments: &[OsString]) -> ExitCode {
    let mut command = context.real(name);
    command.args(arguments);
    if name == "cargo" && context.is_in_session() {
        let _locked = keep_versions(context);
        return wait_for(command);
    }
    become_it(command)
}

fn become_it(mut command: Command) -> ExitCode {
    let error = command.exec();
    cannot_run(&command, &error)
}

fn wait_for(mut command: Command) -> ExitCode {
    match command.status() {
        Ok(status) => {
            ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
        }
        Err(error) => cannot_run(&command, &error),
    }
}

/// Makes cargo compile a cell, in a copy of the warm build.
pub(super) fn build(context: &Context, words: &[&str], reason: &str) -> ExitCode {
    if context.mode != Mode::Learn
        && let Err(error) = copy_warm_build(context, reason)
    {
        return build::refuse(&format!("the kernel cannot copy its warm build: {error}"));
    }
    let mut cargo = context.real("cargo");
    cargo.args(words).env("RUSTC_WORKSPACE_WRAPPER", bin(&context.session).join(WRAPPER));
    // The variable would overrule the profile (`template/profile.rs`), so that everything would be compiled anew once
    // it is unset.
    cargo.env_remove("CARGO_INCREMENTAL");
    let _locked = keep_versions(context);
    let code = wait_for(cargo);
    if let ["build", _, target, ..] = words {
        let made = context.session.join("target").join(target).join("debug");
        let readable = build::without_spaces(&made);
        if readable != made {
            // evcxr uses the last artifact that is printed.
            println!("{}", build::artifact(&readable.join(build::made_library())));
        }
    }
    code
}

/// Copies what cargo has compiled for the template to the session, unless that was done before, and says why cargo compiles.
fn copy_warm_build(context: &Context, reason: &str) -> io::Result<()> {
    let target = context.session.join("target");
    // In cargo's format, which evcxr passes on; the front shows it once compiling takes long.
    eprintln!("   Compiling {LEFT_TO_CARGO}{reason}");
    if target.exists() {
        return Ok(());
    }
    let fresh = context.session.join("target.new");
    remove(&fresh)?;
    build_folder::copy(&context.template.join("target"), &fresh)?;
    fs::rename(fresh, target)
}

/// Keeps cargo from dropping versions from the lock file, until the value is dropped.
pub(super) fn keep_versions(context: &Context) -> Option<Versions> {
    let file = context.session.join("Cargo.lock");
    if context.mode == Mode::Learn {
        // Starts from the workspace's lock file; cargo keeps what it needs.
        fs::copy(build_folder::kept_lock_file(&context.session), file).ok()?;
        return None;
    }
    Some(Versions { before: fs::read_to_string(&file).ok()?, file })
}

pub(super) struct Versions {
    file: PathBuf,
    before: String,
}

impl Drop for Versions {
    fn drop(&mut self) {
        let now = fs::read_to_string(&self.file).unwrap_or_default();
        let merged = lock_file::merged(&self.before, &now);
        if merged != now {
            // Without the file the next build only takes longer.
            let _ = write_whole(&self.file, merged.as_bytes());
        }
    }
}

/// Runs the compiler as cargo calls it for the packages of the session.
pub(super) fn compile_cell_for_cargo(context: &Context, arguments: &[OsString]) -> ExitCode {
    let Some((compiler, rest)) = arguments.split_first() else { return ExitCode::FAILURE };
    let mut command = Command::new(compiler);
    let words: Option<Vec<String>> =
        rest.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    let Some(mut words) = words.filter(|words| is_cell(words)) else {
        command.args(rest);
        return become_it(command);
    };
    let is_built = words.iter().any(|word| word.starts_with("--emit=") && word.contains("link"));
    if context.mode == Mode::Learn
        && is_built
        && let Err(error) = build::learn(context, &words)
    {
        eprintln!("warning: cells will be compiled by cargo: {error}");
    }
    // cargo's own metadata changes with the dependencies; variables whose types are defined in cells would be lost.
    for word in &mut words {
        if word.starts_with("metadata=") {
            METADATA.clone_into(word);
        }
    }
    command.args(words).stderr(Stdio::piped());
    if is_built
        && env::var_os(LINK_VARIABLE).is_some()
        && let Ok(folder) = build::write_with_places(context)
    {
        command.current_dir(folder);
    }
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = cell::said_for_evcxr(&statements::without_notes(&said));
            keep_diagnostics(said.as_bytes());
            let _ = io::stderr().write_all(said.as_bytes());
            ExitCode::from(
                output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
            )
        }
        Err(error) => cannot_run(&command, &error),
    }
}

fn cannot_run(command: &Command, error: &io::Error) -> ExitCode {
    eprintln!("error: cannot run {}: {error}", command.get_program().display());
    ExitCode::from(127)
}

fn is_cell(words: &[String]) -> bool {
    words.windows(2).any(|pair| pair[0] == "--crate-name" && pair[1] == "ctx")
}
