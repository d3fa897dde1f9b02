//! The commands, one file each.

mod bench;
mod board;
mod clean;
mod data;
mod doctor;
pub(crate) mod export;
mod export_model;
mod import;
mod kernel;
mod lab;
mod predict;
mod run;
mod seeds;
mod setup;
mod test;

use crate::failure::Failure;
use crate::flags::XtaskCmd;
use crate::project::Project;

/// Runs the command.
pub(crate) fn run(project: &Project, command: XtaskCmd) -> Result<(), Failure> {
    match command {
        XtaskCmd::Submission(flags) => run::submission(project, &flags),
        XtaskCmd::Test(flags) => test::run(project, &flags),
        XtaskCmd::Setup(flags) => setup::run(project, flags.wants_cuda()?),
        XtaskCmd::Doctor(_) => doctor::run(project),
        XtaskCmd::Data(flags) => data::run(project, flags.sample),
        XtaskCmd::Import(flags) => import::run(project, flags),
        XtaskCmd::Predict(flags) => predict::run(project, &flags),
        XtaskCmd::ExportModel(flags) => export_model::run(project, &flags),
        XtaskCmd::Lab(flags) => lab::run(project, &flags.option),
        XtaskCmd::Board(flags) => board::run(project, &flags),
        XtaskCmd::Kernel(flags) => kernel::run(project, &flags),
        XtaskCmd::Run(flags) => run::run(project, &flags),
        XtaskCmd::Seeds(flags) => seeds::run(project, &flags),
        XtaskCmd::Export(flags) => export::run(project, &flags),
        XtaskCmd::Bench(flags) => bench::run(project, &flags),
        XtaskCmd::Clean(flags) => clean::run(project, flags.all),
    }
}
