//! The rooms of the crate stand in an order, and a room uses only those below it: so nothing runs in circles, and a
//! change in a room is felt by those above it alone. Within a room, and in the programs of `tools`, no files use each
//! other in a circle.

use std::collections::{BTreeMap, BTreeSet};
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

#[test]
fn a_room_uses_only_rooms_below_it() {
    let mut up = String::new();
    for (module, Module { file, paths, .. }) in read("helpers/src") {
        let own = module.split("::").nth(1).unwrap_or("lib");
        let height = |room: &str| {
            let known = ROOMS.iter().position(|known| *known == room);
            known.unwrap_or_else(|| panic!("{file}: the room `{room}` has no place in ROOMS"))
        };
        for used in paths.iter().filter_map(|path| room_used(path)) {
            if used != own && height(used) >= height(own) {
                up += &format!("\n    {file} uses {used}");
            }
        }
    }
    assert!(up.is_empty(), "these files use rooms that stand above their own:{up}");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let programs = ["bench", "fuzz", "import", "kernel", "predict", "xtask"];
    let sources = programs.iter().map(|program| format!("tools/{program}/src"));
    for source in sources.chain(["helpers/src".to_owned()]) {
        let found = circles(&read(&source)).join("\n    ");
        assert!(found.is_empty(), "files of {source} use each other in circles:\n    {found}");
    }
}

/// The room that a path of `crate` names.
fn room_used(path: &str) -> Option<&str> {
    match path.strip_prefix("crate::")?.split("::").next()? {
        "Error" | "Result" => Some("error"),
        room => Some(room),
    }
}

/// Who uses whom in the circles of files.
///
/// A name that a file hands on, as a `mod.rs` does with `pub use grid::Parameters`, counts as that of the file it comes
/// from. A file may use what stands in its own `mod.rs`, though that names the file: a trait or an enum with a file for
/// each of its kinds stands there, and what all files of a folder share. The root (`lib.rs`, `main.rs`) is no such place:
/// it names every folder, so a name that stands there would make one circle of all of them.
fn circles(modules: &Modules) -> Vec<String> {
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (at, module) in modules {
        let used = module.paths.iter().filter_map(|path| module_of(modules, at, path));
        let shared = |used: &&str| *used != "crate" && *used == parent(at);
        uses.entry(at).or_default().extend(used.filter(|used| !shared(used)));
        uses.entry(parent(at)).or_default().insert(at);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = (uses.keys())
        .map(|from| {
            let (mut reached, mut open) = (BTreeSet::new(), vec![*from]);
            while let Some(next) = open.pop() {
                open.extend(uses[next].iter().filter(|used| reached.insert(**used)));
            }
            (*from, reached)
        })
        .collect();
    let edges = uses.iter().flat_map(|(from, used)| used.iter().map(move |to| (*from, *to)));
    edges
        .filter(|(from, to)| from != to && reached[to].contains(from))
        .map(|(from, to)| format!("{} uses {}", modules[from].file, modules[to].file))
        .collect()
}

/// The module whose file holds what `path` means in the module `at`; none for another crate's.
fn module_of<'a>(modules: &'a Modules, at: &str, path: &str) -> Option<&'a str> {
    let mut at = at.to_owned();
    for (index, part) in path.split("::").filter(|part| !part.is_empty()).enumerate() {
        let child = format!("{at}::{part}");
        at = match part {
            "crate" => part.to_owned(),
            "self" => at,
            "super" => parent(&at).to_owned(),
            _ if modules.contains_key(&child) => child,
            _ if index == 0 => return None,
            _ => match modules[&at].imports.get(part) {
                Some(import) => return module_of(modules, &at, import),
                None => break,
            },
        };
    }
    modules.get_key_value(&at).map(|(at, _)| at.as_str())
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("crate", |(parent, _)| parent)
}

/// A file of a crate, its tests and comments left out.
struct Module {
    /// As messages name it.
    file: String,
    /// What it imports, and all that it names from `crate`, `super` or `self` on.
    paths: Vec<String>,
    /// What the names stand for that it imports.
    imports: BTreeMap<String, String>,
}

/// By their paths: `crate::tuning::grid`; the root is `crate`.
type Modules = BTreeMap<String, Module>;

fn read(source: &str) -> Modules {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(source);
    let module = |path: PathBuf| {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        parsed(&file, &fs::read_to_string(&path).unwrap())
    };
    rust_files(&root).into_iter().map(module).collect()
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

fn parsed(file: &str, text: &str) -> (String, Module) {
    let (mut paths, mut imports) = (Vec::new(), BTreeMap::new());
    let code = without_tests(text);
    let mut lines = code.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let import = line.split_once("use ").filter(|(before, _)| match before.trim() {
            "" | "pub" => true,
            before => before.starts_with("pub(") && before.ends_with(')'),
        });
        let Some((_, tree)) = import else {
            let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let starts = ["crate::", "super::", "self::"];
            let own = words.filter(|word| starts.iter().any(|start| word.starts_with(start)));
            paths.extend(own.map(str::to_owned));
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.ends_with(';') {
            tree += lines.next().unwrap();
        }
        for path in leaves(&tree) {
            let (path, name) = path
                .split_once(" as ")
                .unwrap_or_else(|| (&path, path.rsplit("::").next().unwrap()));
            imports.insert(name.to_owned(), path.to_owned());
            paths.push(path.to_owned());
        }
    }
    let module = format!("crate::{}", file.trim_end_matches(".rs").replace('/', "::"));
    let module = match module.rsplit_once("::") {
        Some((folder, "mod" | "lib" | "main")) => folder.to_owned(),
        _ => module,
    };
    (module, Module { file: file.to_owned(), paths, imports })
}

/// The paths of `a::{b, c::D as E};`.
fn leaves(tree: &str) -> Vec<String> {
    let (mut before, mut leaf, mut found) = (vec![String::new()], String::new(), Vec::new());
    for c in tree.chars() {
        let path = format!("{}{}", before.last().unwrap(), leaf.trim());
        match c {
            '{' => before.push(path),
            ',' | '}' | ';' => {
                if !leaf.trim().is_empty() {
                    found.push(path.trim_end_matches("::self").to_owned());
                }
                if c == '}' {
                    before.pop();
                }
            }
            c => {
                leaf.push(c);
                continue;
            }
        }
        leaf.clear();
    }
    found
}

/// The code without comments, and without what is compiled for tests alone, wherever that stands.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("#[cfg(test)]") else {
            code += line.split("//").next().unwrap();
            code.push('\n');
            continue;
        };
        // As rustfmt writes it, its last line is the first one at this depth that closes something.
        lines.by_ref().find(|line| {
            let own = line.strip_prefix(indent).filter(|own| !own.starts_with(' '));
            own.is_some_and(|own| own.ends_with([';', '}', ',']))
        });
    }
    code
}

#[test]
fn what_the_code_names_is_found_and_tests_do_not_count() {
    let code = "pub use crate::{Error, text::{self, thousands as t}};\n// crate::plot\nlet a = crate::data::Dataset;\n\
                #[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more {\n    use crate::report::x;\n}\nuse super::grid;\n";
    let (module, Module { paths, imports, .. }) = parsed("data/npy/mod.rs", code);
    assert_eq!(module, "crate::data::npy");
    let expected = [
        "crate::Error",
        "crate::text",
        "crate::text::thousands",
        "crate::data::Dataset",
        "super::grid",
    ];
    assert_eq!(paths, expected);
    assert_eq!(imports["t"], "crate::text::thousands");
    assert_eq!(
        paths.iter().filter_map(|path| room_used(path)).collect::<Vec<_>>(),
        ["error", "text", "text", "data"]
    );
}

#[test]
fn a_circle_is_found_through_what_a_file_hands_on_and_not_through_its_own_mod_file() {
    let found = |files: &[(&str, &str)]| {
        circles(&files.iter().map(|(file, code)| parsed(file, code)).collect())
    };
    let (root, shared) = (("lib.rs", ""), ("a/mod.rs", "pub use y::Y;\npub struct Shared;"));
    let x = ("a/x.rs", "use super::{Shared, Y};");
    assert!(found(&[root, shared, x, ("a/y.rs", "use super::Shared;")]).is_empty());
    let y = ("a/y.rs", "fn f(x: &crate::a::x::X) {}");
    assert_eq!(found(&[root, shared, x, y]), ["a/x.rs uses a/y.rs", "a/y.rs uses a/x.rs"]);
    let b = ("b.rs", "use crate::Outcome;");
    assert_eq!(found(&[root, b]), ["lib.rs uses b.rs", "b.rs uses lib.rs"]);
}
