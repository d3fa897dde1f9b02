//! Having evcxr read, before anybody runs a cell, what it would read in a notebook's first: helpers, what it depends on, and
//! the standard library as far as cells use them.
//!
//! A completion does this. It compiles nothing and leaves nothing behind but what evcxr's analyser has read. Jupyter starts a
//! kernel when its notebook is opened, and this takes a second or two.

use serde_json::json;

use super::wire::Message;
use super::{Front, WorkKind};
use crate::build_folder::first_cell;

/// What cells use most; the completion is for what follows the last dot.
const LOOK_AROUND: &str = "
let dataset = Dataset::load(\"\")?;
let split = dataset.split(SplitConfig::default())?;
let table = dataset.table();
let model = Sequential::new(dataset.image_shape()).flatten().dense(1).build(1)?;
let first = split.train.len() + table.to_text().len();
let words: Vec<String> = table.to_text().lines().map(str::to_owned).collect();
dataset.";

impl Front {
    /// Begins with it, if evcxr has nothing else to do.
    pub(super) fn warm_up(&mut self) {
        let Some(inner) = self.inner.as_ref().filter(|_| self.work.is_none()) else { return };
        let code = first_cell(&self.repository.join("helpers")) + LOOK_AROUND;
        let request = Message::new("complete_request", json!({}));
        // All of it is ASCII: graphemes, code points and bytes are the same.
        inner.ask(&request, json!({ "code": code, "cursor_pos": code.len() }));
        self.begin_work(request.id(), WorkKind::WarmUp);
    }
}
