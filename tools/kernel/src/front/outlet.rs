//! Writing to a socket.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeromq::SocketSend;

use super::wire::{Message, Signer};

/// Where messages go that are to be sent through one socket.
#[derive(Clone)]
pub(crate) struct Outlet(mpsc::UnboundedSender<Message>);

impl Outlet {
    /// Messages to a socket, written by a task that ends when no outlet is left.
    pub(crate) fn new<S: SocketSend + Send + 'static>(
        mut socket: S,
        signer: Signer,
    ) -> (Outlet, JoinHandle<()>) {
        let (sender, mut messages) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                // Whoever has gone gets nothing.
                let _ = socket.send(signer.write(&message)).await;
            }
        });
        (Outlet(sender), task)
    }

    pub(crate) fn send(&self, message: Message) {
        let _ = self.0.send(message);
    }
}
