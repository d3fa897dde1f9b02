//! Notebooks and their runs through papermill.
//!
//! - `notebook`: a notebook file and its parameters; `jupyter`: the programs that read it, and the folder of results
//! - `plan`: which notebooks run, with which values; `paths`: values that are paths
//! - `run`: runs one notebook after the other; `records`: the inputs of existing results, so that a run can be resumed

mod jupyter;
mod notebook;
pub(crate) mod paths;
mod plan;
mod records;
mod run;

pub(crate) use jupyter::{export_folder, jupyter};
pub(crate) use notebook::{Notebook, has_number};
pub(crate) use plan::Plan;
pub(crate) use run::run;
