//! Running cells: the queue, evcxr's and the relay's part, and how a cell ends.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cell::{Cell, Stage};
use super::diagnostics::EVCXRS_FILE;
use super::failure::{Evidence, Failure};
use super::locate::Sources;
use super::output::{Output, data};
use super::requests::names;
use super::source::{Shape, shape};
use super::wire::Message;
use super::{Concluding, Front, Work, WorkKind};
use crate::link::{Bundle, Order, Report};

/// How long the reply to a failed cell is held back, so that requests sent before it are queued and can be aborted.
const GATHER: Duration = Duration::from_millis(50);

impl Front {
    /// Starts queued cells until one is running.
    pub(super) fn next_cell(&mut self) {
        while self.cell.is_none() && self.concluding.is_none() {
            let Some(request) = self.queue.pop_front() else { return };
            let (published, _) = std::mem::take(&mut self.afterwards).finish(true);
            self.publish_all(published);
            let mut cell = Cell::new(request, self.count + 1);
            if cell.is_stored() {
                self.count += 1;
                self.history.add(self.count, cell.code());
            }
            cell.number = self.count;
            self.last_request = cell.request.clone();
            self.status(&cell.request, "busy");
            if !cell.is_silent() {
                let content = json!({ "code": cell.code(), "execution_count": cell.number });
                self.publish(&cell.request, "execute_input", content);
            }
            self.begin(cell);
        }
    }

    pub(super) fn begin(&mut self, cell: Cell) {
        if cell.code().trim().is_empty() {
            return self.succeed(cell, None);
        }
        if let Some(problem) = &self.problem {
            let failure = Failure::new("DeadKernel", problem);
            return self.fail(cell, failure);
        }
        match shape(cell.code()) {
            Shape::Wrong(problem) | Shape::Open { problem: Some(problem), .. } => {
                let failure = Failure::of_shape(&problem, cell.number, cell.code());
                self.fail(cell, failure);
            }
            Shape::Whole | Shape::Open { .. } => {
                self.cell = Some(cell);
                self.send_cell();
            }
        }
    }

    /// Sends the waiting cell to evcxr if evcxr is ready and idle.
    pub(super) fn send_cell(&mut self) {
        let Some(cell) = self.cell.as_mut().filter(|cell| cell.stage == Stage::Waiting) else {
            return;
        };
        let Some(inner) = self.inner.as_ref().filter(|_| self.is_ready && self.work.is_none())
        else {
            return;
        };
        let mut content = cell.request.content.clone();
        content["allow_stdin"] = false.into();
        inner.ask(&cell.request, content);
        cell.stage = Stage::Compiling;
        let id = cell.request.id().to_owned();
        if let Some(prepared) = &self.prepared {
            let _ = fs::remove_file(&prepared.diagnostics);
        }
        self.order(Order::Allow(true));
        self.begin_work(&id, WorkKind::Cell);
    }

    /// Handles a reply of evcxr.
    pub(super) fn take_reply(&mut self, reply: Message) {
        let Some(work) = self.work.as_mut().filter(|work| work.id == reply.parent_id()) else {
            return;
        };
        work.reply = Some(reply);
        match work.kind {
            WorkKind::Cell | WorkKind::Abandoned => {
                self.ping();
            }
            WorkKind::Hello => {
                self.is_ready = true;
                self.work_done();
            }
            WorkKind::Assist(_) | WorkKind::WarmUp => self.work_done(),
        }
    }

    /// Handles a message that evcxr publishes.
    pub(super) fn take_published(&mut self, message: Message) {
        let Some(work) = self.work.as_mut().filter(|work| work.id == message.parent_id()) else {
            return;
        };
        if message.kind() == "status" && message.content["execution_state"] == "idle" {
            work.idle = Some(Instant::now());
            return self.work_done();
        }
        let Some(cell) = self.cell.as_mut().filter(|_| work.kind == WorkKind::Cell) else { return };
        match message.kind() {
            "error" => cell.outcome.errors.push(message.content),
            "execute_result" => {
                // The result of one of evcxr's own commands; results of code come through the relay.
                let data = message.content["data"].as_object().into_iter().flatten();
                let text =
                    |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let data = data.map(|(mime, value)| (mime.clone(), text(value))).collect();
                let bundle = Bundle { data, ..Bundle::default() };
                let published = cell.output.push_value(bundle, Instant::now());
                self.publish_all(published);
            }
            "stream" => {
                let parent = cell.request.clone();
                self.publish(&parent, "stream", message.content);
            }
            _ => {}
        }
    }

    /// Handles a report of the relay.
    pub(super) fn take_report(&mut self, report: Report) {
        let now = Instant::now();
        match report {
            Report::Text { stream, text } => {
                let published = self.output().push_text(stream, &text, now);
                self.publish_all(published);
            }
            Report::Shown(bundle) => {
                let published = self.output().push_bundle(bundle, now);
                self.publish_all(published);
            }
            Report::Clear { wait } => {
                let published = self.output().clear(wait);
                self.publish_all(published);
            }
            Report::Value(bundle) => {
                let published = match &mut self.cell {
                    Some(cell) => cell.output.push_value(bundle, now),
                    // No cell ends with it.
                    None => self.afterwards.push_bundle(bundle, now),
                };
                self.publish_all(published);
            }
            Report::Pong => self.answered(),
            Report::Loading => {
                let Some(cell) = &mut self.cell else { return };
                cell.stage = Stage::Running;
                let done = cell.compiling.done();
                let interrupted = cell.outcome.interrupted;
                self.publish_all(done.into_iter().collect());
                if interrupted {
                    self.order(Order::Interrupt);
                }
            }
            Report::Input { prompt, password } => self.ask_for_input(&prompt, password),
            report => self.note_outcome(report),
        }
    }

    /// The output of the running cell, or of threads that an earlier cell started and that still run.
    fn output(&mut self) -> &mut Output {
        self.cell.as_mut().map_or(&mut self.afterwards, |cell| &mut cell.output)
    }

    fn note_outcome(&mut self, report: Report) {
        let Some(cell) = &mut self.cell else { return };
        match report {
            Report::Panicked { message, at } => cell.outcome.panicked = Some((message, at)),
            Report::Returned { message, at } => cell.outcome.returned = Some((message, at)),
            Report::Unloadable { message } => cell.outcome.unloadable = Some(message),
            Report::Exited { code, signal } => cell.outcome.exited = Some((code, signal)),
            _ => {}
        }
    }

    /// Asks the relay to confirm that it has sent every report so far.
    pub(super) fn ping(&mut self) {
        self.pinged = self.relays.last().map(|relay| relay.number);
        match self.pinged {
            Some(_) => self.order(Order::Ping),
            None => self.answered(),
        }
    }

    /// A relay that has ended sends nothing more, and a relay started since has nothing about the previous cell.
    pub(super) fn relay_ended(&mut self, number: u128) {
        self.relays.retain(|relay| relay.number != number);
        match self.pinged == Some(number) {
            true => self.answered(),
            // The current work may only have been waiting for this relay to end.
            false => self.work_done(),
        }
    }

    /// The relay has answered the ping, or has ended.
    fn answered(&mut self) {
        if self.refusing {
            self.refused();
        }
        if let Some(work) = self.work.as_mut().filter(|work| work.reply.is_some()) {
            work.synced = true;
        }
        self.work_done();
    }

    /// Finishes the current work if evcxr has replied and, for a cell, all reports have come; then starts what waits.
    fn work_done(&mut self) {
        // With two relays, the old one may still report how its process ended.
        let relays_settled = self.relays.len() < 2;
        let is_done = |work: &Work| {
            // evcxr publishes a cell's errors and its reply before it is idle, so a cell waits for idle, too.
            let of_a_cell = matches!(work.kind, WorkKind::Cell | WorkKind::Abandoned);
            let settled = work.idle.is_some() && work.synced && relays_settled;
            work.reply.is_some() && (!of_a_cell || settled)
        };
        let Some(work) = self.work.take_if(|work| is_done(work)) else { return };
        let has_started = work.kind == WorkKind::Hello;
        match (work.kind, work.reply) {
            (WorkKind::Cell, Some(reply)) => {
                if let Some(mut cell) = self.cell.take() {
                    cell.outcome.refused = reply.content["status"] != "ok";
                    self.end_cell(cell);
                }
            }
            (WorkKind::Abandoned, _) => {
                self.order(Order::Allow(true));
            }
            (WorkKind::Assist(request), Some(reply)) => self.answer_assist(&request, reply.content),
            _ => {}
        }
        self.send_cell();
        self.next_cell();
        if has_started {
            self.warm_up();
        }
        self.send_assist();
    }

    /// Decides whether the cell succeeded or failed, and why.
    pub(super) fn end_cell(&mut self, mut cell: Cell) {
        cell.outcome.last_error = std::mem::take(&mut cell.output.last_error);
        if cell.outcome.exited.is_some() {
            self.notebook.lost_all(cell.number);
        }
        let (generated, diagnostics) = self.evidence_files();
        let has_place = cell.outcome.panicked.is_some() || cell.outcome.returned.is_some();
        let generated = match cell.outcome.refused || has_place {
            true => fs::read_to_string(generated).unwrap_or_default(),
            false => String::new(),
        };
        let failure = Failure::of(
            &cell.outcome,
            &Evidence {
                number: cell.number,
                code: cell.code(),
                generated: &generated,
                diagnostics: &diagnostics,
                notebook: &self.notebook,
                names: cell.outcome.refused.then(|| names(&mut self.names, &self.repository)),
            },
        );
        match failure {
            None => {
                let (published, value) = cell.output.finish(true);
                self.publish_for(&cell, published);
                // A loop's value is `()`, which says nothing.
                let says_nothing = |bundle: &Bundle| {
                    bundle.data.len() == 1
                        && bundle.data.get("text/plain").is_some_and(|text| text == "()")
                };
                self.succeed(cell, value.filter(|value| !says_nothing(value)));
            }
            Some(failure) => self.fail(cell, failure),
        }
    }

    fn evidence_files(&self) -> (PathBuf, PathBuf) {
        let nowhere = || (PathBuf::new(), PathBuf::new());
        self.prepared.as_ref().map_or_else(nowhere, |prepared| {
            (prepared.generated.clone(), prepared.diagnostics.clone())
        })
    }

    pub(super) fn succeed(&mut self, cell: Cell, value: Option<Bundle>) {
        if let Some(value) = value {
            let content =
                json!({ "execution_count": cell.number, "data": data(&value), "metadata": {} });
            self.publish(&cell.request, "execute_result", content);
        }
        self.notebook.ran(cell.number, cell.code(), true);
        let reply = json!({
            "status": "ok",
            "execution_count": cell.number,
            "payload": [],
            "user_expressions": expressions(&cell.request),
        });
        self.outside.shell.send(cell.request.reply(reply));
        self.status(&cell.request, "idle");
        self.next_cell();
        self.send_assist();
    }

    /// Publishes why the cell failed; the reply follows after [`GATHER`].
    pub(super) fn fail(&mut self, mut cell: Cell, failure: Failure) {
        let done = cell.compiling.done();
        let (published, _) = cell.output.finish(false);
        self.publish_for(&cell, done.into_iter().chain(published).collect());
        self.publish(&cell.request, "error", failure.content());
        self.notebook.ran(cell.number, cell.code(), false);
        self.concluding = Some(Concluding { at: Instant::now() + GATHER, cell, failure });
    }

    /// Replies to a failed cell, and aborts the cells that were queued by then.
    pub(super) fn conclude(&mut self) {
        let Some(Concluding { cell, failure, .. }) = self.concluding.take() else { return };
        let mut reply = failure.content();
        reply["status"] = "error".into();
        reply["execution_count"] = cell.number.into();
        reply["user_expressions"] = json!({});
        reply["payload"] = json!([]);
        self.outside.shell.send(cell.request.reply(reply));
        self.status(&cell.request, "idle");
        if cell.stops_others() {
            for waiting in std::mem::take(&mut self.queue) {
                self.status(&waiting, "busy");
                self.outside.shell.send(waiting.reply(json!({ "status": "aborted" })));
                self.status(&waiting, "idle");
            }
        }
        self.send_cell();
        self.next_cell();
        self.send_assist();
    }

    pub(super) fn publish_for(&self, cell: &Cell, published: Vec<super::Published>) {
        for (kind, mut content) in published {
            if let Some(text) = self.with_places(cell, &content) {
                content["text"] = text.into();
            }
            self.publish(&cell.request, kind, content);
        }
    }

    /// The text of a message to standard error that names lines of evcxr's file, with the places in the notebook.
    fn with_places(&self, cell: &Cell, content: &Value) -> Option<String> {
        let text = content["text"].as_str().filter(|text| text.contains(EVCXRS_FILE))?;
        let generated = fs::read_to_string(self.evidence_files().0).ok()?;
        let sources = Sources::new(&generated, cell.number, cell.code(), &self.notebook);
        (content["name"] == "stderr").then(|| sources.in_words(text))
    }

    fn ask_for_input(&mut self, prompt: &str, password: bool) {
        let Some(cell) = &mut self.cell else { return self.order(Order::EndOfInput) };
        let published = cell.output.flush_text();
        let allowed = cell.allows_questions() && !cell.outcome.interrupted;
        cell.outcome.asked_in_vain |= !cell.allows_questions();
        cell.asks = allowed;
        let request = cell.request.clone();
        self.publish_all(published);
        if !allowed {
            return self.order(Order::EndOfInput);
        }
        let content = json!({ "prompt": prompt, "password": password });
        let mut question = request.child("input_request", content);
        question.identities = request.identities;
        self.outside.stdin.send(question);
    }

    /// Handles the client's answer to a question of the cell.
    pub(super) fn take_answer(&mut self, message: &Message) {
        if message.kind() != "input_reply" {
            return;
        }
        if let Some(cell) = self.cell.as_mut().filter(|cell| cell.asks) {
            cell.asks = false;
            self.order(Order::Answer(message.text("value").to_owned()));
        }
    }
}

/// Answers a request for the values of expressions with an error: a compiled language cannot evaluate them at run time.
fn expressions(request: &Message) -> Value {
    let asked = request.content["user_expressions"].as_object().into_iter().flatten();
    let refused = json!({
        "status": "error",
        "ename": "NotImplementedError",
        "evalue": "Rust has no expressions besides those of a cell",
        "traceback": [],
    });
    asked.map(|(name, _)| (name.clone(), refused.clone())).collect::<serde_json::Map<_, _>>().into()
}
