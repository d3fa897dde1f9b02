//! Finds the place in the notebook for a line of evcxr's generated file, which is what rustc and panics name.
//!
//! evcxr compiles one file, `src/lib.rs`: its own code, the items of earlier cells, and the statements of this cell,
//! copied line by line. So a line is found again by its text, and among equal lines by its neighbours.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::notebook::Notebook;
use super::source::Position;

/// A location in a notebook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    /// The number of the cell, as its prompt shows it.
    pub(crate) cell: i64,
    pub(crate) position: Position,
}

impl Location {
    pub(crate) fn in_words(self) -> String {
        let Location { cell, position } = self;
        format!("cell [{cell}], line {}, column {}", position.line, position.column)
    }
}

/// A place in evcxr's file, whose path is as short as this; other crates have longer ones.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(^|[^\w./-])src/lib\.rs:(\d+):(\d+)").expect("a pattern that a test has tried")
});

/// The file that evcxr has made, and the cells that it was made of.
pub(crate) struct Sources<'a> {
    generated: Vec<&'a str>,
    number: i64,
    cell: Vec<&'a str>,
    notebook: &'a Notebook,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(
        generated: &'a str,
        number: i64,
        code: &'a str,
        notebook: &'a Notebook,
    ) -> Sources<'a> {
        let (generated, cell) = (generated.lines().collect(), code.lines().collect());
        Sources { generated, number, cell, notebook }
    }

    /// Converts a line and column of evcxr's file, both counted from 1, to a place in the notebook.
    pub(crate) fn location(&self, line: usize, column: usize) -> Option<Location> {
        let here = self.find(&self.cell, line, column);
        here.map(|position| Location { cell: self.number, position }).or_else(|| {
            self.notebook.latest().find_map(|ran| {
                let position = self.find(&ran.code.lines().collect::<Vec<_>>(), line, column)?;
                Some(Location { cell: ran.number, position })
            })
        })
    }

    /// Whether a location is in the cell that is run.
    pub(crate) fn is_here(&self, location: Location) -> bool {
        location.cell == self.number
    }

    /// Where a statement is that begins on this line of evcxr's file.
    pub(crate) fn statement(&self, line: usize) -> Option<Location> {
        let text = self.generated.get(line.checked_sub(1)?)?;
        let blanks = text.chars().take_while(|c| c.is_whitespace()).count();
        self.location(line, blanks + 1)
    }

    /// A text in which `dbg!`, or a panic of a thread, names lines of evcxr's file, with the places in the notebook.
    pub(crate) fn in_words(&self, text: &str) -> String {
        let placed = NAMED.replace_all(text, |found: &Captures| {
            let number = |at: usize| found[at].parse().ok();
            let location =
                number(2).zip(number(3)).and_then(|(line, column)| self.location(line, column));
            location.map_or(found[0].to_owned(), |location| {
                format!("{}{}", &found[1], location.in_words())
            })
        });
        placed.into_owned()
    }

    fn find(&self, cell: &[&str], line: usize, column: usize) -> Option<Position> {
        let index = line.checked_sub(1)?;
        let text = self.generated.get(index).filter(|text| !text.trim().is_empty())?;
        let fits = (0..cell.len()).filter_map(|at| cell[at].find(text).map(|start| (at, start)));
        let (at, start) = fits.max_by_key(|&(at, start)| {
            let before =
                (1..=at.min(index)).take_while(|&by| cell[at - by] == self.generated[index - by]);
            let after = (1..cell.len() - at).take_while(|&by| {
                self.generated.get(index + by).is_some_and(|text| *text == cell[at + by])
            });
            // A whole line is a better match than a part of one; of equal matches the first wins.
            (
                start == 0 && cell[at].len() == text.len(),
                before.count() + after.count(),
                std::cmp::Reverse(at),
            )
        })?;
        let shift = cell[at][..start].chars().count();
        Some(Position { line: at + 1, column: column + shift })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATED: &str = "#![allow(unused)]\nfn half(x: i32) -> i32 {\n    x / zero()\n}\npub extern \"C\" fn run() {\n\
        let x = 1;\nlet y = 2;\n(\nx[3]\n).evcxr_display();\nx[3];\n}";

    fn find(line: usize, column: usize) -> Option<(i64, usize, usize)> {
        let mut notebook = Notebook::default();
        notebook.ran(4, "fn half(x: i32) -> i32 {\n    x / zero()\n}", true);
        let sources = Sources::new(GENERATED, 5, "// why\nlet x = 1; let y = 2;\nx[3]", &notebook);
        sources
            .location(line, column)
            .map(|location| (location.cell, location.position.line, location.position.column))
    }

    #[test]
    fn a_line_is_found_in_the_cell_that_it_was_written_in() {
        assert_eq!(find(6, 5), Some((5, 2, 5)));
        assert_eq!(find(7, 5), Some((5, 2, 16)), "behind another statement of the line");
        assert_eq!(find(9, 1), Some((5, 3, 1)));
        assert_eq!(find(3, 9), Some((4, 2, 9)), "in a function of an earlier cell");
    }

    #[test]
    fn what_a_cell_writes_names_places_in_the_notebook() {
        let notebook = Notebook::default();
        let sources = Sources::new(GENERATED, 5, "// why\nlet x = 1; let y = 2;\nx[3]", &notebook);
        for (text, placed) in [
            ("[src/lib.rs:9:1] x[3] = 1\n", "[cell [5], line 3, column 1] x[3] = 1\n"),
            ("a\nsrc/lib.rs:7:5", "a\ncell [5], line 2, column 16"),
            ("[src/lib.rs:1:1]", "[src/lib.rs:1:1]"),
            ("/home/me/src/lib.rs:9:1", "/home/me/src/lib.rs:9:1"),
        ] {
            assert_eq!(sources.in_words(text), placed);
        }
    }

    #[test]
    fn what_evcxr_has_added_is_nowhere() {
        assert_eq!(find(1, 1), None);
        assert_eq!(find(10, 1), None);
        assert_eq!(find(100, 1), None);
        assert_eq!(find(0, 1), None);
    }

    #[test]
    fn of_equal_lines_the_neighbours_decide() {
        let cell = "f();\ng();\nf();\nh();";
        let notebook = Notebook::default();
        let sources = Sources::new("x\nf();\ng();\nf();\nh();\ny", 1, cell, &notebook);
        assert_eq!(sources.location(4, 1).unwrap().position.line, 3);
        assert_eq!(sources.location(2, 1).unwrap().position.line, 1);
    }
}
