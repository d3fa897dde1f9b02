//! What is asked of the operating system and of the processor: files, memory, interrupts, threads, versions.

pub(crate) mod background;
pub(crate) mod device;
pub(crate) mod elements;
pub mod environment;
pub(crate) mod event_file;
pub(crate) mod files;
pub(crate) mod interrupt;
pub(crate) mod memory;
pub(crate) mod parallel;
pub(crate) mod threads;

pub use files::write_atomically;
