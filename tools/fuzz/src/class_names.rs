//! The reader of `classes.txt`.

use fastrand::Rng;
use helpers::prelude::*;

use crate::common::{bounded, check_message, scratch, write};
use crate::npy::array;
use crate::{display, mutate};

/// Takes the input as `classes.txt`, beside labels of as many classes as it has lines.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines: Vec<&str> =
        text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end().lines().collect();
    let classes = lines.len().clamp(2, 300);
    let labels: Vec<u8> =
        (0..2 * classes).flat_map(|image| ((image / 2) as u16).to_le_bytes()).collect();
    let folder = scratch();
    write(&folder, "X.npy", &array("|u1", &[2 * classes, 1, 1], &vec![0; 2 * classes]));
    write(&folder, "y.npy", &array("<u2", &[2 * classes], &labels));
    write(&folder, "classes.txt", input);
    match bounded(input.len() + 2 * classes, || Dataset::load(folder.path())) {
        Err(error) => check_message(&error, "classes.txt"),
        Ok(dataset) => {
            let names = dataset.class_names();
            let lines = lines.iter().map(|line| without_markers(line.trim()));
            assert!(names.iter().cloned().eq(lines), "{names:?}");
            assert!(names.iter().all(|name| !name.contains(char::is_control)), "{names:?}");
            display::check_html(&dataset.table().to_html());
            display::check_text(&dataset.table().to_text());
        }
    }
}

/// The name as a data set gives it: none is a marker of evcxr's protocol.
pub(crate) fn without_markers(name: &str) -> String {
    name.replace("EVCXR_", "EVCXR-")
}

/// A changed copy.
pub(crate) fn mutate(random: &mut Rng, input: &[u8]) -> Vec<u8> {
    let tokens = [display::HOSTILE, &["\n", "\r\n", "\u{feff}", "shirt\n"]].concat();
    mutate::bytes(random, input, &tokens)
}
