//! The cells that were run in this kernel, used to explain what became of a variable that a cell cannot find.

use super::source::{declares, defines, mentions};

#[derive(Default)]
pub(crate) struct Notebook {
    cells: Vec<Ran>,
    /// How many of the cells had run when all variables were lost, and the number of the cell that lost them.
    lost: Option<(usize, i64)>,
}

/// A cell that was run.
pub(crate) struct Ran {
    pub(crate) number: i64,
    pub(crate) code: String,
    well: bool,
}

impl Notebook {
    pub(crate) fn ran(&mut self, number: i64, code: &str, well: bool) {
        if well && code.lines().any(|line| [":clear", ":restart"].contains(&line.trim())) {
            self.lost_all(number);
        }
        self.cells.push(Ran { number, code: code.to_owned(), well });
    }

    /// All variables are gone, with the cell of this number.
    pub(crate) fn lost_all(&mut self, number: i64) {
        self.lost = Some((self.cells.len(), number));
    }

    /// The cells that were run, the latest first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &Ran> {
        self.cells.iter().rev()
    }

    /// What became of a name that a cell cannot find; nothing if no cell has set or defined it.
    pub(crate) fn what_became_of(&self, name: &str) -> Option<String> {
        let set = self.cells.iter().rposition(|ran| declares(&ran.code, name));
        let defined = self.cells.iter().rposition(|ran| defines(&ran.code, name));
        if let Some(last) = defined.filter(|_| defined > set) {
            let Ran { number, well, .. } = self.cells[last];
            return (!well).then(|| {
                format!("cell [{number}] defines `{name}`, but it failed; mend it and run it again")
            });
        }
        let set = set?;
        let number = self.cells[set].number;
        if let Some((_, by)) = self.lost.filter(|(cells, _)| set < *cells) {
            return Some(format!(
                "`{name}` was lost with all other variables when cell [{by}] ended; run the cells above once more, cell \
                 [{number}] sets it"
            ));
        }
        if !self.cells[set].well {
            return Some(format!(
                "cell [{number}] sets `{name}`, but it failed; mend it and run it again"
            ));
        }
        let later = &self.cells[set + 1..];
        let Some(moved) = later.iter().rev().find(|ran| mentions(&ran.code, name)) else {
            return Some(format!(
                "cell [{number}] set `{name}`, which is gone: it was moved there, or its type was declared anew; run that \
                 cell again"
            ));
        };
        let moved = moved.number;
        Some(format!(
            "`{name}` was moved away in cell [{moved}]; use `&{name}` or `{name}.clone()` there, and run cell [{number}] \
             again, which sets it"
        ))
    }

    /// The number of the cell that has set this variable, which still exists.
    pub(crate) fn setter(&self, name: &str) -> Option<i64> {
        self.latest().find(|ran| ran.well && declares(&ran.code, name)).map(|ran| ran.number)
    }

    /// True once a cell went well.
    pub(crate) fn has_begun(&self) -> bool {
        self.cells.iter().any(|ran| ran.well)
    }

    /// True if a cell has named this crate in a `:dep`.
    pub(crate) fn has_dependency(&self, name: &str) -> bool {
        let line = format!(":dep {name}");
        self.cells.iter().any(|ran| {
            ran.well && ran.code.lines().any(|code| code.trim_start().starts_with(&line))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_what_became_of_a_variable() {
        let mut notebook = Notebook::default();
        notebook.ran(1, "let dataset = load()?;", true);
        notebook.ran(2, "dataset.len()", true);
        notebook.ran(3, "let theirs = dataset;", true);
        notebook.ran(4, "let other = load(\"nowhere\")?;", false);
        let told =
            |name: &str, notebook: &Notebook| notebook.what_became_of(name).unwrap_or_default();
        assert!(
            told("dataset", &notebook)
                .starts_with("`dataset` was moved away in cell [3]; use `&dataset`")
        );
        assert!(told("dataset", &notebook).contains("run cell [1] again"));
        assert!(told("other", &notebook).starts_with("cell [4] sets `other`, but it failed"));
        assert_eq!(told("nobody", &notebook), "");
        assert_eq!((notebook.setter("theirs"), notebook.setter("other")), (Some(3), None));
        notebook.ran(3, "let add = |a| a;", false);
        notebook.ran(4, "fn add(a: u8) -> u8 { a; }", false);
        assert!(told("add", &notebook).starts_with("cell [4] defines `add`, but it failed"));
        notebook.ran(4, "fn add(a: u8) -> u8 { a }", true);
        assert_eq!(told("add", &notebook), "", "a method of this name is missing");
        notebook.lost_all(5);
        assert!(
            told("theirs", &notebook).contains("lost with all other variables when cell [5] ended")
        );
        notebook.ran(6, "let theirs = load()?;", true);
        assert!(told("theirs", &notebook).starts_with("cell [6] set `theirs`, which is gone"));
        notebook.ran(7, ":clear", true);
        assert!(told("theirs", &notebook).contains("when cell [7] ended"));
    }
}
