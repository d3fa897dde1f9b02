//! Error messages for the user: what failed, the command, and what to do.

use std::fmt;
use std::io;
use std::path::Path;

/// A failure of a step, displayed in a few lines.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    what: String,
    ran: Option<Box<Ran>>,
    advice: Option<String>,
}

/// The command behind a failure.
#[derive(Debug)]
struct Ran {
    command: String,
    log: String,
    output: Vec<String>,
    /// Number of last lines that are shown.
    shown: usize,
}

impl Failure {
    /// A failure without further detail.
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), ..Failure::default() }
    }

    /// Adds advice for the user.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Failure {
        self.advice = Some(advice.into());
        self
    }

    /// Shows up to `lines` of the output.
    pub(crate) fn show(mut self, lines: usize) -> Failure {
        if let Some(ran) = &mut self.ran {
            ran.shown = lines;
        }
        self
    }

    /// A command that failed; `output` is everything that it printed.
    pub(crate) fn of_command(what: String, command: String, log: String, output: &str) -> Failure {
        let lines = output.split(['\n', '\r']).map(str::trim_end);
        let output_lines = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Failure {
            what,
            ran: Some(Box::new(Ran { command, log, output: output_lines, shown: 15 })),
            advice: diagnose(output).map(str::to_owned),
        }
    }

    /// An operation on a file or folder that the system refused.
    pub(crate) fn of_file(what: &str, path: &Path, error: &io::Error) -> Failure {
        let failure = Failure::new(format!("cannot {what} {}: {error}", path.display()));
        match diagnose(&error.to_string()) {
            Some(advice) => failure.advice(advice),
            None => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.what)?;
        if let Some(ran) = &self.ran {
            write!(to, "\n  command: {}", ran.command)?;
            let (before, last) = ran.output.split_at(ran.output.len().saturating_sub(ran.shown));
            let told: Vec<&String> =
                before.iter().filter(|line| tells_of_a_failure(line)).collect();
            if !told.is_empty() {
                write!(to, "\n  it says before its end:")?;
            }
            for line in told.iter().take(ran.shown) {
                write!(to, "\n    {line}")?;
            }
            if !last.is_empty() {
                write!(to, "\n  its last lines (all of them in {}):", ran.log)?;
            }
            for line in last {
                write!(to, "\n    {line}")?;
            }
        }
        if let Some(advice) = &self.advice {
            write!(to, "\n  what to do: {advice}")?;
        }
        Ok(())
    }
}

/// Whether a line of cargo or pytest names a failed test: these lines are far before the end of a long output.
fn tells_of_a_failure(line: &str) -> bool {
    let told = line.ends_with("... FAILED") || line.starts_with("FAILED ");
    told || line.contains("' panicked at ") || line.contains(") panicked at ")
}

/// Words in an output, in lower case, with the advice for them; the first match is used.
const ADVICE: [(&[&str], &str); 8] = [
    (
        &["no space left on device", "disk quota exceeded"],
        "the disk is full: free some space (set-up and a full run need about 8 GB; \
         `cargo xtask clean` says what the project itself takes), then give the same command again",
    ),
    (
        &["do not match the hashes", "hashes are required in --require-hashes"],
        "a downloaded package is not the one that the lock names. Empty pip's cache \
         (`python3 -m pip cache purge`) and try again; if it stays, do not install it: \
         the package or the way to it was changed",
    ),
    (
        &[
            "name or service not known",
            "temporary failure in name resolution",
            "could not resolve host",
            "failed to lookup address",
            "failed to resolve",
            "network is unreachable",
            "newconnectionerror",
            "connection refused",
            "connection timed out",
            "read timed out",
            "failed to download from",
            "proxyerror",
            "nodename nor servname",
        ],
        "no way to the network: check the connection and the proxy settings, then give the same \
         command again; what was finished stays",
    ),
    (
        &["no matching distribution found"],
        "no package for this machine or this Python: supported are Linux (x86-64, aarch64; glibc 2.28 or newer, \
         which `ldd --version` tells) and macOS (arm64) with Python 3.10 to 3.14",
    ),
    (
        &["linker `cc` not found", "failed to find tool", "is `c++` installed", "cc: not found"],
        "a C++ compiler is missing; on Debian or Ubuntu: apt-get install g++; on macOS: xcode-select --install",
    ),
    (&["ensurepip is not available"], "on Debian or Ubuntu: apt-get install python3-venv"),
    (
        &["permission denied"],
        "a file or folder belongs to somebody else (a former run as root?); \
         give it back (`chown -R`) or remove it",
    ),
    (
        &["signal: 9", "cannot allocate memory", "out of memory"],
        "the machine ran out of memory: close other programs, or set CARGO_BUILD_JOBS=1",
    ),
];

/// Advice for an error, chosen by its text.
pub(crate) fn diagnose(output: &str) -> Option<&'static str> {
    let output = output.to_lowercase();
    let fits = |words: &&[&str]| words.iter().any(|word| output.contains(word));
    ADVICE.iter().find(|(words, _)| fits(words)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_what_the_command_and_what_to_do() {
        let output = "Collecting torch\nOSError: [Errno 28] No space left on device\n";
        let failure = Failure::of_command(
            "pip failed (exit status: 1)".into(),
            "pip download torch".into(),
            ".tools/logs/libtorch.log".into(),
            output,
        );
        let text = failure.to_string();
        assert!(text.starts_with("pip failed (exit status: 1)\n  command: pip download torch\n"));
        assert!(text.contains("\n    OSError: [Errno 28] No space left on device\n"), "{text}");
        assert!(text.contains("what to do: the disk is full"), "{text}");
    }

    #[test]
    fn common_causes_are_told_apart() {
        for (output, start) in [
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE", "a downloaded package"),
            ("[Errno -3] Temporary failure in name resolution", "no way to the network"),
            ("error: linker `cc` not found", "a C++ compiler"),
            ("ERROR: No matching distribution found for torch", "no package for this machine"),
            ("The virtual environment was not created: ensurepip is not available", "on Debian"),
        ] {
            let advice = diagnose(output).unwrap();
            assert!(advice.starts_with(start), "{output}: {advice}");
        }
        assert_eq!(diagnose("error[E0308]: mismatched types"), None);
    }

    #[test]
    fn only_the_last_lines_are_shown() {
        let output: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let text = Failure::of_command("a".into(), "b".into(), "c".into(), &output).to_string();
        assert!(!text.contains("line 84\n") && text.contains("line 85\n"), "{text}");
    }

    #[test]
    fn a_test_that_failed_long_before_the_end_is_named() {
        let failed = "test flop::of_the_cnn ... FAILED\nthread 'flop::of_the_cnn' (12) panicked at src/flop.rs:118:9:\n";
        let output = failed.to_owned() + &"test other ... ok\n".repeat(100);
        let text = Failure::of_command("a".into(), "b".into(), "c".into(), &output).to_string();
        assert!(
            text.contains("flop::of_the_cnn ... FAILED") && text.contains("src/flop.rs:118"),
            "{text}"
        );
    }
}
