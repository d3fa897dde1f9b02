//! Writing to a socket.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeromq::SocketSend;

use super::wire::{Message, Signer};

/// Queues messages for one socket.
#[derive(Clone)]
pub(crate) struct Outlet(mpsc::UnboundedSender<Message>);

impl Outlet {
    /// Makes the queue and the task that sends from it; the task ends with the last outlet.
    pub(crate) fn new<S: SocketSend + Send + 'static>(
        mut socket: S,
        signer: Signer,
    ) -> (Outlet, JoinHandle<()>) {
        let (sender, mut messages) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                // A failed send means that the client has gone.
                let _ = socket.send(signer.write(&message)).await;
            }
        });
        (Outlet(sender), task)
    }

    pub(crate) fn send(&self, message: Message) {
        let _ = self.0.send(message);
    }
}
