//! `cargo xtask predict`: a trained model's predictions for pictures.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::commands::export_model::{find_model, here};
use crate::failure::Failure;
use crate::flags::Predict;
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::setup;

/// Replaces this process by the program `predict`, which cargo builds first; returns only if cargo cannot start. Paths
/// are relative to the user's current folder.
pub(crate) fn run(project: &Project, flags: &Predict) -> Result<(), Failure> {
    let here = here()?;
    let model = find_model(project, &flags.model, &here)?;
    let built = project.path("target/release/predict").exists();
    if !built {
        // The program is linked to libtorch. Set-up must come first, because later only the answer may be printed.
        let steps = setup::libtorch_steps(project)?;
        let mut progress = Progress::new(steps.len());
        setup::run(project, steps, &mut progress)?;
        say("building the program that predicts, once: some minutes");
    }
    let mut cargo = project.cargo();
    cargo.current_dir(here);
    cargo.args(["run", "--locked", "--release", "--quiet", "--package", "predict"]);
    cargo.arg("--manifest-path").arg(project.path("Cargo.toml")).arg("--").arg(model);
    cargo.args(words(flags));
    Err(Failure::new(format!("cannot start cargo: {}", cargo.exec())))
}

/// The arguments after the model on the program's command line.
fn words(flags: &Predict) -> Vec<OsString> {
    let mut words = flags.picture.clone();
    let switches =
        [("--json", flags.json), ("--invert", flags.invert), ("--float32", flags.float32)];
    words.extend(switches.iter().filter(|(_, given)| *given).map(|(name, _)| name.into()));
    for (name, value) in [
        ("--plot", &flags.plot),
        ("--array", &flags.array),
        ("--top", &flags.top),
        ("--fit", &flags.fit),
    ] {
        if let Some(value) = value {
            words.extend([name.into(), value.clone()]);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{self, XtaskCmd};

    #[test]
    fn all_that_is_given_is_passed_on() {
        let line = "X.npy --json --invert --float32 --plot a --array b --top 2 --fit pad";
        let given = ["predict", "cnn"].into_iter().chain(line.split(' ')).map(OsString::from);
        let Ok(XtaskCmd::Predict(predict)) = flags::read(given) else { panic!("not read") };
        assert_eq!(words(&predict).join(" ".as_ref()), line);
    }
}
