//! Checks the classes before hours of reading: what helpers would refuse (`data/labels.rs`, `data/class_names.rs`) is
//! refused here.

use std::collections::BTreeSet;

/// The most characters of a class name.
const LONGEST_NAME: usize = 200;

/// Checks the classes that have pictures; those without any are left out.
///
/// # Errors
/// If there are fewer than two of them, one has a single picture, or a name cannot stand in `classes.txt`.
pub(crate) fn check(classes: &[String], counts: &[usize]) -> Result<(), String> {
    let there = classes.iter().zip(counts).filter(|(_, count)| **count > 0);
    let there: Vec<(&String, usize)> = there.map(|(class, count)| (class, *count)).collect();
    let mut seen = BTreeSet::new();
    for (class, _) in &there {
        check_name(class)?;
        if !seen.insert(class.trim()) {
            let name = class.trim();
            return Err(format!("two classes have the name `{name}`, but for blanks: rename one"));
        }
    }
    if let [(only, _)] = there[..] {
        return Err(format!(
            "all pictures are of class `{only}`; expected at least two classes, each with a folder of its own (or its \
             name in the rows of the table)"
        ));
    }
    let rare: Vec<&str> =
        there.iter().filter(|(_, count)| *count < 2).map(|(class, _)| class.as_str()).collect();
    match rare[..] {
        [] => Ok(()),
        [class] => Err(format!("class `{class}` has one picture; {AT_LEAST_TWO}")),
        [class, ..] => {
            let more = rare.len() - 1;
            Err(format!("class `{class}`, like {more} more, has one picture; {AT_LEAST_TWO}"))
        }
    }
}

const AT_LEAST_TWO: &str = "expected at least two of each class: add some, or take the class out";

/// Says why a text cannot be a line of `classes.txt`.
fn check_name(name: &str) -> Result<(), String> {
    let is_break = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    if name.trim().is_empty() {
        return Err("a class has a name of nothing but blanks: give it one".to_owned());
    }
    if let Some(letter) = name.chars().find(|&letter| is_break(letter)) {
        let (name, letter) = (name.escape_debug(), letter as u32);
        return Err(format!(
            "the name of class `{name}` holds the control character U+{letter:04X}: rename it"
        ));
    }
    let length = name.chars().count();
    if length > LONGEST_NAME {
        let start: String = name.chars().take(20).collect();
        return Err(format!(
            "the name of class `{start}…` has {length} characters; {LONGEST_NAME} are the most"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(classes: &[(&str, usize)]) -> Result<(), String> {
        let (names, counts): (Vec<String>, Vec<usize>) =
            classes.iter().map(|(name, count)| ((*name).to_owned(), *count)).unzip();
        check(&names, &counts)
    }

    #[test]
    fn a_class_without_a_picture_does_not_count() {
        assert_eq!(checked(&[("cat", 2), ("", 0), ("dog", 3)]), Ok(()));
        let alone = checked(&[("cat", 2), ("dog", 0)]).unwrap_err();
        assert!(
            alone.starts_with("all pictures are of class `cat`; expected at least two classes")
        );
    }

    #[test]
    fn a_class_of_one_picture_is_named() {
        let text = checked(&[("cat", 2), ("dog", 1)]).unwrap_err();
        assert!(text.starts_with("class `dog` has one picture; expected at least two"), "{text}");
        let text = checked(&[("cat", 1), ("dog", 1), ("eel", 1)]).unwrap_err();
        assert!(text.starts_with("class `cat`, like 2 more, has one picture"), "{text}");
    }

    #[test]
    fn a_name_that_classes_txt_cannot_hold_is_refused() {
        let text = |name: &str| checked(&[("cat", 2), (name, 2)]).unwrap_err();
        assert!(text(" ").contains("nothing but blanks"));
        assert!(text("a\nb").contains(r"`a\nb` holds the control character U+000A"));
        assert!(text(&"x".repeat(201)).contains("has 201 characters; 200 are the most"));
        assert!(text("cat ").contains("two classes have the name `cat`"));
        assert_eq!(checked(&[("cat", 2), ("T-shirt/top, größer", 2)]), Ok(()));
    }
}
