//! Counts the tests of a program from its output.

/// The numbers of tests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Count {
    /// A step that counts as one passed test.
    pub(crate) const ONE: Count = Count { passed: 1, failed: 0, skipped: 0 };

    pub(crate) fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Counts a program as a single test.
pub(crate) fn one(_: &str) -> Count {
    Count::ONE
}

/// Adds up cargo's `test result: ok. 12 passed; 0 failed; 1 ignored; …`, one a test program.
pub(crate) fn count_cargo(output: &str) -> Count {
    let mut count = Count::default();
    for line in output.lines().filter(|line| line.starts_with("test result:")) {
        count.add(numbers(line, ';'));
    }
    count
}

/// Reads pytest's last line: `1 failed, 12 passed, 2 skipped in 3.21s`.
pub(crate) fn count_pytest(output: &str) -> Count {
    let counts = |line: &&str| line.contains(" in ") && numbers(line, ',') != Count::default();
    let line = output.lines().rev().find(counts);
    line.map(|line| numbers(line, ',')).unwrap_or_default()
}

/// The numbers before `passed`, `failed` and the like.
fn numbers(line: &str, separator: char) -> Count {
    let mut count = Count::default();
    for part in line.split(separator) {
        let words: Vec<&str> = part.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<usize>() else { continue };
            match pair[1] {
                "passed" => count.passed += number,
                "failed" | "error" | "errors" => count.failed += number,
                "ignored" | "skipped" => count.skipped += number,
                _ => {}
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_counts_are_added_up() {
        let output = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                      test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(count_cargo(output), Count { passed: 7, failed: 2, skipped: 1 });
    }

    #[test]
    fn pytests_last_line_is_read() {
        let output = "....F\n= short test summary info =\n1 failed, 4 passed, 2 skipped, 1 warning in 3.21s\n";
        assert_eq!(count_pytest(output), Count { passed: 4, failed: 1, skipped: 2 });
        assert_eq!(count_pytest("9 passed in 1.23s\n").passed, 9);
        assert_eq!(count_pytest("2 errors in 0.10s\n").failed, 2);
        assert_eq!(count_pytest("9 passed in 75.10s (0:01:15)\n").passed, 9);
    }
}
