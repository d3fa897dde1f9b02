//! A cell that is run, from its request to its answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::failure::Outcome;
use super::output::{Output, Published};
use super::wire::Message;
use crate::link::LEFT_TO_CARGO;

/// How long compiling takes before the cell says so.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often that message is updated.
const RENEWED: Duration = Duration::from_secs(1);

/// How far a cell has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not sent yet: evcxr has not started, or is busy.
    Waiting,
    Compiling,
    Running,
}

pub(crate) struct Cell {
    pub(crate) request: Message,
    /// The number of its prompt.
    pub(crate) number: i64,
    pub(crate) stage: Stage,
    pub(crate) output: Output,
    pub(crate) outcome: Outcome,
    pub(crate) compiling: Compiling,
    /// True while the cell waits for the user's input.
    pub(crate) asks: bool,
    /// When to interrupt a cell that goes on after it was given an end of input.
    pub(crate) end_at: Option<Instant>,
    /// When it got its first interrupt while it ran.
    pub(crate) interrupted_at: Option<Instant>,
}

impl Cell {
    pub(crate) fn new(request: Message, number: i64) -> Cell {
        let compiling = Compiling::new(request.id());
        Cell {
            request,
            number,
            stage: Stage::Waiting,
            output: Output::default(),
            outcome: Outcome::default(),
            compiling,
            asks: false,
            end_at: None,
            interrupted_at: None,
        }
    }

    pub(crate) fn code(&self) -> &str {
        self.request.text("code")
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.request.content["silent"] == true
    }

    pub(crate) fn is_stored(&self) -> bool {
        !self.is_silent() && self.request.content["store_history"] != false
    }

    pub(crate) fn allows_questions(&self) -> bool {
        self.request.content["allow_stdin"] == true
    }

    /// Whether the cells queued after this one are aborted if it fails.
    pub(crate) fn stops_others(&self) -> bool {
        self.request.content["stop_on_error"] != false
    }

    /// When [`Cell::tick`] must be called next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.output.deadline(), self.compiling.deadline(), self.end_at].into_iter().flatten().min()
    }

    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Published> {
        let mut published = self.output.tick(now);
        published.extend(self.compiling.tick(now));
        published
    }
}

/// The message about crates that are compiled before the cell can run.
pub(crate) struct Compiling {
    id: String,
    crates: Vec<String>,
    /// Why cargo compiles the cell instead of rustc alone, which is slower.
    reason: Option<String>,
    began: Instant,
    told: Option<Instant>,
}

impl Compiling {
    fn new(id: &str) -> Compiling {
        Compiling {
            id: format!("compiling-{id}"),
            crates: vec![],
            reason: None,
            began: Instant::now(),
            told: None,
        }
    }

    /// Reads a line of evcxr's standard error: `   Compiling itertools v0.13.0`, or the reason why cargo compiles the
    /// cell.
    pub(crate) fn look_at(&mut self, line: &str) {
        let Some(words) = line.trim_start().strip_prefix("Compiling ") else { return };
        if !self.is_at_it() {
            self.began = Instant::now();
        }
        match words.strip_prefix(LEFT_TO_CARGO) {
            Some(reason) => self.reason = Some(reason.to_owned()),
            None => self.crates.push(words.split(" (").next().unwrap_or(words).to_owned()),
        }
    }

    fn is_at_it(&self) -> bool {
        !self.crates.is_empty() || self.reason.is_some()
    }

    fn deadline(&self) -> Option<Instant> {
        let next = self.told.map_or(self.began + PATIENCE, |told| told + RENEWED);
        self.is_at_it().then_some(next)
    }

    fn tick(&mut self, now: Instant) -> Option<Published> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        let last = self.crates.last().map_or("this cell", String::as_str);
        let seconds = now.duration_since(self.began).as_secs();
        let others = match self.crates.len() {
            0 | 1 => String::new(),
            count => format!(", the crate number {count}"),
        };
        let reason = match &self.reason {
            Some(reason) => format!(" with cargo, as {reason}"),
            None => ", which this kernel needs for the first time".to_owned(),
        };
        let text = format!("compiling {last}{others}{reason}: {seconds} s ...");
        let published = self.published(&text);
        self.told = Some(now);
        Some(published)
    }

    /// The final message, once the cell is compiled; none if nothing was shown.
    pub(crate) fn done(&mut self) -> Option<Published> {
        let crates = std::mem::take(&mut self.crates);
        self.reason = None;
        self.told?;
        let seconds = self.began.elapsed().as_secs_f64();
        let names = match crates.len() {
            0 => "this cell".to_owned(),
            1..=3 => crates.join(", "),
            count => format!("{count} crates, {} last", crates[count - 1]),
        };
        let published = self.published(&format!("compiled {names}: {seconds:.0} s"));
        self.told = None;
        Some(published)
    }

    fn published(&self, text: &str) -> Published {
        let kind = if self.told.is_some() { "update_display_data" } else { "display_data" };
        let data: Value = json!({ "text/plain": text });
        (kind, json!({ "data": data, "metadata": {}, "transient": { "display_id": self.id } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_a_compiler_is_told_in_one_place() {
        let mut compiling = Compiling::new("7");
        compiling.look_at("    Updating crates.io index");
        assert_eq!(compiling.deadline(), None);
        compiling.look_at("   Compiling itertools v0.13.0");
        let now = compiling.began + PATIENCE;
        assert!(compiling.tick(compiling.began).is_none());
        let (kind, content) = compiling.tick(now).unwrap();
        assert_eq!(kind, "display_data");
        assert!(
            content["data"]["text/plain"]
                .as_str()
                .unwrap()
                .starts_with("compiling itertools v0.13.0,")
        );
        assert_eq!(compiling.tick(now + RENEWED).unwrap().0, "update_display_data");
        let (kind, content) = compiling.done().unwrap();
        assert_eq!(kind, "update_display_data");
        assert!(
            content["data"]["text/plain"]
                .as_str()
                .unwrap()
                .starts_with("compiled itertools v0.13.0: ")
        );
        assert!(compiling.done().is_none() && compiling.deadline().is_none());

        compiling.look_at("   Compiling this cell with cargo: helpers has changed");
        compiling.tick(compiling.began + PATIENCE).unwrap();
        compiling.look_at("   Compiling helpers v0.1.0 (/home/me/helpers)");
        let (_, content) = compiling.tick(now + 10 * RENEWED).unwrap();
        let text = content["data"]["text/plain"].as_str().unwrap();
        assert!(
            text.starts_with("compiling helpers v0.1.0 with cargo, as helpers has changed: "),
            "{text}"
        );
    }
}
