//! The checks of `cargo xtask test`, the fastest first.

pub(crate) mod browser;
pub(crate) mod count;
pub(crate) mod killed_runs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use count::{Count, count_cargo, count_pytest, one};

use crate::failure::Failure;
use crate::files::files;
use crate::notebooks::{export_folder, jupyter};
use crate::process;
use crate::progress::Progress;
use crate::project::Project;
use crate::setup::python;

/// A program that runs tests.
pub(crate) struct Check {
    pub(crate) title: String,
    command: Command,
    log: String,
    /// Counts the tests from its output.
    count: fn(&str) -> Count,
}

impl Check {
    fn new(title: &str, command: Command, count: fn(&str) -> Count) -> Check {
        let log = format!("test-{}", title.to_lowercase().replace([' ', ','], "-"));
        Check { title: title.to_owned(), command, log, count }
    }

    /// Runs it, and adds its tests to `total`.
    pub(crate) fn run(
        mut self,
        project: &Project,
        progress: &mut Progress,
        total: &mut Count,
    ) -> Result<(), Failure> {
        let mut step = progress.step(&self.title);
        let (status, output) =
            process::observe(project, &mut step, &mut self.command, &self.log, process::last_line)?;
        let counted = (self.count)(&output);
        if status.success() {
            step.done(&match counted {
                Count::ONE => "ok".to_owned(),
                Count { passed, skipped: 0, .. } => format!("{passed} passed"),
                Count { passed, skipped, .. } => format!("{passed} passed, {skipped} skipped"),
            });
            total.add(counted);
            return Ok(());
        }
        drop(step);
        // A program that counts as one test, or that printed no counts, counts as one failure.
        let alone = Count { passed: 0, failed: 1, skipped: 0 };
        let some = Count { failed: counted.failed.max(1), ..counted };
        total.add(if counted == Count::ONE { alone } else { some });
        let log = project.show(&project.log(&self.log));
        let what = format!("{} failed ({status})", self.title);
        let command = process::show(project, &self.command);
        Err(Failure::of_command(what, command, log, &output).show(60))
    }
}

/// Pictures unlike our data set, as somebody may bring them, and what `import` makes of them: `folder`/X.npy and the
/// files beside it. Coloured, 96 x 96, five classes of unlike size.
pub(crate) fn own_pictures(project: &Project, folder: &Path) -> [Check; 2] {
    let pictures = folder.join("pictures");
    let mut draw = jupyter(project, "python");
    draw.arg("tools/import/tests/shapes.py").arg(&pictures);
    // The build that the tests of `import` have made.
    let mut import = lint(project.cargo());
    import.args(["run", "--locked", "--quiet", "--package", "import", "--"]);
    import.arg(&pictures).args(["--size", "96", "--into"]).arg(folder);
    [Check::new("Own pictures", draw, one), Check::new("Import", import, one)]
}

/// The checks that need neither libtorch nor the Python environment.
pub(crate) fn quick(project: &Project) -> Result<Vec<Check>, Failure> {
    let mut format = project.cargo();
    format.args(["fmt", "--all", "--check"]);
    let mut lint = project.command(python::find(project)?.program);
    lint.args(["tools/template/lint_notebooks.py", "notebooks/"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut checks =
        vec![Check::new("Format", format, one), Check::new("Notebook sources", lint, one)];
    if has_cargo_deny(project) {
        let mut deny = project.cargo();
        // Advisories are not checked: they need the network, and a new one would fail a test that passed yesterday.
        deny.args(["deny", "--offline", "check", "licenses", "bans", "sources"]);
        checks.push(Check::new("Dependencies", deny, one));
    }
    Ok(checks)
}

/// Whether cargo-deny is installed. It takes many minutes to compile, so set-up does not install it.
pub(crate) fn has_cargo_deny(project: &Project) -> bool {
    process::ask(project.cargo().args(["deny", "--version"])).is_some()
}

/// The checks that need everything that set-up makes.
pub(crate) fn thorough(project: &Project, with_browser: bool) -> Vec<Check> {
    let cargo = |words: &str| {
        let mut cargo = project.cargo();
        cargo.args(words.split(' '));
        cargo
    };
    let others = "--locked --workspace --exclude notebook-kernel --no-fail-fast";
    let clippy = lint(cargo(&format!("test {others} --no-run")));
    let kernel = lint(cargo("build --locked --release -p notebook-kernel"));
    let mut docs = cargo("doc --locked --no-deps -p helpers");
    docs.env("RUSTDOCFLAGS", "-D warnings");
    let rust = lint(cargo(&format!("test {others}")));
    let kernel_tests = cargo("test --locked --release --no-fail-fast -p notebook-kernel");

    let mut checks = vec![
        Check::new("Clippy", clippy, one),
        Check::new("Clippy of the kernel", kernel, one),
        Check::new("Documentation", docs, one),
        Check::new("Rust tests", rust, count_cargo),
        Check::new("Rust tests of the kernel", kernel_tests, count_cargo),
    ];
    for folder in python_tests(project) {
        let name = project.show(&folder);
        let mut pytest = pytest(project, &name);
        if !with_browser {
            pytest.args(["-m", "not browser"]);
        }
        let tool = name.split('/').nth(1).unwrap_or(&name).to_owned();
        if ["import", "predict"].contains(&tool.as_str()) {
            // These tests run programs of the existing build.
            pytest = lint(pytest);
        }
        checks.push(Check::new(&format!("Python tests, {tool}"), pytest, count_pytest));
    }
    checks
}

/// Runs clippy in place of the compiler for our own crates, in builds that are needed anyway: a separate check would
/// compile all dependencies again, which takes two minutes, and five for those of the kernel.
fn lint(mut command: Command) -> Command {
    command.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    command.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    command
}

/// The pages of the executed quick notebooks in a browser: all tests that use given pages.
pub(crate) fn pages_in_a_browser(project: &Project) -> Check {
    let mut pytest = pytest(project, "tools/template/tests");
    pytest.arg("--pages").arg(project.show(&export_folder(project, true)));
    Check::new("Pages in a browser", pytest, count_pytest)
}

/// Runs the models of the quick notebooks with onnxruntime and with helpers.
pub(crate) fn models_elsewhere(project: &Project) -> Check {
    let mut pytest = pytest(project, "tools/predict/tests");
    let models = export_folder(project, true).join("models");
    pytest.args(["-k", "trained_models", "--models"]).arg(models);
    Check::new("Models in other programs", lint(pytest), count_pytest)
}

/// The `tests` folders of the tools.
fn python_tests(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.path("tools")).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.path().join("tests"))
        .filter(|folder| files(folder).iter().any(|file| file.extension() == Some("py".as_ref())))
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
