//! The rooms of the crate stand in an order, and a room uses only those below it: so nothing runs in circles, and a
//! change in a room is felt by those above it alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. A room is a file of `src` or a folder with all below it.
const ROOMS: &[&str] = &[
    "text",
    "error",
    "system",
    "data",
    "layers",
    "engine",
    "models",
    "architectures",
    "display",
    "training",
    "features",
    "evaluation",
    "tuning",
    "artifacts",
    "plot",
    "report",
    "prelude",
    "lib",
];

/// What still reaches up: a file, and the room it should not use. It can only shrink.
const STILL_TO_MEND: &[(&str, &str)] = &[];

#[test]
fn a_room_uses_only_rooms_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for file in rust_files(&source) {
        let name = file.strip_prefix(&source).unwrap().to_str().unwrap().replace('\\', "/");
        let own = room_of(&name);
        let height = |room: &str| ROOMS.iter().position(|known| *known == room);
        let Some(own_height) = height(&own) else {
            panic!("src/{name}: the room `{own}` has no place in ROOMS of tests/rooms.rs");
        };
        for used in rooms_used(&fs::read_to_string(&file).unwrap()) {
            match height(&used) {
                Some(height) if height >= own_height && used != own => {
                    found.insert((name.clone(), used));
                }
                Some(_) => {}
                None => panic!("src/{name} uses `crate::{used}`, which has no place in ROOMS"),
            }
        }
    }
    let allowed: BTreeSet<(String, String)> =
        STILL_TO_MEND.iter().map(|(file, room)| ((*file).to_owned(), (*room).to_owned())).collect();
    let list = |pairs: Vec<&(String, String)>| -> String {
        pairs.iter().map(|(file, room)| format!("\n    (\"{file}\", \"{room}\"),")).collect()
    };
    let new = list(found.difference(&allowed).collect());
    assert!(new.is_empty(), "these files use rooms that stand above their own:{new}");
    let mended = list(allowed.difference(&found).collect());
    assert!(mended.is_empty(), "mended, so take them out of STILL_TO_MEND:{mended}");
}

pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            // Programs use the crate from outside.
            true if path.ends_with("src/bin") => {}
            // Tests may use what stands above: networks that are made of layers, say.
            false if path.ends_with("tests.rs") => {}
            true => files.extend(rust_files(&path)),
            false if path.extension().is_some_and(|end| end == "rs") => files.push(path),
            false => {}
        }
    }
    files
}

fn room_of(file: &str) -> String {
    file.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// The rooms that the code names as `crate::ROOM`, its tests and comments left out.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code: String = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap()
        .split("#[cfg(test)]\npub(crate) mod tests {")
        .next()
        .unwrap()
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n");
    let mut rooms = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let names: Vec<&str> = match part.strip_prefix('{') {
            // `use crate::{Error, Result};`, `use crate::{data::Dataset, text::thousands};`
            Some(group) => group.split('}').next().unwrap().split(',').collect(),
            None => vec![part],
        };
        for name in names {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let name = name.trim();
            let name = &name[..name.find(|c| !is_part(c)).unwrap_or(name.len())];
            match name {
                "" => {}
                "Error" | "Result" => _ = rooms.insert("error".to_owned()),
                room => _ = rooms.insert(room.to_owned()),
            }
        }
    }
    rooms
}

#[test]
fn what_the_code_names_is_found_and_tests_do_not_count() {
    let code = "use crate::{Error, text::thousands};\n// crate::plot\nlet a = crate::data::Dataset;\n\
                #[cfg(test)]\nmod tests {\n    use crate::report::x;\n}\n";
    let found: Vec<String> = rooms_used(code).into_iter().collect();
    assert_eq!(found, ["data", "error", "text"]);
    assert_eq!(
        (room_of("data/npy.rs"), room_of("text.rs")),
        ("data".to_owned(), "text".to_owned())
    );
}
