//! Starting evcxr, and listening to it and to its relays.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use uuid::Uuid;
use zeromq::{DealerSocket, Socket, SubSocket};

use super::event::{Channel, Event};
use super::inner::{INNER_VARIABLE, Inner, Surroundings};
use super::outlet::Outlet;
use super::sockets::take_in;
use super::wire::Signer;
use crate::link::{LINK_VARIABLE, Order, Report};
use crate::outcome::Outcome;
use crate::paths::program;

/// How long to wait for evcxr's sockets. evcxr makes them before it does anything slow.
const LISTENS: Duration = Duration::from_secs(60);

/// Starts evcxr and connects to it; what it says comes as events.
pub(crate) async fn start(
    surroundings: &Surroundings,
    number: u64,
    events: &mpsc::Sender<Event>,
) -> Outcome<Inner> {
    let key = Uuid::new_v4().to_string();
    let names = ["shell", "iopub", "stdin", "control", "hb"];
    let address = surroundings.sockets.join(format!("evcxr-{number}"));
    let mut connection =
        json!({ "transport": "ipc", "ip": address, "key": key, "signature_scheme": "hmac-sha256" });
    for (port, name) in names.iter().enumerate() {
        connection[format!("{name}_port")] = (port + 1).into();
    }
    let file = surroundings.sockets.join(format!("evcxr-{number}.json"));
    std::fs::write(&file, connection.to_string())?;
    let link = surroundings.sockets.join(format!("link-{number}"));
    listen(UnixListener::bind(&link)?, events.clone());

    let mut evcxr = Command::new(program()?);
    evcxr.arg("--control_file").arg(&file);
    evcxr.envs(surroundings.environment.iter().cloned());
    evcxr.env(INNER_VARIABLE, &file).env(LINK_VARIABLE, &link).stderr(Stdio::piped());
    // In a process group of its own, so that an interrupt reaches only the front, which decides
    // what to interrupt.
    std::os::unix::process::CommandExt::process_group(&mut evcxr, 0);
    let mut child = tokio::process::Command::from(evcxr).spawn()?;
    let pid = child.id().map_or(0, u32::cast_signed);
    if let Some(said) = child.stderr.take() {
        tell_lines(said, number, events.clone());
    }
    let ended = events.clone();
    tokio::spawn(async move {
        let code = child.wait().await.ok().and_then(|status| status.code());
        let _ = ended.send(Event::InnerEnded(number, code)).await;
    });

    let signer = Signer::new(&key);
    let mut shell = DealerSocket::new();
    let mut iopub = SubSocket::new();
    connect(&mut shell, &format!("{}:1", address.display()), pid).await?;
    connect(&mut iopub, &format!("{}:2", address.display()), pid).await?;
    iopub.subscribe("").await?;
    let (sends, receives) = shell.split();
    take_in(receives, signer.clone(), events.clone(), Channel::InnerShell(number));
    take_in(iopub, signer.clone(), events.clone(), Channel::InnerIopub(number));
    Ok(Inner { shell: Outlet::new(sends, signer).0, pid, number })
}

async fn connect<S: Socket>(socket: &mut S, path: &str, pid: i32) -> Outcome {
    let begun = tokio::time::Instant::now();
    while !std::path::Path::new(path).exists() {
        // SAFETY: the call takes two numbers, and sends nothing.
        let alive = unsafe { libc::kill(pid, 0) } == 0;
        if !alive || begun.elapsed() > LISTENS {
            return Err("evcxr does not start".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(socket.connect(&format!("ipc://{path}")).await?)
}

/// Copies evcxr's standard error to the kernel's own, and sends each line as an event.
fn tell_lines(said: tokio::process::ChildStderr, number: u64, events: mpsc::Sender<Event>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(said).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line).into_owned();
            eprintln!("{line}");
            if events.send(Event::Said(number, line)).await.is_err() {
                return;
            }
        }
    });
}

/// Accepts relays: evcxr starts a new one whenever the process that runs cells has ended.
fn listen(listener: UnixListener, events: mpsc::Sender<Event>) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = Uuid::new_v4().as_u128();
            let (orders, received) = mpsc::unbounded_channel();
            if events.send(Event::RelayStarted(number, orders)).await.is_err() {
                return;
            }
            tokio::spawn(speak(stream, number, received, events.clone()));
        }
    });
}

async fn speak(
    stream: UnixStream,
    number: u128,
    mut received: mpsc::UnboundedReceiver<Order>,
    events: mpsc::Sender<Event>,
) {
    let (reads, mut writes) = stream.into_split();
    tokio::spawn(async move {
        while let Some(order) = received.recv().await {
            let line = serde_json::to_string(&order).unwrap_or_default() + "\n";
            if writes.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let mut lines = BufReader::with_capacity(1 << 18, reads).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        if let Ok(report) = serde_json::from_slice::<Report>(&line)
            && events.send(Event::Told(number, report)).await.is_err()
        {
            return;
        }
    }
    let _ = events.send(Event::RelayEnded(number)).await;
}
