//! Event files, which TensorBoard reads: scalars, pictures and hyper-parameters, each at a step of a run.
//!
//! A file is a sequence of TFRecords: length, its checksum, an `Event` in protocol buffers' wire format, its checksum.
//! The few fields in use are encoded here: a library for protocol buffers would add crates that every kernel compiles
//! and reads at its start (`docs/extending.md`, "Dependencies").

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// The file names written here end in this.
const ENDING: &str = ".helpers";

/// The events of one run, appended one by one. Every complete record stays readable, even if the process is killed.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

/// A value of a hyper-parameter.
pub(crate) enum HParam {
    Number(f64),
    Text(String),
    Bool(bool),
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl EventFile {
    /// Removes the runs in this folder whose names are `start` and a number. If an earlier search had more trials than
    /// this one, TensorBoard would show the rest of them among the new ones.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub(crate) fn remove_runs(log_dir: &Path, start: &str) -> Result<()> {
        for entry in fs::read_dir(log_dir).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let number = name.to_str().and_then(|name| name.strip_prefix(start)).unwrap_or("");
            let is_run = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            if is_run && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                fs::remove_dir_all(&path).map_err(|source| unwritable(&path, source))?;
            }
        }
        Ok(())
    }

    /// Makes a new file in `folder`, which is created; removes the files of an earlier run there.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(crate) fn create(folder: &Path) -> Result<EventFile> {
        let wrong = |source| unwritable(folder, source);
        fs::create_dir_all(folder).map_err(wrong)?;
        for entry in fs::read_dir(folder).map_err(wrong)?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("events.out.tfevents.") && name.ends_with(ENDING) {
                fs::remove_file(entry.path()).map_err(wrong)?;
            }
        }
        // TensorBoard reads the files of a folder in the order of their names, so the name holds the time.
        let name =
            format!("events.out.tfevents.{:010}.{}{ENDING}", now() as u64, std::process::id());
        let path = folder.join(name);
        let file = File::create(&path).map_err(wrong)?;
        let mut events = EventFile { path, file };
        let mut version = Message::default();
        version.double(1, now()).bytes(3, b"brain.Event:2");
        events.append(&version)?;
        Ok(events)
    }

    /// A number at a step; `wall_time` in seconds since 1970.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn scalar(
        &mut self,
        tag: &str,
        step: usize,
        value: f64,
        wall_time: f64,
    ) -> Result<()> {
        let mut summary = Message::default();
        summary.bytes(1, tag.as_bytes()).float(2, value as f32);
        self.summary(&summary, step, wall_time)
    }

    /// A picture at a step, as the bytes of its PNG file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn image(
        &mut self,
        tag: &str,
        step: usize,
        png: &[u8],
        [width, height]: [usize; 2],
    ) -> Result<()> {
        let (mut image, mut summary) = (Message::default(), Message::default());
        // Three channels.
        image.varint(1, height as u64).varint(2, width as u64).varint(3, 3).bytes(4, png);
        summary.bytes(1, tag.as_bytes()).message(4, &image);
        self.summary(&summary, step, now())
    }

    /// Writes the run's settings, for the page of hyper-parameters.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn hparams(&mut self, hparams: &[(String, HParam)], wall_time: f64) -> Result<()> {
        let (mut session, mut plugin) = (Message::default(), Message::default());
        for (name, value) in hparams {
            let (mut entry, mut field) = (Message::default(), Message::default());
            match value {
                HParam::Number(number) => field.double(2, *number),
                HParam::Text(text) => field.bytes(3, text.as_bytes()),
                HParam::Bool(is_true) => field.varint(4, u64::from(*is_true)),
            };
            entry.bytes(1, name.as_bytes()).message(2, &field);
            session.message(1, &entry);
        }
        session.double(5, wall_time);
        plugin.message(3, &session);
        self.hparams_event("_hparams_/session_start_info", &plugin, wall_time)
    }

    /// Records that the run has ended.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn finished(&mut self) -> Result<()> {
        let (mut session, mut plugin) = (Message::default(), Message::default());
        // Status: success.
        session.varint(1, 1).double(2, now());
        plugin.message(4, &session);
        self.hparams_event("_hparams_/session_end_info", &plugin, now())
    }

    fn hparams_event(&mut self, tag: &str, content: &Message, wall_time: f64) -> Result<()> {
        let [mut plugin, mut metadata, mut summary] = <[Message; 3]>::default();
        plugin.bytes(1, b"hparams").message(2, content);
        metadata.message(1, &plugin);
        // The event needs a value, although it is not used: a tensor with one dimension that holds 0.0.
        let [mut side, mut shape, mut tensor] = <[Message; 3]>::default();
        side.varint(1, 1);
        shape.message(2, &side);
        tensor.varint(1, 1).message(2, &shape).bytes(5, &0f32.to_le_bytes());
        summary.bytes(1, tag.as_bytes()).message(8, &tensor).message(9, &metadata);
        self.summary(&summary, 0, wall_time)
    }

    fn summary(&mut self, value: &Message, step: usize, wall_time: f64) -> Result<()> {
        let (mut summary, mut event) = (Message::default(), Message::default());
        summary.message(1, value);
        event.double(1, wall_time).varint(2, step as u64).message(5, &summary);
        self.append(&event)
    }

    fn append(&mut self, event: &Message) -> Result<()> {
        let length = (event.0.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_crc32c(&length).to_le_bytes());
        record.extend(&event.0);
        record.extend(masked_crc32c(&event.0).to_le_bytes());
        // Written at once, so that TensorBoard sees the last epoch.
        self.file.write_all(&record).map_err(|source| unwritable(&self.path, source))
    }
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    let advice = "check that the folder can be written and the disk has room".to_owned();
    Error::Io { action: "write", path: path.to_owned(), source, advice }
}

/// The part of protocol buffers' wire format that these events need.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u32, wire_type: u32) -> &mut Message {
        self.raw_varint(u64::from(field << 3 | wire_type))
    }

    fn raw_varint(&mut self, mut value: u64) -> &mut Message {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn varint(&mut self, field: u32, value: u64) -> &mut Message {
        self.key(field, 0).raw_varint(value)
    }

    fn double(&mut self, field: u32, value: f64) -> &mut Message {
        self.key(field, 1).0.extend(value.to_le_bytes());
        self
    }

    fn float(&mut self, field: u32, value: f32) -> &mut Message {
        self.key(field, 5).0.extend(value.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Message {
        self.key(field, 2).raw_varint(value.len() as u64).0.extend(value);
        self
    }

    fn message(&mut self, field: u32, value: &Message) -> &mut Message {
        self.bytes(field, &value.0)
    }
}

/// The checksum of a record: CRC-32C (Castagnoli), rotated and offset as TFRecord requires.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32C (RFC 3720, B.4: 32 bytes of zeros give 8a9136aa), masked.
    #[test]
    fn the_checksum_is_crc_32c() {
        let unmasked = masked_crc32c(&[0; 32]).wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(unmasked, 0x8a91_36aa);
    }

    #[test]
    fn a_message_is_in_the_wire_format() {
        let mut inner = Message::default();
        // The examples of the format's description: 150 in field 1, "testing" in field 2.
        inner.varint(1, 150).bytes(2, b"testing");
        assert_eq!(inner.0, b"\x08\x96\x01\x12\x07testing");
        let mut outer = Message::default();
        outer.message(3, &inner).float(2, 1.0);
        assert_eq!(outer.0, b"\x1a\x0c\x08\x96\x01\x12\x07testing\x15\x00\x00\x80\x3f");
    }

    #[test]
    fn a_run_that_begins_anew_replaces_the_last_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("deep/er");
        let first = EventFile::create(&runs).unwrap().path;
        fs::write(runs.join("events.out.tfevents.1.other"), "").unwrap();
        fs::rename(&first, runs.join("events.out.tfevents.0000000001.1.helpers")).unwrap();
        let second = EventFile::create(&runs).unwrap().path;
        let mut names: Vec<_> =
            fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut expected = vec![runs.join("events.out.tfevents.1.other"), second];
        expected.sort();
        assert_eq!(names, expected);
    }
}
