//! What the targets share: a limit of memory, a folder for a file, and what a message must hold.

use std::path::Path;

use cap::Cap;
use tempfile::TempDir;

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// Memory that reading a file may take: a fixed amount, plus this much per byte. A label of one byte becomes a string, with
/// its place in a list and in a sorted map, each of which grows by doubling.
const MEMORY_FLOOR: usize = 4 << 20;
const MEMORY_FACTOR: usize = 128;

/// Does `work` with as much memory as reading `bytes` bytes may take. More is not given, and ends the process.
pub(crate) fn bounded<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    struct Limit;
    impl Drop for Limit {
        fn drop(&mut self) {
            MEMORY.set_limit(usize::MAX).expect("no limit is above what is in use");
        }
    }
    let limit = MEMORY.allocated() + MEMORY_FLOOR + MEMORY_FACTOR * bytes;
    MEMORY.set_limit(limit).expect("the limit is above what is in use");
    let _limit = Limit;
    work()
}

/// An empty folder, in memory where the system has such.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("fuzz-").tempdir_in(parent);
    folder.expect("room for a temporary folder")
}

pub(crate) fn write(folder: &TempDir, name: &str, bytes: &[u8]) {
    std::fs::write(folder.path().join(name), bytes).expect("room for a small file");
}

/// Panics unless the error is one line that says what is wrong with `subject`, and what to do.
pub(crate) fn check_message(error: &helpers::Error, subject: &str) {
    let text = error.to_string();
    assert!(text.contains(subject), "no `{subject}` in: {text:?}");
    assert!(!text.contains(|c: char| c.is_control()), "control characters in: {text:?}");
    assert!(text.contains("; "), "what to do is missing in: {text:?}");
    assert!(text.len() < 2000, "{} bytes of message: {text:?}", text.len());
}
