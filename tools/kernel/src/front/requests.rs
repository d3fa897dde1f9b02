//! Requests, and the answers that need no compiler.

use std::path::Path;

use serde_json::{Value, json};

use super::names::Names;
use super::source::{Shape, shape};
use super::wire::Message;
use super::{Front, WorkKind, assist, info};

impl Front {
    /// Handles a request on the shell channel; returns the kernel's result if the request ends it.
    pub(super) fn shell_request(&mut self, message: Message) -> Option<Result<(), String>> {
        match message.kind() {
            "execute_request" => {
                self.queue.push_back(message);
                self.next_cell();
            }
            "complete_request" | "inspect_request" => self.assist(message),
            // Clients that are older than the control channel.
            "shutdown_request" => return self.shut_down(&message, false),
            "interrupt_request" => {
                self.answer(&message, json!({ "status": "ok" }), false);
                self.interrupt();
            }
            "comm_open" => {
                self.status(&message, "busy");
                let content = json!({ "comm_id": message.content["comm_id"], "data": {} });
                self.publish(&message, "comm_close", content);
                self.idle(&message);
            }
            "comm_msg" | "comm_close" => {
                self.status(&message, "busy");
                self.idle(&message);
            }
            kind if kind.ends_with("_request") => {
                let content = self.content_of_answer(&message);
                self.answer(&message, content, false);
            }
            _ => {}
        }
        None
    }

    /// Handles a request on the control channel, which does not wait for cells.
    pub(super) fn control_request(&mut self, message: &Message) -> Option<Result<(), String>> {
        match message.kind() {
            "shutdown_request" => return self.shut_down(message, true),
            "interrupt_request" => {
                self.answer(message, json!({ "status": "ok" }), true);
                self.interrupt();
            }
            kind if kind.ends_with("_request") => {
                let content = self.content_of_answer(message);
                self.answer(message, content, true);
            }
            _ => {}
        }
        None
    }

    fn content_of_answer(&self, message: &Message) -> Value {
        match message.kind() {
            "kernel_info_request" => info::kernel_info(),
            "is_complete_request" => match shape(message.text("code")) {
                Shape::Whole => json!({ "status": "complete" }),
                Shape::Open { indent, .. } => {
                    json!({ "status": "incomplete", "indent": " ".repeat(indent) })
                }
                Shape::Wrong(_) => json!({ "status": "invalid" }),
            },
            "history_request" => self.history.answer(&message.content),
            "comm_info_request" => json!({ "status": "ok", "comms": {} }),
            // The debug adapter protocol's way to say no.
            "debug_request" => json!({
                "type": "response",
                "seq": 0,
                "request_seq": message.content["seq"],
                "command": message.content["command"],
                "success": false,
                "message": "Rust cells have no debugger",
            }),
            kind => json!({
                "status": "error",
                "ename": "NotImplementedError",
                "evalue": format!("this kernel knows no `{kind}`"),
                "traceback": [],
            }),
        }
    }

    fn answer(&self, message: &Message, content: Value, on_control: bool) {
        self.status(message, "busy");
        let outlet = if on_control { &self.outside.control } else { &self.outside.shell };
        outlet.send(message.reply(content));
        self.idle(message);
    }

    /// Reports idle for this request. Clients that show a single state then need to hear that the cell is still
    /// running.
    fn idle(&self, message: &Message) {
        self.status(message, "idle");
        if let Some(cell) = &self.cell {
            self.status(&cell.request, "busy");
        }
    }

    fn shut_down(&self, message: &Message, on_control: bool) -> Option<Result<(), String>> {
        let content = json!({ "status": "ok", "restart": message.content["restart"] == true });
        self.publish(message, "shutdown_reply", content.clone());
        self.answer(message, content, on_control);
        Some(Ok(()))
    }

    /// Handles a completion or a request for documentation: evcxr answers unless a cell occupies it.
    fn assist(&mut self, message: Message) {
        self.status(&message, "busy");
        let waits = |kind: &WorkKind| {
            matches!(kind, WorkKind::Hello | WorkKind::WarmUp | WorkKind::Assist(_))
        };
        let is_there = self.problem.is_none();
        if !is_there
            || self.cell.is_some()
            || !self.work.as_ref().is_none_or(|work| waits(&work.kind))
        {
            return self.answer_without_evcxr(&message);
        }
        // Only the latest request is worth answering: the user has typed on.
        if let Some(older) = self.next_assist.replace(message) {
            self.answer_without_evcxr(&older);
        }
        self.send_assist();
    }

    pub(super) fn send_assist(&mut self) {
        if self.work.is_some() || !self.is_ready {
            return;
        }
        let (Some(message), Some(inner)) = (self.next_assist.take(), &self.inner) else { return };
        if self.cell.is_some() {
            return self.answer_without_evcxr(&message);
        }
        let asked = match message.kind() {
            "complete_request" => assist::completion_for_evcxr(&message.content),
            _ => assist::inspection_for_evcxr(&message.content),
        };
        inner.ask(&message, asked);
        let id = message.id().to_owned();
        self.begin_work(&id, WorkKind::Assist(Box::new(message)));
    }

    pub(super) fn answer_assist(&mut self, request: &Message, answer: Value) {
        let content = match request.kind() {
            "complete_request" => {
                let names = names(&mut self.names, &self.repository);
                assist::completion_from_evcxr(&request.content, answer, names.private())
            }
            _ => answer,
        };
        self.outside.shell.send(request.reply(content));
        self.idle(request);
    }

    pub(super) fn answer_without_evcxr(&mut self, request: &Message) {
        let names = names(&mut self.names, &self.repository);
        let content = match request.kind() {
            "complete_request" => {
                assist::completion_from_names(&request.content, names, &self.notebook)
            }
            _ => assist::inspection_from_names(&request.content, names),
        };
        self.outside.shell.send(request.reply(content));
        self.idle(request);
    }
}

/// The names in helpers' sources, read when they are first needed.
pub(super) fn names<'a>(known: &'a mut Option<Names>, repository: &Path) -> &'a Names {
    known.get_or_insert_with(|| Names::read(&repository.join("helpers/src")))
}
