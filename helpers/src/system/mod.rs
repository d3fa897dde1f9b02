//! What is asked of the operating system: files, memory, interrupts.

pub(crate) mod files;
pub(crate) mod interrupt;
pub(crate) mod memory;

pub use files::write_atomically;
