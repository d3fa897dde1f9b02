//! The sockets that Jupyter connects to; also the reading of evcxr's sockets.
//!
//! Each socket is read and written (`outlet.rs`) by its own task. What is published goes to all clients in turn, so that
//! one which does not read delays the output of the others; how much may wait then has a limit.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeromq::{PubSocket, RepSocket, RouterSocket, Socket, SocketRecv, SocketSend};

use super::event::{Channel, Event};
use super::outlet::Outlet;
use super::wire::Signer;
use crate::outcome::Outcome;

/// How long to wait at the end until the last messages are sent.
const LAST: Duration = Duration::from_secs(1);

/// A connection file: where to listen, and the key of all messages.
pub(crate) struct Connection(Value);

impl Connection {
    pub(crate) fn read(file: &Path) -> Outcome<Connection> {
        let told = |problem: &dyn std::fmt::Display| {
            format!("cannot read the connection file {}: {problem}", file.display())
        };
        let text = fs::read_to_string(file).map_err(|error| told(&error))?;
        let connection = Connection(serde_json::from_str(&text).map_err(|error| told(&error))?);
        match connection.text("signature_scheme") {
            "" | "hmac-sha256" => Ok(connection),
            other => {
                Err(told(&format!("it asks for `{other}`; this kernel signs with hmac-sha256"))
                    .into())
            }
        }
    }

    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    pub(crate) fn key(&self) -> &str {
        self.text("key")
    }

    fn endpoint(&self, name: &str) -> String {
        let transport = match self.text("transport") {
            "" => "tcp",
            given => given,
        };
        // ZeroMQ's `ipc` endpoints end in `-PORT`, as Jupyter names them.
        let separator = if transport == "ipc" { '-' } else { ':' };
        format!("{transport}://{}{separator}{}", self.text("ip"), self.0[format!("{name}_port")])
    }
}

/// Reads a socket and turns each message into an event.
pub(crate) fn take_in<S: SocketRecv + Send + 'static>(
    mut socket: S,
    signer: Signer,
    events: mpsc::Sender<Event>,
    channel: Channel,
) {
    tokio::spawn(async move {
        // A message that cannot be read does not end the loop.
        loop {
            let Ok(message) = socket.recv().await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if events.is_closed() {
                    return;
                }
                continue;
            };
            if let Some(message) = signer.read(message)
                && events.send(Event::Received(channel, message)).await.is_err()
            {
                return;
            }
        }
    });
}

/// The sockets that Jupyter's clients speak to.
pub(crate) struct Outside {
    pub(crate) shell: Outlet,
    pub(crate) control: Outlet,
    pub(crate) stdin: Outlet,
    pub(crate) iopub: Outlet,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

impl Outside {
    pub(crate) async fn open(
        connection: &Connection,
        events: &mpsc::Sender<Event>,
    ) -> Outcome<Outside> {
        let signer = Signer::new(connection.key());
        let mut tasks = Vec::new();
        let mut outlet = |(outlet, task)| {
            tasks.push(task);
            outlet
        };
        let mut routers = Vec::new();
        for (name, channel) in
            [("shell", Channel::Shell), ("control", Channel::Control), ("stdin", Channel::Stdin)]
        {
            let socket: RouterSocket = bind(connection, name).await?;
            let (sends, receives) = socket.split();
            take_in(receives, signer.clone(), events.clone(), channel);
            routers.push(outlet(Outlet::new(sends, signer.clone())));
        }
        let iopub: PubSocket = bind(connection, "iopub").await?;
        let iopub = outlet(Outlet::new(iopub, signer));
        let mut heartbeat: RepSocket = bind(connection, "hb").await?;
        tokio::spawn(async move {
            // One client that breaks off is no reason to let down the others.
            loop {
                match heartbeat.recv().await {
                    Ok(beat) => drop(heartbeat.send(beat).await),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let [shell, control, stdin] =
            routers.try_into().map_err(|_| "the sockets are not three")?;
        Ok(Outside { shell, control, stdin, iopub, tasks })
    }

    /// Sends what is still queued, for at most [`LAST`].
    pub(crate) async fn close(self) {
        drop((self.shell, self.control, self.stdin, self.iopub));
        let all_sent = async {
            for task in self.tasks {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(LAST, all_sent).await;
    }
}

async fn bind<S: Socket>(connection: &Connection, name: &str) -> Outcome<S> {
    let endpoint = connection.endpoint(name);
    let mut socket = S::new();
    socket
        .bind(&endpoint)
        .await
        .map_err(|error| format!("cannot listen at {endpoint}: {error}"))?;
    Ok(socket)
}
