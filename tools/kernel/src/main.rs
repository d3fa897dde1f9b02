//! The Jupyter kernel of the notebooks: evcxr on a warm build of helpers.
//!
//! evcxr compiles every dependency anew for each kernel, minutes of work for libtorch's bindings.
//! Here `build-template` compiles them once, and kernels link cells with that build:
//!
//! - `notebook-kernel build-template --repository ROOT` makes `.tools/kernel/template`, or finds it fresh
//! - `notebook-kernel install --repository ROOT --prefix VENV` writes the kernelspec `rust` into VENV
//! - `notebook-kernel add CRATE`, `remove CRATE` and `list` manage the extra crates of the warm build
//! - `notebook-kernel --control_file FILE` is how Jupyter starts a kernel
//!
//! A kernel is four processes of this binary, each started by the one before: the front, which Jupyter talks to;
//! `evcxr_jupyter`, which compiles cells; the relay, which evcxr takes for the process that runs cells; and the runner,
//! which runs them. The same binary also stands in for cargo, rustc and rustup (`toolchain`). `build-template` calls
//! `rehearse`.

mod adding;
mod build_folder;
mod crates;
mod environment;
mod files;
mod front;
mod install;
mod libtorch;
mod link;
mod outcome;
mod parent;
mod paths;
mod relay;
mod runner;
mod session;
mod state;
mod template;
mod toolchain;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crates::Crates;
use front::inner::INNER_VARIABLE;
use outcome::Outcome;
use paths::Paths;

const USAGE: &str = "\
usage: notebook-kernel build-template [--repository ROOT]
       notebook-kernel install [--repository ROOT] --prefix VENV
       notebook-kernel add|remove CRATE [--repository ROOT]
       notebook-kernel list [--repository ROOT]
       notebook-kernel --control_file FILE";

fn main() -> ExitCode {
    if let Some(code) = toolchain::run_if_called() {
        return code;
    }
    runner::run_if_runner(session::leave);
    relay::run_if_relay();
    runner::prepare_if_child();
    evcxr::runtime_hook();
    match run(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--control_file", file]
            if env::var_os(INNER_VARIABLE).is_some_and(|own| own == **file) =>
        {
            session::serve_evcxr()
        }
        ["--control_file", file] => {
            // A cell may have started it.
            session::leave();
            environment::find_rust();
            session::serve(&Paths::find(None)?, Path::new(file))
        }
        ["rehearse", template] => session::rehearse(&Paths::find(None)?, template.into()),
        ["build-template", options @ ..] => {
            let [repository] = read_options(options, ["--repository"])?;
            let paths = Paths::find(repository)?;
            template::build(&paths, &Crates::of(&paths))
        }
        ["add", name, options @ ..] => {
            let [repository] = read_options(options, ["--repository"])?;
            adding::add(&Paths::find(repository)?, name)
        }
        ["remove", name, options @ ..] => {
            let [repository] = read_options(options, ["--repository"])?;
            adding::remove(&Paths::find(repository)?, name)
        }
        ["list", options @ ..] => {
            let [repository] = read_options(options, ["--repository"])?;
            adding::list(&Paths::find(repository)?);
            Ok(())
        }
        ["install", options @ ..] => {
            let [repository, prefix] = read_options(options, ["--repository", "--prefix"])?;
            let prefix = prefix
                .ok_or("`install` needs `--prefix VENV`, the Python environment to install into")?;
            install::install(&Paths::find(repository)?, &prefix)
        }
        _ => Err(USAGE.into()),
    }
}

/// The values of `names` among `options`, each at most once and in any order.
fn read_options<const N: usize>(
    options: &[&str],
    names: [&str; N],
) -> Outcome<[Option<PathBuf>; N]> {
    let mut values = [const { None }; N];
    for pair in options.chunks(2) {
        let position = names.iter().position(|name| *name == pair[0]);
        match (position, pair) {
            (Some(position), [_, value]) => values[position] = Some(PathBuf::from(value)),
            _ => return Err(format!("cannot read `{}`\n{USAGE}", pair.join(" ")).into()),
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_in_any_order() {
        let [repository, prefix] =
            read_options(&["--prefix", "venv", "--repository", "."], ["--repository", "--prefix"])
                .unwrap();
        assert_eq!(repository, Some(PathBuf::from(".")));
        assert_eq!(prefix, Some(PathBuf::from("venv")));
    }

    #[test]
    fn an_option_without_value_is_refused() {
        let message = read_options(&["--prefix"], ["--prefix"]).unwrap_err().to_string();
        assert!(message.starts_with("cannot read `--prefix`"), "{message}");
    }
}
