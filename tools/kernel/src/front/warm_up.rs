//! Makes evcxr's analyser read, before anybody runs a cell, the sources that a notebook's first cell needs: helpers,
//! its dependencies, and the parts of the standard library that cells use.
//!
//! A completion request does this: it compiles nothing, and its only effect is what the analyser has read. Jupyter
//! starts a kernel when its notebook is opened, and the warm-up takes a second or two.

use serde_json::json;

use super::wire::Message;
use super::{Front, WorkKind};
use crate::build_folder::first_cell;

/// Code that uses the most common types; the completion asks what follows the last dot.
const LOOK_AROUND: &str = "
let dataset = Dataset::load(\"\")?;
let split = dataset.split(SplitConfig::default())?;
let table = dataset.table();
let model = Sequential::new(dataset.image_shape()).flatten().dense(1).build(1)?;
let first = split.train.len() + table.to_text().len();
let words: Vec<String> = table.to_text().lines().map(str::to_owned).collect();
dataset.";

impl Front {
    /// Sends the request if evcxr is idle.
    pub(super) fn warm_up(&mut self) {
        let Some(inner) = self.inner.as_ref().filter(|_| self.work.is_none()) else { return };
        let code = first_cell(&self.repository.join("helpers")) + LOOK_AROUND;
        let request = Message::new("complete_request", json!({}));
        // All of it is ASCII: graphemes, code points and bytes are the same.
        inner.ask(&request, json!({ "code": code, "cursor_pos": code.len() }));
        self.begin_work(request.id(), WorkKind::WarmUp);
    }
}
