//! The browser that opens the pages in the tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::process;
use crate::progress::Step;
use crate::project::Project;

const NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const MAC: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

pub(crate) const ADVICE: &str = "install Chromium or Chrome (on Debian: apt-get install chromium), or name \
    one in the variable CHROMIUM, or leave these tests out with `cargo xtask test --no-browser`";

/// The browser in the variable `CHROMIUM`, or the first one on the path.
pub(crate) fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &Path| {
        let mut paths = env::split_paths(&path).map(|folder| folder.join(name));
        paths.find(|path| path.is_file() && !is_stub(path))
    };
    if let Some(named) = env::var_os("CHROMIUM").filter(|named| !named.is_empty()) {
        return on_path(Path::new(&named));
    }
    let found = NAMES.iter().find_map(|name| on_path(Path::new(name)));
    found.or_else(|| Some(PathBuf::from(MAC)).filter(|mac| mac.is_file()))
}

/// Whether this is what Ubuntu has in place of Chromium: a script that asks for a snap and fails.
fn is_stub(program: &Path) -> bool {
    program.ends_with("chromium-browser")
        && process::ask(Command::new(program).arg("--version")).is_none()
}

/// Finds a browser, or installs one if that is possible without asking.
pub(crate) fn ensure(project: &Project, mut step: Step) -> Result<(), Failure> {
    if let Some(program) = find() {
        step.done(&program.display().to_string());
        return Ok(());
    }
    let root = process::ask(project.command("id").arg("-u")).is_some_and(|id| id == "0");
    let debian = Path::new("/etc/debian_version").exists();
    if root && debian {
        for (what, words) in [
            ("apt-get update", &["update"][..]),
            ("installing Chromium", &["install", "-y", "--no-install-recommends", "chromium"]),
        ] {
            let mut apt = project.command("apt-get");
            apt.arg("-q").args(words).env("DEBIAN_FRONTEND", "noninteractive");
            process::run(project, &mut step, what, &mut apt, "browser")?;
        }
        if let Some(program) = find() {
            step.done(&format!("{} installed", program.display()));
            return Ok(());
        }
    }
    Err(Failure::new("no Chromium or Chrome found, and the tests open the pages in one")
        .advice(ADVICE))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_script_that_asks_for_a_snap_is_no_browser() {
        let folder = tempfile::tempdir().unwrap();
        for (status, stub) in [(0, false), (1, true)] {
            let program = folder.path().join(status.to_string()).join("chromium-browser");
            fs::create_dir(program.parent().unwrap()).unwrap();
            fs::write(&program, format!("#!/bin/sh\nexit {status}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(is_stub(&program), stub, "{status}");
        }
    }
}
