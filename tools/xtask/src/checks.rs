//! `cargo xtask test`: all tests, the cheapest first. It stops at the first step that fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::again;
use crate::browser;
use crate::export;
use crate::failure::Failure;
use crate::notebook::Notebook;
use crate::notebooks::{self, Plan, export_folder, jupyter};
use crate::process;
use crate::project::{Project, remove};
use crate::screen::Screen;
use crate::setup::{self, Choices, python};

/// How often the second quick submission is killed, unless `--kills` says otherwise.
const KILLS: usize = 3;

/// Tests that ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    /// A step that is one test: it ended well.
    const ONE: Count = Count { passed: 1, failed: 0, skipped: 0 };

    fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// One step: how its title reads, what it runs, how its output is counted.
struct Check {
    title: String,
    command: Command,
    log: String,
    count: fn(&str) -> Count,
}

/// Sets up and runs everything; the last line says how many tests passed and failed.
pub(crate) fn run(
    project: &Project,
    with_browser: bool,
    options: &[(&'static str, String)],
) -> Result<(), Failure> {
    let kills = kills(options)?;
    let mut total = Count::default();
    let result = run_all(project, with_browser, kills, &mut total);
    if let Err(failure) = &result {
        eprintln!("error: {failure}");
        total.failed = total.failed.max(1);
    }
    println!();
    if total.skipped > 0 {
        println!("{} skipped", total.skipped);
    }
    if !with_browser {
        println!("left out: the pages in a browser (--no-browser)");
    }
    if !has_cargo_deny(project) {
        println!(
            "left out: cargo-deny, which is not installed; licences and sources were tested without it"
        );
    }
    if kills == 0 {
        println!("left out: the same results again after kills (--kills 0)");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    match result {
        Ok(()) => Ok(()),
        Err(_) => Err(Failure::new("the tests failed; what and why is said above")),
    }
}

/// How often the second run of the quick notebooks is killed; 0 for no such run.
fn kills(options: &[(&'static str, String)]) -> Result<usize, Failure> {
    let Some((_, kills)) = options.iter().rfind(|(name, _)| *name == "--kills") else {
        return Ok(KILLS);
    };
    kills.parse().map_err(|_| {
        Failure::new(format!("`--kills` takes a whole number from 0 up, got `{kills}`"))
    })
}

fn run_all(
    project: &Project,
    with_browser: bool,
    kills: usize,
    total: &mut Count,
) -> Result<(), Failure> {
    let parts = setup::parts(project, Choices::default())?;
    let plan = Plan::new(Notebook::all(project)?, &[], &[], true, false)?;
    // Not in `.tools/tmp`, which every set-up empties.
    let own = project.tools("run/own-data");
    let own_plan = Plan::on_own_data(Notebook::all(project)?, project, &own)?;
    let first = quick_checks(project)?;
    let second = thorough_checks(project, with_browser);
    let browser_steps = if with_browser { 2 } else { 0 };
    let steps = first.len() + parts.len() + second.len() + plan.notebooks.len() + 1 + browser_steps;
    let steps = steps + 1 + own_plan.notebooks.len() + usize::from(kills > 0);
    let mut screen = Screen::new(steps);

    // What needs no set-up comes before it, the browser too: better no browser now than in half an hour.
    if with_browser {
        browser::ensure(project, screen.step("Browser"))?;
    }
    for check in first {
        run_check(project, &mut screen, check, total)?;
    }
    setup::run(project, parts, &mut screen)?;
    for check in second {
        run_check(project, &mut screen, check, total)?;
    }

    let runs = project.lock_runs(true)?;
    let quick = export_folder(project, true);
    remove(&quick).map_err(|error| Failure::of_file("remove", &quick, &error))?;
    notebooks::run(project, &plan, &mut screen, |_| total.add(Count::ONE))?;
    export::run(project, screen.step("Pages"), true)?;
    total.add(Count::ONE);
    if with_browser {
        let mut pytest = pytest(project, "tools/template/tests/test_browser.py");
        pytest.arg("--pages").arg(project.show(&quick));
        let pages = check("Pages in a browser", pytest, count_pytest);
        run_check(project, &mut screen, pages, total)?;
    }
    remove(&own).map_err(|error| Failure::of_file("remove", &own, &error))?;
    let data = check("Own data", own_data(project, &own), one);
    run_check(project, &mut screen, data, total)?;
    notebooks::run(project, &own_plan, &mut screen, |_| total.add(Count::ONE))?;
    remove(&own).map_err(|error| Failure::of_file("remove", &own, &error))?;
    // The runs that are killed take it themselves.
    drop(runs);
    if kills > 0 {
        let mut step = screen.step("The same again");
        let files = again::run(project, &mut step, kills)?;
        step.done(&format!("{files} files with the same bytes after {kills} kills"));
        total.add(Count::ONE);
    }
    Ok(())
}

/// Makes a data set unlike ours, as somebody may bring it: few RGB images of floats in Fortran order, classes by name.
fn own_data(project: &Project, folder: &Path) -> Command {
    let mut python = jupyter(project, "python");
    python.arg("helpers/tests/colours.py").arg(folder);
    python
}

/// What needs neither libtorch nor the Python environment.
fn quick_checks(project: &Project) -> Result<Vec<Check>, Failure> {
    let mut format = project.cargo();
    format.args(["fmt", "--all", "--check"]);
    let mut lint = project.command(python::find(project)?.program);
    lint.args(["tools/template/lint_notebooks.py", "notebooks/"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut checks = vec![check("Format", format, one), check("Notebook sources", lint, one)];
    if has_cargo_deny(project) {
        let mut deny = project.cargo();
        // Advisories are news: they need the network, and would fail a test that passed yesterday.
        deny.args(["deny", "--offline", "check", "licenses", "bans", "sources"]);
        checks.push(check("Dependencies", deny, one));
    }
    Ok(checks)
}

/// Whether cargo-deny is there; it takes many minutes to compile, so nothing installs it.
fn has_cargo_deny(project: &Project) -> bool {
    process::ask(project.cargo().args(["deny", "--version"])).is_some()
}

/// What needs all that set-up makes.
fn thorough_checks(project: &Project, with_browser: bool) -> Vec<Check> {
    let mut clippy = project.cargo();
    clippy.args([
        "clippy",
        "--locked",
        "--workspace",
        "--exclude",
        "notebook-kernel",
        "--all-targets",
    ]);
    clippy.args(["--", "-D", "warnings"]);

    // The kernel's dependencies take minutes to compile, and a check would compile them once more. So
    // clippy stands in for the compiler of the kernel itself, on the build that is there.
    let mut kernel = project.cargo();
    kernel.args(["build", "--locked", "--release", "-p", "notebook-kernel"]);
    kernel.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    kernel.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");

    let mut docs = project.cargo();
    docs.args(["doc", "--locked", "--no-deps", "-p", "helpers"]).env("RUSTDOCFLAGS", "-D warnings");

    let mut rust = project.cargo();
    rust.args([
        "test",
        "--locked",
        "--no-fail-fast",
        "--workspace",
        "--exclude",
        "notebook-kernel",
    ]);
    let mut kernel_tests = project.cargo();
    kernel_tests.args(["test", "--locked", "--release", "--no-fail-fast", "-p", "notebook-kernel"]);

    let mut checks = vec![
        check("Clippy", clippy, one),
        check("Clippy of the kernel", kernel, one),
        check("Documentation", docs, one),
        check("Rust tests", rust, count_cargo),
        check("Rust tests of the kernel", kernel_tests, count_cargo),
    ];
    for folder in python_tests(project) {
        let name = project.show(&folder);
        let mut pytest = pytest(project, &name);
        if !with_browser {
            pytest.args(["-m", "not browser"]);
        }
        let tool = name.split('/').nth(1).unwrap_or(&name).to_owned();
        checks.push(check(&format!("Python tests, {tool}"), pytest, count_pytest));
    }
    checks
}

fn check(title: &str, command: Command, count: fn(&str) -> Count) -> Check {
    let log = format!("test-{}", title.to_lowercase().replace([' ', ','], "-"));
    Check { title: title.to_owned(), command, log, count }
}

/// The `tests` folders of the tools.
fn python_tests(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.path("tools")).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.path().join("tests"))
        .filter(|folder| {
            crate::project::files(folder).iter().any(|file| file.extension() == Some("py".as_ref()))
        })
        .collect();
    folders.sort();
    folders
}

fn pytest(project: &Project, tests: &str) -> Command {
    let mut command = jupyter(project, "python");
    command.args(["-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", tests]);
    command.env("HYPOTHESIS_STORAGE_DIRECTORY", project.tools("hypothesis"));
    command
}

fn run_check(
    project: &Project,
    screen: &mut Screen,
    mut check: Check,
    total: &mut Count,
) -> Result<(), Failure> {
    let mut step = screen.step(&check.title);
    let (status, output) =
        process::observe(project, &mut step, &mut check.command, &check.log, process::last_line)?;
    let counted = (check.count)(&output);
    if status.success() {
        let skipped = match counted.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        let ok = counted == Count::ONE;
        step.done(&if ok {
            "ok".to_owned()
        } else {
            format!("{} passed{skipped}", counted.passed)
        });
        total.add(counted);
        return Ok(());
    }
    drop(step);
    // A program that does not compile, or a formatter, counts no tests: it is one that failed.
    let alone = Count { passed: 0, failed: 1, skipped: 0 };
    let some = Count { failed: counted.failed.max(1), ..counted };
    total.add(if counted == Count::ONE { alone } else { some });
    let log = project.show(&project.log(&check.log));
    let what = format!("{} failed ({status})", check.title);
    Err(Failure::of_command(what, process::show(project, &check.command), log, &output).show(60))
}

/// A program that is one test by itself.
fn one(_: &str) -> Count {
    Count::ONE
}

/// Adds up cargo's `test result: ok. 12 passed; 0 failed; 1 ignored; …`, one a test program.
fn count_cargo(output: &str) -> Count {
    let mut count = Count::default();
    for line in output.lines().filter(|line| line.starts_with("test result:")) {
        count.add(numbers(line, ';'));
    }
    count
}

/// Reads pytest's last line: `1 failed, 12 passed, 2 skipped in 3.21s`.
fn count_pytest(output: &str) -> Count {
    let counts = |line: &&str| line.contains(" in ") && numbers(line, ',') != Count::default();
    let line = output.lines().rev().find(counts);
    line.map(|line| numbers(line, ',')).unwrap_or_default()
}

/// The numbers before `passed`, `failed` and the like.
fn numbers(line: &str, separator: char) -> Count {
    let mut count = Count::default();
    for part in line.split(separator) {
        let words: Vec<&str> = part.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<usize>() else { continue };
            match pair[1] {
                "passed" => count.passed += number,
                "failed" | "error" | "errors" => count.failed += number,
                "ignored" | "skipped" => count.skipped += number,
                _ => {}
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_kills_is_refused_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        for kills in ["x", "", "-1", "2.5", "99999999999999999999"] {
            let options = [("--kills", kills.to_owned())];
            let text = run(&Project::at(folder.path()), false, &options).unwrap_err().to_string();
            let expected = format!("`--kills` takes a whole number from 0 up, got `{kills}`");
            assert_eq!(text, expected);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn cargos_counts_are_added_up() {
        let output = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                      test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(count_cargo(output), Count { passed: 7, failed: 2, skipped: 1 });
    }

    #[test]
    fn pytests_last_line_is_read() {
        let output = "....F\n= short test summary info =\n1 failed, 4 passed, 2 skipped, 1 warning in 3.21s\n";
        assert_eq!(count_pytest(output), Count { passed: 4, failed: 1, skipped: 2 });
        assert_eq!(count_pytest("9 passed in 1.23s\n").passed, 9);
        assert_eq!(count_pytest("2 errors in 0.10s\n").failed, 2);
        assert_eq!(count_pytest("9 passed in 75.10s (0:01:15)\n").passed, 9);
    }

    #[test]
    fn a_second_submission_is_killed_three_times_unless_told_otherwise() {
        let given = |texts: &[&str]| {
            let options: Vec<_> = texts.iter().map(|text| ("--kills", text.to_string())).collect();
            kills(&options)
        };
        assert_eq!((given(&[]).unwrap(), given(&["0"]).unwrap()), (3, 0));
        assert_eq!(given(&["0", "5"]).unwrap(), 5);
        let text = given(&["-1"]).unwrap_err().to_string();
        assert!(text.contains("from 0 up, got `-1`"), "{text}");
    }
}
