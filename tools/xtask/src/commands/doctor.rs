//! `cargo xtask doctor`: what is there, and what to do about the rest. It changes nothing.

use std::path::Path;

use crate::checks::browser;
use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::files::size;
use crate::process;
use crate::progress::{bytes, say};
use crate::project::Project;
use crate::setup::step::SetupStep;
use crate::setup::{self, python, tools};

/// What was found; or what is missing, with advice.
type Finding = Result<String, String>;

/// Prints one line per finding.
///
/// # Errors
/// If something that notebooks need is missing.
pub(crate) fn run(project: &Project) -> Result<(), Failure> {
    let mut whole = true;
    for (title, findings) in [
        ("On this machine", on_this_machine(project)),
        ("\nMade by `cargo xtask setup`", made_by_setup(project)),
        ("\nData", vec![data(project)]),
    ] {
        say(title);
        for (name, finding) in findings {
            let (mark, text) = match &finding {
                Ok(text) => ("ok", text),
                Err(text) => ("--", text),
            };
            say(&format!("{mark}  {name:<24} {text}"));
            whole &= finding.is_ok();
        }
    }
    match whole {
        true => Ok(()),
        false => Err(Failure::new("something is missing; the lines marked -- say what to do")),
    }
}

fn on_this_machine(project: &Project) -> Vec<(String, Finding)> {
    let ask = |program: &str, option: &str| {
        let text = process::ask(project.command(program).arg(option));
        text.and_then(|text| text.lines().next().map(str::to_owned))
    };
    let cargo = ask("cargo", "-V").ok_or("install Rust as https://rustup.rs says".to_owned());
    let python = python::find(project)
        .map(|python| format!("{} ({})", python.version, python.program.display()));
    let gpu = process::ask(project.command("nvidia-smi").arg("-L")).filter(|text| !text.is_empty());
    let browser = browser::find().map(|program| program.display().to_string());
    let said = |failure: Failure| failure.to_string();
    let findings = [
        (
            "Folder",
            tools::check_folder(project)
                .map(|()| match tools::slow_folder(project) {
                    Some(note) => format!("{}, {note}", project.root().display()),
                    None => project.root().display().to_string(),
                })
                .map_err(said),
        ),
        ("Rust", tools::rustc(project).map_err(said)),
        ("cargo", cargo),
        ("Rust's own sources", Ok(rust_sources(project))),
        ("C library", tools::c_library(project).map_err(said)),
        ("C++ compiler", tools::compiler(project).map_err(said)),
        ("Python with venv", python.map_err(said)),
        ("Free disk space", free_disk_space(project)),
        ("GPU", Ok(gpu.map_or("none, not needed".to_owned(), |gpu| about_gpu(project, &gpu)))),
        (
            "Browser (for tests)",
            Ok(browser.unwrap_or_else(|| format!("none; {}", browser::ADVICE))),
        ),
    ];
    findings.map(|(name, finding)| (name.to_owned(), finding)).into()
}

/// The name of the GPU, and whether the program that runs trials can compute a product on it.
fn about_gpu(project: &Project, gpu: &str) -> String {
    let trial = project.tools("trial");
    let found = trial.exists().then(|| process::ask(project.command(trial).arg("--device")));
    match found.flatten() {
        Some(found) => format!("{}: {}", gpu.lines().next().unwrap_or_default(), found.trim()),
        None => format!("{gpu}; `cargo xtask setup` makes what can try it"),
    }
}

/// Whether the component `rust-src` is there, in which the kernel looks up the types of variables.
fn rust_sources(project: &Project) -> String {
    let root = process::ask(project.command("rustc").args(["--print", "sysroot"]));
    let library = Path::new(&root.unwrap_or_default()).join("lib/rustlib/src/rust/library");
    match library.is_dir() {
        true => "there".to_owned(),
        false => {
            "not there; set-up adds them through rustup (rustup component add rust-src)".to_owned()
        }
    }
}

fn free_disk_space(project: &Project) -> Finding {
    match tools::free_gb(project) {
        Some(free) if free < tools::NEEDED_GB && !project.tools("stamps/kernel").exists() => {
            Err(format!("{free} GB; set-up and a full run need about {} GB", tools::NEEDED_GB))
        }
        Some(free) => Ok(format!("{free} GB")),
        None => Ok("unknown".to_owned()),
    }
}

fn made_by_setup(project: &Project) -> Vec<(String, Finding)> {
    let steps = setup::steps_with(project, &tools::found(project), None);
    let mut findings: Vec<(String, Finding)> =
        steps.iter().filter_map(|step| of_step(project, step)).collect();
    if let Some(cost) = SetupStep::cost_of_missing(&steps, project) {
        findings.push(("All that is missing".to_owned(), Ok(cost)));
    }
    for folder in [".tools", "target"] {
        findings.push((format!("Size of {folder}"), Ok(bytes(size(&project.path(folder))))));
    }
    findings
}

/// The state of a step's product; none for a step without one.
fn of_step(project: &Project, step: &SetupStep) -> Option<(String, Finding)> {
    let finding = match (step.is_there(project)?, step.is_current(project), step.size(project)) {
        (false, ..) => {
            let cost = step.cost(project).map(|cost| format!(" ({cost})")).unwrap_or_default();
            Err(format!("missing or out of date: cargo xtask setup{cost}"))
        }
        (true, None, size) => Ok(format!("there, {}", bytes(size))),
        // The product is in another step's folder.
        (true, _, 0) => Ok("up to date".to_owned()),
        (true, _, size) => Ok(format!("up to date, {}", bytes(size))),
    };
    Some((step.title().to_owned(), finding))
}

fn data(project: &Project) -> (String, Finding) {
    let (x, y) = (project.path("data/X.npy"), project.path("data/y.npy"));
    let finding = match (x.exists() && y.exists(), fashion_mnist::is_there(project)) {
        (true, true) => Ok("Fashion-MNIST, 70,000 images".to_owned()),
        (true, false) => Ok(format!("your own, {} and {}", bytes(size(&x)), bytes(size(&y)))),
        (false, _) => {
            Err("not there: cargo xtask data (31 MB), or put your own X.npy and y.npy into data/"
                .to_owned())
        }
    };
    ("data/X.npy, data/y.npy".to_owned(), finding)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_kernels_warm_build_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let found = || of_step(&project, &setup::kernel::template_step()).unwrap().1;
        fs::create_dir_all(project.tools("kernel/templates/1")).unwrap();
        fs::write(project.tools("kernel/templates/1/library"), [0; 3000]).unwrap();
        fs::write(project.tools("trial"), [0; 1000]).unwrap();
        let text = "missing or out of date: cargo xtask setup (about 4 min, 450 MB)";
        assert_eq!(found().unwrap_err(), text);
        symlink("templates/1", project.tools("kernel/template")).unwrap();
        assert_eq!(found().unwrap(), "there, 4 kB");
        fs::remove_file(project.tools("trial")).unwrap();
        assert!(found().is_err(), "the program of trials is part of it");
    }

    #[test]
    fn a_missing_tool_hides_no_step() {
        // In this folder, whose path has a space, no set-up may begin.
        let folder = tempfile::Builder::new().prefix("my project").tempdir().unwrap();
        let project = Project::at(folder.path());
        assert!(setup::steps(&project, Some(false)).is_err());
        let found = made_by_setup(&project);
        let steps = found.iter().filter(|(_, finding)| finding.is_err()).count();
        assert_eq!(steps, 6, "{found:?}");
        let (name, finding) = &on_this_machine(&project)[0];
        let text = finding.as_ref().unwrap_err();
        assert!(name == "Folder" && text.contains("has a space in its path"), "{name}: {text}");
    }
}
