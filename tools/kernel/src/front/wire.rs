//! Jupyter's messages and their form on the wire: routing frames, a signature, and four JSON objects
//! (<https://jupyter-client.readthedocs.io/en/stable/messaging.html>).

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;
use zeromq::ZmqMessage;

/// The version of the protocol that this kernel speaks.
pub(crate) const PROTOCOL: &str = "5.4";
const DELIMITER: &[u8] = b"<IDS|MSG>";

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// Routing identities of ZeroMQ: whom the message is for, or who sent it.
    pub(crate) identities: Vec<Bytes>,
    pub(crate) header: Value,
    pub(crate) parent: Value,
    pub(crate) metadata: Value,
    pub(crate) content: Value,
}

impl Message {
    /// A message that answers no other one.
    pub(crate) fn new(kind: &str, content: Value) -> Message {
        let header = json!({
            "msg_id": Uuid::new_v4().to_string(),
            "session": Uuid::new_v4().to_string(),
            "username": "kernel",
            "date": now(),
            "msg_type": kind,
            "version": PROTOCOL,
        });
        let empty = || json!({});
        Message { identities: vec![], header, parent: empty(), metadata: empty(), content }
    }

    /// A message that this one has caused.
    pub(crate) fn child(&self, kind: &str, content: Value) -> Message {
        let mut child = Message::new(kind, content);
        child.header["session"] = self.header["session"].clone();
        child.parent = self.header.clone();
        child
    }

    /// The reply to this request, addressed to its sender.
    pub(crate) fn reply(&self, content: Value) -> Message {
        let kind = self.kind().strip_suffix("_request").unwrap_or(self.kind());
        let mut reply = self.child(&format!("{kind}_reply"), content);
        reply.identities.clone_from(&self.identities);
        reply
    }

    pub(crate) fn kind(&self) -> &str {
        self.header["msg_type"].as_str().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        self.header["msg_id"].as_str().unwrap_or_default()
    }

    /// The message that has caused this one.
    pub(crate) fn parent_id(&self) -> &str {
        self.parent["msg_id"].as_str().unwrap_or_default()
    }

    /// The text of a field of the content, empty if there is none.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.content[field].as_str().unwrap_or_default()
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Writes and reads messages that are signed with one key; without a key nothing is signed.
#[derive(Clone)]
pub(crate) struct Signer(Option<Hmac<Sha256>>);

impl Signer {
    pub(crate) fn new(key: &str) -> Signer {
        let mac = Hmac::new_from_slice(key.as_bytes()).ok();
        Signer(mac.filter(|_| !key.is_empty()))
    }

    pub(crate) fn write(&self, message: &Message) -> ZmqMessage {
        let parts = [&message.header, &message.parent, &message.metadata, &message.content]
            .map(|part| Bytes::from(part.to_string()));
        let mut frames = message.identities.clone();
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(self.sign(&parts).into());
        frames.extend(parts);
        // There are always frames, so there is always a message.
        ZmqMessage::try_from(frames).unwrap_or_else(|_| ZmqMessage::from(""))
    }

    /// The message, if it is one and was signed with the key.
    pub(crate) fn read(&self, message: ZmqMessage) -> Option<Message> {
        let mut identities = message.into_vec();
        let at = identities.iter().position(|frame| frame == DELIMITER)?;
        let frames = identities.split_off(at);
        let [_, signature, parts @ ..] = frames.as_slice() else { return None };
        let parts = parts.get(..4)?;
        if let Some(mac) = &self.0 {
            let mut mac = mac.clone();
            parts.iter().for_each(|part| mac.update(part));
            mac.verify_slice(&hex::decode(signature).ok()?).ok()?;
        }
        let part = |index: usize| serde_json::from_slice(&parts[index]).ok();
        Some(Message {
            identities,
            header: part(0).filter(Value::is_object)?,
            parent: part(1)?,
            metadata: part(2)?,
            content: part(3).filter(Value::is_object)?,
        })
    }

    fn sign(&self, parts: &[Bytes]) -> String {
        self.0.clone().map_or(String::new(), |mut mac| {
            parts.iter().for_each(|part| mac.update(part));
            hex::encode(mac.finalize().into_bytes())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was() {
        let signer = Signer::new("a key");
        let mut message = Message::new("execute_request", json!({"code": "let ü = 1;"}));
        message.identities = vec![Bytes::from_static(b"somebody")];
        assert_eq!(signer.read(signer.write(&message)), Some(message.clone()));
        let unsigned = Signer::new("");
        assert_eq!(unsigned.read(unsigned.write(&message)), Some(message));
    }

    #[test]
    fn what_another_key_has_signed_is_no_message() {
        let message = Message::new("shutdown_request", json!({}));
        let signer = Signer::new("a key");
        assert_eq!(signer.read(Signer::new("another key").write(&message)), None);
        assert_eq!(signer.read(Signer::new("").write(&message)), None);
        let mut frames = signer.write(&message).into_vec();
        frames[5] = Bytes::from_static(b"{\"restart\": true}");
        assert_eq!(signer.read(ZmqMessage::try_from(frames).unwrap()), None);
    }

    #[test]
    fn what_is_no_message_is_none() {
        let signer = Signer::new("");
        for frames in [
            vec!["hello"],
            vec!["<IDS|MSG>"],
            vec!["<IDS|MSG>", "", "{}", "{}", "{}"],
            vec!["<IDS|MSG>", "", "not JSON", "{}", "{}", "{}"],
            vec!["<IDS|MSG>", "", "[]", "{}", "{}", "{}"],
        ] {
            let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
            assert_eq!(signer.read(ZmqMessage::try_from(frames).unwrap()), None);
        }
    }

    #[test]
    fn a_reply_goes_to_the_one_who_asked() {
        let mut request = Message::new("kernel_info_request", json!({}));
        request.identities = vec![Bytes::from_static(b"somebody")];
        let reply = request.reply(json!({"status": "ok"}));
        assert_eq!(reply.kind(), "kernel_info_reply");
        assert_eq!(reply.identities, request.identities);
        assert_eq!(reply.parent_id(), request.id());
        assert_eq!(reply.header["session"], request.header["session"]);
        assert_ne!(reply.id(), request.id());
    }
}
