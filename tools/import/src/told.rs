//! What an import prints at its end: the result, what is left out, and what to do next.

use std::path::Path;

use crate::list::List;
use crate::request::Request;
use crate::state::{Copies, LEFT_OUT, State};

/// The most pictures of a kind that are named.
const NAMED: usize = 10;

/// Prints the result.
pub(crate) fn result(request: &Request, state: &State, list: &List, copies: &Copies) {
    let (side, colour) = (request.side, if request.grey { "grey" } else { "colour" });
    let classes: Vec<(&String, usize)> =
        list.classes.iter().zip(state.counts.iter().copied()).collect();
    let empty = classes.iter().filter(|(_, count)| *count == 0);
    let there = classes.len() - empty.clone().count();
    println!("{} pictures of {side} x {side} pixels, {colour}, in {there} classes:", state.kept);
    let width = list.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    for (class, count) in classes.iter().filter(|(_, count)| *count > 0) {
        println!("  {class:<width$} {count:>9}");
    }
    for (class, _) in empty {
        println!("left out: class `{class}`, which has no picture");
    }
    same_pixels(list, copies).iter().for_each(|line| println!("{line}"));
    for (at, reason) in state.left_out.iter().take(NAMED) {
        println!("left out: {}: {reason}", list.pictures[*at].0.display());
    }
    if state.left_out.len() > NAMED {
        let (more, list) = (state.left_out.len() - NAMED, request.into.join(LEFT_OUT));
        println!("left out: {more} more; all of them stand in {}", list.display());
    }
    println!("{} shows eight of each class", request.into.join("preview.html").display());
    next(&request.into);
}

/// Prints the next command, whose results go beside the data (`cargo xtask help run`).
pub(crate) fn next(into: &Path) {
    println!("next: cargo xtask run -p data {}", quoted(&into.display().to_string()));
}

/// Says how many pictures have the pixels of an earlier one, and names some, first those whose copies are in different
/// classes.
fn same_pixels(list: &List, copies: &Copies) -> Vec<String> {
    let class = |at: usize| list.pictures[at].1;
    let (elsewhere, within): (Vec<&[usize; 2]>, Vec<&[usize; 2]>) =
        copies.pairs.iter().partition(|[first, copy]| class(*first) != class(*copy));
    let (all, others) = (copies.pairs.len(), elsewhere.len());
    if all == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "{all} pictures have the pixels of an earlier one, {others} of them in another class; all are kept"
    )];
    let shown = |at: usize| {
        let (path, class) = &list.pictures[at];
        format!("{} ({})", path.display(), list.classes[*class])
    };
    let pairs = elsewhere.iter().chain(&within).take(NAMED);
    lines.extend(pairs.map(|[first, copy]| format!("  {} as {}", shown(*copy), shown(*first))));
    if all > NAMED {
        lines.push(format!("  and {} more", all - NAMED));
    }
    lines
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./=:,+@%".contains(letter);
    match path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_with_two_classes_are_named_first() {
        let list = List {
            classes: vec!["cat".to_owned(), "dog".to_owned()],
            pictures: (0..14).map(|at| (format!("{at}.png").into(), at / 12)).collect(),
            notes: Vec::new(),
        };
        let mut copies = Copies::default();
        assert!(same_pixels(&list, &copies).is_empty());
        copies.pairs = (1..14).map(|at| [0, at]).collect();
        let lines = same_pixels(&list, &copies);
        assert!(
            lines[0].starts_with("13 pictures have the pixels of an earlier one, 2 of them in")
        );
        assert_eq!(lines[1], "  12.png (dog) as 0.png (cat)");
        assert_eq!(lines[3], "  1.png (cat) as 0.png (cat)");
        assert_eq!((lines.len(), &*lines[11]), (12, "  and 3 more"));
    }

    #[test]
    fn a_path_with_a_space_is_quoted() {
        assert_eq!(quoted("/home/Ünal/mine_2"), "/home/Ünal/mine_2");
        assert_eq!(quoted("my data"), "'my data'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
