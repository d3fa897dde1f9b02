//! Finds the pictures and the class of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// File name extensions of the pictures that are read.
const ENDINGS: [&str; 9] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp", "jfif"];

/// Pictures with their classes.
pub(crate) struct List {
    /// The classes' names, in the order of their numbers.
    pub(crate) classes: Vec<String>,
    /// Each picture and the number of its class, ordered by class and by name.
    pub(crate) pictures: Vec<(PathBuf, usize)>,
    /// The row of a table that was taken as its header.
    pub(crate) heading: Option<String>,
}

/// The pictures of a folder with a subfolder for each class, or of a CSV file.
///
/// # Errors
/// If the source is neither, or has no pictures; with what to do.
pub(crate) fn find(source: &Path) -> Result<List, String> {
    let list = if source.is_dir() { of_folder(source) } else { of_table(source) }?;
    if list.pictures.is_empty() {
        return Err(format!(
            "{} holds no picture; expected a subfolder for each class, with files that end in {}",
            source.display(),
            ENDINGS.join(", ")
        ));
    }
    Ok(list)
}

/// A class is a subfolder, with all pictures below it: Keras's `image_dataset_from_directory`.
fn of_folder(folder: &Path) -> Result<List, String> {
    let mut classes: Vec<String> = entries(folder)?
        .into_iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    classes.sort();
    let mut pictures = Vec::new();
    for (number, class) in classes.iter().enumerate() {
        let mut files = Vec::new();
        below(&folder.join(class), &mut files)?;
        files.sort();
        pictures.extend(files.into_iter().map(|file| (file, number)));
    }
    Ok(List { classes, pictures, heading: None })
}

/// The pictures below a folder. Links to folders are not followed, because they may form a cycle.
fn below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    for path in entries(folder)? {
        let kind = fs::symlink_metadata(&path).map_err(|error| of_path(&path, &error))?;
        if kind.is_dir() {
            below(&path, files)?;
        } else if is_picture(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.contains(&ending.to_lowercase().as_str())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| of_path(folder, &error))?;
    entries.map(|entry| Ok(entry.map_err(|error| of_path(folder, &error))?.path())).collect()
}

/// Each row has a file name, relative to the table's folder, and a class. If the first row does not name a file, it is
/// a header.
fn of_table(table: &Path) -> Result<List, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_path(table)
        .map_err(|error| of_path(table, &error))?;
    let folder = table.parent().unwrap_or(Path::new("."));
    let mut rows: Vec<(PathBuf, String)> = Vec::new();
    let mut heading = None;
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
            heading = Some(format!("{file}, {class}"));
        }
    }
    let names: BTreeSet<String> = rows.iter().map(|(_, class)| class.clone()).collect();
    let classes: Vec<String> = names.into_iter().collect();
    let number = |class: &String| classes.binary_search(class).unwrap_or_default();
    let mut pictures: Vec<(PathBuf, usize)> =
        rows.into_iter().map(|(file, class)| (file, number(&class))).collect();
    pictures.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    Ok(List { classes, pictures, heading })
}

fn of_path(path: &Path, error: &dyn std::error::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}
