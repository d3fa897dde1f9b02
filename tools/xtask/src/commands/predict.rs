//! `cargo xtask predict`: a trained model's predictions for pictures.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::commands::export_model::{find_model, here};
use crate::failure::Failure;
use crate::flags::Predict;
use crate::progress::{Progress, Step, keep_stdout_for_the_answer};
use crate::project::Project;
use crate::setup::{self, libtorch, program};

/// Replaces this process by the program `predict`, which cargo builds first; returns only if it cannot start. Paths are
/// relative to the user's current folder.
pub(crate) fn run(project: &Project, flags: &Predict) -> Result<(), Failure> {
    keep_stdout_for_the_answer();
    let here = here()?;
    let model = find_model(project, &flags.model, flags.quick, &here)?;
    // The program is linked to libtorch.
    if libtorch::step(project, None).is_current(project) != Some(true) {
        let steps = setup::libtorch_steps(project)?;
        let mut progress = Progress::new(steps.len());
        setup::run(project, steps, &mut progress)?;
    }
    let step = Step::new("The program that predicts".to_owned());
    let program = program::built(project, step, "predict")?;
    let mut predict = project.command(project.path("tools/with-libtorch"));
    predict.current_dir(here).arg(program).arg(model).args(words(flags));
    Err(Failure::new(format!("cannot start the program that predicts: {}", predict.exec())))
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
