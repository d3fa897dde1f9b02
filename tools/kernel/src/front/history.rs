//! The code of all cells that were run, in this kernel and in those before it: a file of JSON lines that all kernels of the
//! project append to.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::files::{lock, write_lasting};

/// The file is cut to this many cells when a kernel starts.
const KEPT: usize = 5000;

pub(crate) struct History {
    file: PathBuf,
    /// This kernel's number.
    session: i64,
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    session: i64,
    line: i64,
    code: String,
}

impl History {
    /// Reads the file and takes a number for a new session. If the file cannot be read or written, the kernel still
    /// starts and keeps no history.
    pub(crate) fn open(file: PathBuf) -> History {
        let begin = || -> io::Result<History> {
            fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
            let _alone = lock(&file.with_extension("lock"))?;
            let mut cells: Vec<Cell> =
                fs::read_to_string(&file).unwrap_or_default().lines().filter_map(read).collect();
            if cells.len() > KEPT {
                cells.drain(..cells.len() - KEPT);
                write_lasting(&file, cells.iter().map(write).collect::<String>().as_bytes())?;
            }
            let session = cells.iter().map(|cell| cell.session).max().unwrap_or(0) + 1;
            let mut history = History { file: file.clone(), session, cells };
            // An empty cell takes the number, so that a kernel that starts now gets another one.
            history.append(0, "")?;
            Ok(history)
        };
        begin().unwrap_or_else(|_| History { file: file.clone(), session: 1, cells: Vec::new() })
    }

    pub(crate) fn add(&mut self, line: i64, code: &str) {
        // An error is ignored: the kernel runs without a history, see `open`.
        let _ = self.append(line, code);
    }

    fn append(&mut self, line: i64, code: &str) -> io::Result<()> {
        let cell = Cell { session: self.session, line, code: code.to_owned() };
        let mut file = File::options().create(true).append(true).open(&self.file)?;
        let written = file.write_all(write(&cell).as_bytes());
        self.cells.push(cell);
        written
    }

    /// The answer to a request for history.
    pub(crate) fn answer(&self, request: &Value) -> Value {
        let number = |field: &str| request[field].as_i64();
        let mut found = match request["hist_access_type"].as_str().unwrap_or("tail") {
            "range" => self.range(
                number("session").unwrap_or(0),
                number("start").unwrap_or(0),
                number("stop").unwrap_or(i64::MAX),
            ),
            "search" => {
                self.search(request["pattern"].as_str().unwrap_or("*"), request["unique"] == true)
            }
            _ => self.cells().collect(),
        };
        if request["hist_access_type"] != "range"
            && let Some(most) = number("n").and_then(|most| usize::try_from(most).ok())
        {
            found.drain(..found.len().saturating_sub(most));
        }
        let with_output = request["output"] == true;
        let entry = |cell: &&Cell| match with_output {
            // Outputs are kept in notebooks, not here.
            true => json!([cell.session, cell.line, [cell.code, null]]),
            false => json!([cell.session, cell.line, cell.code]),
        };
        let entries: Vec<Value> = found.iter().map(entry).collect();
        json!({ "status": "ok", "history": entries })
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.line > 0)
    }

    /// Cells `start..stop` of a session: this one is 0, the one before is -1.
    fn range(&self, session: i64, start: i64, stop: i64) -> Vec<&Cell> {
        let session = if session <= 0 { self.session + session } else { session };
        self.cells()
            .filter(|cell| cell.session == session && (start..stop).contains(&cell.line))
            .collect()
    }

    fn search(&self, pattern: &str, unique: bool) -> Vec<&Cell> {
        let pattern: Vec<char> = pattern.chars().collect();
        let mut found: Vec<&Cell> = self
            .cells()
            .filter(|cell| fits(&pattern, &cell.code.chars().collect::<Vec<_>>()))
            .collect();
        if unique {
            // The last of those that are equal stays.
            let mut seen = HashSet::new();
            found.reverse();
            found.retain(|cell| seen.insert(&cell.code));
            found.reverse();
        }
        found
    }
}

fn read(line: &str) -> Option<Cell> {
    let value: Value = serde_json::from_str(line).ok()?;
    let [session, line, code] = value.as_array()?.as_slice() else { return None };
    Some(Cell { session: session.as_i64()?, line: line.as_i64()?, code: code.as_str()?.to_owned() })
}

fn write(cell: &Cell) -> String {
    format!("{}\n", json!([cell.session, cell.line, cell.code]))
}

/// Whether a text fits a pattern of the shell: `*` is anything, `?` one character.
fn fits(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: the last star, and the text after one more character for it.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t + 1));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((star, next)) => {
                    retry = Some((star, next + 1));
                    (p, t) = (star + 1, next);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(history: &History, request: Value) -> Vec<(i64, i64, String)> {
        let answer = history.answer(&request);
        let entry = |entry: &Value| {
            let number = |at: usize| entry[at].as_i64().unwrap();
            (number(0), number(1), entry[2].as_str().unwrap().to_owned())
        };
        answer["history"].as_array().unwrap().iter().map(entry).collect()
    }

    #[test]
    fn cells_are_found_again_in_the_next_session() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.jsonl");
        let mut first = History::open(file.clone());
        first.add(1, "let x = 1;");
        first.add(2, "x + \"ü\n\"");
        let mut second = History::open(file.clone());
        second.add(1, "let x = 1;");
        let third = History::open(file);
        let all = found(&third, json!({"hist_access_type": "tail", "n": 10}));
        let entry = |session, line, code: &str| (session, line, code.to_owned());
        assert_eq!(
            all,
            [entry(1, 1, "let x = 1;"), entry(1, 2, "x + \"ü\n\""), entry(2, 1, "let x = 1;")]
        );
        assert_eq!(found(&third, json!({"hist_access_type": "tail", "n": 1})), all[2..]);
        let search = json!({"hist_access_type": "search", "pattern": "let ?*", "unique": true});
        assert_eq!(found(&third, search), all[2..]);
        let range = json!({"hist_access_type": "range", "session": -1, "start": 0, "stop": 2});
        assert_eq!(found(&third, range), all[2..]);
        let range = json!({"hist_access_type": "range", "session": 1, "start": 2, "stop": 9});
        assert_eq!(found(&third, range), all[1..2]);
    }

    #[test]
    fn patterns_are_those_of_the_shell() {
        let fits = |pattern: &str, text: &str| {
            fits(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
        };
        assert!(fits("*", "") && fits("*b*", "abc") && fits("a?c", "abc") && fits("*aab", "aaaab"));
        assert!(!fits("a", "ab") && !fits("?", "") && !fits("*b", "abc"));
    }

    #[test]
    fn a_file_that_cannot_be_kept_does_no_harm() {
        let mut history = History::open(PathBuf::from("/proc/nowhere/history"));
        history.add(1, "x");
        assert_eq!(history.session, 1);
    }

    #[test]
    fn a_long_history_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.jsonl");
        let cell = |line| write(&Cell { session: 1, line, code: format!("{line}") });
        fs::write(&file, (1..=KEPT as i64 + 100).map(cell).collect::<String>()).unwrap();
        assert_eq!(History::open(file.clone()).cells().count(), KEPT);
        assert_eq!(fs::read_to_string(file).unwrap().lines().count(), KEPT + 1);
    }
}
