//! Writing to a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeromq::SocketSend;

use super::wire::{Message, Signer};

/// Bytes that may wait for clients that do not read. ZeroMQ's sockets hold back without a limit until all have read.
const WAITING: usize = 64 << 20;

/// Queues messages for one socket.
#[derive(Clone)]
pub(crate) struct Outlet {
    queue: mpsc::UnboundedSender<(usize, Message)>,
    /// Bytes in the queue, roughly.
    waiting: Arc<AtomicUsize>,
    /// True from the first output that was left out until the queue is half empty.
    leaves_out: Arc<AtomicBool>,
}

impl Outlet {
    /// Makes the queue and the task that sends from it; the task ends with the last outlet.
    pub(crate) fn new<S: SocketSend + Send + 'static>(
        mut socket: S,
        signer: Signer,
    ) -> (Outlet, JoinHandle<()>) {
        let (outlet, mut messages) = Outlet::queue();
        let waiting = Arc::clone(&outlet.waiting);
        let task = tokio::spawn(async move {
            while let Some((bytes, message)) = messages.recv().await {
                // A failed send means that the client has gone.
                let _ = socket.send(signer.write(&message)).await;
                waiting.fetch_sub(bytes, Ordering::Relaxed);
            }
        });
        (outlet, task)
    }

    fn queue() -> (Outlet, mpsc::UnboundedReceiver<(usize, Message)>) {
        let (queue, messages) = mpsc::unbounded_channel();
        (Outlet { queue, waiting: Arc::default(), leaves_out: Arc::default() }, messages)
    }

    /// Queues a message. Output is left out while too much of it waits, and a note says so; all else is sent, as clients
    /// wait for it.
    pub(crate) fn send(&self, message: Message) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting >= WAITING && is_output(&message) {
            if !self.leaves_out.swap(true, Ordering::Relaxed) {
                self.put(note(&message));
            }
            return;
        }
        if waiting < WAITING / 2 {
            self.leaves_out.store(false, Ordering::Relaxed);
        }
        self.put(message);
    }

    fn put(&self, message: Message) {
        let bytes = size(&message.content) + size(&message.header) + size(&message.parent);
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let _ = self.queue.send((bytes, message));
    }
}

fn is_output(message: &Message) -> bool {
    matches!(message.kind(), "stream" | "display_data" | "update_display_data")
}

/// Says, in the place of this output, that it is left out.
fn note(output: &Message) -> Message {
    let text = format!(
        "\n[output is left out from here on: {} MB of it wait for a program that is connected to this kernel and does \
         not read it; once it reads, or is closed, later output is shown again]\n",
        WAITING >> 20
    );
    let mut note = Message::new("stream", json!({ "name": "stderr", "text": text }));
    note.header["session"] = output.header["session"].clone();
    note.parent = output.parent.clone();
    note
}

/// The bytes of a value's texts, and some for each value.
fn size(value: &Value) -> usize {
    const EACH: usize = 16;
    EACH + match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + size(value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_client_that_does_not_read_has_a_limit() {
        let (outlet, mut messages) = Outlet::queue();
        let cell = Message::new("execute_request", json!({}));
        let text = "x".repeat(1 << 20);
        for kind in ["stream", "update_display_data"].repeat(40) {
            outlet.send(cell.child(kind, json!({ "text": text })));
        }
        outlet.send(cell.child("status", json!({ "execution_state": "idle" })));
        assert!(outlet.waiting.load(Ordering::Relaxed) < WAITING + (2 << 20));

        // The client reads.
        let mut read = Vec::new();
        while let Ok((bytes, message)) = messages.try_recv() {
            outlet.waiting.fetch_sub(bytes, Ordering::Relaxed);
            read.push(message);
        }
        assert_eq!(outlet.waiting.load(Ordering::Relaxed), 0);
        let [.., note, idle] = &read[..] else { panic!("{}", read.len()) };
        assert!(note.text("text").contains("64 MB of it wait"), "{note:?}");
        assert_eq!((note.parent_id(), note.text("name")), (cell.id(), "stderr"));
        assert_eq!(idle.kind(), "status");
        assert_eq!(read.iter().filter(|message| message.text("name") == "stderr").count(), 1);

        outlet.send(cell.child("stream", json!({ "text": "and again" })));
        assert_eq!(messages.try_recv().unwrap().1.text("text"), "and again");
    }
}
