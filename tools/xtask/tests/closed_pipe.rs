//! `cargo xtask doctor | head -1`: nobody reads the rest, and that is no failure to tell of.

use std::process::{Command, Stdio};

#[test]
fn output_that_nobody_reads_ends_the_program_quietly() {
    for words in [&["doctor"][..], &["help"], &["run", "--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(words)
            .stdout(Stdio::from(writer))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        // As `seq 1000000 | head -1` ends.
        assert_eq!(output.status.code(), Some(141), "{words:?}");
    }
}
