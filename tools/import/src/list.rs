//! Finds the pictures and the class of each.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::classes;

/// File name extensions of the pictures that are read.
const ENDINGS: [&str; 9] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp", "jfif"];

/// File name extensions of archives.
const ARCHIVES: [&str; 8] = ["zip", "tar", "gz", "tgz", "bz2", "xz", "7z", "rar"];

/// The most notes about files that are not taken; each is about one kind of file.
const KINDS_SHOWN: usize = 10;

/// Pictures with their classes.
#[derive(Debug)]
pub(crate) struct List {
    /// The classes' names, in the order of their numbers.
    pub(crate) classes: Vec<String>,
    /// Each picture and the number of its class, ordered by class and by name.
    pub(crate) pictures: Vec<(PathBuf, usize)>,
    /// Notes for the user: about files that are not taken, or a first row that is taken for a header.
    pub(crate) notes: Vec<String>,
}

/// The pictures of a folder with a subfolder for each class, or of a CSV file.
///
/// # Errors
/// If the source is neither, has no pictures, or has classes that no notebook would read; with what to do.
pub(crate) fn find(source: &Path) -> Result<List, String> {
    let list = if source.is_dir() { of_folder(source) } else { of_table(source) }?;
    if list.pictures.is_empty() {
        let text = format!(
            "{} holds no picture; expected a subfolder for each class, with files that end in {}",
            source.display(),
            ENDINGS.join(", ")
        );
        return Err([vec![text], list.notes].concat().join("\n  "));
    }
    let mut counts = vec![0; list.classes.len()];
    list.pictures.iter().for_each(|(_, class)| counts[*class] += 1);
    let checked = classes::check(&list.classes, &counts);
    checked.map_err(|problem| [vec![problem], list.notes.clone()].concat().join("\n  "))?;
    Ok(list)
}

/// A class is a subfolder, with all pictures below it: Keras's `image_dataset_from_directory`.
fn of_folder(folder: &Path) -> Result<List, String> {
    let (mut classes, mut pictures, mut passed) = (Vec::new(), Vec::new(), Passed::default());
    for path in entries(folder)? {
        if !path.is_dir() {
            passed.note(&path, is_picture(&path).then_some("beside the folders of the classes"));
            continue;
        }
        let Some(class) = path.file_name().and_then(OsStr::to_str) else {
            let path = path.display();
            return Err(format!("the name of {path} is no UTF-8, and names a class: rename it"));
        };
        let mut files = Vec::new();
        below(&path, &mut files, &mut passed)?;
        pictures.extend(files.into_iter().map(|file| (file, classes.len())));
        classes.push(class.to_owned());
    }
    let mut notes = passed.notes();
    notes.extend(parts(folder, &classes, &pictures));
    Ok(List { classes, pictures, notes })
}

/// The pictures below a folder, sorted. Links to folders are not followed, because they may form a cycle.
fn below(folder: &Path, files: &mut Vec<PathBuf>, passed: &mut Passed) -> Result<(), String> {
    for path in entries(folder)? {
        let kind = fs::symlink_metadata(&path).map_err(|error| of_path(&path, &error))?;
        if kind.is_dir() {
            below(&path, files, passed)?;
        } else if path.is_dir() {
            passed.note(&path, Some("that is a link to a folder"));
        } else if is_picture(&path) {
            files.push(path);
        } else {
            passed.note(&path, None);
        }
    }
    Ok(())
}

/// Files that are not taken: for each reason the number of files, and the first one.
#[derive(Default)]
struct Passed(BTreeMap<String, (usize, PathBuf)>);

impl Passed {
    /// Counts a file that is not taken; without a `reason`, its ending is that of no picture.
    fn note(&mut self, path: &Path, reason: Option<&str>) {
        let by_ending = || match path.extension() {
            Some(ending) => format!("with the ending .{}", ending.to_string_lossy().to_lowercase()),
            None => "without an ending".to_owned(),
        };
        let reason = reason.map_or_else(by_ending, str::to_owned);
        self.0.entry(reason).or_insert_with(|| (0, path.to_owned())).0 += 1;
    }

    fn notes(self) -> Vec<String> {
        let kinds = self.0.len();
        let sentence = |(reason, (count, first)): (String, (usize, PathBuf))| {
            let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
            let is_photo = [".heic", ".heif", ".avif"].iter().any(|end| reason.ends_with(end));
            let advice = if is_photo { "; save as JPEG or PNG first" } else { "" };
            format!("not taken: {files} {reason}, such as {}{advice}", first.display())
        };
        let mut notes: Vec<String> = self.0.into_iter().map(sentence).take(KINDS_SHOWN).collect();
        if kinds > KINDS_SHOWN {
            notes.push(format!("not taken: files of {} more kinds", kinds - KINDS_SHOWN));
        }
        notes
    }
}

/// A note if the classes look like parts of a data set, `train` and `test`: none has a picture of its own, and all have
/// subfolders of the same names. A single common name, such as `images`, is no sign of that.
fn parts(folder: &Path, classes: &[String], pictures: &[(PathBuf, usize)]) -> Option<String> {
    let mut inside: BTreeMap<usize, BTreeSet<&OsStr>> = BTreeMap::new();
    for (path, class) in pictures {
        let mut steps = path.strip_prefix(folder).ok()?.iter().skip(1);
        let first = steps.next()?;
        steps.next()?; // The picture lies in the class's folder itself.
        inside.entry(*class).or_default().insert(first);
    }
    let names: Vec<&str> = inside.keys().map(|&class| &*classes[class]).collect();
    let mut sets = inside.into_values();
    let first = sets.next()?;
    let shared = sets.fold(first, |shared, set| &shared & &set);
    let shared: Vec<&OsStr> = shared.into_iter().collect();
    let (true, [one, other, ..]) = (names.len() > 1, &shared[..]) else { return None };
    let (names, folder) = (names.join(" and "), folder.join(names[0]));
    Some(format!(
        "{names} hold no picture themselves, but the same folders ({}, {}, …), and are taken for the classes; \
         if those are the classes, import {} alone",
        one.display(),
        other.display(),
        folder.display()
    ))
}

fn ending(path: &Path) -> String {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ending.to_lowercase()
}

fn is_picture(path: &Path) -> bool {
    ENDINGS.contains(&&*ending(path))
}

/// The entries of a folder, sorted, without hidden files: systems leave some beside pictures.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| of_path(folder, &error))? {
        let entry = entry.map_err(|error| of_path(folder, &error))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Refuses a source whose ending shows that it is no table.
fn check_table(source: &Path) -> Result<(), String> {
    let (ending, shown) = (ending(source), source.display());
    let what = match &*ending {
        _ if !source.is_file() => return Ok(()), // Reading it says why.
        "npy" => {
            return Err(format!(
                "{shown} is an array already: put X.npy and y.npy into one folder, and give that to \
                 `cargo xtask run -p data FOLDER`"
            ));
        }
        ending if ENDINGS.contains(&ending) => "one picture",
        ending if ARCHIVES.contains(&ending) => "an archive, which you unpack first",
        _ => return Ok(()),
    };
    Err(format!(
        "{shown} is {what}; expected a folder with a subfolder of pictures for each class, or a CSV file with a file \
         name and its class in each row"
    ))
}

/// Each row has a file name, relative to the table's folder, and a class. If the first row does not name a file, it is
/// a header.
fn of_table(table: &Path) -> Result<List, String> {
    check_table(table)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_path(table)
        .map_err(|error| of_path(table, &error))?;
    let folder = table.parent().unwrap_or(Path::new("."));
    let mut rows: Vec<(PathBuf, String)> = Vec::new();
    let mut notes = Vec::new();
    for (number, row) in reader.records().enumerate() {
        let row = row.map_err(|error| of_path(table, &error))?;
        let (Some(file), Some(class)) = (row.get(0), row.get(1)) else {
            return Err(format!(
                "{}, row {}: expected a file name and a class, separated by a comma, found {} fields",
                table.display(),
                number + 1,
                row.len()
            ));
        };
        let path = folder.join(file);
        if number > 0 || path.exists() {
            rows.push((path, class.to_owned()));
        } else {
            notes.push(format!(
                "the first row, `{file}, {class}`, names no file that is there: taken for a heading"
            ));
        }
    }
    let names: BTreeSet<String> = rows.iter().map(|(_, class)| class.clone()).collect();
    let classes: Vec<String> = names.into_iter().collect();
    let number = |class: &String| classes.binary_search(class).unwrap_or_default();
    let mut pictures: Vec<(PathBuf, usize)> =
        rows.into_iter().map(|(file, class)| (file, number(&class))).collect();
    pictures.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    Ok(List { classes, pictures, notes })
}

fn of_path(path: &Path, error: &dyn std::error::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(files: &[&str]) -> Result<List, String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        find(folder.path())
    }

    const TWO: [&str; 4] = ["cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png"];

    #[test]
    fn what_is_not_taken_is_counted_by_its_ending() {
        let more =
            ["cat/a.HEIC", "dog/b.heic", "dog/c.jp2", "dog/.DS_Store", "e.png", "labels.txt"];
        let notes = listed(&[&TWO[..], &more].concat()).unwrap().notes.join("\n");
        assert_eq!(notes.lines().count(), 4, "{notes}");
        assert!(notes.contains("not taken: 2 files with the ending .heic, such as /"), "{notes}");
        assert!(notes.contains("cat/a.HEIC; save as JPEG or PNG first"), "{notes}");
        for kind in
            ["with the ending .jp2", "with the ending .txt", "beside the folders of the classes"]
        {
            assert!(notes.contains(&format!("not taken: 1 file {kind}, such as /")), "{notes}");
        }
        assert!(listed(&TWO).unwrap().notes.is_empty());
    }

    #[test]
    fn the_parts_of_a_data_set_are_told_from_its_classes() {
        let below = |part: &str| TWO.map(|file| format!("{part}/{file}"));
        let parts = [below("test"), below("train")].concat();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let notes = listed(&parts).unwrap().notes.join("\n");
        assert!(notes.starts_with("test and train hold no picture themselves"), "{notes}");
        assert!(notes.contains("(cat, dog, …)") && notes.ends_with("/test alone"), "{notes}");
        let classes =
            ["cat/images/a.png", "cat/images/b.png", "dog/images/a.png", "dog/images/b.png"];
        assert!(listed(&classes).unwrap().notes.is_empty());
    }

    #[test]
    fn classes_that_no_notebook_reads_are_refused() {
        let text = listed(&TWO[..2]).unwrap_err();
        assert!(text.starts_with("all pictures are of class `cat`"), "{text}");
        let text = listed(&[&TWO[..], &["eel/a.png", "eel/b.heic"]].concat()).unwrap_err();
        assert!(text.starts_with("class `eel` has one picture"), "{text}");
        assert!(text.contains("\n  not taken: 1 file with the ending .heic"), "{text}");
        // A class without any is left out when all are read.
        assert_eq!(listed(&[&TWO[..], &["eel/b.heic"]].concat()).unwrap().pictures.len(), 4);
    }

    #[test]
    fn a_file_that_is_no_table_is_refused_with_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        for (name, found) in [
            ("a.JPG", "is one picture; expected"),
            ("a.zip", "unpack first; expected"),
            ("X.npy", "an array already"),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, [0xff, 0xd8]).unwrap();
            let text = find(&path).unwrap_err();
            assert!(text.contains(found), "{text}");
        }
    }
}
