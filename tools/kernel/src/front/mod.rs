//! The process that Jupyter talks to. Behind it runs an unchanged `evcxr_jupyter` on private sockets. The front adds
//! what evcxr does not report: that a cell failed, its output while it runs, that the kernel is busy. It answers by
//! itself every request that needs no compiler.
//!
//! One task makes all decisions: [`Front::handle`] takes the events one after the other. Sockets are read and written
//! by tasks of their own (`sockets.rs`, `launch.rs`).

mod assist;
mod cell;
mod cells;
mod diagnostics;
mod event;
mod failure;
mod history;
mod info;
pub(crate) mod inner;
mod interrupt;
mod launch;
mod locate;
mod names;
mod notebook;
mod outlet;
mod output;
mod requests;
mod sockets;
mod source;
mod teach;
mod warm_up;
mod wire;

use std::collections::VecDeque;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

pub(crate) use self::event::Prepared;

use self::cell::Cell;
use self::event::{Channel, Event};
use self::failure::Failure;
use self::history::History;
use self::inner::Inner;
use self::names::Names;
use self::notebook::Notebook;
use self::output::{Output, Published};
use self::sockets::{Connection, Outside};
use self::wire::Message;
use crate::link::{Order, Report};
use crate::outcome::Outcome;
use crate::paths::Paths;

/// How many events can be queued; a task that has more waits.
const EVENTS: usize = 256;
/// How often the front looks whether the program that started it is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How long after it became idle evcxr may still reply. It replies before it is idle, so later no reply comes.
const ANSWERED: Duration = Duration::from_secs(10);

/// A relay that is connected.
struct Relay {
    number: u128,
    /// Its process id, once it has reported it.
    process: Option<i32>,
    orders: mpsc::UnboundedSender<Order>,
}

/// A request that evcxr is working on.
struct Work {
    id: String,
    kind: WorkKind,
    reply: Option<Message>,
    idle: Option<Instant>,
    /// True when the relay has sent every report about it.
    synced: bool,
}

#[derive(PartialEq)]
enum WorkKind {
    /// The first request, which shows that evcxr has started.
    Hello,
    Cell,
    /// An interrupted cell that has its reply already, while evcxr still works on it.
    Abandoned,
    /// The completion that makes evcxr read the sources; its reply is ignored.
    WarmUp,
    /// A completion or a question for documentation.
    Assist(Box<Message>),
}

/// A failed cell whose reply is held back for a moment, so that requests sent before it are queued and can be aborted.
struct Concluding {
    at: Instant,
    cell: Cell,
    failure: Failure,
}

struct Front {
    outside: Outside,
    prepared: Option<Prepared>,
    inner: Option<Inner>,
    /// How many times evcxr was started, and how many times in a row it ended before it was ready.
    starts: u64,
    vain_starts: u64,
    is_ready: bool,
    /// Why evcxr could not be started; it is not tried again.
    problem: Option<String>,
    relays: Vec<Relay>,
    /// The relay that must still answer a ping.
    pinged: Option<u128>,
    work: Option<Work>,
    /// The last completion or request for documentation that waits for evcxr.
    next_assist: Option<Message>,
    queue: VecDeque<Message>,
    cell: Option<Cell>,
    concluding: Option<Concluding>,
    /// True from `Order::Allow(false)` until the relay has confirmed it.
    refusing: bool,
    end_compilers_at: Option<Instant>,
    count: i64,
    /// The request that output belongs to when no cell is running, and that output.
    last_request: Message,
    afterwards: Output,
    history: History,
    notebook: Notebook,
    /// The names in helpers' sources, once they were needed.
    names: Option<Names>,
    repository: PathBuf,
    events: mpsc::Sender<Event>,
}

/// Serves one kernel until it ends. `prepare` makes the session's folder, which takes a second; requests that need no
/// compiler are answered meanwhile.
pub(crate) fn serve(
    paths: &Paths,
    connection_file: &Path,
    prepare: impl FnOnce() -> Result<Prepared, String> + Send + 'static,
) -> Outcome {
    let connection = Connection::read(connection_file)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(run(paths, &connection, prepare));
    // Does not wait for the tasks that read sockets.
    runtime.shutdown_background();
    served
}

async fn run(
    paths: &Paths,
    connection: &Connection,
    prepare: impl FnOnce() -> Result<Prepared, String> + Send + 'static,
) -> Outcome {
    let (events, mut happened) = mpsc::channel(EVENTS);
    for (kind, make) in [
        (SignalKind::interrupt(), (|| Event::Interrupted) as fn() -> Event),
        (SignalKind::terminate(), || Event::Terminated),
        (SignalKind::hangup(), || Event::Terminated),
    ] {
        let (mut signals, events) = (signal(kind)?, events.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() && events.send(make()).await.is_ok() {}
        });
    }
    let outside = Outside::open(connection, &events).await?;
    let prepared = events.clone();
    tokio::task::spawn_blocking(move || {
        let _ = prepared.blocking_send(Event::Prepared(prepare()));
    });

    let mut front = Front::new(outside, paths, events);
    front.publish(&front.last_request.clone(), "status", json!({ "execution_state": "starting" }));
    let parent = parent_id();
    let mut looked = Instant::now();
    let ended = loop {
        let deadline = front.deadline().map_or(looked + LOOK, |at| at.min(looked + LOOK));
        let event = tokio::select! {
            event = happened.recv() => event,
            () = tokio::time::sleep_until(deadline.into()) => None,
        };
        if let Some(event) = event
            && let Some(ended) = front.handle(event)
        {
            break ended;
        }
        front.tick(Instant::now());
        if looked + LOOK <= Instant::now() {
            looked = Instant::now();
            if parent_id() != parent {
                break Ok(());
            }
        }
    };
    if let Some(inner) = &front.inner {
        inner.kill();
    }
    let Front { outside, prepared, .. } = front;
    outside.close().await;
    drop(prepared);
    ended.map_err(Into::into)
}

impl Front {
    fn new(outside: Outside, paths: &Paths, events: mpsc::Sender<Event>) -> Front {
        Front {
            outside,
            prepared: None,
            inner: None,
            starts: 0,
            vain_starts: 0,
            is_ready: false,
            problem: None,
            relays: vec![],
            pinged: None,
            work: None,
            next_assist: None,
            queue: VecDeque::new(),
            cell: None,
            concluding: None,
            refusing: false,
            end_compilers_at: None,
            count: 0,
            last_request: Message::new("start", json!({})),
            afterwards: Output::default(),
            history: History::open(paths.kernel().join("history.jsonl")),
            notebook: Notebook::default(),
            names: None,
            repository: paths.root().to_owned(),
            events,
        }
    }

    /// Handles one event; returns the result of the whole kernel if the event ends it.
    fn handle(&mut self, event: Event) -> Option<Result<(), String>> {
        match event {
            Event::Received(Channel::Shell, message) => return self.shell_request(message),
            Event::Received(Channel::Control, message) => return self.control_request(&message),
            Event::Received(Channel::Stdin, message) => self.take_answer(&message),
            Event::Received(Channel::InnerShell(number), message) => {
                if self.is_current(number) {
                    self.take_reply(message);
                }
            }
            Event::Received(Channel::InnerIopub(number), message) => {
                if self.is_current(number) {
                    self.take_published(message);
                }
            }
            Event::Prepared(Ok(prepared)) => {
                self.prepared = Some(prepared);
                self.start_inner();
            }
            Event::Prepared(Err(problem)) => self.cannot_start(problem),
            Event::InnerStarted(number, Ok(inner)) if number == self.starts => self.greet(inner),
            Event::InnerStarted(number, Err(problem)) if number == self.starts => {
                self.cannot_start(problem);
            }
            Event::InnerEnded(number, code) if number == self.starts => {
                return self.inner_ended(code);
            }
            Event::Said(number, line) if number == self.starts => self.look_at(&line),
            Event::InnerStarted(..) | Event::InnerEnded(..) | Event::Said(..) => {}
            Event::RelayStarted(number, orders) => {
                let relay = Relay { number, process: None, orders };
                if self.refusing
                    || self.work.as_ref().is_some_and(|work| work.kind == WorkKind::Abandoned)
                {
                    let _ = relay.orders.send(Order::Allow(false));
                }
                self.relays.push(relay);
            }
            Event::Told(number, report) => {
                if let Some(relay) = self.relays.iter_mut().find(|relay| relay.number == number) {
                    match report {
                        Report::Started { relay: process } => relay.process = Some(process),
                        // Until it is ready, evcxr runs cells of its own, whose reports are ignored.
                        _ if !self.is_ready => {}
                        report => self.take_report(report),
                    }
                }
            }
            Event::RelayEnded(number) => self.relay_ended(number),
            Event::Interrupted => self.interrupt(),
            Event::Terminated => return Some(Ok(())),
        }
        None
    }

    /// When [`Front::tick`] must be called next.
    fn deadline(&self) -> Option<Instant> {
        let cell = self.cell.as_ref().and_then(Cell::deadline);
        let concluding = self.concluding.as_ref().map(|concluding| concluding.at);
        let unanswered = self.work.as_ref().filter(|work| work.reply.is_none());
        let answered = unanswered.and_then(|work| work.idle).map(|idle| idle + ANSWERED);
        let afterwards = self.afterwards.deadline();
        [cell, afterwards, concluding, answered, self.end_compilers_at].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant) {
        let published = match &mut self.cell {
            Some(cell) => cell.tick(now),
            None => self.afterwards.tick(now),
        };
        self.publish_all(published);
        self.end_what_is_late(now);
        if self.concluding.as_ref().is_some_and(|concluding| concluding.at <= now) {
            self.conclude();
        }
        let unanswered = self.work.as_ref().filter(|work| work.reply.is_none());
        if unanswered.is_some_and(|work| work.idle.is_some_and(|idle| idle + ANSWERED <= now)) {
            // evcxr has lost the part of itself that runs cells.
            self.kill_inner();
        }
    }

    fn is_current(&self, number: u64) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.number == number)
    }

    fn start_inner(&mut self) {
        let Some(prepared) = &self.prepared else { return };
        self.starts += 1;
        let (surroundings, number, events) =
            (prepared.surroundings.clone(), self.starts, self.events.clone());
        tokio::spawn(async move {
            let started = launch::start(&surroundings, number, &events)
                .await
                .map_err(|error| error.to_string());
            let _ = events.send(Event::InnerStarted(number, started)).await;
        });
    }

    /// Asks a new evcxr for its info: the reply shows that it has started.
    fn greet(&mut self, inner: Inner) {
        let hello = Message::new("kernel_info_request", json!({}));
        inner.ask(&hello, json!({}));
        self.inner = Some(inner);
        self.begin_work(hello.id(), WorkKind::Hello);
    }

    fn begin_work(&mut self, id: &str, kind: WorkKind) {
        self.work = Some(Work { id: id.to_owned(), kind, reply: None, idle: None, synced: false });
    }

    /// From now on every cell fails with this reason. If the kernel ended instead, Jupyter would start it again and
    /// again, and the reason would only be in a log.
    fn cannot_start(&mut self, problem: String) {
        eprintln!("error: {problem}");
        self.problem = Some(problem);
        if let Some(message) = self.next_assist.take() {
            self.answer_without_evcxr(&message);
        }
        if let Some(cell) = self.cell.take() {
            self.begin(cell);
        }
    }

    fn inner_ended(&mut self, code: Option<i32>) -> Option<Result<(), String>> {
        let was_ready = std::mem::take(&mut self.is_ready);
        self.inner = None;
        self.refusing = false;
        let work = self.work.take();
        if let Some(WorkKind::Assist(request)) = work.map(|work| work.kind) {
            self.answer_without_evcxr(&request);
        }
        if let Some(mut cell) = self.cell.take() {
            self.notebook.lost_all(cell.number);
            // evcxr's command `:quit`.
            if code == Some(0) && cell.code().lines().any(|line| line.trim() == ":quit") {
                self.succeed(cell, None);
                return Some(Ok(()));
            }
            cell.outcome.without_evcxr = true;
            self.end_cell(cell);
        }
        self.vain_starts = if was_ready { 0 } else { self.vain_starts + 1 };
        match self.vain_starts {
            0 | 1 => self.start_inner(),
            _ => self.cannot_start(
                "evcxr ends before it has started; what it said stands in Jupyter's log".to_owned(),
            ),
        }
        None
    }

    fn kill_inner(&mut self) {
        if let Some(inner) = &self.inner {
            inner.kill();
        }
        // Prevents a second kill for the same work.
        if let Some(work) = &mut self.work {
            work.idle = None;
        }
    }

    fn look_at(&mut self, line: &str) {
        if let Some(cell) = &mut self.cell {
            cell.compiling.look_at(line);
        }
        if line.starts_with("execution error: ") {
            self.kill_inner();
        }
    }

    fn order(&self, order: Order) {
        if let Some(relay) = self.relays.last() {
            let _ = relay.orders.send(order);
        }
    }

    fn publish(&self, parent: &Message, kind: &str, content: Value) {
        self.outside.iopub.send(parent.child(kind, content));
    }

    /// Publishes output for the running cell, or for the last request if none is running.
    fn publish_all(&self, published: Vec<Published>) {
        if let Some(cell) = &self.cell {
            return self.publish_for(cell, published);
        }
        for (kind, content) in published {
            self.publish(&self.last_request, kind, content);
        }
    }

    fn status(&self, parent: &Message, state: &str) {
        self.publish(parent, "status", json!({ "execution_state": state }));
    }
}
